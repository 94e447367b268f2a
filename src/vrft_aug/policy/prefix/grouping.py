"""Which rows of a batch of model inputs hold the same prompt with the same images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from typing import Any, TypeVar

import torch

T = TypeVar("T")
Inputs = Mapping[str, Any]  # what a processor returns: tensors or lists, one element or more per row


@dataclass(frozen=True)
class Groups:
    """A partition of rows: the first row of each group, and of which group each row is."""

    first: tuple[int, ...]
    index: tuple[int, ...]


def group_rows(rows: Sequence[T], same: Callable[[T, T], bool]) -> Groups:
    """Group equal rows, in the order of their first appearance; the group of the last row is tried first."""
    first: list[int] = []
    index: list[int] = []
    for row in rows:
        tried = sorted(range(len(first)), key=lambda g: g != index[-1])
        found = next((g for g in tried if same(rows[first[g]], row)), None)
        if found is None:
            found = len(first)
            first.append(len(index))
        index.append(found)
    return Groups(tuple(first), tuple(index))


def same_inputs(a: Inputs, b: Inputs) -> bool:
    """Whether two rows are equal in every element of every field."""
    return all(torch.equal(a[name], b[name]) for name in a)


def split_rows(inputs: Inputs, images: Sequence[int]) -> list[dict[str, Any]]:
    """Model inputs of B rows as B inputs of one row each (views).

    `images` (B,) counts the images of each row. Qwen lays images out flat over the batch: `image_grid_thw`
    has a line an image, `pixel_values` t * h * w lines; Gemma and LLaVA have a line an image, LLaVA-NeXT of
    several crops, with its size in `image_sizes`; all else has a line a row. Raises ValueError for any other
    layout.
    """
    counts: dict[str, list[int]] = {}
    if inputs.get("image_grid_thw") is not None:
        patches = inputs["image_grid_thw"].prod(dim=-1).tolist()
        counts["image_grid_thw"] = list(images)
        counts["pixel_values"] = [sum(patches[a:b]) for a, b in _bounds(images)]
    elif "image_sizes" in inputs or getattr(inputs.get("pixel_values"), "ndim", None) == 4:
        counts["pixel_values"] = counts["image_sizes"] = list(images)
    one = [1] * len(images)
    bounds = {name: _bounds(counts.get(name, one)) for name in inputs}
    if wrong := [name for name, value in inputs.items() if bounds[name][-1][1] != len(value)]:
        raise ValueError(f"{wrong[0]} has {len(inputs[wrong[0]])} lines, expected {bounds[wrong[0]][-1][1]}")
    return [
        {name: value[slice(*bounds[name][row])] for name, value in inputs.items()}
        for row in range(len(images))
    ]


def join_rows(rows: Sequence[Inputs]) -> dict[str, Any]:
    """The inverse of `split_rows`, for any choice of rows; empty fields (no images) are left out."""
    joined = {name: _joined([row[name] for row in rows]) for name in rows[0]}
    return {name: value for name, value in joined.items() if len(value)}


def _bounds(counts: Sequence[int]) -> list[tuple[int, int]]:
    return list(pairwise(accumulate(counts, initial=0)))


def _joined(parts: Sequence[Any]) -> Any:
    return torch.cat(list(parts)) if isinstance(parts[0], torch.Tensor) else list(chain.from_iterable(parts))
