"""A look in words: for the terminal, and in plain sentences."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from vrft_aug.evaluation.look.look_report import FIGURES, VIEW_TITLES, Look
from vrft_aug.evaluation.meanings import MEANINGS

FEW_READ = 0.5  # of the answers: with fewer the figures say little
SAME = 0.9  # of the answers with another case's picture
UNSEEN = 0.5  # of the claims


def look_table(look: Look) -> Table:
    """A row a view: its scores, what stays of answers and claims, and how many cases have it."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("Picture", no_wrap=True)
    for title in (*(MEANINGS[name].title for name in look.scores), "Same answer", "Same claims", "n"):
        table.add_column(title.replace(" ", "\n"), justify="right", no_wrap=True)
    for view, of in look.views.items():
        shown = [*(of.scores[name] for name in look.scores), of.unchanged, of.claims_kept]
        cells = ["" if one is None else f"{one.value_text}\n{one.interval_text}" for one in shown]
        table.add_row(Text(VIEW_TITLES[view]), *map(Text, cells), Text(str(of.n)))
    return table


def figures_table(look: Look) -> Table:
    """A line a figure, with its interval, n, and what it is."""
    table = Table(box=None, pad_edge=False)
    for title in ("Figure", "Value [95 %]", "n", "What it is"):
        table.add_column(title, justify="right" if title in ("Value [95 %]", "n") else "left")
    for name, metric in look.figures.items():
        table.add_row(FIGURES[name].title, Text(str(metric)), str(metric.n), Text(figure_note(look, name)))
    return table


def figure_note(look: Look, name: str) -> str:
    """What a figure is, with the score that it is counted in."""
    return FIGURES[name].note.format(score=_score(look))


def how_asked(look: Look) -> str:
    """How the figures came about, in one sentence."""
    return (
        f"Greedy answers to split {look.split}; in brackets 95 % bootstrap intervals over {look.units} "
        f"({look.bootstrap} draws, seed {look.seed}), differences paired by case."
    )


def sentences(look: Look) -> list[str]:
    """What the figures come to, each in a plain sentence."""
    read = look.views["true"].answered
    if read.value is not None and read.value < FEW_READ:
        return [f"Only {read.value:.0%} of the answers can be read, so the figures say little about looking."]
    return [*_pictures(look), *_swapped(look), *_lesions(look), *_claims(look)]


def _pictures(look: Look) -> list[str]:
    gain = look.figures.get("image_reliance")
    if gain is None or gain.value is None:
        return []
    name, score = look.scores[0], _score(look)
    true, blank = (look.views[view].scores[name].value_text for view in ("true", "blank"))
    if gain.low is not None and gain.low > 0:
        return [f"The pictures help: {score} is {true} with them and {blank} with blank ones ({gain})."]
    return [
        f"The pictures have not been shown to help: {score} is {true} with them and {blank} with blank ones "
        f"({gain}), as far as {gain.n} cases can tell."
    ]


def _swapped(look: Look) -> list[str]:
    kept = look.views["another"].unchanged if "another" in look.views else None
    if kept is None or kept.value is None or kept.value < SAME:
        return []
    return [f"{kept.value:.0%} of the answers stay the same with the picture of a case of another label."]


def _lesions(look: Look) -> list[str]:
    gain = look.figures.get("lesion_reliance")
    if gain is None or gain.value is None:
        return []
    if gain.low is not None and gain.low > 0:
        return [f"The lesions matter: masking them costs {gain} more than masking as much elsewhere."]
    return [
        f"Masking the lesions has not been shown to cost more than masking as much elsewhere ({gain}), as "
        f"far as {gain.n} cases can tell: the answers need not rest on them."
    ]


def _claims(look: Look) -> list[str]:
    unseen = look.figures.get("claims_unseen")
    if unseen is None or unseen.value is None or unseen.value < UNSEEN:
        return []
    return [f"{unseen.value:.0%} of what the reasoning claims of the picture it claims of a blank one too."]


def _score(look: Look) -> str:
    title = MEANINGS[look.scores[0]].title
    return title if title[1:2].isupper() else title[0].lower() + title[1:]
