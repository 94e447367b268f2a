"""Own .npz files, data sets of the library `datasets`, and WebDataset shards, as their users have them."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

from helpers.data_files import recipe_mapping, save_arrays
from vrft_aug.data.cases import load_cases
from vrft_aug.data.notes import collecting
from vrft_aug.errors import UserError
from vrft_aug.nouns import Case
from vrft_aug.recipe.schema import Recipe
from vrft_aug.tasks.task import make_task

LABELS = ["calm", "ill"]
NPZ = {"reader": "npz", "file": "mine.npz"}
HUB = {"reader": "huggingface", "path": "set"}
TAR = {"reader": "webdataset", "shards": "train-{000..001}.tar"}


def read(root: Path, data: dict[str, Any], split: str = "train", kind: str = "classify") -> list[Case]:
    config = Recipe.model_validate(recipe_mapping(root, kind, LABELS, data)).tasks["look"]
    return load_cases(config.data, make_task("look", config), root, split)


def labels(cases: list[Case]) -> list[str | None]:
    return [case.target.label for case in cases]


def grey(value: int) -> Image.Image:
    return Image.new("RGB", (6, 4), (value, value, value))


def arrays(changed: dict[str, np.ndarray] | None = None, count: int = 6) -> dict[str, np.ndarray]:
    made: dict[str, np.ndarray] = {
        "images": np.arange(count, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 6), np.uint8),
        "labels": np.arange(count) % 2,
        "part": np.array(["train", "train", "val", "test", "train", "test"][:count]),
    }
    return made | (changed or {})


def test_npz_rows_become_cases_by_their_own_splits(tmp_path: Path) -> None:
    save_arrays(tmp_path / "mine.npz", arrays())
    found = read(tmp_path, NPZ | {"splits": "part"})
    assert [case.id for case in found] == ["mine/train/0", "mine/train/1", "mine/train/4"]
    assert labels(found) == ["calm", "ill", "calm"]
    assert found[2].images[0].open().getpixel((0, 0)) == (4, 4, 4) and found[2].images[0].open().size == (
        6,
        4,
    )
    assert labels(read(tmp_path, NPZ | {"splits": "part"}, "validation")) == ["calm"]


def test_npz_floats_channels_first_names_and_arrays_per_split(tmp_path: Path) -> None:
    unit = np.linspace(0, 1, 3)[:, None, None, None] * np.ones((1, 3, 4, 6))
    save_arrays(
        tmp_path / "mine.npz",
        {
            "train_x": unit,
            "train_y": np.array(["sick", "well", "sick"]),
            "test_x": unit,
            "test_y": np.array([1, 0, 1]),
        },
    )
    data = NPZ | {
        "images": "{split}_x", "labels": "{split}_y", "value_range": [0, 1],
        "label_names": {"sick": "ill", "well": "calm"},
    }  # fmt: skip
    found = read(tmp_path, data)
    assert labels(found) == ["ill", "calm", "ill"]
    assert [case.images[0].open().getpixel((0, 0)) for case in found] == [(0,) * 3, (128,) * 3, (255,) * 3]


@pytest.mark.parametrize(
    ("changed", "more", "message"),
    [
        ({"labels": np.zeros(5, int)}, {}, r"'labels' is \(5,\); expected 6 rows"),
        ({"labels": np.full(6, np.nan)}, {}, "NaN"),
        ({"labels": np.full(6, 7)}, {}, "row 0 of labels"),
        ({"images": np.zeros((6, 4))}, {}, "expected images"),
        ({"images": np.zeros((6, 4, 6))}, {}, "data.value_range"),
        ({}, {"value_range": [1, 0]}, "the first smaller"),
        ({}, {"images": "pictures"}, "pictures"),
        ({}, {"file": "other.npz"}, "does not exist"),
        ({"labels": np.array([{"a": 1}] * 6, dtype=object)}, {}, "labels"),
    ],
)
def test_npz_that_does_not_fit(
    tmp_path: Path, changed: dict[str, np.ndarray], more: dict[str, Any], message: str
) -> None:
    save_arrays(tmp_path / "mine.npz", arrays(changed))
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path, NPZ | more)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def hub_rows(count: int, per_picture: int = 1, **more: list[Any]) -> datasets.Dataset:
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["well", "sick"])}
    content = {
        "image": [grey(i // per_picture) for i in range(count)],
        "label": [i % 2 for i in range(count)],
    }
    typed = datasets.Features(features | {name: datasets.Value("string") for name in more})
    return datasets.Dataset.from_dict(content | more, features=typed)


NAMES = {"label_names": {"well": "calm", "sick": "ill"}}


def test_a_data_set_saved_to_disk(tmp_path: Path) -> None:
    whole = datasets.DatasetDict({"train": hub_rows(4), "validation": hub_rows(2), "test": hub_rows(3)})
    whole.save_to_disk(tmp_path / "set")
    found = read(tmp_path, HUB | NAMES, "test")
    assert [case.id for case in found] == ["set/test/0", "set/test/1", "set/test/2"]
    assert labels(found) == ["calm", "ill", "calm"]
    assert found[1].images[0].open().getpixel((0, 0)) == (1, 1, 1)


def test_parquet_files_named_by_split(tmp_path: Path) -> None:
    for split, count in (("train", 4), ("val", 2), ("test", 2)):
        (tmp_path / "set").mkdir(exist_ok=True)
        hub_rows(count).to_parquet(tmp_path / "set" / f"{split}-00000-of-00001.parquet")
    assert labels(read(tmp_path, HUB | NAMES, "train")) == ["calm", "ill", "calm", "ill"]
    assert len(read(tmp_path, HUB | NAMES, "validation")) == 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"label_column": "labell"}, "no column 'labell' .*did you mean 'label'"),
        ({"image_column": "label"}, "expected pictures"),
        ({"label_names": {"well": "calm"}}, "row 1"),
        ({"path": "empty"}, "cannot be read|no data set"),
    ],
)
def test_a_data_set_that_does_not_fit(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    datasets.DatasetDict({"train": hub_rows(4), "test": hub_rows(2)}).save_to_disk(tmp_path / "set")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path, HUB | NAMES | more)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def save_shard(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def png(value: int) -> bytes:
    out = io.BytesIO()
    grey(value).save(out, "PNG")
    return out.getvalue()


def two_shards(root: Path) -> None:
    for shard in range(2):
        files = {}
        for i in range(2 * shard, 2 * shard + 2):
            files[f"{i:04d}.png"], files[f"{i:04d}.cls"] = png(i), str(i % 2).encode()
            files[f"{i:04d}.json"] = json.dumps({"state": LABELS[i % 2], "who": f"p{i}"}).encode()
        save_shard(root / f"train-{shard:03d}.tar", files)


def test_shards_are_read_where_they_lie(tmp_path: Path) -> None:
    two_shards(tmp_path)
    cases = [case for split in ("train", "validation") for case in _or_none(tmp_path, split)]
    assert sorted(case.id.rpartition("/")[2] for case in cases) == ["0000", "0001", "0002", "0003"]
    for case in cases:
        number = int(case.id[-4:])
        assert case.target.label == LABELS[number % 2] and case.patient == f"p{number}"
        assert case.images[0].open().getpixel((0, 0)) == (number,) * 3


def _or_none(root: Path, split: str) -> list[Case]:
    try:
        return read(root, TAR | {"label": "json.state", "patient": "json.who"}, split)
    except UserError as error:
        assert "no cases" in str(error)
        return []


@pytest.mark.parametrize(
    ("change", "more", "message"),
    [
        ("cut", {}, "cannot be read as an uncompressed .tar"),
        ("cut between", {}, "its end is missing"),
        ("packed", {}, "cannot be read as an uncompressed .tar"),
        ("no picture", {}, "0009 has no picture"),
        ("gone", {}, "train-001.tar does not exist, but"),
        ("", {"label": "txt"}, "has no .txt; it has cls, json"),
        ("", {"label": "json.stat"}, "did you mean 'state'"),
        ("twice", {}, "case 0000 is in"),
    ],
)
def test_shards_that_do_not_fit(tmp_path: Path, change: str, more: dict[str, Any], message: str) -> None:
    two_shards(tmp_path)
    second = tmp_path / "train-001.tar"
    if change == "cut":
        second.write_bytes(second.read_bytes()[:1200])
    elif change == "cut between":  # after the third file: 512 bytes of header and of content each
        second.write_bytes(second.read_bytes()[: 3 * 1024])
    elif change == "packed":
        with tarfile.open(second, "w:gz"):
            pass
    elif change == "no picture":
        save_shard(second, {"0009.cls": b"1"})
    elif change == "gone":
        second.unlink()
    elif change == "twice":
        save_shard(second, {"0000.png": png(0), "0000.cls": b"0"})
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path, TAR | more)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def question_rows() -> datasets.Dataset:
    """Sixty questions, three about each of twenty pictures; each row with its own copy of the picture."""
    return hub_rows(60, 3, ask=[f"question {i}?" for i in range(60)])


def question_shard(root: Path) -> None:
    files = {}
    for i in range(60):
        files[f"{i:04d}.png"], files[f"{i:04d}.cls"] = png(i // 3), str(i % 2).encode()
        files[f"{i:04d}.json"] = json.dumps({"ask": f"question {i}?"}).encode()
    save_shard(root / "all-000.tar", files)


@pytest.mark.parametrize("source", ["hub", "shards"])
def test_questions_about_one_picture_stay_in_one_split_and_are_known_as_such(
    tmp_path: Path, source: str
) -> None:
    if source == "hub":
        question_rows().save_to_disk(tmp_path / "set")
        data = HUB | NAMES | {"question_column": "ask", "random_split": {"seed": 1}}
    else:
        question_shard(tmp_path)
        data = {"reader": "webdataset", "shards": "all-000.tar", "question": "json.ask"}
        data["random_split"] = {"seed": 1}
    of_picture: dict[int, set[tuple[str, str | None]]] = {}
    for split in ("train", "validation", "test"):
        for case in read(tmp_path, data, split):
            value = case.images[0].open().getpixel((0, 0))
            assert isinstance(value, tuple)
            of_picture.setdefault(int(value[0]), set()).add((split, case.picture))
    assert len(of_picture) == 20 and all(len(found) == 1 for found in of_picture.values())
    assert len({picture for found in of_picture.values() for _, picture in found}) == 20


def test_a_picture_asked_about_in_two_given_splits_is_told(tmp_path: Path) -> None:
    rows = question_rows()
    parts = {"train": rows.select(range(40)), "test": rows.select(range(40, 60))}  # 39, 40, 41 share one
    datasets.DatasetDict({**parts, "validation": rows.select([0])}).save_to_disk(tmp_path / "set")
    with collecting() as notes:
        read(tmp_path, HUB | NAMES | {"question_column": "ask"}, "test")
    (told,) = (note.text for note in notes if "flatters" in note.text)
    assert told.startswith("2 pictures are asked about in two splits (") and "train row 39 and" in told
    assert "test row 0" in told
