"""What the photo base is aligned on: pictures as the frozen tower sees them, with what is known of each.

Drawn ones come with every finding and its box. Those of a recipe are of its training split alone, and of them
nothing is taken but the pixels and, where a task localises, the boxes: never a label or a grade.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vrft_aug.data.cases import load_cases
from vrft_aug.data.procedural.phrases import facts
from vrft_aug.data.procedural.pool import Modality, scene
from vrft_aug.data.procedural.scene import SIZE
from vrft_aug.errors import UserError
from vrft_aug.nouns import Box, Case, Task
from vrft_aug.recipe.file import load_recipe
from vrft_aug.recipe.schema import Recipe
from vrft_aug.tasks.task import make_task
from vrft_aug.tasks.taskset import draw

MOST = 400  # pictures of a recipe that are taken, of tasks with boxes first
PERIOD = 200  # pictures between two lines of the log
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seen:
    """A picture by its place among the features, with what is known of it.

    Args:
        row: of `Pictures.features`.
        size: (width, height) in pixels of the picture, which the boxes are in.
        boxes: None where nothing is known.
        modality: of a drawn picture; None for a photograph.
        found: of a drawn picture, as `phrases.facts` names what is there.
        task: of a photograph with boxes, the task that asks for them.
    """

    row: int
    size: tuple[int, int]
    boxes: tuple[Box, ...] | None = None
    modality: Modality | None = None
    found: frozenset[str] = frozenset()
    task: Task | None = None


@dataclass(frozen=True)
class Pictures:
    """All pictures of an alignment; `features` (N, T, channels) are in half precision, held in memory."""

    features: Tensor
    drawn: tuple[Seen, ...]
    boxed: tuple[Seen, ...]  # photographs
    bare: tuple[Seen, ...]  # photographs of which nothing is known

    @property
    def all(self) -> tuple[Seen, ...]:
        """Drawn ones first."""
        return *self.drawn, *self.boxed, *self.bare


def read_recipes(sources: Sequence[str]) -> list[Recipe]:
    """The recipes whose pictures are shown; UserError where one is of drawn pictures or not to be read."""
    recipes = [load_recipe(source) for source in sources]
    for source, recipe in zip(sources, recipes, strict=True):
        if all(task.data.reader == "procedural" for task in recipe.tasks.values()):
            raise UserError(
                f"--pictures {source}: its pictures are drawn, and drawn ones are shown anyway; expected a "
                "recipe with photographs"
            )
    return recipes


def gather(
    model: Any, processor: Any, chosen: Sequence[tuple[Task, Case]], drawn: dict[Modality, int], seed: int
) -> Pictures:
    """Draw or open all pictures and put them through the tower once.

    Raises UserError where a picture cannot be read.
    """
    seen: list[Seen] = []
    images = chain(_drawn(drawn, seed, seen), _opened(chosen, seen))
    count = sum(drawn.values())
    features = torch.stack(list(_features(model, processor, images, count + len(chosen))))
    return Pictures(
        features,
        tuple(seen[:count]),
        tuple(one for one in seen[count:] if one.boxes is not None),
        tuple(one for one in seen[count:] if one.boxes is None),
    )


def _drawn(counts: dict[Modality, int], seed: int, seen: list[Seen]) -> Iterator[Image.Image]:
    for modality, count in counts.items():
        for index in range(count):
            made = scene(modality, "pretrain", 1000 * seed + 500, index, (SIZE, SIZE))
            boxes = tuple(Box(*finding.box, label=finding.kind) for finding in made.findings)
            found = facts(made.findings, (SIZE, SIZE))
            seen.append(Seen(len(seen), (SIZE, SIZE), boxes, modality, found))
            yield made.image


def training_pictures(recipe: Recipe) -> list[tuple[Task, Case]]:
    """Cases of the training split, at most MOST, each picture once; those with boxes before others.

    Raises UserError where the recipe's data is not there.
    """
    chosen: dict[object, tuple[Task, Case]] = {}
    tasks = sorted(recipe.tasks.items(), key=lambda item: item[1].kind != "localise")
    for name, config in tasks:
        task = make_task(name, config)
        for case in draw(load_cases(config.data, task, recipe.root(), "train"), MOST):
            if len(chosen) < MOST and case.images:
                image = case.images[0]  # readers of boxes and of tables each have references of their own
                place = (getattr(image, "path", image), getattr(image, "page", None))
                chosen.setdefault(place, (task, case))
    return list(chosen.values())


def _opened(chosen: Sequence[tuple[Task, Case]], seen: list[Seen]) -> Iterator[Image.Image]:
    for task, case in chosen:
        image = case.images[0].open().convert("RGB")
        boxes = case.target.boxes if task.kind == "localise" else None
        seen.append(Seen(len(seen), image.size, boxes, task=None if boxes is None else task))
        yield image


@torch.no_grad()
def _features(model: Any, processor: Any, images: Iterator[Image.Image], count: int) -> Iterator[Tensor]:
    """(T, channels) of each picture, as the projector takes them; one by one, which is fastest on a CPU."""
    for done, image in enumerate(images, start=1):
        pixels = processor.image_processor(images=[image], return_tensors="pt")["pixel_values"]
        maps = model.model.vision_tower(pixels).last_hidden_state
        yield maps[0].flatten(1).T.to(torch.float16)
        if done % PERIOD == 0:
            LOG.info("seen %d of %d pictures", done, count)


def cells(boxes: Sequence[Box], size: tuple[int, int], side: int, kinds: Sequence[str]) -> np.ndarray:
    """(side * side, kinds), 1 where a box of a kind covers at least one pixel of a visual token's square."""
    table = np.zeros((side, side, len(kinds)), dtype=np.float32)
    across, down = side / size[0], side / size[1]
    for box in boxes:
        left, right = int(box.x1 * across), min(side - 1, int(np.ceil(box.x2 * across)) - 1)
        upper, lower = int(box.y1 * down), min(side - 1, int(np.ceil(box.y2 * down)) - 1)
        table[upper : lower + 1, left : right + 1, kinds.index(str(box.label))] = 1
    return table.reshape(side * side, len(kinds))
