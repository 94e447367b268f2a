"""What came of asking with other pictures: figures by view, what they come to, and every answer; as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from vrft_aug.errors import UserError, first_fault
from vrft_aug.evaluation.metrics.bootstrap import Metric
from vrft_aug.evaluation.metrics.case_rows import Row
from vrft_aug.evaluation.provenance import Provenance
from vrft_aug.files import write_text
from vrft_aug.nouns import Box, Case, TaskKind
from vrft_aug.tasks.look_views import Seen

VIEW_TITLES = {
    "true": "True picture",
    "blank": "Blank picture",
    "another": "Another's picture",
    "blurred": "Blurred picture",
    "lesion": "Lesions masked",
    "random": "As much elsewhere",
}


@dataclass(frozen=True)
class FigureMeaning:
    """How a figure is named and read."""

    title: str
    note: str


FIGURES = {
    "image_reliance": FigureMeaning(
        "Image reliance", "{score} with the true pictures minus that with blank ones"
    ),
    "image_reliance_kappa": FigureMeaning("Image reliance, kappa", "the same in quadratic kappa"),
    "blur_reliance": FigureMeaning(
        "Reliance on detail", "{score} with the true pictures minus that with blurred ones"
    ),
    "swap_sensitivity": FigureMeaning(
        "Swap sensitivity", "share of the answers that change with the picture of a case of another label"
    ),
    "follows": FigureMeaning(
        "Follows the picture", "{score} with another case's picture, judged by the truth of that picture"
    ),
    "lesion_reliance": FigureMeaning(
        "Lesion reliance", "{score} with random boxes masked minus that with the lesions masked"
    ),
    "lesion_reliance_kappa": FigureMeaning(
        "Lesion reliance, kappa",
        "the same in quadratic kappa",
    ),
    "claims_unseen": FigureMeaning(
        "Claims without a picture",
        "share of the findings stated or denied that stay so with a blank picture",
    ),
}


@dataclass(frozen=True)
class ViewFigures:
    """How the model does under one view of the pictures."""

    n: int  # cases that have it
    scores: Mapping[str, Metric]  # by the names of `Look.scores`
    answered: Metric
    unchanged: Metric | None = None  # share of the answers to the true picture that stay; None: the true one
    claims_kept: Metric | None = None  # share of its claims that stay; None without a bank of findings


@dataclass(frozen=True)
class Made:
    """What a case's other pictures were made of."""

    case: str
    other: str | None  # the case whose picture it was shown
    boxes: tuple[Box, ...]  # that were masked, in original pixels; () where none are known
    control: tuple[Box, ...]  # as many elsewhere


@dataclass(frozen=True)
class Look:
    """What a model says to other pictures than the true ones.

    Args:
        task: its name, with its `kind`.
        kind: see task.
        split: train, validation or test.
        scores: names of the metrics that are told, the first of which reliance is counted in.
        views: by the names of `VIEW_TITLES`.
        figures: by the names of `FIGURES`; differences are paired by case.
        rows: view -> one a case that has it, in one order.
        made: one a case.
        colour: of the blank pictures, red, green, blue.
        units: what the intervals are over.
        seed: of the bootstrap, of which other picture is shown, and of where random boxes lie.
        bootstrap: replicates.
        provenance: hashes of recipe, data and model, and versions.
        notes: what was left out, and why.
    """

    task: str
    kind: TaskKind
    split: str
    scores: tuple[str, ...]
    views: Mapping[str, ViewFigures]
    figures: Mapping[str, Metric]
    rows: Mapping[str, tuple[Row, ...]]
    made: tuple[Made, ...]
    colour: tuple[int, int, int]
    units: str
    seed: int
    bootstrap: int
    provenance: Provenance
    notes: tuple[str, ...] = ()


def save_look(look: Look, path: Path) -> None:
    """Write as JSON, whole or not at all."""
    write_text(path, _json().dump_json(look, indent=1).decode() + "\n")


def plain_look(look: Look) -> Any:
    """The same as JSON's own types."""
    return _json().dump_python(look, mode="json")


def load_look(path: Path) -> Look:
    """Read what `save_look` wrote; raises UserError where there is no such file or it is something else."""
    try:
        return _json().validate_json(path.read_bytes())
    except OSError:
        raise UserError(f"{path} cannot be read; expected what `vrft look` writes") from None
    except ValidationError as error:
        raise UserError(
            f"{path}: {first_fault(error)}; expected a file of this version, run `vrft look` again"
        ) from None


def seen_again(look: Look, cases: Mapping[str, Case]) -> dict[str, Seen]:
    """Case id -> what its other pictures were made of, for those of which all cases are still at hand."""
    return {
        one.case: Seen(cases[one.case], cases[one.other] if one.other else None, one.boxes, one.control)
        for one in look.made
        if one.case in cases and (one.other is None or one.other in cases)
    }


@cache
def _json() -> TypeAdapter[Look]:
    return TypeAdapter(Look)
