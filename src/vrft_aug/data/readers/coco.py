"""The reader of COCO detection files: one case per image, its boxes the target."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

from vrft_aug.data.readers.boxed_cases import AnnotatedImage, BoxSettings, boxed_cases
from vrft_aug.data.readers.case_names import data_name
from vrft_aug.data.readers.coco_boxes import read_coco_file
from vrft_aug.data.splits import NAMES
from vrft_aug.errors import UserError
from vrft_aug.nouns import Case, Task


class CocoData(BoxSettings):
    """COCO detection files: boxes as [x, y, width, height] in pixels of their images."""

    # one file, a file for each split by the split's name, or a list of files whose folders or names say it
    annotations: str | dict[str, str] | tuple[str, ...]


def read_coco(config: CocoData, task: Task, root: Path, split: str) -> list[Case]:
    """The images of one split with their boxes; () where an image has none of the chosen categories.

    The split of an image comes from the file that it is in, else from the table `splits` (columns image and
    split), else from a hash of its name, see `splits.assign`. File names begin at data.images, or beside the
    annotations where those are a file for each split. Raises UserError where anything is absent or does
    not fit.
    """
    if isinstance(config.annotations, str):
        path = root / config.annotations
        images, categories = read_coco_file(path, root)
        return boxed_cases(config, task, root, split, path, data_name(config.annotations), images, categories)
    files = _file_of_split(config.annotations)
    images, categories = [], []
    for part, file in files.items():
        found, named = read_coco_file(root / file, root, part)
        images += [_beside(image, file, config, root) for image in found]
        categories += named
    name = (
        PurePosixPath(next(iter(files.values()))).parent.parent.name
        or PurePosixPath(config.images).name
        or "coco"
    )
    first = root / next(iter(files.values()))
    return boxed_cases(config, task, root, split, first, name, images, list(dict.fromkeys(categories)))


def _file_of_split(annotations: dict[str, str] | tuple[str, ...]) -> dict[str, str]:
    """Our name of a split -> its file."""
    if isinstance(annotations, dict):
        named = [(NAMES.get(split.casefold()), split, file) for split, file in annotations.items()]
    else:
        named = [(_split_in(file), file, file) for file in annotations]
    files: dict[str, str] = {}
    for split, given, file in named:
        if split is None:
            raise UserError(
                f"data.annotations: {given!r} says no split; expected a mapping like "
                "{train: train/_annotations.coco.json, validation: ..., test: ...}"
            )
        if split in files:
            raise UserError(f"data.annotations has two files of split {split}: {files[split]} and {file}")
        files[split] = file
    if not files:
        raise UserError("data.annotations is empty; expected a file, or one for each split")
    return files


def _split_in(file: str) -> str | None:
    """The split that a path names: its folder, or a word in the name of the file."""
    path = PurePosixPath(file.replace("\\", "/"))
    words = [path.parent.name, *path.stem.replace("-", "_").replace(".", "_").split("_")]
    found = {
        NAMES[word.rstrip("0123456789").casefold()]
        for word in words
        if word.rstrip("0123456789").casefold() in NAMES
    }
    return found.pop() if len(found) == 1 else None


def _beside(image: AnnotatedImage, file: str, config: CocoData, root: Path) -> AnnotatedImage:
    """The image under its name from data.images on: of two splits' files two images may have one name."""
    folder = PurePosixPath(file).parent
    try:
        inner = folder.relative_to(PurePosixPath(config.images)) if config.images != "." else folder
    except ValueError:
        return image
    name = image.file_name.replace("\\", "/")
    if (root / config.images / name).is_file() or not (root / folder / name).is_file():
        return image
    return replace(image, file_name=(inner / name).as_posix())
