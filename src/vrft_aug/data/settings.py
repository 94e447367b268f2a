"""Where the cases of a task come from: the settings of every reader, part of the recipe."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

DATA_ROOT_VARIABLE = "VRFT_DATA"  # the environment variable that names the folder under which data lies


class Strict(BaseModel):
    """A part of the recipe: unknown keys are errors, values are not changed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class MedMnistData(Strict):
    """A MedMNIST .npz file, `<root>/<dataset>.npz` or `<dataset>_<size>.npz` where size is not 28."""

    reader: Literal["medmnist"]
    dataset: str
    size: Literal[28, 64, 128, 224] = 28
    fetch: bool = False  # download through the `medmnist` package where the file is absent


class CsvData(Strict):
    """A folder of images with a CSV file; all paths below the data root."""

    model_config = ConfigDict(coerce_numbers_to_str=True)  # label_names may be written 0: none
    reader: Literal["csv"]
    table: str
    images: str = "."
    image_column: str = "image"
    label_column: str | None = "label"
    split_column: str | None = "split"  # null: every image is dealt by a hash, see data/splits.py
    patient_column: str | None = None
    question_column: str | None = None
    text_column: str | None = None
    label_names: dict[str, str] = {}  # value in the table -> label of the task
    label_separator: str = "|"  # for multilabel: between the values of a cell; an empty cell has none
    # A COCO file whose boxes join the rows by image name: what localise asks for; for other tasks findings
    # that are known to be in the picture, which the reasoning can be held against.
    boxes: str | None = None
    box_names: dict[str, str] = {}  # COCO category -> label (or finding); categories left out are dropped
    boxes_complete: bool = False  # for other tasks: what has no box is known not to be in the picture
    masks: dict[str, str] = {}  # for localise, in place of boxes: label -> mask files, {stem} is the image's
    min_area: int = Field(default=1, ge=1)  # pixels of a connected part of a mask; smaller ones are dropped


class CocoData(Strict):
    """A COCO detection file: boxes as [x, y, width, height] in pixels of its images."""

    reader: Literal["coco"]
    annotations: str
    images: str = "."
    box_names: dict[str, str] = {}
    splits: str | None = None  # a CSV with columns image and split; without it dealt by a hash


class ProceduralData(Strict):
    """Images made on the fly by `vrft_aug.data.procedural`; every split has a seed range of its own."""

    reader: Literal["procedural"]
    modality: Literal["fundus", "chest"] = "fundus"
    # handheld: dim, tinted and noisy, unlike the pictures that the embedded model learned from
    camera: Literal["clinic", "handheld"] = "clinic"
    train: int = Field(default=256, ge=1)
    validation: int = Field(default=128, ge=1)
    test: int = Field(default=400, ge=1)


class CustomData(Strict):
    """`function(root: Path, split: str, task: Task, **options) -> Iterable[Case]`, as package.module:name."""

    reader: str = Field(pattern=r"^[\w.]+:\w+$")
    options: dict[str, Any] = {}


DataConfig = MedMnistData | CsvData | CocoData | ProceduralData | CustomData
READERS: dict[str, type[Strict]] = {
    "medmnist": MedMnistData,
    "csv": CsvData,
    "coco": CocoData,
    "procedural": ProceduralData,
}


def reader_config(reader: str) -> type[Strict]:
    """The settings that a reader takes, by the reader's name; ValueError where there is no such reader."""
    if ":" in reader:
        return CustomData
    if reader not in READERS:
        raise ValueError(f"reader {reader!r} is unknown; expected {', '.join(READERS)} or module:name")
    return READERS[reader]
