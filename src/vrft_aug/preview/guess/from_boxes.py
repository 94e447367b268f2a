"""A task from files of boxes: of which format they are, what is in the boxes, where the pictures are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import yaml

from vrft_aug.data.readers.annotation_files import read_json, read_xml
from vrft_aug.data.splits import NAMES
from vrft_aug.errors import UserError
from vrft_aug.preview.guess.guessed import RANDOM, Guess, files_below, judged_split, pictures_in, words_of

MOST_FILES = 2_000  # annotation files of one picture each that are read for their labels


@dataclass(frozen=True)
class Annotated:
    """What a file of boxes says."""

    reader: str
    pictures: tuple[str, ...]
    labels: tuple[str, ...]  # of boxes that are there


def annotated(content: Any) -> Annotated | None:
    """What JSON or XML is, where it is boxes; else None."""
    if isinstance(content, Element):
        return _xml(content)
    if isinstance(content, dict) and {"images", "annotations", "categories"} <= content.keys():
        names = {one.get("id"): str(one.get("name")) for one in content["categories"]}
        used = {
            names[one["category_id"]] for one in content["annotations"] if one.get("category_id") in names
        }
        return Annotated("coco", tuple(str(one.get("file_name")) for one in content["images"]), _sorted(used))
    if isinstance(content, dict) and "shapes" in content and "imagePath" in content:
        name = str(content["imagePath"]).replace("\\", "/").rpartition("/")[2]
        return Annotated("labelme", (name,), _sorted({str(one.get("label")) for one in content["shapes"]}))
    if isinstance(content, dict):
        entries = content.get("_via_img_metadata", content)
        found = list(entries.values()) if isinstance(entries, dict) else []
        if found and all(isinstance(one, dict) and {"filename", "regions"} <= one.keys() for one in found):
            return _via(found)
    if (
        isinstance(content, list)
        and content
        and all(isinstance(one, dict) and "annotations" in one and "data" in one for one in content)
    ):
        return _label_studio(content)
    return None


def guess_boxes(files: Sequence[Path], root: Path, data: dict[str, Any], found: Sequence[Annotated]) -> Guess:
    """The task of annotation files of one format; `data` has what is known of the reader's settings."""
    labels = _sorted({label for one in found for label in one.labels})
    if not labels:
        raise UserError(f"{files[0]} holds no box with a name; expected some to learn from")
    names = [name for one in found for name in one.pictures]
    beside = isinstance(data.get("annotations"), dict) and _lie_beside(files[0], found[0])
    folder = root if beside else pictures_in(names, root)
    if folder is None:
        raise UserError(
            f"{files[0]} names pictures such as {names[0][-80:] if names else 'none'}, not in {root} "
            "or below it; name the folder that holds both"
        )
    reader = found[0].reader
    settings = {"reader": reader, **data, "images": folder.relative_to(root).as_posix()}
    judged_on, said = _splits(settings, files)
    return Guess(
        root, "localise", labels, settings,
        (f"boxes of format {reader}: {', '.join(labels)[:200]}", said),
        ("remove labels that are nothing to find, such as a root category",) if len(labels) > 1 else (),
        judged_on=judged_on,
        hints=words_of(*root.resolve().parts[-2:], *(file.stem for file in files[:2]), *labels),
    )  # fmt: skip


