"""Procedural pictures drawn by several processes together, each a part; all get all of them."""

from __future__ import annotations

from collections.abc import Iterable

from torch import distributed

from vrft_aug.data.procedural.drawn_cases import KEPT, ProceduralData, drawing_keys, drawn, take_drawn
from vrft_aug.policy.together import gather_all
from vrft_aug.processes import process_count, process_index
from vrft_aug.recipe.schema import Recipe


def draw_together(recipe: Recipe, read: Iterable[tuple[str, str]]) -> None:
    """Draw the pictures of what is `read` next, (task, split) each, before each process reads it for itself.

    To be called by all processes, which have joined; nothing where there is one, or where nothing is drawn.
    """
    if process_count() == 1 or not distributed.is_initialized():
        return
    wanted = [(recipe.tasks[task].data, split) for task, split in read]
    keys = [
        key for data, split in wanted if isinstance(data, ProceduralData) for key in drawing_keys(data, split)
    ]
    keys = list(dict.fromkeys(keys))[:KEPT]
    if keys:
        own = keys[process_index() :: process_count()]
        take_drawn(dict(gather_all([(key, drawn(key)) for key in own])))
