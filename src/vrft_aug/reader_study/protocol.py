"""The protocol of a reader study as a YAML file: whose answers, which cases, who reads, under what."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError, field_validator, model_validator

from vrft_aug.data.settings import Strict
from vrft_aug.errors import UserError
from vrft_aug.recipe.named_file import read_named
from vrft_aug.recipe.validation import explain

SHIPPED_PROTOCOLS = Path(__file__).parent / "shipped"
Condition = Literal["unaided", "aided"]
CodeName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]


class Rating(Strict):
    """Readers also rate the reasons that the model gave, after all their readings."""

    cases: int | None = Field(default=None, ge=1)  # at most so many of those with reasons; default: all


class Protocol(Strict):
    """A whole reader study."""

    name: str = Field(pattern=r"^[A-Za-z0-9][\w-]*$")
    title: str = ""  # what readers see above the study; default: the name
    instructions: str = ""  # what they are told before they begin
    run: str | None = None  # an evaluated run: its recipe, its data, its answers
    predictions: str | None = None  # a file of answers (JSON lines with `case`) in place of the evaluation's
    recipe: str | None = None  # with `predictions` and no run: where task and data are
    task: str | None = None  # default: that of the evaluation
    split: Literal["train", "validation", "test"] | None = None  # default: that of the evaluation
    cases: int | None = Field(default=None, ge=1)  # at most so many, as many of each class; default: all
    readers: tuple[CodeName, ...] = Field(min_length=1)  # code names; no personal data
    conditions: tuple[Condition, ...] = ("unaided", "aided")  # (): nothing is read, reasons are rated alone
    # each reader reads a case in both conditions, in two sessions with a washout between; or in one of them
    each: Literal["both", "one"] = "both"
    order: Literal["mixed", "blocks"] = "mixed"  # of the conditions within a session
    washout_days: float = Field(default=14, ge=0, le=3650)  # between the sessions of a reader
    show: tuple[Literal["reasoning", "boxes"], ...] = ("reasoning",)  # beside the model's answer
    cannot_tell: bool = False  # readers may say that a picture cannot be judged; counts as a wrong answer
    rating: Rating | None = None
    seed: int = Field(default=0, ge=0, lt=2**32)  # of the cases, the dealing of conditions, and the order

    @field_validator("rating", mode="before")
    @classmethod
    def _true_is_all(cls, value: Any) -> Any:
        return {} if value is True else None if value is False else value

    @model_validator(mode="after")
    def _is_a_study(self) -> Protocol:
        if self.run is None and (self.predictions is None or self.recipe is None):
            raise ValueError("names no run; expected `run`, or `predictions` with `recipe` and `task`")
        if self.run is None and self.task is None:
            raise ValueError("task is missing; expected a task of the recipe, for there is no run to say it")
        if self.run is not None and self.recipe is not None:
            raise ValueError("has both run and recipe; expected one of them, for a run has its own recipe")
        folded = Counter(code.casefold() for code in self.readers)
        if twice := [code for code in self.readers if folded[code.casefold()] > 1]:
            raise ValueError(
                f"readers has {twice[0]!r} twice; expected code names that differ, also in small letters"
            )
        if len(set(self.conditions)) < len(self.conditions):
            raise ValueError(f"conditions are named twice: {list(self.conditions)}")
        if not self.conditions and self.rating is None:
            raise ValueError("has no conditions and no rating, so there is nothing to do; set one of them")
        return self

    @property
    def reading_sessions(self) -> int:
        """How many sessions of readings each reader has: 0, 1 or 2."""
        if not self.conditions:
            return 0
        return 2 if len(self.conditions) == 2 and self.each == "both" else 1

    @property
    def heading(self) -> str:
        """What readers see above the study."""
        return self.title or self.name


def shipped_protocols() -> dict[str, Path]:
    """The reader studies that come with the package, by name."""
    return {path.stem: path for path in sorted(SHIPPED_PROTOCOLS.glob("*.yaml"))}


def load_protocol(source: str, run: Path | None = None) -> Protocol:
    """A shipped reader study by its name, or a YAML file; `run` takes the place of the run that it names.

    Files that it names are looked for beside it, then in the working folder. Raises UserError, one line, for
    whatever is wrong with it.
    """
    path, data = read_named(source, shipped_protocols(), "reader study", "name, run, readers")
    if run is not None:
        data = {**data, "run": str(run.absolute())}
    try:
        protocol = Protocol.model_validate(data)
    except ValidationError as error:
        raise UserError(f"reader study {path.name}: {explain(error, data, Protocol)}") from None
    found = {
        key: _beside(getattr(protocol, key), path.parent) for key in ("run", "predictions", "recipe")
        if getattr(protocol, key) is not None and not (key == "run" and run is not None)
    }  # fmt: skip
    return protocol.model_copy(update=found)


def _beside(name: str, folder: Path) -> str:
    """A file or folder beside the study or in the working folder, as an absolute path; else as named."""
    places = (Path.cwd(),) if folder == SHIPPED_PROTOCOLS else (folder, Path.cwd())
    found = next((place / name for place in places if (place / name).exists()), None)
    return name if found is None else str(found.absolute())
