"""Wheel and sdist are built, and the wheel works in an empty environment from another folder."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import urllib.request
import venv
import zipfile
from pathlib import Path

import pytest

from helpers.documents import PACKAGE, ROOT
from vrft_aug import __version__

pytestmark = pytest.mark.slow
LARGEST = 12_000_000  # bytes
BUILD = "from setuptools import build_meta; build_meta.build_wheel('dist'); build_meta.build_sdist('dist')"


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both, built from a copy of the checkout without what git does not know."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "CHANGELOG.md", "CITATION.cff"):
        shutil.copy(ROOT / name, source / name)
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    (source / "dist").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", BUILD], cwd=source, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return source / "dist"


@pytest.fixture(scope="module")
def empty(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of an environment with the wheel in it; dependencies are those of this one, without us."""
    place = tmp_path_factory.mktemp("empty")
    venv.create(place, with_pip=False)
    (site,) = place.glob("lib/python*/site-packages")
    theirs = [entry for entry in sys.path if entry.endswith("site-packages")]
    (site / "dependencies.pth").write_text("\n".join(theirs) + "\n")
    (wheel,) = dist.glob("*.whl")
    command = [
        sys.executable, "-m", "pip", "--python", str(place / "bin" / "python"), "install", "--quiet",
        "--no-deps", "--no-index", "--ignore-installed", str(wheel),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    return place / "bin"


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return {**kept, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


def run(empty: Path, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [str(empty / "vrft"), *arguments], cwd=folder, capture_output=True, text=True, timeout=1200,
        env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_both_are_small_and_whole(dist: Path) -> None:
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    assert wheel.stat().st_size < LARGEST and sdist.stat().st_size < LARGEST
    assert wheel.name == f"vrft_aug-{__version__}-py3-none-any.whl"
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("vrft_aug/")}
    ours = {
        f"vrft_aug/{path.relative_to(PACKAGE).as_posix()}"
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert packed == ours
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"src/{name}" for name in ours} <= inside
    assert {"pyproject.toml", "LICENSE", "README.md", "CHANGELOG.md", "CITATION.cff"} <= inside
    assert not [name for name in inside if name.startswith("tests")]


def test_twine_finds_nothing(dist: Path) -> None:
    pytest.importorskip("twine", reason="twine is not installed; the release workflow calls it")
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, dist.iterdir())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


def test_it_works_in_an_empty_environment(empty: Path, tmp_path: Path) -> None:
    code = "import vrft_aug; print(vrft_aug.__file__)"
    where = subprocess.run(
        [str(empty / "python"), "-c", code], cwd=tmp_path, capture_output=True, text=True, env=environment()
    )
    assert where.stdout.startswith(str(empty.parent))
    assert run(empty, tmp_path, "--version").startswith(f"vrft-aug {__version__}\n")
    assert "fundus" in run(empty, tmp_path, "knowledge", "list")
    assert "fundus-demo" in run(empty, tmp_path, "check", "fundus-demo")
    short = ["stages.localise.steps=1", "stages.grade.steps=1", "evaluation.limit=8"]
    run(empty, tmp_path, "train", "fundus-demo", "--output", "first", *short)
    assert (tmp_path / "first" / "report.html").is_file()
    server = subprocess.Popen(
        [str(empty / "vrft"), "view", "first", "--port", "0"], cwd=tmp_path, env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        until, address = time.monotonic() + 240, None
        while address is None and time.monotonic() < until and (line := server.stdout.readline()):
            address = re.search(r"http://127\.0\.0\.1:\d+/?", line)
        assert address is not None
        with urllib.request.urlopen(address[0], timeout=60) as reply:
            page = reply.read().decode()
    finally:
        server.terminate()
        server.communicate(timeout=30)  # closes what it printed to
    assert "grade" in page and "first" in page
