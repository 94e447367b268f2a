"""Whether a clause states a finding, denies it, or leaves it open: negation, doubt, history, comparison.

A rule-based reader in the line of NegEx and ConText (Chapman et al., J Biomed Inform 2001; Harkema et al.,
2009): triggers before or after a finding reach it as far as the clause or a turn in the list goes. Words that
no trigger reaches are taken as stated, hedges included, so that "perhaps" does not make a guess free.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

Polarity = Literal["present", "absent", "open"]

FINDING = "\ue000"  # private letters, which no token of a text holds: a finding, followed by its number
_BEFORE, _AFTER, _OPEN, _PAST, _LIKE = "\ue001", "\ue002", "\ue003", "\ue004", "\ue005"
_WHY = {
    _BEFORE: "denied before it",
    _AFTER: "denied after it",
    _OPEN: "left undecided",
    _PAST: "told of the past",
    _LIKE: "told of another case",
}
_SEEN = (
    r"(?:seen|present|visible|evident|found|observed|noted|identified|detected|apparent|there|shown|"
    r"demonstrated|appreciated|visuali[sz]ed|recogni[sz]ed|made out)"
)
_BE = r"(?:is|are|was|were|be|been|being|has|have|had|can|could|do|does|did|longer|appear|appears|to)"
_OBJECT = rf"(?:{FINDING}\d+|\w+)"
_NO_NEGATION = (
    r"not (?:only|just|merely|simply|necessarily)|(?:no|without) (?:a )?(?:doubt|question|change|"
    r"interval change|"
    r"increase in|decrease in|reduction in|improvement in|progression of)|"
    r"no (?:more|fewer|less|smaller|larger|greater) than|nothing (?:but|except)|not (?:un\w+|very|all)|"
    rf"(?:was|were) looked for and|no (?:other|further|additional) {_OBJECT}"
)
_UNDECIDED = (
    r"(?:can not|could not|not|never) (?:yet )?(?:be |been )?(?:ruled out|excluded|rule out|exclude)|"
    r"(?:to|must|should|please) (?:rule out|exclude)|rule out|"
    r"(?:(?:is|are|was|were) )?(?:few|little|hardly any|scarcely any) (?:or|to) (?:no|none)|"
    r"if (?:any|present|there)|(?:in )?case of|(?:look|check|search|assess|evaluate|screen|"
    r"watch)(?:ing|ed)? for|"
    r"would (?:be|show|have|suggest|need|require|expect|indicate|mean|speak)|would|should (?:show|"
    r"have|be)|if|whether|"
    r"not (?:sure|certain|clear|known) (?:if|whether)|unclear (?:if|whether)|risk of|in search of"
)
_HISTORY = (
    r"(?:past |known |prior |previous )?history of|h/o|previous(?:ly)?|prior|formerly|in the past|"
    r"status post|"
    r"(?:last|earlier|previous|prior) (?:year|month|week|visit|film|study|examination)"
)
_STILL = (
    r"(?:unchanged|persists?|persisting|persistent|remains?|stable|again|still|increased|grown|larger|"
    r"worse|now)"
)
_COMPARED = (
    r"unlike(?: in)?|in contrast (?:to|with)|as opposed to|compared (?:to|with)|in comparison (?:to|"
    r"with)|different from|"
    r"differs? from|typical (?:of|for)|characteristic of|known from|mimic(?:s|king)?|mistaken for|"
    r"confused with|"
    r"(?:not )?to be (?:told|distinguished) from"
)
_DENIED_AFTER = (
    rf"(?:{_BE} ){{0,3}}(?:not|never|no longer|nowhere) (?:{_BE} ){{0,3}}{_SEEN}|"
    rf"(?:{_BE} ){{0,3}}(?:absent|missing|lacking|ruled out|excluded|gone|resolved|disappeared|"
    rf"cleared|negative|"
    rf"nonexistent)|{_BE} not(?= ,| and|$)|free(?! of)(?! from)|(?<!or )none(?! {FINDING})|nil"
)
_DENIED_BEFORE = (
    rf"none(?= {FINDING})|"
    r"no (?:signs?|evidence|traces?|indication|suggestion|suspicion|features?) (?:of|for)|no longer(?: any)?|"
    r"(?:absence|lack|disappearance) of|(?:free|devoid|clear) (?:of|from)|"
    r"negative for|none of|neither|nor|no|not|never|without|lacks|lack|lacking|denies|denied|can not|"
    r"(?:fails?|failed|failing) to (?:show|reveal|demonstrate|display)|rather than|instead of|"
    r"in place of|non|zero"
)
_MARKS = [
    (re.compile(rf"(?<!\w)(?:{pattern})(?!\w)"), f" {mark} ")
    for pattern, mark in (
        (_NO_NEGATION, ""),
        (_UNDECIDED, _OPEN),
        (_COMPARED, _LIKE),
        (_HISTORY, _PAST),
        (_DENIED_AFTER, _AFTER),
        (_DENIED_BEFORE, _BEFORE),
    )
]
_TRIGGER = re.compile(
    r"\b(?:no|not|never|nor|none|nil|neither|without|lack|free|negative|absent|absence|missing|rul|"
    r"exclu|if|whether|"
    r"would|should|risk|case|look|check|search|assess|evaluat|screen|watch|few|little|hardly|"
    r"scarcely|unclear|history|"
    r"previous|prior|former|past|status|last|earlier|unlike|contrast|oppos|compar|differ|typical|"
    r"characteristic|known|"
    r"mimic|mistaken|confus|told|distinguish|gone|resolved|disappear|cleared|devoid|clear|deni|fail|"
    r"rather|instead|"
    r"place|non|zero|nowhere|nonexistent|nothing|lacking|lacks|can)"
)
_TURNS = "but however although though whereas while yet except besides"
_COLON_DENIED = re.compile(rf"({FINDING}\d+) : (?:none|no|absent|negative|nil|not {_SEEN})(?= [.,;\n)]|$)")
_COLON_OPEN = re.compile(rf"({FINDING}\d+) : (?:few|little) or (?:none|no)\b")
_CLAUSE = re.compile(rf"[.;:!?\n()]+|\b(?:{_TURNS.replace(' ', '|')}|other than|apart from)\b")
_TOKEN = re.compile(rf"{FINDING}\d+|[{_BEFORE}{_AFTER}{_OPEN}{_PAST}{_LIKE}]|\w+|,")
_RELATIVE = ("which", "that", "where", "whose", "who", "with", "and", "or")
_RESUMES = ("this", "these", "here", "it", "the", "we", "i")
_JOINS = frozenset({",", "and", "or", "plus"})
_QUANTITIES = frozenset(("a", "an", "the", "few", "some", "many", "several", "numerous", "multiple", "only"))
_QUANTITIES |= {"scattered", "there", "also", "always", "one", "two", "it", "i", "mild", "marked"}
_VERBS = frozenset(("is", "are", "was", "were", "has", "have", "shows", "show"))
_VERBS |= {"seen", "present", "visible", "noted", "found"}
_ENDS = _VERBS | {"with", _AFTER, _OPEN, _PAST, _LIKE}
_SIDES = {"left": "left", "right": "right", "bilateral": "both", "bilaterally": "both", "both": "both"}
_SIDES |= {"either": "both", "l": "left", "r": "right"}
_PLACES = (
    "in",
    "at",
    "on",
    "within",
    "near",
    "along",
    "beyond",
    "beside",
    "inside",
    "of",
    "over",
    "to",
    "around",
)


class Verdict(NamedTuple):
    """What a clause says of one finding."""

    polarity: Polarity
    why: str = ""  # "" where nothing but its being named speaks
    side: str | None = None  # left, right or both, where one is told
    placed: bool = False  # of a denial: only for a place that is named after it


_PRESENT = Verdict("present")
_NUMBERED = re.compile(rf"{FINDING}(\d+)")
_SIDED = re.compile(rf"\b(?:{'|'.join(_SIDES)})\b")


def verdicts(marked: str) -> Iterator[tuple[int, Verdict]]:
    """(number, verdict) of every finding in a text whose findings are written as FINDING and their number.

    Words are in lower case with single spaces; marks of punctuation stand alone.
    """
    marked = _COLON_DENIED.sub(rf"\1 {_AFTER} .", marked)
    marked = _COLON_OPEN.sub(rf"\1 {_OPEN} .", marked)
    for clause in _CLAUSE.split(marked):
        if FINDING in clause:
            yield from _read_clause(clause)


def _read_clause(clause: str) -> Iterator[tuple[int, Verdict]]:
    triggered = _AFTER in clause or _OPEN in clause or _TRIGGER.search(clause) is not None
    if not triggered and _SIDED.search(clause) is None:  # of most clauses
        yield from ((int(number), _PRESENT) for number in _NUMBERED.findall(clause))
        return
    clause = " ".join(clause.split())
    still = triggered and re.search(rf"\b{_STILL}\b", clause) is not None
    if triggered:
        for pattern, mark in _MARKS:
            clause = pattern.sub(mark, clause)
    tokens = _TOKEN.findall(clause)
    found = {place: Verdict("present") for place, token in enumerate(tokens) if token[0] == FINDING}
    if triggered:
        _follow_triggers(tokens, found, still)
    sides = _sides(tokens)
    for place, verdict in found.items():
        placed = verdict.polarity == "absent" and any(
            token in _PLACES for token in tokens[place + 1 : place + 3]
        )
        yield int(tokens[place][1:]), Verdict(verdict.polarity, verdict.why, sides.get(place), placed)


def _follow_triggers(tokens: list[str], found: dict[int, Verdict], still: bool) -> None:
    """Change the verdicts of what the triggers of a clause reach; the first word on a finding stands."""

    def settle(places: Iterable[int], polarity: Polarity, mark: str) -> None:
        for place in places:
            if found[place].polarity != "open":
                found[place] = Verdict(polarity, _WHY[mark])

    for place, token in enumerate(tokens):
        if token == _BEFORE or (token == _AFTER and not any(at < place for at in found)):
            settle(_forward(tokens, place), "absent", token)
        elif token == _AFTER:
            settle(_backward(tokens, place), "absent", token)
        elif token == _OPEN:
            settle(_forward(tokens, place) or _backward(tokens, place), "open", token)
        elif token == _LIKE:
            settle(_segment(tokens, place), "open", token)
        elif token == _PAST and not still:
            settle(_forward(tokens, place, reach=5), "open", token)


def _forward(tokens: list[str], start: int, reach: int = 1000) -> list[int]:
    """Places of the findings that a trigger before them reaches; two triggers in a row undo each other."""
    if tokens[start : start + 2] == [_BEFORE, _BEFORE]:  # "no absence of", "not without"
        tokens[start] = tokens[start + 1] = "and"
        return []
    reached: list[int] = []
    for place in range(start + 1, min(len(tokens), start + reach)):
        token, after = tokens[place], tokens[place + 1] if place + 1 < len(tokens) else ""
        if token[0] == FINDING:
            if reached and after in ("only", "alone"):
                break
            reached.append(place)
        elif token == _BEFORE or _ends_a_list(token, after) or (reached and token in _ENDS):
            break
    return reached


def _ends_a_list(token: str, after: str) -> bool:
    """Whether what comes next is no longer of a list that is denied: ", some", "and a few", ", this"."""
    return (token in _JOINS and after in _QUANTITIES) or (token == "," and after in _RESUMES)


def _backward(tokens: list[str], start: int) -> list[int]:
    """Places of the findings that a trigger after them reaches: the last one, and the list that it ends."""
    reached: list[int] = []
    listed = False
    for place in range(start - 1, -1, -1):
        token = tokens[place]
        if token[0] == FINDING:
            reached.append(place)
        elif token in ("and", "or", _BEFORE):
            listed = True
        elif token in _VERBS or token in (_AFTER, _OPEN) or (token == "," and reached and not listed):
            break
    return reached


def _segment(tokens: list[str], start: int) -> list[int]:
    """Places of the findings from a comparison to the comma that ends it, relative clauses taken along."""
    reached: list[int] = []
    for place in range(start + 1, len(tokens)):
        token, after = tokens[place], tokens[place + 1] if place + 1 < len(tokens) else ""
        if token[0] == FINDING:
            reached.append(place)
        elif token == "," and (after in _RESUMES or after not in _RELATIVE):
            break
    return reached


def _sides(tokens: list[str]) -> dict[int, str]:
    """The side of each finding: that of its part between commas, else of the whole clause."""
    if not any(token in _SIDES for token in tokens):
        return {}
    parts: list[list[int]] = [[]]
    for place, token in enumerate(tokens):
        if token == ",":
            parts.append([])
        else:
            parts[-1].append(place)
    whole = {_SIDES[token] for token in tokens if token in _SIDES}
    sides = {}
    for part in parts:
        told = {_SIDES[tokens[place]] for place in part if tokens[place] in _SIDES} or whole
        for place in part:
            if tokens[place][0] == FINDING and len(told) == 1:
                sides[place] = next(iter(told))
    return sides
