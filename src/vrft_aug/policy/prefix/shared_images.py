"""Images that the rows of a group share, held once: between the processor, TRL, and the model.

TRL holds the pixels of every row: a group of eight has its images eight times, and once more each time a
round is cut. In batches whose images lie flat (with `image_grid_thw`) they can stand there once for each
group instead, in the order in which groups come: then there are fewer grids than the rows count images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vrft_aug.policy.prefix.family import Family
from vrft_aug.policy.prefix.grouping import Groups, Inputs, join_rows


def join_once(family: Family, rows: Sequence[Inputs], groups: Groups) -> dict[str, Any]:
    """As `join_rows`, with the images of the first row of each group alone where they lie flat."""
    if "image_grid_thw" not in rows[0] or not set(rows[0]) <= family.token_fields | family.image_fields:
        return join_rows(rows)
    texts = [{name: row[name] for name in row if name not in family.image_fields} for row in rows]
    images = [{name: row[name] for name in row if name in family.image_fields} for row in rows]
    return join_rows(texts) | join_rows([images[row] for row in groups.first])


def split_once(
    family: Family, inputs: Inputs, images: Sequence[int], groups: Groups | None
) -> list[dict[str, Any]]:
    """As `Family.split`, also of inputs that hold the images of each group once; ValueError as there.

    `images` (B,) counts the images of each row.
    """
    grids = inputs.get("image_grid_thw")
    if groups is None or grids is None or len(grids) == sum(images):
        return family.split(inputs, images)
    texts = {name: value for name, value in inputs.items() if name not in family.image_fields}
    rows = family.split(texts, images)
    shared = group_images(family, inputs, images, groups)
    return [row | shared[group] for row, group in zip(rows, groups.index, strict=True)]


def group_images(
    family: Family, inputs: Inputs, images: Sequence[int], groups: Groups
) -> list[dict[str, Any]]:
    """The images of each group (views), of inputs that hold them once."""
    fields = {name: value for name, value in inputs.items() if name in family.image_fields}
    return family.split(fields, [images[row] for row in groups.first])
