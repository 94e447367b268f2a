"""One small right data set for each reader and layout, to be made wrong: how it is read, and its files."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet
from PIL import Image

from helpers.data_files import recipe_mapping, save_arrays, save_csv, save_image
from helpers.dicom_files import save_dicom
from helpers.volume_files import SHAPE, save_nifti, save_series, stored
from helpers.wild_sets import read_splits
from vrft_aug.errors import UserError
from vrft_aug.recipe.schema import Recipe
from vrft_aug.tasks.label_coverage import refuse_unused_labels
from vrft_aug.tasks.task import make_task

COUNT = 8
LONGEST = 500  # characters of a message, without the folder of the test
LABELS = ("dark", "bright")
SPLITS = ("train", "train", "train", "train", "validation", "validation", "test", "test")


@dataclass(frozen=True)
class GoodSet:
    """How a set is read, and the files that are made wrong: a few words -> its path below the root."""

    data: dict[str, Any]
    files: dict[str, str]
    kind: str = "classify"
    labels: tuple[str, ...] = LABELS


def contents(root: Path, made: GoodSet) -> dict[str, Any]:
    """All that is read: by case what is true, whose it is, and every pixel that is shown.

    As every command does, this refuses a label that no case has.
    """
    found, _ = read_splits(root, made.data, made.kind, made.labels)
    recipe = Recipe.model_validate(recipe_mapping(root, made.kind, made.labels, made.data))
    refuse_unused_labels(recipe, make_task("look", recipe.tasks["look"]), chain(*found.values()))
    return {
        case.id: (case.target, case.patient, case.question, case.options,
                  [(image.open().size, image.open().tobytes()) for image in case.images])
        for cases in found.values() for case in cases
    }  # fmt: skip


def label(n: int) -> str:
    return LABELS[n % 2]


def _pictures(root: Path, folder: str = "images", suffix: str = ".png") -> list[str]:
    names = [f"a{n}{suffix}" for n in range(COUNT)]
    for n, name in enumerate(names):
        save_image(root / folder / name, (24, 20), n)
    return names


def _rows(root: Path) -> list[list[str]]:
    names = _pictures(root)
    return [["image", "label", "split"], *([name, label(n), SPLITS[n]] for n, name in enumerate(names))]


CSV = {"reader": "csv", "table": "t.csv", "images": "images"}


def csv(root: Path) -> GoodSet:
    save_csv(root / "t.csv", _rows(root))
    return GoodSet(CSV, {"table": "t.csv", "picture": "images/a3.png"})


def tsv(root: Path) -> GoodSet:
    (root / "t.tsv").write_text("".join("\t".join(row) + "\n" for row in _rows(root)))
    return GoodSet(CSV | {"table": "t.tsv"}, {"table": "t.tsv"})


def xlsx(root: Path) -> GoodSet:
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in _rows(root):
        sheet.append(row)
    book.save(root / "t.xlsx")
    return GoodSet(CSV | {"table": "t.xlsx"}, {"workbook": "t.xlsx"})


def parquet(root: Path) -> GoodSet:
    header, *rows = _rows(root)
    columns = {name: [row[i] for row in rows] for i, name in enumerate(header)}
    pyarrow.parquet.write_table(pa.table(columns), root / "t.parquet")
    return GoodSet(CSV | {"table": "t.parquet"}, {"parquet": "t.parquet"})


def jsonl(root: Path) -> GoodSet:
    header, *rows = _rows(root)
    lines = (json.dumps(dict(zip(header, row, strict=True))) + "\n" for row in rows)
    (root / "t.jsonl").write_text("".join(lines))
    return GoodSet(CSV | {"table": "t.jsonl"}, {"lines": "t.jsonl"})


def one_hot(root: Path) -> GoodSet:
    _, *rows = _rows(root)
    own = [[name, *("1" if other == one else "0" for other in LABELS), split] for name, one, split in rows]
    save_csv(root / "t.csv", [["image", *LABELS, "split"], *own])
    return GoodSet(CSV | {"label_column": list(LABELS)}, {"table": "t.csv"})


def joined(root: Path) -> GoodSet:
    _, *rows = _rows(root)
    save_csv(
        root / "t.csv", [["image", "key", "split"], *([r[0], f"k{n}", r[2]] for n, r in enumerate(rows))]
    )
    save_csv(root / "more.csv", [["key", "label"], *([f"k{n}", r[1]] for n, r in enumerate(rows))])
    return GoodSet(CSV | {"join": [{"table": "more.csv", "on": "key"}]}, {"second table": "more.csv"})


def _spot(n: int) -> np.ndarray:
    mask = np.zeros((20, 24), np.uint8)
    mask[4 + n : 10 + n, 5:15] = 255
    return mask


def masks(root: Path) -> GoodSet:
    save_csv(root / "t.csv", [[row[0], row[2]] for row in _rows(root)])
    (root / "masks").mkdir()
    for n in range(COUNT):
        Image.fromarray(_spot(n)).save(root / f"masks/a{n}.png")
    data = CSV | {"masks": {"spot": "masks/{stem}.png"}}
    return GoodSet(data, {"mask": "masks/a3.png"}, "localise", ("spot",))


def label_map(root: Path) -> GoodSet:
    made = masks(root)
    for n in range(COUNT):
        Image.fromarray(_spot(n) // 255 * 2).save(root / f"masks/a{n}.png")
    data = CSV | {"label_map": "masks/{stem}.png", "mask_values": {"2": "spot"}}
    return GoodSet(data, {"map": "masks/a3.png"}, made.kind, made.labels)


def folder(root: Path) -> GoodSet:
    for n in range(COUNT):
        save_image(root / f"set/{SPLITS[n]}/{label(n)}/a{n}.png", (24, 20), n)
    return GoodSet({"reader": "folder", "images": "set"}, {"picture": "set/train/bright/a3.png"})


def lists(root: Path) -> GoodSet:
    names = _pictures(root)
    files = {split: f"{split}.txt" for split in dict.fromkeys(SPLITS)}
    for split, file in files.items():
        lines = (f"{name} {label(n)}\n" for n, name in enumerate(names) if SPLITS[n] == split)
        (root / file).write_text("".join(lines))
    return GoodSet({"reader": "folder", "images": "images", "lists": files}, {"list": "train.txt"})


def questions(root: Path) -> GoodSet:
    names = _pictures(root)
    rows = [
        {"img_name": name, "question": "What is it?", "answer": label(n), "answer_type": "OPEN", "qid": n,
         "q_lang": "en"}
        for n, name in enumerate(names)
    ]  # fmt: skip
    (root / "q.json").write_text(json.dumps(rows))
    data = {"reader": "json", "table": {"train": "q.json"}, "layout": "slake", "images": "images"}
    return GoodSet(data, {"questions": "q.json"}, "answer", ())


def dicom(root: Path) -> GoodSet:
    rows = [["file", "label", "split"]]
    for n in range(COUNT):
        pixels = np.random.default_rng(n).integers(0, 4096, (20, 24)).astype(np.uint16)
        save_dicom(root / f"scans/a{n}.dcm", pixels, PatientID=f"p{n}", SOPInstanceUID=f"1.2.3.{n + 1}")
        rows.append([f"a{n}.dcm", label(n), SPLITS[n]])
    save_csv(root / "t.csv", rows)
    data = {"reader": "dicom", "folder": "scans", "table": "t.csv", "split_column": "split"}
    return GoodSet(data, {"file": "scans/a3.dcm", "table": "t.csv"})


def npz(root: Path) -> GoodSet:
    pictures = np.random.default_rng(0).integers(0, 256, (COUNT, 20, 24), dtype=np.uint8)
    numbers = np.arange(COUNT) % 2
    save_arrays(root / "mine.npz", {"images": pictures, "labels": numbers, "part": np.array(SPLITS)})
    return GoodSet({"reader": "npz", "file": "mine.npz", "splits": "part"}, {"archive": "mine.npz"})


def _rows_of_split(split: str) -> datasets.Dataset:
    own = [n for n in range(COUNT) if SPLITS[n] == split]
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(LABELS))}
    )
    pictures = [np.random.default_rng(n).integers(0, 256, (20, 24, 3), dtype=np.uint8) for n in own]
    content = {"image": [Image.fromarray(one) for one in pictures], "label": [n % 2 for n in own]}
    return datasets.Dataset.from_dict(content, features=features)


def saved_to_disk(root: Path) -> GoodSet:
    datasets.DatasetDict({split: _rows_of_split(split) for split in dict.fromkeys(SPLITS)}).save_to_disk(
        root / "set"
    )
    (arrow,) = (root / "set/train").glob("*.arrow")
    files = {"arrow": arrow.relative_to(root).as_posix(), "state": "set/train/state.json"}
    return GoodSet({"reader": "huggingface", "path": "set"}, files)


def hub_parquet(root: Path) -> GoodSet:
    (root / "set").mkdir()
    for split in dict.fromkeys(SPLITS):
        _rows_of_split(split).to_parquet(root / f"set/{split}-0.parquet")
    return GoodSet({"reader": "huggingface", "path": "set"}, {"parquet": "set/train-0.parquet"})


def shards(root: Path) -> GoodSet:
    (root / "tars").mkdir()
    for split in dict.fromkeys(SPLITS):
        with tarfile.open(root / f"tars/{split}.tar", "w") as archive:
            for n in range(COUNT):
                if SPLITS[n] != split:
                    continue
                picture = save_image(root / f"shard-pictures/{n}.png", (24, 20), n).read_bytes()
                for name, content in ((f"{n:04d}.png", picture), (f"{n:04d}.cls", str(n % 2).encode())):
                    member = tarfile.TarInfo(name)
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
    files = {split: f"tars/{split}.tar" for split in dict.fromkeys(SPLITS)}
    return GoodSet({"reader": "webdataset", "shards": files}, {"shard": "tars/train.tar"})


def _medmnist(root: Path, name: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}
    for split in ("train", "val", "test"):
        arrays[f"{split}_images"] = rng.integers(0, 256, (4, *shape), dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(4, dtype=np.uint8) % 2)[:, None]
    save_arrays(root / name, arrays)


def medmnist(root: Path) -> GoodSet:
    _medmnist(root, "breastmnist.npz", (28, 28))
    data = {"reader": "medmnist", "dataset": "breastmnist"}
    return GoodSet(data, {"archive": "breastmnist.npz"}, labels=("malignant", "normal or benign"))


def medmnist_3d(root: Path) -> GoodSet:
    _medmnist(root, "vesselmnist3d.npz", (28, 28, 28))
    data = {"reader": "medmnist", "dataset": "vesselmnist3d"}
    return GoodSet(data, {"archive": "vesselmnist3d.npz"}, labels=("vessel", "aneurysm"))


def _volume(n: int) -> np.ndarray:
    """A patient whose slices look like those of no other."""
    values: np.ndarray = np.random.default_rng(n).integers(0, 1000, SHAPE).astype(np.int16)
    return values


def _volume_table(root: Path, name: str) -> dict[str, Any]:
    rows = [["folder", "label", "split"], *([f"v{n}", label(n), SPLITS[n]] for n in range(COUNT))]
    save_csv(root / "t.csv", rows)
    return {"reader": "volume", "folder": "scans", "table": "t.csv", "join": {"folder": "folder"},
            "split_column": "split", "slices": 2}  # fmt: skip


def nifti(root: Path, suffix: str = ".nii") -> GoodSet:
    for n in range(COUNT):
        array, affine = stored(_volume(n), "LPS", (1, 1, 2))
        save_nifti(root / f"scans/v{n}/scan{suffix}", array, affine)
    return GoodSet(_volume_table(root, "scan"), {"volume": f"scans/v3/scan{suffix}"})


def nifti_gz(root: Path) -> GoodSet:
    return nifti(root, ".nii.gz")


def series(root: Path) -> GoodSet:
    for n in range(COUNT):
        save_series(root / f"scans/v{n}", _volume(n), SeriesInstanceUID=f"1.2.9.{n}", PatientID=f"p{n}")
    return GoodSet(_volume_table(root, "series"), {"slice": "scans/v3/2.dcm"})


def run_lengths(root: Path) -> GoodSet:
    """COCO whose boxes are run-length codes alone."""
    from pycocotools import mask

    names = _pictures(root)
    content: dict[str, Any] = {
        "images": [{"id": n, "file_name": name, "width": 24, "height": 20} for n, name in enumerate(names)],
        "categories": [{"id": 1, "name": "spot"}],
        "annotations": [],
    }
    for n in range(COUNT):
        code = mask.encode(np.asfortranarray(_spot(n) // 255))
        content["annotations"].append(
            {"id": n, "image_id": n, "category_id": 1, "iscrowd": 0,
             "segmentation": {"size": [20, 24], "counts": code["counts"].decode()}}
        )  # fmt: skip
    (root / "a.json").write_text(json.dumps(content))
    data = {"reader": "coco", "annotations": "a.json", "images": "images"}
    return GoodSet(data, {"boxes": "a.json"}, "localise", ("spot",))


_MADE = (
    csv, tsv, xlsx, parquet, jsonl, one_hot, joined, masks, label_map, folder, lists, questions, dicom, npz,
    saved_to_disk, hub_parquet, shards, medmnist, medmnist_3d, nifti, nifti_gz, series, run_lengths,
)  # fmt: skip
SETS: dict[str, Callable[[Path], GoodSet]] = {make.__name__: make for make in _MADE}


def outcome(root: Path, made: GoodSet, truth: dict[str, Any], allowed: bool = False) -> str | None:
    """The line that reading and opening all of it ends in; None where all is read, and right."""
    try:
        found = contents(root, made)
    except UserError as error:
        line = str(error)
        assert "\n" not in line
        assert 20 < len(line.replace(str(root), "")) < LONGEST, line
        return line
    assert found == truth or allowed, "read quietly wrong"
    return None


# A set by name: where it lies, how it is read, and all that is in it
Made = Callable[[str], tuple[Path, GoodSet, dict[str, Any]]]


def copied(made_once: Made, name: str, root: Path) -> tuple[GoodSet, dict[str, Any]]:
    source, made, truth = made_once(name)
    shutil.copytree(source, root, dirs_exist_ok=True)
    return made, truth
