"""Where the cases of a task come from: the readers by name, and what the settings of all of them share.

A reader is one file: its settings, a subclass of `DataConfig`, and its function

    read(config: ItsSettings, task: Task, root: Path, split: str) -> Iterable[Case]

whose first annotation says what the recipe may set. Every command imports this file, and no reader before a
recipe names it, so nothing heavy is imported here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from vrft_aug.data.finding_kinds import FINDING_KINDS
from vrft_aug.errors import UserError, nearest, shown
from vrft_aug.nouns import Case
from vrft_aug.plugins import installed, installed_names, load_function

DATA_ROOT_VARIABLE = "VRFT_DATA"  # the environment variable that names the folder under which data lies
REFUSALS = ("unused_labels", "shared_patients", "full_masks")  # settings that refuse or accept, of any reader
# A further reader is one line here; readers of other packages register under `vrft_aug.readers`.
READERS = {
    "medmnist": "vrft_aug.data.readers.medmnist:read_medmnist",
    "csv": "vrft_aug.data.readers.table:read_table",
    "coco": "vrft_aug.data.readers.coco:read_coco",
    "folder": "vrft_aug.data.readers.class_folders:read_folder",
    "yolo": "vrft_aug.data.readers.yolo:read_yolo",
    "voc": "vrft_aug.data.readers.voc:read_voc",
    "labelme": "vrft_aug.data.readers.labelme:read_labelme",
    "via": "vrft_aug.data.readers.via:read_via",
    "label_studio": "vrft_aug.data.readers.label_studio:read_label_studio",
    "cvat": "vrft_aug.data.readers.cvat:read_cvat",
    "json": "vrft_aug.data.readers.records:read_questions",
    "dicom": "vrft_aug.data.readers.dicom:read_dicom",
    "volume": "vrft_aug.data.readers.volume_files:read_volumes",
    "npz": "vrft_aug.data.readers.own_arrays:read_npz",
    "huggingface": "vrft_aug.data.readers.hugging_face:read_huggingface",
    "webdataset": "vrft_aug.data.readers.tar_shards:read_webdataset",
    "procedural": "vrft_aug.data.procedural.drawn_cases:read_drawn",
}


class Strict(BaseModel):
    """A part of the recipe: unknown keys are errors, values are not changed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class DataConfig(Strict):
    """The settings of a reader; a reader's own settings are the further fields of a subclass.

    A key that is no field is an error that names the nearest one; pydantic checks types and converts.

    Args:
        reader: the name under which the reader is registered.
        unused_labels: whether to refuse a label that no case or box of the whole data has: a model is paid
            for never naming it.
        accept: names of what `vrft data` finds (see finding_kinds.py) and the user knows of; also
            `unused-labels`, `shared-patients` and `full-masks`, which set the settings of that name.
    """

    reader: str
    unused_labels: Literal["refuse", "accept"] = "refuse"
    accept: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _accept_sets_settings(cls, value: Any) -> Any:
        """One list for all that is accepted: a name that is a setting of this reader sets it."""
        names = value.get("accept") if isinstance(value, dict) else None
        if not isinstance(names, list | tuple):
            return value
        own = {name.replace("_", "-"): name for name in REFUSALS if name in cls.model_fields}
        return {own[name]: "accept" for name in names if name in own} | value

    @field_validator("accept")
    @classmethod
    def _are_findings(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        known = [name for name, kind in FINDING_KINDS.items() if kind.acceptable]
        known += [name.replace("_", "-") for name in REFUSALS if name in cls.model_fields]
        for name in value:
            if name not in known:
                raise ValueError(
                    f"no finding that could be accepted is called {name!r}{nearest(name, known)}; "
                    f"expected some of {', '.join(known)}"
                )
        return value


class CustomData(DataConfig):
    """`function(root: Path, split: str, task: Task, **options) -> Iterable[Case]`, as package.module:name."""

    reader: str = Field(pattern=r"^[\w.]+:\w+$")
    options: dict[str, Any] = {}


def find_reader(name: str) -> Callable[..., Iterable[Case]]:
    """The function of a registered reader; UserError where no reader has that name, or two have it."""
    if theirs := installed("readers", name, READERS):
        return theirs
    if name not in READERS:
        known = [*READERS, *installed_names("readers")]
        raise UserError(
            f"reader {shown(name)} is unknown; expected {', '.join(known)} or module:name"
            f"{nearest(name, known)}"
        )
    return load_function(READERS[name])


def reader_config(name: str) -> type[DataConfig]:
    """The settings that a reader takes, by the reader's name: what its first argument is annotated with.

    Raises UserError where there is no such reader, or where it does not say what its settings are.
    """
    if ":" in name:
        return CustomData
    function = find_reader(name)
    first = next(iter(inspect.signature(function).parameters), "")
    try:
        settings = get_type_hints(function).get(first)
    except NameError as error:
        raise UserError(
            f"reader {name!r}: {error}; its annotations have to be imported at run time"
        ) from None
    if not (inspect.isclass(settings) and issubclass(settings, DataConfig)):
        raise UserError(
            f"reader {name!r}: the first argument of {function.__name__} is to be annotated with the "
            "settings, a subclass of vrft_aug.DataConfig"
        )
    return settings
