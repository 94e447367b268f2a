"""The options of a choice: checked, taken out of the question that lists them, shuffled for each case."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

from vrft_aug.data.row_faults import BadRow
from vrft_aug.errors import shown
from vrft_aug.nouns import Case, Task
from vrft_aug.reading.characters import comparable
from vrft_aug.reading.options import LETTERS, clashing_option, options_in, read_option, without_options

# Options that speak of others by their place or letter stay where they are.
_OF_OTHERS = re.compile(
    r"\b(?:above|below|following|preceding)\b|(?<!\w)[A-H]\s*(?:,|&|and|or)\s*(?:[A-H](?!\w)|,)",
    re.IGNORECASE,
)


def with_options(case: Case, task: Task) -> Case:
    """The case of a choice with its options in the order in which they are shown, and the right one as label.

    Options are the case's own, else those that its question lists ("A. naevus B. melanoma", which are then
    left out of the question), else the labels of the task. The truth, `target.label` or `target.text`, may be
    a letter, of the order in the data, or a text. Raises UserError, naming the case, where there are fewer
    than two options, two are alike, one cannot be told from another's letter, or the truth is none of them.
    """
    case = with_unanswered_options(case, task)
    truth = case.target.label if case.target.label is not None else case.target.text
    right = right_option(truth, case.options, f"case {case.id}")
    ordered = shuffled(case.options, case.id, task.option_seed)
    return replace(case, options=ordered, target=replace(case.target, label=right, text=None))


def with_unanswered_options(case: Case, task: Task) -> Case:
    """The same without a truth, the options in the order in which they are given."""
    listed = options_in(case.question or task.question)
    options = case.options or listed or task.labels
    check_options(options, f"case {case.id}", task)
    question = case.question
    if question is not None and listed and {*map(comparable, listed)} == {*map(comparable, options)}:
        question = without_options(question)
    return replace(case, options=tuple(options), question=question)


def check_options(options: Sequence[str], where: str, task: Task) -> None:
    """UserError where the options cannot be told apart by their texts, or by letters where these are told."""
    if not 2 <= len(options) <= len(LETTERS):
        raise BadRow(
            "too few or too many options",
            f"{where} has {len(options)} options; task {task.name!r} (choice) needs 2 to {len(LETTERS)}: in "
            "the data, in the question as A. .. B. .., or as labels of the task",
        )
    seen: dict[str, str] = {}
    for option in options:
        key = comparable(option)
        if not key:
            raise BadRow("a blank option", f"{where}: option {shown(option)} is blank; expected a word")
        if key in seen:
            raise BadRow(
                "two equal options",
                f"{where}: options {shown(seen[key])} and {shown(option)} are read alike; correct one",
            )
        seen[key] = option
    if task.option_names == "letter" and (clash := clashing_option(tuple(options))) is not None:
        raise BadRow(
            "an option that is another's letter",
            f"{where}: option {shown(clash)} is also the letter of another option; set option_names: text",
        )


def right_option(truth: str | None, options: tuple[str, ...], where: str) -> str:
    """The option that the truth of the data names, by text or letter; UserError where it names none."""
    for option in options:
        if truth is not None and comparable(option) == comparable(truth):
            return option
    right = read_option(truth, options)[0] if truth else None
    if right is None:
        listed = "; ".join(f"{LETTERS[i]}. {option}" for i, option in enumerate(options))
        raise BadRow(
            "no option right",
            f"{where}: the answer {shown(truth)} is not among the options; they are {listed[:240]}",
        )
    return right


def shuffled(options: tuple[str, ...], case: str, seed: int | None) -> tuple[str, ...]:
    """The options in an order that the seed and the case's id alone decide, so that letters teach nothing.

    As they are without a seed, and where one of them speaks of others ("all of the above", "A and C").
    """
    if seed is None or any(map(_OF_OTHERS.search, options)):
        return options
    return tuple(sorted(options, key=lambda option: sha256(f"{seed}/{case}/{option}".encode()).digest()))
