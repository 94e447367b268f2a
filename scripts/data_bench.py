"""How long `vrft check` takes, and how much memory, on many pictures in a table or in folders.

    python scripts/data_bench.py 100000            # both layouts; the pictures are tiny and mostly hard links
    python scripts/data_bench.py 1000000 --layouts table --folder /somewhere/with/room

Files, not pixels, are what reading a table costs, so all pictures are links to a few small ones.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

LINKS = 30_000  # to one file; ext4 has 65,000 at most
PER_FOLDER = 10_000
RECIPE = """\
name: bench
data_root: {root}
tasks:
  look:
    kind: classify
    question: What does it show?
    labels: [dark, bright]
    data: {data}
stages:
  - {{name: one, method: grpo, task: look, steps: 1, rewards: {{accuracy: 1.0}}}}
evaluation: {{task: look}}
"""


def _pictures(folder: Path, names: list[str]) -> None:
    """Files of those names below the folder, as few of them real as links allow."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(names):
        path = folder / name
        if number % PER_FOLDER == 0 or not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
        if number % LINKS == 0:
            first = path
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(first)
        else:
            os.link(first, path)


def make_table(root: Path, count: int) -> str:
    """`images/<n>/<i>.png` and `table.csv` with image, label, split and patient; returns `data`."""
    names = [f"{i // PER_FOLDER}/{i}.png" for i in range(count)]
    _pictures(root / "images", names)
    with (root / "table.csv").open("w") as file:
        file.write("image,label,split,patient,age,sex,view\n")
        for i, name in enumerate(names):
            split = ("train", "train", "train", "validation", "test")[i // 2 % 5]
            file.write(f"{name},{('dark', 'bright')[i % 2]},{split},p{i // 2},61,f,frontal\n")
    return "{reader: csv, table: table.csv, images: images, patient_column: patient}"


def make_folders(root: Path, count: int) -> str:
    """`images/<split>/<label>/<i>.png`; returns `data`."""
    splits = ("train", "train", "train", "validation", "test")
    names = [f"{splits[i % 5]}/{('dark', 'bright')[i // 5 % 2]}/{i}.png" for i in range(count)]
    _pictures(root / "images", names)
    return "{reader: folder, images: images}"


def run(command: list[str]) -> tuple[float, float]:
    """Seconds, and the peak of resident memory in MB, of a command that succeeds."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    output = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"{' '.join(command)} failed:\n{output}")
    scale = 1 if sys.platform == "darwin" else 1024
    return seconds, usage.ru_maxrss * scale / 1e6


def main() -> None:
    """Print a line a layout."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int, nargs="?", default=100_000)
    parser.add_argument("--layouts", nargs="+", choices=("table", "folders"), default=["table", "folders"])
    parser.add_argument("--folder", type=Path, help="where to make the files; default: a temporary folder")
    given = parser.parse_args()
    for layout in given.layouts:
        with tempfile.TemporaryDirectory(dir=given.folder) as name:
            root = Path(name)
            data = {"table": make_table, "folders": make_folders}[layout](root, given.count)
            recipe = root / "bench.yaml"
            recipe.write_text(RECIPE.format(root=root, data=data))
            command = [sys.executable, "-c", "from vrft_aug.cli import main; main()", "check", str(recipe)]
            for again in ("first", "again"):
                seconds, megabytes = run(command)
                print(f"{layout}, {given.count:,} pictures, {again}: {seconds:.1f} s, {megabytes:.0f} MB")


if __name__ == "__main__":
    main()
