"""What raters made of the model's reasons: right, wrong, unsafe, not in the picture; kept for a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from vrft_aug.errors import UserError
from vrft_aug.evaluation.metrics.bootstrap import Floats, Metric, Statistic, measure, ratio
from vrft_aug.evaluation.metrics.catalogue import groups
from vrft_aug.files import write_text
from vrft_aug.reader_study.agreement import UNREAD, krippendorff_alpha
from vrft_aug.reader_study.answer_log import FLAGS
from vrft_aug.reader_study.readings import Readings
from vrft_aug.run.layout import REASONS


@dataclass(frozen=True)
class ReasonRatings:
    """The ratings of a model's reasons. Shares are of ratings; several flags may apply to one."""

    study: str
    evaluation: str | None  # hash of the evaluation whose reasons these are; None: they are from a file
    raters: int  # who have rated anything
    cases: int  # with a rating
    ratings: int
    comments: int
    shares: Mapping[str, Metric]  # flag -> share, with intervals over cases
    by_class: Mapping[str, Mapping[str, Metric]]  # truth -> flag -> share
    agreement: Mapping[str, Metric]  # flag -> Krippendorff's alpha between raters


def reason_ratings(readings: Readings, replicates: int) -> ReasonRatings | None:
    """None where nothing has been rated."""
    material = readings.material
    shape = (len(readings.logs), len(material.cases))
    flagged = {flag: np.full(shape, UNREAD, dtype=np.intp) for flag in FLAGS}
    comments = 0
    for row, log in enumerate(readings.logs.values()):
        for given in log.given:
            if given.slot.doing == "rating":
                comments += bool(given.comment)
                for flag in FLAGS:
                    flagged[flag][row, given.slot.case] = flag in given.flags
    rated = flagged[FLAGS[0]] != UNREAD
    if not rated.any():
        return None
    strata = np.array(material.strata)
    classes = [one for one in dict.fromkeys((*material.labels, *material.strata)) if one and one in strata]
    found: dict[tuple[str, str], Statistic] = {}
    for flag, of_flag in flagged.items():
        found["", flag] = _share(of_flag == 1, rated)
        for label in classes:
            found[f"class {label}", flag] = _share(
                (of_flag == 1) & (strata == label), rated & (strata == label)
            )
        found["agreement", flag] = krippendorff_alpha(of_flag, 2)
    measured = measure(found, groups(material.cases), replicates=replicates, seed=material.protocol.seed)
    return ReasonRatings(
        study=material.protocol.name,
        evaluation=material.evaluation,
        raters=int(rated.any(axis=1).sum()),
        cases=int(rated.any(axis=0).sum()),
        ratings=int(rated.sum()),
        comments=comments,
        shares={flag: measured["", flag] for flag in FLAGS},
        by_class={label: {flag: measured[f"class {label}", flag] for flag in FLAGS} for label in classes},
        agreement={flag: measured["agreement", flag] for flag in FLAGS},
    )


def keep_for_report(ratings: ReasonRatings, run: Path) -> Path:
    """Put ratings into a run, beside those of other studies, for `vrft report`; the run has to be held."""
    known = {one.study: one for one in load_ratings(run / REASONS)} if (run / REASONS).is_file() else {}
    known[ratings.study] = ratings
    write_text(run / REASONS, _json().dump_json(tuple(known.values()), indent=1).decode() + "\n")
    return run / REASONS


def load_ratings(path: Path) -> tuple[ReasonRatings, ...]:
    """What `keep_for_report` wrote; raises UserError where it is something else."""
    try:
        return _json().validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}); run `vrft readers STUDY_FOLDER` again"
        ) from None


def _share(above: Floats | np.ndarray, below: np.ndarray) -> Statistic:
    return ratio(above.sum(axis=0), below.sum(axis=0))


@cache
def _json() -> TypeAdapter[tuple[ReasonRatings, ...]]:
    return TypeAdapter(tuple[ReasonRatings, ...])
