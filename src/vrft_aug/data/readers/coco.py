"""The reader of COCO detection files: one case per image, its boxes the target."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from vrft_aug.data.images import FileImage, header_size
from vrft_aug.data.readers.coco_boxes import BoxedImage, read_boxes
from vrft_aug.data.readers.table_rows import case_names, data_name, image_path, read_rows
from vrft_aug.data.settings import DataConfig
from vrft_aug.data.splits import deal, split_name
from vrft_aug.errors import UserError
from vrft_aug.nouns import Case, Target, Task


class CocoData(DataConfig):
    """A COCO detection file: boxes as [x, y, width, height] in pixels of its images."""

    annotations: str
    images: str = "."
    box_names: dict[str, str] = Field(default_factory=dict)
    splits: str | None = None  # a CSV with columns image and split; without it dealt by a hash


def read_coco(config: CocoData, task: Task, root: Path, split: str) -> list[Case]:
    """The images of one split with their boxes; () where an image has none of the chosen categories.

    The split of an image comes from the table `splits` (columns image and split), else from a hash of its
    name, see `splits.deal`. Raises UserError where anything is absent or does not fit.
    """
    path = root / config.annotations
    images = read_boxes(path, root, task, config.box_names)
    names = case_names([image.file_name for image in images])
    given = _given_splits(root / config.splits, root, images) if config.splits else None
    cases = []
    for image, name, part in zip(images, names, deal(names, given), strict=True):
        if part == split:
            id = f"{data_name(config.annotations)}/{split}/{name}"
            file = image_path(root / config.images, image.file_name)
            check_size(image, file, path, id)
            cases.append(Case(id=id, images=(FileImage(file, id),), target=Target(boxes=image.boxes)))
    return cases


def check_size(image: BoxedImage, file: Path, annotations: Path, case: str) -> None:
    """Raise UserError unless the picture is as large as its boxes believe."""
    size = header_size(file, case)
    if size != image.size:
        raise UserError(
            f"image {file} of case {case} is {size[0]} x {size[1]} pixels, but {annotations} says "
            f"{image.size[0]} x {image.size[1]}; expected boxes in pixels of this file, upright"
        )


def _given_splits(path: Path, root: Path, images: list[BoxedImage]) -> list[str]:
    rows = read_rows(path, root, {"splits": "image", "splits column": "split"})
    splits = {row.cells["image"]: split_name(row.cells["split"], row.where) for row in rows}
    for image in images:
        if image.file_name not in splits:
            raise UserError(
                f"{path} has no row for image {image.file_name}; expected every image of the boxes"
            )
    return [splits[image.file_name] for image in images]
