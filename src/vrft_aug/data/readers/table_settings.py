"""What a recipe may say about a table of images: the settings of reader csv."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, field_validator

from vrft_aug.data.masks import MaskRules
from vrft_aug.data.orientation import BoxPixels
from vrft_aug.data.readers.table_labels import LabelRules
from vrft_aug.data.readers.table_text import Dialect
from vrft_aug.data.settings import Strict
from vrft_aug.data.split_settings import SplitSettings


class JoinedTable(Strict):
    """A further table with columns for the same images, joined by a key."""

    table: str
    on: str  # the key's column in the first table
    key: str | None = None  # its column here, where it is called otherwise
    unmatched: Literal["refuse", "leave out"] = "refuse"  # rows of the first table without one here
    encoding: str | None = None
    separator: str | None = None
    sheet: str | None = None


class TableSettings(SplitSettings):
    """The settings of a table, without the reader's name."""

    model_config = ConfigDict(coerce_numbers_to_str=True)  # label_names may be written 0: none
    table: str  # CSV, TSV, any text with separators; .xlsx, .parquet, .json or .jsonl of flat objects
    encoding: str | None = None  # null: by its mark, else UTF-8
    separator: str | None = None  # null: the one of , ; tab | that gives the columns
    sheet: str | None = None  # of a workbook with several
    join: tuple[JoinedTable, ...] = ()
    images: str = "."
    image_column: str | tuple[str, ...] = "image"  # several: a case has several pictures
    page: int | None = Field(default=None, ge=0)  # of files with several pages, counted from 0
    allow_missing_images: bool = False  # a row may lack some of its several pictures
    label_column: str | tuple[str, ...] | None = "label"  # several: a column for each label, with 1 and 0
    split_column: str | None = "split"  # null: every image is dealt by a hash, see data/splits.py
    patient_column: str | None = None
    question_column: str | None = None
    text_column: str | None = None
    label_names: dict[str, str] = Field(default_factory=dict)  # value in the table -> label of the task
    label_separator: str = Field(default="|", min_length=1)  # for multilabel: between the values of a cell
    unlisted: Literal["refuse", "drop"] = "refuse"  # labels that the task does not have
    uncertain: Literal["refuse", "leave out", "yes", "no"] = "refuse"  # cells of -1
    blank: Literal["refuse", "leave out", "yes", "no"] = "refuse"  # empty cells of labels in columns
    # A COCO file whose boxes join the rows by image name: what localise asks for; for other tasks findings
    # that are known to be in the picture, which the reasoning can be held against.
    boxes: str | None = None
    box_names: dict[str, str] = Field(
        default_factory=dict
    )  # category -> label (or finding); others are dropped
    boxes_complete: bool = False  # for other tasks: what has no box is known not to be in the picture
    # Boxes in the rows: x1, y1, x2, y2; x, y, width, height; or cx, cy, width, height -> their columns
    box_columns: dict[str, str] = Field(default_factory=dict)
    box_label_column: str | None = None
    box_pixels: BoxPixels = "upright"
    box_units: Literal["pixels", "fraction", "percent"] = "pixels"
    masks: dict[str, str] = Field(default_factory=dict)  # for localise: label -> files, {stem} is the image's
    label_map: str | None = None  # masks that hold several labels, {stem} is the image's
    mask_values: dict[str, str] = Field(default_factory=dict)  # value, or "r,g,b", in a label map -> label
    mask_threshold: int | None = Field(default=None, ge=0, le=65535)  # brighter is inside
    # the picture that masks were drawn on: turned by EXIF, or as stored; null: told by their sizes
    mask_pixels: BoxPixels | None = None
    full_masks: Literal["refuse", "accept"] = "refuse"  # masks all over the picture
    min_area: int = Field(default=1, ge=1)  # pixels of a connected part of a mask; smaller ones are dropped

    @field_validator("image_column", "label_column", "split_column", "patient_column", "question_column",
                     "text_column", "box_label_column", mode="after")  # fmt: skip
    @classmethod
    def _headers_are_stripped(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        return tuple(name.strip() for name in value) if isinstance(value, tuple) else value and value.strip()

    @property
    def image_columns(self) -> tuple[str, ...]:
        """One or several."""
        return (self.image_column,) if isinstance(self.image_column, str) else self.image_column

    def dialect(self) -> Dialect:
        """How the first table is written."""
        return Dialect(self.encoding, self.separator, self.sheet)

    def label_rules(self) -> LabelRules:
        """What cells mean."""
        return LabelRules(self.label_names, self.label_separator, self.uncertain, self.blank, self.unlisted)

    def mask_rules(self) -> MaskRules:
        """What masks mean."""
        return MaskRules(
            self.masks,
            self.label_map,
            self.mask_values,
            self.mask_threshold,
            self.min_area,
            self.full_masks == "accept",
            self.unused_labels == "accept",
            self.mask_pixels,
        )
