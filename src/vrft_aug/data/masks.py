"""Boxes from masks: every connected part of a mask is a box."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vrft_aug.data import orientation
from vrft_aug.data.images import Header, decoding, open_picture
from vrft_aug.data.mask_files import STEM, masks_of, nearest_names
from vrft_aug.data.notes import note, some
from vrft_aug.errors import UserError, nearest
from vrft_aug.nouns import Box, Task

TOUCHING = np.ones((3, 3), dtype=int)  # pixels that share a corner belong together
FEW = 16  # values of a lossless mask: so few, and more than two, are a map of labels and no soft edge
MOST = 0.5  # of the picture: a mask that covers more, and all four corners, is the background's
Values = NDArray[Any]


@dataclass(frozen=True)
class MaskRules:
    """What the recipe says about masks."""

    masks: Mapping[str, str] = field(default_factory=dict)  # label -> pattern
    label_map: str | None = None  # pattern of masks that hold several labels
    values: Mapping[str, str] = field(default_factory=dict)  # value in a label map, or "r,g,b" -> label
    threshold: int | None = None  # brighter pixels are inside; None: half of the brightest
    min_area: int = 1
    accept_full: bool = False
    accept_unused: bool = False  # labels without a mask in the whole data
    pixels: orientation.BoxPixels | None = (
        None  # of which picture its pixels are; None: as sizes and EXIF tell
    )

    @property
    def used(self) -> bool:
        """Whether there are masks."""
        return bool(self.masks or self.label_map)


@dataclass(frozen=True)
class MaskFiles:
    """The masks of every image, listed once: (label or None for a label map) -> stem -> files."""

    rules: MaskRules
    files: Mapping[str | None, Mapping[str, Sequence[Path]]]

    def boxes(self, image: str, header: Header, case: str) -> tuple[Box, ...] | None:
        """The boxes of an image in its upright pixels, by label; None: not annotated.

        Raises UserError for a mask that is no picture, of another size than the image, turned one cannot tell
        how, a map of several labels where one was meant, or all over the picture.
        """
        stem = PurePosixPath(image.replace("\\", "/")).stem
        boxes: list[Box] = []
        annotated = False
        for label, by_stem in self.files.items():
            for file in by_stem.get(stem, ()):
                annotated = True
                boxes += _boxes_of(file, header, case, label, self.rules)
        return tuple(dict.fromkeys(boxes)) if annotated else None


def list_masks(rules: MaskRules, task: Task, root: Path, images: Sequence[str]) -> MaskFiles:
    """Find the masks of all images of the data.

    All pixels of a mask brighter than half its brightest are inside, of a lossy JPEG those brighter than half
    of white, so that masks of 0/1, 0/76 and 0/255 read alike; of a label map those of the value. Raises
    UserError where a setting does not fit, and where a label has no mask in the whole data.
    """
    _check(rules, task)
    stems = [PurePosixPath(image.replace("\\", "/")).stem for image in images]
    patterns: dict[str | None, str] = {None: str(rules.label_map)}
    if rules.masks:
        patterns = dict(rules.masks.items())
    files = {label: masks_of(pattern, root, stems) for label, pattern in patterns.items()}
    for label, pattern in patterns.items():
        if not files[label] and not (rules.accept_unused and any(files.values())):
            there = nearest_names(pattern, root)
            meant = pattern.replace(STEM, stems[0] if stems else "NAME")
            near = nearest(meant, there) or (f"; there is {some(there)}" if there else "")
            of = f"label {label!r}" if label is not None else "data.label_map"
            raise UserError(
                f"{of} has no mask: 0 of {len(set(stems)):,} names match {pattern!r} below {root}, such as "
                f"{meant}{near}"
            )
    without = len(set(stems)) - len({stem for by_stem in files.values() for stem in by_stem})
    if without:
        note(f"{without:,} of {len(set(stems)):,} images have no mask and are left out")
    return MaskFiles(rules, files)


def _check(rules: MaskRules, task: Task) -> None:
    """Raise UserError where the settings name no label of the task or a file that knows no image."""
    if rules.masks and rules.label_map:
        raise UserError("data.masks and data.label_map exclude each other: a file a label, or a file for all")
    if rules.label_map and not rules.values:
        raise UserError("data.label_map needs data.mask_values: {1: one label, 2: another}")
    if rules.values and not rules.label_map:
        raise UserError(
            "data.mask_values says what values of data.label_map mean; set that instead of data.masks"
        )
    settings = {"masks": list(rules.masks), "mask_values": list(rules.values.values())}
    for setting, labels in settings.items():
        for label in labels:
            if label not in task.labels:
                raise UserError(
                    f"data.{setting}: {label!r} is not a label of task "
                    f"{task.name!r}{nearest(label, task.labels)}; "
                    f"it has {some(task.labels, 12) or 'none'}"
                )
    for pattern in (*rules.masks.values(), *([rules.label_map] if rules.label_map else [])):
        if STEM not in pattern:
            raise UserError(f"data.masks: {pattern!r} is one file for all images; expected {STEM} in it")


def _boxes_of(file: Path, header: Header, case: str, label: str | None, rules: MaskRules) -> Iterator[Box]:
    values, lossy = _read(file, header, case, rules)
    if label is None:
        if lossy:
            raise UserError(
                f"label map {file} of case {case} is a JPEG, whose values are not exact; save it as PNG"
            )
        for value, name in rules.values.items():
            inside = _of_value(values, value)
            _refuse_full(inside, f"value {value} of {file}", case, rules)
            yield from connected_boxes(inside, rules.min_area, name)
        _refuse_unlisted(values, file, case, rules)
        _refuse_other(values, file, case, rules)
        return
    inside = _inside(values, lossy, file, case, rules)
    _refuse_full(inside, str(file), case, rules)
    yield from connected_boxes(inside, rules.min_area, label)


def _read(file: Path, header: Header, case: str, rules: MaskRules) -> tuple[Values, bool]:
    """The values of an upright mask, (height, width[, 3]), and whether it is a lossy JPEG."""
    with decoding(file, case), open_picture(file) as picture:
        own = orientation.of(picture)
        lossy = picture.format == "JPEG"
        picture.load()
        raw: Image.Image = picture
        if picture.format == "TIFF":  # which Pillow has turned
            raw = orientation.turn_back(picture, own)
        upright = _upright(raw, own, header, file, case, rules)
        opaque = upright.convert("RGB") if upright.mode in ("RGBA", "LA", "PA") else upright
        values = np.asarray(opaque)  # a palette's numbers as they are: 0 is outside
    if values.ndim == 3 and (values == values[..., :1]).all():
        values = values[..., 0]
    return values, lossy


def _upright(
    raw: Image.Image, own: int, header: Header, file: Path, case: str, rules: MaskRules
) -> Image.Image:
    """The mask as it lies on the upright picture.

    `own` is the orientation that the mask itself declares. A mask that declares its picture's is turned with
    it; any other may be drawn on the upright picture, on the picture as stored, or be turned by what it
    declares: its size tells which, and where several fit and differ, the recipe has to say.
    """
    upright, stored = orientation.UPRIGHT, header.orientation
    ways = {own} if own == stored else {upright, stored, own}
    if rules.pixels is not None:
        ways = {upright if rules.pixels == "upright" else stored}
    fitting = [way for way in sorted(ways) if orientation.turn_size(raw.size, way) == header.size]
    if not fitting:
        turned = " (as EXIF turns them)" if {own, stored} != {upright} else ""
        sizes = [f"{width} x {height}" for width, height in (raw.size, header.size)]
        raise UserError(
            f"mask {file} of case {case} is {sizes[0]} pixels, its image {sizes[1]}{turned}; expected a mask "
            "in pixels of the image"
        )
    masks = [orientation.turn(raw, way) for way in fitting]
    if any(not np.array_equal(np.asarray(mask), np.asarray(masks[0])) for mask in masks[1:]):
        raise UserError(
            f"image of mask {file} of case {case} is turned by EXIF ({stored}, the mask by {own}), and sizes "
            "do not tell whether the mask was drawn on the turned picture; say so with data.mask_pixels: "
            "upright, or stored"
        )
    return masks[0]


def _inside(values: Values, lossy: bool, file: Path, case: str, rules: MaskRules) -> NDArray[np.bool_]:
    """Which pixels of a mask of one label are inside, (height, width)."""
    if not lossy and rules.threshold is None:
        kinds = _kinds(values)
        if 2 < len(kinds) <= FEW:
            listed = some([kind.tolist() for kind in kinds], 6)
            raise UserError(
                f"mask {file} of case {case} has {len(kinds)} values ({listed}): a map of several labels? "
                f"Say what "
                "they mean with data.label_map and data.mask_values, or set data.mask_threshold for soft "
                "edges"
            )
    grey = values.max(axis=-1) if values.ndim == 3 else values
    limit = rules.threshold if rules.threshold is not None else 127 if lossy else grey.max() / 2
    inside: NDArray[np.bool_] = grey > limit
    return inside


def _kinds(values: Values) -> Values:
    """The different values, (n,), or colours, (n, 3)."""
    return np.unique(values.reshape(-1, values.shape[2]), axis=0) if values.ndim == 3 else np.unique(values)


def _of_value(values: Values, value: str) -> NDArray[np.bool_]:
    try:
        numbers = [int(part) for part in value.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 3):
        raise UserError(
            f"data.mask_values: {value!r} is no value; expected a number, or a colour as '255,0,0'"
        )
    if values.ndim == 3 and len(numbers) == 1:
        return np.zeros(values.shape[:2], dtype=bool)
    same: NDArray[np.bool_] = (values == numbers).all(axis=-1) if values.ndim == 3 else values == numbers[0]
    return same


def _refuse_unlisted(values: Values, file: Path, case: str, rules: MaskRules) -> None:
    """Values of a label map that the recipe does not list are outside, if they are few enough to be
    labels."""
    kinds = _kinds(values)
    given = {",".join(map(str, np.atleast_1d(kind).tolist())) for kind in kinds}
    plain = {value.replace(" ", "") for value in rules.values}
    if len(given) > FEW and len(given - plain) > FEW:
        raise UserError(
            f"label map {file} of case {case} has {len(given)} values, of which data.mask_values lists "
            f"{len(given & plain)}: it is blurred, scaled, or no map"
        )


def _refuse_other(values: Values, file: Path, case: str, rules: MaskRules) -> None:
    """A map with neither a listed value nor any background is a map of something else."""
    given = {",".join(map(str, np.atleast_1d(kind).tolist())) for kind in _kinds(values)}
    plain = {value.replace(" ", "") for value in rules.values}
    if not given & (plain | {"0", "0,0,0"}) and not rules.accept_full:
        raise UserError(
            f"label map {file} of case {case} has {some(sorted(given))} all over the picture, which "
            f"data.mask_values does not list; it has {some(list(rules.values))}. If that is background, set "
            "data.full_masks: accept"
        )


def _refuse_full(inside: NDArray[np.bool_], what: str, case: str, rules: MaskRules) -> None:
    corners = inside[[0, 0, -1, -1], [0, -1, 0, -1]]
    if corners.all() and inside.mean() > MOST and not rules.accept_full:
        raise UserError(
            f"mask {what} of case {case} covers {inside.mean():.0%} of the picture and its corners: it seems "
            "inverted; if it is right, set data.full_masks: accept"
        )


def connected_boxes(inside: NDArray[np.bool_], min_area: int, label: str) -> Iterator[Box]:
    """A box around every connected part of at least `min_area` pixels, (height, width)."""
    from scipy import ndimage  # a quarter of a second, which masks alone need

    parts, _ = ndimage.label(inside, structure=TOUCHING)
    areas = np.bincount(parts.ravel())[1:]
    for area, place in zip(areas, ndimage.find_objects(parts), strict=True):
        if area >= min_area:
            rows, columns = place
            yield Box(columns.start, rows.start, columns.stop, rows.stop, label)
