"""The MedMNIST reader: every 2-D set, any size, and what is refused."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from helpers.data_files import GRADES, MEDMNIST, save_arrays, save_medmnist
from vrft_aug.answer import parse
from vrft_aug.data.cases import load_cases
from vrft_aug.data.readers.medmnist_labels import LABELS, MULTI_LABEL, VOLUMES
from vrft_aug.errors import UserError
from vrft_aug.nouns import Case, Rollout
from vrft_aug.recipe.task_config import TaskConfig
from vrft_aug.tasks.targets import target_completion
from vrft_aug.tasks.task import make_task


def load(root: Path, split: str = "test", labels: list[str] | None = None, **data: Any) -> list[Case]:
    config = TaskConfig.model_validate(
        {"kind": "grade", "question": "?", "labels": labels or GRADES, "data": MEDMNIST | data}
    )
    return load_cases(config.data, make_task("grade", config), root, split)


@pytest.mark.parametrize("dataset", [name for name in LABELS if name not in MULTI_LABEL])
@pytest.mark.parametrize("size", [28, 64])
def test_every_set_loads(tmp_path: Path, dataset: str, size: int) -> None:
    labels = list(LABELS[dataset])
    name = dataset if size == 28 else f"{dataset}_{size}"
    save_medmnist(tmp_path / f"{name}.npz", len(labels), 2 * len(labels), size, grey=len(labels) % 2 == 0)
    for split in ("train", "validation", "test"):
        cases = load(tmp_path, split, labels, dataset=dataset, size=size)
        assert [case.target.label for case in cases] == labels * 2
        assert cases[3].id == f"{dataset}/{split}/3"
        assert cases[0].images[0].open().size == (size, size)


def test_twelve_sets_are_known() -> None:
    assert len(LABELS) == 12
    assert {len(labels) for labels in LABELS.values()} == {2, 4, 5, 7, 8, 9, 11, 14}


def test_own_names_count_by_order_and_the_sets_names_in_any_order(tmp_path: Path) -> None:
    save_medmnist(tmp_path / "retinamnist.npz")
    assert load(tmp_path, labels=["a", "b", "c", "d", "e"])[1].target.label == "b"
    assert load(tmp_path, labels=GRADES[::-1])[1].target.label == "mild"
    with pytest.raises(UserError, match="'mild' in place 0, in retinamnist it is 1"):
        load(tmp_path, labels=["mild", "none", "moderate", "severe", "proliferative"])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"dataset": "retinamist"}, "did you mean 'retinamnist'"),
        ({"dataset": "chestmnist"}, "several labels per image"),
        ({"dataset": "bloodmnist"}, "has 5 labels, bloodmnist has 8: basophil"),
        ({"size": 64}, r"retinamnist_64.npz does not exist.*zenodo.org/records/10519652.*VRFT_DATA"),
    ],
)
def test_settings_that_do_not_fit(tmp_path: Path, data: dict[str, Any], message: str) -> None:
    save_medmnist(tmp_path / "retinamnist.npz")
    with pytest.raises(UserError, match=message):
        load(tmp_path, **data)


def test_an_absent_data_root_says_where_the_data_can_be_had(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"zenodo.org/records/10519652.*VRFT_DATA"):
        load(tmp_path / "nowhere")


def test_broken_files(tmp_path: Path) -> None:
    path = save_medmnist(tmp_path / "retinamnist.npz")
    whole = path.read_bytes()
    pickled = np.array([{"a": 1}] * 7, dtype=object)
    broken: dict[str, Callable[[], object]] = {
        "truncated": lambda: path.write_bytes(whole[: len(whole) // 2]),
        "text": lambda: path.write_text("no archive"),
        "empty": lambda: path.write_bytes(b""),
        "pickled labels": lambda: save_medmnist(path, test_labels=pickled),
        "pickled images": lambda: save_medmnist(path, test_images=np.array([None] * 7, dtype=object)),
        "label outside": lambda: save_medmnist(path, test_labels=np.full((7, 1), 5, np.uint8)),
        "several labels": lambda: save_medmnist(path, test_labels=np.zeros((7, 5), np.uint8)),
        "float images": lambda: save_medmnist(path, test_images=np.zeros((7, 28, 28), np.float32)),
        "size": lambda: save_medmnist(path, size=64),
        "missing array": lambda: np.savez(path, a=np.zeros(3)),
    }
    for what, break_it in broken.items():
        break_it()
        with pytest.raises(UserError) as caught:
            load(tmp_path)
        assert "retinamnist.npz" in str(caught.value), what
        assert "\n" not in str(caught.value), what


def test_a_label_outside_the_set_names_the_case(tmp_path: Path) -> None:
    save_medmnist(tmp_path / "retinamnist.npz", test_labels=np.array([[0], [1], [9], [0], [0], [0], [0]]))
    with pytest.raises(UserError, match="retinamnist/test/2 has label 9"):
        load(tmp_path)


def test_fetch_goes_through_the_medmnist_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fake(split: str, download: bool, size: int, root: str) -> None:
        assert download
        save_medmnist(Path(root) / "retinamnist.npz", size=size)

    package = SimpleNamespace(INFO={"retinamnist": {"python_class": "RetinaMNIST"}}, RetinaMNIST=fake)
    monkeypatch.setitem(sys.modules, "medmnist", package)
    assert len(load(tmp_path / "new", fetch=True)) == 7
    monkeypatch.setitem(sys.modules, "medmnist", None)
    with pytest.raises(UserError, match=r"pip install 'vrft-aug\[medmnist\]'"):
        load(tmp_path / "other", fetch=True)


CHEST = LABELS["chestmnist"]


def test_sets_of_labels_are_read_for_chestmnist(tmp_path: Path) -> None:
    bits = np.zeros((3, 14), dtype=np.uint8)
    bits[1, [0, 13]] = 1
    images = np.zeros((3, 28, 28), dtype=np.uint8)
    splits = ("train", "val", "test")
    arrays = {f"{split}_images": images for split in splits} | {f"{split}_labels": bits for split in splits}
    save_arrays(tmp_path / "chestmnist.npz", arrays)
    settings = {"kind": "multilabel", "question": "?", "labels": list(CHEST), "knowledge": "chestmnist",
                "synonyms": True, "data": MEDMNIST | {"dataset": "chestmnist"}}  # fmt: skip
    config = TaskConfig.model_validate(settings)
    task = make_task("chest", config)
    cases = load_cases(config.data, task, tmp_path, "train")
    assert [case.target.labels for case in cases] == [frozenset(), {"atelectasis", "hernia"}, frozenset()]
    assert [target_completion(case, task) for case in cases[:2]] == [
        "<think></think><answer>none</answer>",
        "<think></think><answer>atelectasis, hernia</answer>",
    ]
    for case in cases:  # what is taught is what the parser reads
        assert parse(Rollout(target_completion(case, task)), task, None).value == case.target.labels
    assert parse(Rollout("<answer>pleural effusion; Hernia</answer>"), task, None).value == frozenset(
        {"effusion", "hernia"}
    )
    save_arrays(tmp_path / "chestmnist.npz", arrays | {"train_labels": bits + 1})
    with pytest.raises(UserError, match="label 2; chestmnist has 0 or 1 for each label"):
        load_cases(config.data, task, tmp_path, "train")


@pytest.mark.parametrize(
    ("labels", "message"),
    [([], "needs labels"), (["a", "none"], "label 'none' cannot"), (["a, b", "c"], "label 'a, b' cannot")],
)
def test_labels_that_no_list_can_hold(labels: list[str], message: str) -> None:
    data = {"reader": "medmnist", "dataset": "chestmnist"}
    with pytest.raises(ValueError, match=message):
        TaskConfig.model_validate({"kind": "multilabel", "question": "?", "labels": labels, "data": data})


def save_solid(root: Path, dataset: str, size: int = 28) -> np.ndarray:
    """A 3-D set of two volumes a label; the training volumes."""
    labels = len(VOLUMES[dataset])
    rng = np.random.default_rng(1)
    arrays: dict[str, np.ndarray] = {}
    for split in ("train", "val", "test"):
        arrays[f"{split}_images"] = rng.integers(0, 256, (2 * labels, size, size, size), dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(2 * labels, dtype=np.uint8) % labels)[:, None]
    save_arrays(root / f"{dataset}{'' if size == 28 else f'_{size}'}.npz", arrays)
    return arrays["train_images"]


@pytest.mark.parametrize("dataset", VOLUMES)
def test_every_3d_set_loads_as_slices(tmp_path: Path, dataset: str) -> None:
    volumes, labels = save_solid(tmp_path, dataset), list(VOLUMES[dataset])
    cases = load(tmp_path, "train", labels, dataset=dataset)
    assert [case.target.label for case in cases] == labels * 2
    assert np.array_equal(np.asarray(cases[1].images[0].open())[..., 0], volumes[1, 14])
    several = load(tmp_path, "train", labels, dataset=dataset, slices=4, axis=2)[3]
    assert [np.asarray(image.open())[0, 5, 1] for image in several.images] == [
        volumes[3, 0, 5, number] for number in (3, 10, 17, 24)
    ]
    (whole,) = load(tmp_path, "train", labels, dataset=dataset, slices=4, axis=1, montage=True)[0].images
    pixels = np.asarray(whole.open())[..., 0]
    assert pixels.shape == (56, 56) and np.array_equal(pixels[28:, :28], volumes[0][:, 17])


def test_what_is_no_3d_set_is_refused(tmp_path: Path) -> None:
    save_solid(tmp_path, "vesselmnist3d", 64)
    labels = list(VOLUMES["vesselmnist3d"])
    assert load(tmp_path, "test", labels, dataset="vesselmnist3d", size=64)[0].images[0].open().size == (
        64,
        64,
    )
    save_medmnist(tmp_path / "vesselmnist3d.npz", 2)
    with pytest.raises(UserError, match=r"\(7, 28, 28, 3\); expected uint8 \(n, d, h, w\)"):
        load(tmp_path, "test", labels, dataset="vesselmnist3d")
    save_solid(tmp_path, "vesselmnist3d")
    with pytest.raises(UserError, match=r"data\.slices names 28"):
        load(tmp_path, "test", labels, dataset="vesselmnist3d", slices=[28])
    with pytest.raises(UserError, match="did you mean 'vesselmnist3d'"):
        load(tmp_path, "test", labels, dataset="vesselmnist")
