"""Boxes from masks: every connected part of a binary mask is a box."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vrft_aug.data.images import decoding
from vrft_aug.errors import UserError, nearest
from vrft_aug.nouns import Box, Task

STEM = "{stem}"
TOUCHING = np.ones((3, 3), dtype=int)  # pixels that share a corner belong together


def check_masks(masks: Mapping[str, str], task: Task) -> None:
    """Raise UserError where `data.masks` names no label of the task or a file that knows no image."""
    for label, pattern in masks.items():
        if label not in task.labels:
            raise UserError(
                f"data.masks: {label!r} is not a label of task {task.name!r}{nearest(label, task.labels)}; "
                f"it has {', '.join(task.labels) or 'none'}"
            )
        if STEM not in pattern:
            raise UserError(f"data.masks: {pattern!r} is one file for all images; expected {STEM} in it")


def mask_boxes(
    masks: Mapping[str, str], root: Path, image: str, size: tuple[int, int], min_area: int, case: str
) -> tuple[Box, ...] | None:
    """The boxes of an image of `size` (width, height) from its masks, in its own pixels, by label.

    `masks` maps labels to files below `root`, in which {stem} stands for the name of the image without
    folder and suffix, and * for anything. All pixels of a mask brighter than half its brightest are inside,
    of a lossy JPEG those brighter than half of white, so that masks of 0/1, 0/76 and 0/255 read alike.
    Connected parts of fewer than `min_area` pixels are dropped. A label without a mask has no boxes; where no
    label has a mask the image is not annotated, which gives None. Raises UserError for a mask that is no
    picture or of another size than the image.
    """
    boxes: list[Box] = []
    annotated = False
    for label, pattern in masks.items():
        stem = glob.escape(PurePosixPath(image).stem)
        for file in sorted(root.glob(pattern.replace(STEM, stem))):
            annotated = True
            boxes += (box for box in _parts(_read(file, size, case), min_area, label))
    return tuple(boxes) if annotated else None


def _read(file: Path, size: tuple[int, int], case: str) -> NDArray[np.bool_]:
    """Which pixels are inside, (height, width)."""
    with decoding(file, case), Image.open(file) as picture:
        opaque = picture.convert("RGB") if picture.mode in ("RGBA", "LA", "PA") else picture
        values = np.asarray(opaque)  # a palette's numbers as they are: 0 is outside
        lossy = picture.format == "JPEG"
    grey = values.max(axis=-1) if values.ndim == 3 else values
    if grey.shape != (size[1], size[0]):
        raise UserError(
            f"mask {file} of case {case} is {grey.shape[1]} x {grey.shape[0]} pixels, its image "
            f"{size[0]} x {size[1]}; expected a mask in pixels of the image"
        )
    inside: NDArray[np.bool_] = grey > (127 if lossy else grey.max() / 2)
    return inside


def _parts(inside: NDArray[np.bool_], min_area: int, label: str) -> Iterator[Box]:
    from scipy import ndimage  # a quarter of a second, which masks alone need

    parts, _ = ndimage.label(inside, structure=TOUCHING)
    areas = np.bincount(parts.ravel())[1:]
    for area, place in zip(areas, ndimage.find_objects(parts), strict=True):
        if area >= min_area:
            rows, columns = place
            yield Box(columns.start, rows.start, columns.stop, rows.stop, label)
