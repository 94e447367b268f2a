"""Pictures are processed once in a stage, and ahead: with the same numbers, to the bit."""

from __future__ import annotations

import logging
import pickle
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from helpers.launched import launch
from helpers.random_policy import save_random_policy
from helpers.run_checks import interrupt, same_run
from helpers.shades import GRPO, SFT, shade_recipe
from vrft_aug.data.picture_on_demand import PictureOnDemand
from vrft_aug.errors import UserError
from vrft_aug.experiments.run import train
from vrft_aug.recipe.file import save_recipe
from vrft_aug.training.case_dataset import CaseDataset
from vrft_aug.training.pictures import picture_server
from vrft_aug.training.pictures.picture_server import NextPictures, PictureServer, join_fields
from vrft_aug.training.pictures.picture_store import PictureStore

OPENED: list[tuple[int, str]] = []  # the pictures that were opened, and by which thread
MEMORY = 1 << 30
PROCESSORS: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen2.5-vl": ("Qwen2VLImageProcessor", {"size": {"shortest_edge": 28**2, "longest_edge": 112**2}}),
    "qwen2.5-vl by PIL": (
        "Qwen2VLImageProcessorPil", {"size": {"shortest_edge": 28**2, "longest_edge": 112**2}},
    ),
    "gemma3": ("Gemma3ImageProcessor", {"size": {"height": 56, "width": 56}}),
    "smolvlm": (
        "SmolVLMImageProcessor",
        {"size": {"longest_edge": 96}, "max_image_size": {"longest_edge": 32}},
    ),
    "idefics3": (
        "Idefics3ImageProcessor",
        {"size": {"longest_edge": 96}, "max_image_size": {"longest_edge": 32}},
    ),
    "llava-next": (
        "LlavaNextImageProcessor",
        {
            "size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32},
            "image_grid_pinpoints": [[32, 64], [64, 32], [64, 64]],
        },
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Noise:
    """A picture of its own for every number, in one of several shapes."""

    number: int
    broken: bool = False

    def open(self) -> Image.Image:
        OPENED.append((self.number, threading.current_thread().name))
        if self.broken:
            raise UserError(f"picture {self.number} is broken")
        shape = ((70, 45), (45, 70), (70, 45), (60, 60))[self.number % 4]
        pixels = np.random.default_rng(self.number).integers(0, 256, (*shape, 3), dtype=np.uint8)
        return Image.fromarray(pixels)


@pytest.fixture(autouse=True)
def _forget() -> None:
    OPENED.clear()


def rows(*numbers: tuple[int, ...]) -> list[list[PictureOnDemand]]:
    return [[PictureOnDemand(Noise(number)) for number in row] for row in numbers]


def opened() -> list[int]:
    return [number for number, _ in OPENED]


def build(name: str) -> Any:
    kind, settings = PROCESSORS[name]
    return getattr(transformers, kind)(**settings)


def assert_same(one: Any, two: Any) -> None:
    assert type(one) is type(two) and one.keys() == two.keys()
    for name in one:
        if isinstance(one[name], torch.Tensor):
            assert one[name].dtype == two[name].dtype and torch.equal(one[name], two[name])
        else:
            assert one[name] == two[name]


@pytest.mark.parametrize("disk", [False, True], ids=["memory", "disk"])
@pytest.mark.parametrize("name", PROCESSORS)
def test_every_family_gives_what_its_image_processor_gives(name: str, disk: bool, tmp_path: Path) -> None:
    image_processor = build(name)
    store = PictureStore(0, MEMORY, tmp_path / "p") if disk else PictureStore(MEMORY, 0, tmp_path)
    server = PictureServer(image_processor, store)
    for batch in (((0,), (1, 2)), ((3,), (0,)), ((1, 2),), ((2,), (3,), (1, 2), (4,))):
        stock = image_processor([[Noise(n).open() for n in row] for row in batch], return_tensors="pt")
        assert_same(server(server.fetch_images(rows(*batch)), return_tensors="pt"), stock)
    OPENED.clear()
    server(rows((4,), (0,), (1, 2)), return_tensors="pt")
    assert opened() == []
    assert server.size == image_processor.size  # all else is the image processor's


def test_what_is_not_a_batch_of_rows_is_processed_as_ever(tmp_path: Path) -> None:
    image_processor = build("gemma3")
    server = PictureServer(image_processor, PictureStore(MEMORY, 0, tmp_path))
    plain = [[Noise(0).open()], [Noise(1).open()]]
    for images in (plain, Noise(0).open(), [picture for row in rows((0,), (1,)) for picture in row]):
        assert_same(server(images, return_tensors="pt"), image_processor(images, return_tensors="pt"))
    OPENED.clear()
    for _ in range(2):  # another kind of tensor
        server(rows((5,)), return_tensors="np")
    assert opened() == [5, 5]


def test_a_row_that_depends_on_its_neighbours_is_found_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def brightest(images: Any, return_tensors: str) -> dict[str, torch.Tensor]:
        means = torch.tensor([float(np.asarray(row[0]).mean()) for row in images])
        return {"pixel_values": means / means.max()}

    def failing(images: Any, return_tensors: str) -> dict[str, torch.Tensor]:
        raise ValueError("no")

    server = PictureServer(brightest, PictureStore(MEMORY, 0, tmp_path))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            server(rows((0,), (1,)), return_tensors="pt")
    assert opened() == [0, 1, 0, 1]
    assert [record.getMessage() for record in caplog.records] == [
        "pictures are processed anew in every round: what function makes of a picture depends on the "
        "pictures beside it"
    ]
    assert picture_server._why_not_alone(failing, {"return_tensors": "pt"}) == (
        "a trial of function failed (ValueError)"
    )


def test_settings_tell_pictures_apart(tmp_path: Path) -> None:
    image_processor = build("gemma3")
    server = PictureServer(image_processor, PictureStore(MEMORY, 0, tmp_path))
    plain = [[Noise(0).open()]]
    for normalised in (True, False, True):
        asked = {"return_tensors": "pt", "do_normalize": normalised}
        assert_same(server(rows((0,)), **asked), image_processor(plain, **asked))


def test_workers_of_a_loader_process_as_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image_processor = build("gemma3")
    server = PictureServer(image_processor, PictureStore(MEMORY, 0, tmp_path))
    after = NextPictures([0, 1], lambda row: (Noise(row),), server, 1)
    sent, nobody = pickle.loads(pickle.dumps((server, after)))
    assert type(sent) is type(image_processor) and nobody is None
    monkeypatch.setattr(picture_server, "get_worker_info", object)  # a worker by fork
    for _ in range(2):
        server(rows((0,)), return_tensors="pt")
    assert opened() == [0, 0]


def test_the_next_batch_is_prepared_by_another_thread(tmp_path: Path) -> None:
    image_processor = build("gemma3")
    server = PictureServer(image_processor, PictureStore(0, 0, tmp_path))  # nothing is kept
    order = [0, 1, 2, 3, 4, 5, 6, 7]
    data = CaseDataset(order, lambda row: {"row": row})
    data.asked = NextPictures(order, lambda row: (Noise(row),), server, processes=1)
    data.__getitems__([0, 0, 1, 1])
    data.__getitems__([2, 2, 3, 3])  # a loader is a batch ahead
    assert opened() == []  # how pictures are processed is not known before the first call
    server(rows((0,), (1,)), return_tensors="pt")
    for future in list(server._coming.values()):
        future.result()
    assert sorted(opened()) == [0, 1, 2, 3, 4, 5]
    assert {name.split("_")[0] for number, name in OPENED if number > 1} == {"vrft-pictures"}
    stock = image_processor([[Noise(2).open()], [Noise(3).open()]], return_tensors="pt")
    OPENED.clear()
    data.__getitems__([4, 4, 5, 5])
    assert_same(server(rows((2,), (3,)), return_tensors="pt"), stock)
    for future in list(server._coming.values()):
        future.result()
    assert sorted(opened()) == [6, 7]  # 2 to 5 were there
    data.__getitems__([6, 7])
    assert sorted(opened()) == [6, 7]  # no place comes after these


def test_several_processes_look_ahead_each_in_its_own_batches(tmp_path: Path) -> None:
    server = PictureServer(build("gemma3"), PictureStore(0, 0, tmp_path))
    after = NextPictures(list(range(8)), lambda row: (Noise(row),), server, processes=2)
    after([2, 2, 3])
    assert [refs[0].number for refs in server._wanted] == [2, 3, 6, 7]  # type: ignore[attr-defined]


def test_a_broken_picture_is_told_where_it_is_used(tmp_path: Path) -> None:
    server = PictureServer(build("gemma3"), PictureStore(MEMORY, 0, tmp_path))
    server(rows((0,)), return_tensors="pt")
    bad = Noise(1, broken=True)
    server.ahead([(bad,), (Noise(2),)])
    server(rows((2,)), return_tensors="pt")
    with pytest.raises(UserError, match="picture 1 is broken"):
        server([[PictureOnDemand(bad)]], return_tensors="pt")


def test_joined_rows_are_padded_behind() -> None:
    one = {"pixel_values": torch.ones(1, 1, 2, 3), "rows": [[1]]}
    two = {"pixel_values": torch.ones(1, 2, 3, 2), "rows": [[2, 3]]}
    joined = join_fields([one, two])
    assert joined["rows"] == [[1], [2, 3]] and joined["pixel_values"].shape == (2, 2, 3, 3)
    assert torch.equal(joined["pixel_values"][0, 0], torch.tensor([[1.0, 1, 1], [1, 1, 1], [0, 0, 0]]))
    assert joined["pixel_values"].sum() == 6 + 12


# Runs -----------------------------------------------------------------------------------------------------

WAYS: dict[str, dict[str, Any]] = {
    "memory": {},
    "disk": {"memory_gb": 0},
    "ahead alone": {"memory_gb": 0, "disk_gb": 0},
    "some": {"memory_gb": 0.001, "disk_gb": 0.001, "ahead": False},  # three and three of ten pictures
}


@pytest.mark.slow
def test_runs_are_the_same_however_pictures_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SFT and GRPO at accumulation 2 with dynamic sampling; also killed and resumed with other settings."""
    policy = save_random_policy(tmp_path / "policy")
    sft = {**SFT, "steps": 8, "trainer": SFT["trainer"] | {"gradient_accumulation_steps": 2}}
    grpo = {
        **GRPO, "steps": 5, "trainer": GRPO["trainer"] | {"gradient_accumulation_steps": 2},
        "rewards": {"helpers.shades:sometimes": 1.0},
        "dynamic_sampling": {"mode": "resample", "budget": 2},
    }  # fmt: skip
    processed: list[tuple[int, Any]] = []  # by which server, and what
    threads: set[str] = set()
    stock = PictureServer._process

    def counted(self: PictureServer, refs: Any, settings: Any) -> Any:
        processed.append((id(self), refs))
        threads.add(threading.current_thread().name.split("_")[0])
        return stock(self, refs, settings)

    monkeypatch.setattr(PictureServer, "_process", counted)

    def run(name: str, pictures: dict[str, Any], resume: bool = False) -> None:
        recipe = shade_recipe(policy, sft, grpo, model={"pictures": pictures}, evaluation={"base": False})
        processed.clear()
        threads.clear()
        train(recipe, tmp_path / name, resume=resume)
        assert not list((tmp_path / name).rglob("pictures-*"))

    run("stock", {"memory_gb": 0, "disk_gb": 0, "ahead": False})
    assert not processed
    for way, pictures in WAYS.items():
        run(way, pictures)
        same_run(tmp_path / way, tmp_path / "stock")
        twice = len(processed) - len(set(processed))
        assert (twice == 0) == (way in ("memory", "disk"))
        assert threads == {"MainThread"} | ({"vrft-pictures"} if pictures.get("ahead", True) else set())
    with pytest.MonkeyPatch.context() as patch:
        interrupt(patch, "rewards", 3)
        with pytest.raises(KeyboardInterrupt):
            run("cut", WAYS["disk"])
    run("cut", {"memory_gb": 0.001}, resume=True)
    same_run(tmp_path / "cut", tmp_path / "stock")


@pytest.mark.slow
def test_two_processes_keep_their_own_pictures(tmp_path: Path) -> None:
    """On disk both, in folders of their own that are gone at the end; the weights are those of memory."""
    recipe = shade_recipe(save_random_policy(tmp_path / "policy"), SFT, GRPO, evaluation={"base": False})
    save_recipe(recipe, tmp_path / "recipe.yaml")
    for way, settings in (("stock", ["memory_gb=0", "disk_gb=0", "ahead=false"]), ("disk", ["memory_gb=0"])):
        overrides = [f"model.pictures.{setting}" for setting in settings]
        run = ["train", str(tmp_path / "recipe.yaml"), "--output", str(tmp_path / way), *overrides]
        for said in launch(["-m", "vrft_aug", *run]):
            assert said.code == 0, said.err
        assert not list((tmp_path / way).rglob("pictures-*"))
    same_run(tmp_path / "disk", tmp_path / "stock")
