"""Pictures that processes draw in parts are those that one process draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from torch import distributed

from vrft_aug.data.procedural import drawn_cases
from vrft_aug.data.procedural.drawn_cases import Key, ProceduralData, drawing_keys, drawn, take_drawn
from vrft_aug.data.procedural.pool import scene
from vrft_aug.policy import drawn_together
from vrft_aug.policy.drawn_together import draw_together
from vrft_aug.recipe.file import load_recipe


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    drawn_cases._drawn.cache_clear()
    yield
    drawn_cases._drawn.cache_clear()


def test_what_another_process_drew_is_not_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = drawing_keys(ProceduralData(reader="procedural", train=3), "train")
    assert [key[1:] for key in keys] == [("train", 0), ("train", 1), ("train", 2)]
    scenes = {key: drawn(key) for key in keys}
    drawn_cases._drawn.cache_clear()
    take_drawn(scenes)
    monkeypatch.setattr(drawn_cases, "scene", lambda *_: pytest.fail("drawn again"))
    assert all(drawn(key) is scenes[key] for key in keys) and not drawn_cases._given


def test_each_process_draws_its_part_and_has_all(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe("fundus-demo", ["tasks.grade.data.train=4", "tasks.grade.data.test=3"])
    wanted = [("grade", "train"), ("grade", "test"), ("grade", "train")]
    keys: list[Key] = [("fundus", "train", n) for n in range(4)]
    keys += [("fundus", "test", n) for n in range(3)]
    alone = {key: np.asarray(drawn(key).image) for key in keys}
    drawn_cases._drawn.cache_clear()
    parts: list[list[Any]] = []

    def gather_all(own: Sequence[Any]) -> list[Any]:
        parts.append([key for key, _ in own])
        others = [key for key in keys if key not in parts[0]]
        return [*own, *((key, scene(key[0], key[1], 0, key[2], (112, 112))) for key in others)]

    monkeypatch.setattr(drawn_together, "process_count", lambda: 2)
    monkeypatch.setattr(drawn_together, "process_index", lambda: 1)
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(drawn_together, "gather_all", gather_all)
    draw_together(recipe, wanted)
    assert parts == [keys[1::2]]
    monkeypatch.setattr(drawn_cases, "scene", lambda *_: pytest.fail("drawn again"))
    assert all((np.asarray(drawn(key).image) == alone[key]).all() for key in keys)
