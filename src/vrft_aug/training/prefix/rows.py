"""Which rows of a batch of model inputs hold the same prompt with the same images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from typing import Any, TypeVar

import torch

FLAT_FIELDS = ("pixel_values", "image_grid_thw")  # laid out image after image, not row by row

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

    `images` (B,) counts the images of each row. Qwen's processors lay images out flat over the batch:
    `image_grid_thw` has one line per image, `pixel_values` t * h * w lines; all else has one line per row.
    """
    counts: dict[str, list[int]] = {}
    if inputs.get("image_grid_thw") is not None:
        patches = inputs["image_grid_thw"].prod(dim=-1).tolist()
        counts["image_grid_thw"] = list(images)
        counts["pixel_values"] = [sum(patches[a:b]) for a, b in _bounds(images)]
    one = [1] * len(images)
    bounds = {name: _bounds(counts.get(name, one)) for name in inputs}
    return [
        {name: value[slice(*bounds[name][row])] for name, value in inputs.items()}
        for row in range(len(images))
    ]


def join_rows(rows: Sequence[Inputs]) -> dict[str, Any]:
    """The inverse of `split_rows`, for any choice of rows; empty fields (no images) are left out."""
    joined = {name: _joined([row[name] for row in rows]) for name in rows[0]}
    return {name: value for name, value in joined.items() if len(value)}


def images_per_row(input_ids: torch.Tensor, grids: torch.Tensor | None, config: Any) -> list[int] | None:
    """How many images each row of `input_ids` (B, L) holds; None where image tokens do not fit the images.

    `grids` (images, 3) count each image's patches in time, height and width; merge_size ** 2 make a token.
    """
    if grids is None:
        return [0] * len(input_ids)
    tokens = iter((grids.prod(dim=-1) // config.vision_config.spatial_merge_size**2).tolist())
    images = []
    for wanted in (input_ids == config.image_token_id).sum(dim=1).tolist():
        count = 0
        while wanted > 0:
            wanted -= next(tokens, wanted + 1)
            count += 1
        if wanted < 0:
            return None
        images.append(count)
    return images if next(tokens, None) is None else None


def _bounds(counts: Sequence[int]) -> list[tuple[int, int]]:
    return list(pairwise(accumulate(counts, initial=0)))


def _joined(parts: Sequence[Any]) -> Any:
    return torch.cat(list(parts)) if isinstance(parts[0], torch.Tensor) else list(chain.from_iterable(parts))
