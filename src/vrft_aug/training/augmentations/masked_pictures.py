"""Pictures with a share of their area blanked, in the tensors that the model is given.

The processor is not asked again, and the text keeps its length. Blank is 0, the mean colour of the
processor's normalisation. What is masked depends on seed, step, case and place alone: not on how a batch is
cut, on the process, or on what was drawn before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import torch

SIDE = 28  # pixels of a square, where a picture is no list of patches: as much as Qwen makes a token
Picture = tuple[int, int]  # the row of its case in the data, and which picture of the prompt it is


def pictures_of(
    inputs: Mapping[str, Any], cases: Sequence[int], groups: Sequence[int] | None
) -> list[Picture]:
    """Which picture each one in the tensors of a batch is.

    `inputs` are a batch of TRL's of B rows with their pictures, `cases` (B,) their cases. Where the pictures
    of a group may be there once alone, `groups` (B,) tells the group of each row.
    """
    counts, grids, pixels = inputs["num_images"], inputs.get("image_grid_thw"), inputs["pixel_values"]
    rows: Sequence[int] = range(len(cases))
    if groups is not None and grids is not None and len(grids) < sum(counts):
        first = {group: row for row, group in reversed(list(enumerate(groups)))}
        rows = [first[group] for group in dict.fromkeys(groups)]
    elif grids is None and pixels.ndim == 5 and "image_sizes" not in inputs:
        return [(case, 0) for case in cases]  # SmolVLM: a line of tiles a row
    return [(cases[row], place) for row in rows for place in range(counts[row])]


def masked_pixels(
    pixels: torch.Tensor,
    grids: torch.Tensor | None,
    pictures: Sequence[Picture],
    share: float,
    key: str,
    unit: int,
) -> torch.Tensor:
    """`pixel_values` with `share` of each of the `pictures` blanked, drawn by `key` and the picture.

    Patches that lie flat (`grids` (N, 3) tell how many a picture has) are blanked `unit` at a time, which
    is a token; pictures (N, ..., height, width) in squares. A picture keeps one square at least: families
    take one of zeros for padding.
    """
    keys = [f"{key}/{case}/{place}" for case, place in pictures]
    if grids is not None:
        sizes = [size // unit for size in grids.prod(dim=-1).tolist()]
        kept = [_kept(size, share, own) for size, own in zip(sizes, keys, strict=True)]
        patches = torch.cat(kept).repeat_interleave(unit).to(pixels)
        return pixels * patches[:, None]
    flat = pixels.reshape(len(keys), -1, *pixels.shape[-2:])
    high, wide = (-(-length // SIDE) for length in flat.shape[-2:])
    layers = flat.shape[1] // 3  # tiles of three colours each
    squares = torch.stack([_kept(layers * high * wide, share, own) for own in keys])
    squares = squares.view(len(keys), layers, high, wide).repeat_interleave(3, dim=1)
    grown = squares.repeat_interleave(SIDE, dim=2).repeat_interleave(SIDE, dim=3)
    return (flat * grown[..., : flat.shape[2], : flat.shape[3]].to(pixels)).view_as(pixels)


def _kept(count: int, share: float, key: str) -> torch.Tensor:
    """(count,) 0 for what is masked, the `share` to the nearest one but never all, 1 for the rest."""
    generator = torch.Generator().manual_seed(
        int.from_bytes(blake2b(key.encode(), digest_size=7).digest(), "big")
    )
    kept = torch.ones(count)
    kept[torch.randperm(count, generator=generator)[: min(round(count * share), count - 1)]] = 0
    return kept