def guess_yolo(folder: Path) -> Guess:
    """The task of a YOLO folder."""
    config = next((path for path in (folder / "data.yaml", folder / "dataset.yaml") if path.is_file()), None)
    named = next((p for name in ("classes.txt", "obj.names") for p in folder.rglob(name)), None)
    data: dict[str, Any] = {"reader": "yolo", "folder": "."}
    if config is not None:
        names = (yaml.safe_load(config.read_text(encoding="utf-8")) or {}).get("names") or []
        classes = [str(one) for one in (names.values() if isinstance(names, dict) else names)]
        data["names"] = config.name
    elif named is not None:
        classes = named.read_text(encoding="utf-8").split("\n")
        data["names"] = named.relative_to(folder).as_posix()
    else:
        classes = []
    used = _yolo_classes(folder)
    if not classes:
        classes = [f"class {number}" for number in range(max(used, default=0) + 1)]
        data["names"] = classes
        open_ = ["no file names the classes: give them their names, in names and labels"]
    else:
        open_ = []
    labels = tuple(classes[number].strip() for number in sorted(used) if number < len(classes))
    parts = {part.casefold() for path in files_below(folder) for part in path.relative_to(folder).parts[:-1]}
    splits = {NAMES[part] for part in parts if part in NAMES}
    if len(splits) < 2:
        data["random_split"] = {"seed": 0}
    said = f"splits are folders: {', '.join(sorted(splits))}" if len(splits) > 1 else RANDOM
    return Guess(
        folder, "localise", labels, data,
        (f"boxes of format yolo: {', '.join(labels)[:200]}", said), tuple(open_),
        judged_on=judged_split(splits if len(splits) > 1 else ()),
        hints=words_of(*folder.resolve().parts[-2:], *labels),
    )  # fmt: skip


def is_yolo(folder: Path) -> bool:
    """Whether text files of numbers lie where YOLO has them."""
    for path in files_below(folder):
        if (path.suffix == ".txt" and path.parent.name == "labels") or path.parent.parent.name == "labels":
            return True
    return False


def _splits(settings: dict[str, Any], files: Sequence[Path]) -> tuple[str, str]:
    """The split that is judged, and a sentence; a random split where no file says one."""
    given = settings.get("annotations")
    if isinstance(given, dict):
        return ("test" if "test" in given else "validation"), f"a file a split: {', '.join(given)}"
    settings["random_split"] = {"seed": 0}
    return "test", RANDOM


def _lie_beside(file: Path, found: Annotated) -> bool:
    return any((file.parent / name).is_file() for name in found.pictures[:1])


def _xml(root: Element) -> Annotated | None:
    if (root.tag == "annotation" and root.find("object") is not None) or root.findtext("filename"):
        name = (root.findtext("filename") or "").replace("\\", "/").rpartition("/")[2]
        labels = {(one.findtext("name") or "").strip() for one in root.findall("object")}
        return Annotated("voc", (name,) if name else (), _sorted(labels - {""}))
    if root.tag == "annotations":
        images = root.findall("image")
        labels = {shape.get("label", "") for image in images for shape in image}
        return Annotated("cvat", tuple(one.get("name", "") for one in images), _sorted(labels - {""}))
    return None


def _via(entries: Sequence[dict[str, Any]]) -> Annotated:
    regions = [
        region
        for entry in entries
        for region in (entry["regions"].values() if isinstance(entry["regions"], dict) else entry["regions"])
    ]
    labels = {str(value) for region in regions for value in (region.get("region_attributes") or {}).values()}
    return Annotated("via", tuple(str(one["filename"]) for one in entries), _sorted(labels))


def _label_studio(items: Sequence[dict[str, Any]]) -> Annotated:
    labels: set[str] = set()
    for item in items:
        for annotation in item["annotations"]:
            for result in annotation.get("result") or []:
                for key, value in (result.get("value") or {}).items():
                    if key.endswith("labels") and isinstance(value, list):
                        labels |= {str(one) for one in value}
    names = [str(item["data"].get("image", "")).rpartition("/")[2] for item in items]
    return Annotated("label_studio", tuple(names), _sorted(labels))


def _yolo_classes(folder: Path) -> set[int]:
    used: set[int] = set()
    texts = [path for path in files_below(folder) if path.suffix == ".txt" and "labels" in path.parts]
    for path in texts[:MOST_FILES]:
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            first = line.split(maxsplit=1)[:1]
            if first and first[0].isdigit():
                used.add(int(first[0]))
    return used


def _sorted(labels: set[str]) -> tuple[str, ...]:
    return tuple(sorted(labels))


def content_of(path: Path) -> Any:
    """JSON or XML of a file; None where it is neither."""
    try:
        if path.suffix.lower() == ".xml":
            return read_xml(path)
        if path.suffix.lower() in (".jsonl", ".ndjson"):
            with path.open(encoding="utf-8-sig") as lines:
                return [json.loads(next(lines))]
        return read_json(path)
    except (UserError, ValueError, StopIteration, OSError):
        return None
