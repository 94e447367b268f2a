"""The same picture more than once: as it is or altered, within a split, across splits, across tasks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

from vrft_aug.data.finding_kinds import FINDING_KINDS
from vrft_aug.preview.audit.audited import AuditedTask, Example, Finding, plural
from vrft_aug.preview.audit.near_search import NearPair


def copies(data: AuditedTask) -> Iterator[Finding]:
    """Pictures of equal pixels under several names within one split."""
    groups = []
    for content, places in data.pictures.places.items():
        if len(places) < 2 or content not in data.cases_of:
            continue
        by_split: defaultdict[str, dict[int, int]] = defaultdict(dict)
        for case in data.cases_of[content]:
            for place in data.shown[case]:
                if place in places:
                    by_split[data.splits[case]].setdefault(place, case)
        groups += [list(cases.values()) for cases in by_split.values() if len(cases) > 1]
    if groups:
        extra = sum(len(group) - 1 for group in groups)
        what = f"{plural(len(groups), 'group')} of equal pictures within a split, {extra:,} too many"
        yield data.finding("copies", len(groups), what, (_together(data, group) for group in groups))


def copies_across_splits(data: AuditedTask) -> Iterator[Finding]:
    """Pictures of equal pixels, or the same file, in several splits."""
    groups = [cases for cases in data.cases_of.values() if len({data.splits[case] for case in cases}) > 1]
    if groups:
        concerned = len({case for group in groups for case in group})
        what = f"{plural(len(groups), 'picture')} in two splits or more ({plural(concerned, 'case')})"
        examples = (_together(data, _one_a_split(data, group)) for group in groups)
        yield data.finding("copies-across-splits", len(groups), what, examples)


def altered_copies(data: AuditedTask) -> Iterator[Finding]:
    """Pictures that are made of another one: compressed, resized, brightened, mirrored, turned, cropped."""
    within, across, alike = [], [], []
    for pair, firsts, seconds in _near_cases(data):
        apart = [(a, b) for a in firsts for b in seconds if data.splits[a] != data.splits[b]]
        if apart and pair.copy:
            across.append((pair, *apart[0]))
        elif apart:
            alike.append((pair, *apart[0]))
        elif pair.copy:
            within.append((pair, firsts[0], seconds[0]))
    for name, found, what in (
        ("altered-copies-across-splits", across, "{} of a picture and an altered copy in two splits"),
        (
            "look-alikes-across-splits",
            alike,
            "{} of pictures that look alike in two splits, perhaps of one scan",
        ),
        ("altered-copies", within, "{} of a picture and an altered copy in one split"),
    ):
        if found:
            found.sort(key=lambda one: -one[0].likeness)
            examples = (_pair(data, *one) for one in _spread(found))
            yield data.finding(name, len(found), what.format(plural(len(found), "pair")), examples)


def copies_across_tasks(tasks: Sequence[AuditedTask]) -> Iterator[Finding]:
    """Pictures that are in one split of a task and in another split of another task."""
    for one, other in combinations(tasks, 2):
        apart = []
        for content, mine in one.cases_of.items():
            theirs = other.cases_of.get(content, ())
            splits = {one.splits[case] for case in mine} | {other.splits[case] for case in theirs}
            own = ({one.splits[case] for case in mine}, {other.splits[case] for case in theirs})
            if theirs and len(splits) > 1 and max(map(len, own)) == 1:
                apart.append((mine[0], theirs[0]))
        if apart:
            name = "copies-across-tasks"
            kind = FINDING_KINDS[name]
            what = (
                f"{plural(len(apart), 'picture')} in one split of task {one.task.name!r} and in another "
                f"of task {other.task.name!r}"
            )
            examples = tuple(
                Example(
                    f"{one.splits[a]} of {one.task.name}, {other.splits[b]} of {other.task.name}",
                    (one.cases[a].id, other.cases[b].id),
                )
                for a, b in apart[:3]
            )
            accepted = name in one.accept and name in other.accept
            task = f"{one.task.name}, {other.task.name}"
            yield Finding(name, kind.level, task, len(apart), what, kind.advice, examples, accepted)


def _near_cases(data: AuditedTask) -> Iterator[tuple[NearPair, list[int], list[int]]]:
    """Near pairs with the cases that show the one and the other."""
    for pair in data.pictures.near:
        first, second = (data.cases_of.get(data.pictures.content(at), []) for at in (pair.first, pair.second))
        if first and second:
            yield pair, first, second


def near_cases(data: AuditedTask) -> Iterator[tuple[NearPair, list[int], list[int]]]:
    """The same of those that are copies, for others to ask of their labels and groups."""
    return (found for found in _near_cases(data) if found[0].copy)


def _one_a_split(data: AuditedTask, group: Iterable[int]) -> list[int]:
    first: dict[str, int] = {}
    for case in group:
        first.setdefault(data.splits[case], case)
    return list(first.values())


def _together(data: AuditedTask, cases: Sequence[int]) -> Example:
    bytewise = len({data.pictures.facts[data.shown[case][0]].file_hash for case in cases}) == 1
    how = "equal files" if bytewise else "equal pixels"
    return data.example(f"{how}, in {' and '.join(data.splits[case] for case in cases[:4])}", *cases[:4])


def _pair(data: AuditedTask, pair: NearPair, first: int, second: int) -> Example:
    same = "the same but for size, compression or brightness" if pair.copy else "alike"
    how = pair.how or same
    places = f"{data.splits[first]} and {data.splits[second]}"
    return data.example(f"{places}: {how}; likeness {pair.likeness:.2f}", first, second)


def _spread(found: list[tuple[NearPair, int, int]]) -> Iterator[tuple[NearPair, int, int]]:
    """The likest, the one in the middle and the least alike, so that the examples show the whole range."""
    for place in dict.fromkeys((0, len(found) // 2, len(found) - 1)):
        yield found[place]
