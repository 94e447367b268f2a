"""What is packed and what it pulls: every dependency is used, everything used is declared, one version."""

import ast
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import yaml

import vrft_aug
from helpers.documents import PACKAGE, ROOT, read
from vrft_aug.cli.version_lines import device_line, version_lines

PROJECT = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
# Distributions whose module has another name.
MODULES = {"pillow": "PIL", "pyyaml": "yaml", "scikit-learn": "sklearn", "simpleitk": "SimpleITK"}
# Declared, and imported by another package on our behalf: which, and what for.
ON_OUR_BEHALF = {
    "torchvision": "transformers, whose image processors need it",
    "pylibjpeg": "pydicom", "pylibjpeg-openjpeg": "pydicom", "pylibjpeg-libjpeg": "pydicom",
    "python-gdcm": "pydicom",
    "num2words": "transformers, for the processor of SmolVLM",
}  # fmt: skip
# Imported, and brought by a dependency that cannot be without it.
BROUGHT = {
    "annotated_types": "pydantic",
    "huggingface_hub": "transformers",
    "markupsafe": "jinja2",
    "pydantic_core": "pydantic",
}


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w.-]", one)[0].lower() for one in requirements}


def imported() -> set[str]:
    """The top-level modules that src imports, but for Python's own and ours."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(read(path))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"vrft_aug"}


IMPORTED = imported()
REQUIRED = names(PROJECT["dependencies"])
EXTRAS = {extra: names(wanted) for extra, wanted in PROJECT["optional-dependencies"].items()}


def module(distribution: str) -> str:
    return MODULES.get(distribution, distribution.replace("-", "_"))


def test_nothing_is_pulled_that_is_not_used() -> None:
    assert [one for one in REQUIRED if module(one) not in IMPORTED and one not in ON_OUR_BEHALF] == []


def test_everything_that_is_used_is_declared() -> None:
    users = {extra: wanted for extra, wanted in EXTRAS.items() if extra != "dev"}
    declared = {module(one) for one in REQUIRED.union(*users.values())}
    assert sorted(IMPORTED - declared - set(BROUGHT)) == []
    for name, owner in BROUGHT.items():
        needed = names(metadata.requires(owner) or [])
        assert name.replace("_", "-") in {one.replace("_", "-") for one in needed}, f"{owner} needs {name}"


def test_the_extras_are_there_and_used() -> None:
    assert {"dicom", "volumes", "vllm", "endpoint", "ui", "dev"} <= set(EXTRAS)
    alone = {one for extra, wanted in EXTRAS.items() if extra not in ("dev", "docs") for one in wanted}
    assert [one for one in alone if module(one) not in IMPORTED and one not in ON_OUR_BEHALF] == []


def test_the_version_is_told_in_one_place() -> None:
    assert PROJECT["dynamic"] == ["version"] and "version" not in PROJECT
    told = tomllib.loads(read(ROOT / "pyproject.toml"))["tool"]["setuptools"]["dynamic"]["version"]
    assert told == {"attr": "vrft_aug.__version__"}
    places = [
        path for path in PACKAGE.rglob("*.py") if re.search(r"^__version__ =", read(path), re.MULTILINE)
    ]
    assert places == [PACKAGE / "__init__.py"]
    # A citation names a version that somebody can get: the one that is released last, or this one.
    cited = str(yaml.safe_load(read(ROOT / "CITATION.cff"))["version"])
    assert cited == vrft_aug.__version__ or f"## {cited}" in read(ROOT / "CHANGELOG.md")


def test_the_version_lines_name_what_results_depend_on(tmp_path: Path) -> None:
    lines = version_lines()
    assert lines[0] == f"vrft-aug {vrft_aug.__version__}"
    assert f"torch {metadata.version('torch')}" in lines and f"trl {metadata.version('trl')}" in lines
    assert [line.split()[0] for line in lines] == [
        "vrft-aug",
        "python",
        "torch",
        "transformers",
        "trl",
        "device",
    ]
    for number in range(2):
        (tmp_path / f"0000:0{number}:00.0").mkdir()
        (tmp_path / f"0000:0{number}:00.0" / "information").write_text("Model: \t\t NVIDIA H100\nIRQ: 7\n")
    assert device_line(tmp_path).startswith("2 x NVIDIA H100 (not asked")
    assert "H100" not in device_line(tmp_path / "none")


def test_the_release_uploads_by_trusted_publishing() -> None:
    flow = yaml.safe_load(read(ROOT / ".github" / "workflows" / "release.yml"))
    jobs = flow["jobs"]
    assert flow[True] == {"push": {"tags": ["v*"]}} and flow["permissions"] == {"contents": "read"}
    assert jobs["publish"]["permissions"] == {"id-token": "write"} and jobs["publish"]["needs"] == "try"
    assert jobs["try"]["needs"] == "build"
    assert [name for name, job in jobs.items() if "id-token" in job.get("permissions", {})] == ["publish"]
    uses = [step["uses"] for job in jobs.values() for step in job["steps"] if "uses" in step]
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|release/v\d+)", one) for one in uses)
    assert "secrets." not in read(ROOT / ".github" / "workflows" / "release.yml")


def test_what_is_packed_lies_under_the_limit() -> None:
    """What compresses little, weights above all, against 12 MB for the wheel."""
    large = [path for path in PACKAGE.rglob("*") if path.is_file() and path.stat().st_size > 100_000]
    assert sum(path.stat().st_size for path in large) < 11_000_000, large
