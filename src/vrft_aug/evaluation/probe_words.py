"""What a probe means, in words and a table: something to work with, SFT first, too easy, never found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from vrft_aug.evaluation.metrics.votes import powers_of_two
from vrft_aug.evaluation.probe import ProbedTask

UNREAD = 0.5  # of the completions without a readable answer: the form comes first
EASY = 0.9  # of single completions right
SOME = 0.2  # of the groups with some right and some wrong, from which on there is something to learn from
FEW = 5  # cases of a class below which nothing is said of it
TITLES = {
    "never": "none right",
    "mixed": "some right",
    "always": "all right",
}


def verdicts(found: ProbedTask) -> list[str]:
    """Plain sentences on a task, the verdict first; the thresholds are our judgement."""
    return [_verdict(found), *_flat(found), *_never_found(found), *_blindly(found)]


def _verdict(found: ProbedTask) -> str:
    once, best = _value(found, "pass_at_1"), _value(found, f"pass_at_{found.samples}")
    mixed, never, answered = (_value(found, name) for name in ("mixed", "never", "answered"))
    interval = found.figures["pass_at_1", ""].interval_text
    told = (
        f"{once:.0%} {interval} of single answers are right, {best:.0%} of the cases are answered right at "
        f"least once in {found.samples}"
    )
    if 1 - answered >= UNREAD:
        reasons = Counter(reason for one in found.cases for reason in one.failures)
        return (
            f"SFT first: {1 - answered:.0%} of the completions have no readable answer, mostly "
            f"{reasons.most_common(1)[0][0]}; a short SFT stage, or more max_new_tokens, comes "
            "before rewards."
        )
    if once >= EASY:
        return f"Too easy: {told}. Only {mixed:.0%} of the groups teach anything; take harder cases."
    if mixed >= SOME:
        return (
            f"RL has something to work with: {told}; in {mixed:.0%} of the groups some are right, some not."
        )
    if never >= 0.5:
        return (
            f"SFT first: {told}; in {never:.0%} of the groups none is right, and what is never right is not "
            "learned from rewards."
        )
    return (
        f"Little to work with: {told}; only in {mixed:.0%} of the groups some are right and some not. A "
        "higher trainer.temperature or more generations may show more; a curriculum that drops always and "
        "never saves the rest."
    )


def _flat(found: ProbedTask) -> list[str]:
    flat = found.figures.get(("flat", ""))
    if flat is None or flat.value is None:
        return []
    return [
        f"Under the rewards of {found.stage} all completions earn the same in {flat.value:.0%} of the groups."
    ]


def _never_found(found: ProbedTask) -> list[str]:
    said = []
    for (name, label), metric in found.figures.items():
        if name == "never" and label and metric.value == 1 and metric.n >= FEW:
            said.append(
                f"{label!r} is never found: none of {metric.n * found.samples} completions for its "
                f"{metric.n} cases is right. Rewards cannot teach it so; show it (SFT, demonstrations, "
                "knowledge in the prompt)."
            )
    return said


def _blindly(found: ProbedTask) -> list[str]:
    """Sampling often finds any of few labels by luck: pass@k alone would call that skill."""
    once, blind = found.figures.get(("pass_at_1", "")), found.figures.get(("blind", ""))
    if (
        once is None
        or blind is None
        or once.low is None
        or blind.value is None
        or once.low > blind.value + 1e-9
    ):
        return []
    return [
        f"Single answers ({once}) are not shown to be right more often than the same answers dealt out "
        f"without looking ({blind.value_text}): pass@{found.samples} is mostly luck here, and RL may find "
        "little but a constant answer."
    ]


def summary_line(found: ProbedTask) -> str:
    """What was asked."""
    asked = f"{len(found.cases):,}" + (f" of {found.of:,}" if found.of > len(found.cases) else "")
    return f"{found.task} (as {found.stage} asks it): {asked} training cases, {found.samples} answers each"


def probe_table(found: ProbedTask) -> Table:
    """A line for all cases and one for every class; 80 columns hold it."""
    names = [*(f"pass_at_{k}" for k in powers_of_two(found.samples)), "never", "mixed", "always"]
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True, max_width=28)
    for name in names:
        table.add_column(Text(_title(name)), justify="right")
    table.add_column("n", justify="right")
    for label in _labels(found):
        cells = [found.figures[name, label] for name in names]
        table.add_row(Text(label or "all"), *(cell.value_text for cell in cells), str(cells[0].n))
    return table


def _labels(found: ProbedTask) -> Sequence[str]:
    return list(dict.fromkeys(label for _, label in found.figures))


def _title(name: str) -> str:
    return TITLES.get(name) or f"pass@{name.removeprefix('pass_at_')}"


def _value(found: ProbedTask, name: str) -> float:
    metric = found.figures[name, ""]
    return metric.value if metric.value is not None else 0.0
