"""Plain sentences about an evaluation whose figures could be mistaken for skill."""

from __future__ import annotations

from collections import Counter

from vrft_aug.evaluation.report_data import Report
from vrft_aug.nouns import ABSTAINED, Box

ALIKE = 0.9  # the share of cases with one and the same answer from which on it is told,
USUAL = 0.8  # unless it is true of more than this share


def cautions(report: Report) -> list[str]:
    """What to know first: that nearly all answers are the same, or no better than guessing."""
    if unread := _unread(report):
        return [unread]
    return [sentence for sentence in (_one_answer(report), _chance(report), *_blind(report)) if sentence]


def _unread(report: Report) -> str:
    if not report.rows or any(row.reason is None for row in report.rows):
        return ""
    reasons = Counter(row.reason for row in report.rows)
    if set(reasons) == {ABSTAINED}:
        return (
            f"All {len(report.rows)} answers are abstentions: the figures say nothing about what the model "
            "sees. Abstaining may cost too little (the last column of the reward term costs)."
        )
    return (
        f"None of the {len(report.rows)} answers could be read, mostly because they are "
        f"{reasons.most_common(1)[0][0]}: the figures say nothing about what the model sees. Look at the "
        "answers in the report; more max_new_tokens or a stage that rewards the format may help."
    )


def _one_answer(report: Report) -> str:
    answers = Counter(_named(row.answer, row.boxes) for row in report.rows)
    truths = Counter(_named(row.truth, row.true_boxes) for row in report.rows)
    (answer, times), whole = answers.most_common(1)[0], len(report.rows)
    if answer is None or times < ALIKE * whole or truths[answer] > USUAL * whole:
        return ""
    return (
        f"The answer to {times} of {whole} cases is “{answer}”, which is true of {truths[answer]}: this "
        "model hardly tells the pictures apart."
    )


def _chance(report: Report) -> str:
    found = report.metrics.get("balanced_accuracy")
    classes = len({row.truth for row in report.rows})
    if found is None or found.value is None or found.low is None or classes < 2 or found.low > 1 / classes:
        return ""
    return (
        f"Balanced accuracy {found} is no better than guessing among {classes} classes ({1 / classes:.2f}), "
        f"as far as {found.n} cases can tell."
    )


def _blind(report: Report) -> list[str]:
    """Where a policy that does not see is about as good; and why there is none to hold against."""
    said = []
    for gain, blind, what in (
        ("gain_by_sight", "text_only_accuracy", "the same model with blank pictures"),
        ("gain_on_frequent", "frequent_accuracy", "the training split's most frequent answers"),
    ):
        found, other = report.metrics.get(gain), report.metrics.get(blind)
        if found is not None and other is not None and found.low is not None and found.low <= 0:
            accuracy = report.metrics["accuracy"]
            said.append(
                f"Accuracy {accuracy} is not shown to be better than {what} ({other.value_text}), as far as "
                f"{found.n} cases can tell."
            )
    return [*said, *report.notes]


def _named(text: str | None, boxes: tuple[Box, ...] | None) -> str | None:
    """An answer or truth as a text; boxes that lie somewhere are all different, and so named None."""
    if text is not None:
        return text or "nothing"
    return "no box" if boxes == () else None
