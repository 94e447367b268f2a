"""Pictures that cannot be opened, show nothing, or are of another kind than the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from vrft_aug.preview.audit.audited import AuditedTask, Finding, plural
from vrft_aug.preview.audit.picture_facts import PictureFacts

BLANK = 2  # grey values that a blank picture spans at most
NEARLY = 6.0  # standard deviation below which a picture is nearly constant
LETTERS = 4  # marks in rows from which a picture is said to hold text


def unusable(data: AuditedTask) -> Iterator[Finding]:
    """Unreadable, blank and nearly constant pictures."""
    for name, chosen, what in (
        ("unreadable", lambda one: one.error is not None, "that cannot be opened"),
        ("blank", lambda one: one.error is None and one.span <= BLANK, "of one colour"),
        (
            "near-constant",
            lambda one: one.error is None and one.span > BLANK and one.spread < NEARLY,
            "nearly of one colour",
        ),
    ):
        if found := _cases(data, chosen):
            examples = (data.example(_described(facts), case) for case, facts in found)
            yield data.finding(name, len(found), f"{plural(len(found), 'picture')} {what}", examples)


def mixed_kinds(data: AuditedTask) -> Iterator[Finding]:
    """Pictures whose format, colour mode or depth is not that of most."""
    known = [(case, facts) for case, facts in first_facts(data) if facts.format]
    kinds = Counter(kind_of(facts) for _, facts in known)
    if len(kinds) < 2:
        return
    common = kinds.most_common(1)[0][0]
    others = [(case, facts) for case, facts in known if kind_of(facts) != common]
    examples = []
    for kind, count in kinds.most_common()[1:]:
        case = next(case for case, facts in others if kind_of(facts) == kind)
        examples.append(data.example(f"{plural(count, 'picture')} of {kind}", case))
    what = f"{plural(len(others), 'picture')} of {len(known):,} not of {common}, as the others are"
    yield data.finding("mixed-kinds", len(others), what, examples)


def burned_text(data: AuditedTask) -> Iterator[Finding]:
    """Pictures that seem to hold letters."""
    found = _cases(data, lambda one: one.letters >= LETTERS)
    if found:
        found.sort(key=lambda one: -one[1].letters)
        examples = (data.example(f"{facts.letters} marks in rows", case) for case, facts in found)
        what = f"{plural(len(found), 'picture')} with what may be letters burned in (a guess)"
        yield data.finding("burned-in-text", len(found), what, examples)


def first_facts(data: AuditedTask) -> Iterator[tuple[int, PictureFacts]]:
    """(case, facts) of every picture of the task, each once."""
    seen: set[int] = set()
    for case, places in enumerate(data.shown):
        for place in places:
            if place not in seen:
                seen.add(place)
                yield case, data.pictures.facts[place]


def kind_of(facts: PictureFacts) -> str:
    """Format, mode and depth in words."""
    return f"{facts.format} {facts.mode}, {facts.bits} bits"


def _cases(data: AuditedTask, chosen: Callable[[PictureFacts], bool]) -> list[tuple[int, PictureFacts]]:
    return [(case, facts) for case, facts in first_facts(data) if chosen(facts)]


def _described(facts: PictureFacts) -> str:
    if facts.error is not None:
        return facts.error[:300]
    return f"{facts.size[0]} x {facts.size[1]} pixels, grey {facts.mean:.0f} ± {facts.spread:.1f}"
