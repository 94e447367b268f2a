"""What belongs together and lies in several splits: patients, and series whose names say so."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from vrft_aug.data.splits import source_scan
from vrft_aug.nouns import Case
from vrft_aug.preview.audit.audited import AuditedTask, Finding, plural
from vrft_aug.preview.audit.picture_facts import file_of

# What augmentation and copying add to a name, at its end
ALTERED = re.compile(
    r"(?:[\s_.-]*(?:aug(?:mented)?|h?v?flip(?:ped)?|mirror(?:ed)?|rot(?:ated?)?|crop(?:ped)?|bright(?:ness)?|"
    r"contrast|noise|noisy|blur(?:red)?|copy|kopie|copie|clahe)[\s_.-]*\d{0,4})+$",
    re.IGNORECASE,
)
NUMBERED = re.compile(r"\s*\(\d\)$")  # what a second download of a file is called
NUMBER_AT_END = re.compile(r"^(.*\d.*?)[\s_.-]+[a-z]{0,8}[\s_.-]?\d{1,5}$", re.IGNORECASE)
FEWEST_SERIES = 5  # that names have to make, or the number is no number of a series


def patients_across_splits(data: AuditedTask) -> Iterator[Finding]:
    """A patient with cases in several splits."""
    first: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for place, (case, split) in enumerate(zip(data.cases, data.splits, strict=True)):
        if case.patient:
            first[case.patient].setdefault(split, place)
    shared = [list(places.values()) for places in first.values() if len(places) > 1]
    if shared:
        examples = (
            data.example(f"one patient in {' and '.join(data.splits[case] for case in cases)}", *cases)
            for cases in shared
        )
        what = f"{plural(len(shared), 'patient')} with cases in two splits or more"
        yield data.finding("patients-across-splits", len(shared), what, examples)


def unknown_patients(data: AuditedTask) -> Iterator[Finding]:
    """Cases without a patient."""
    unknown = [place for place, case in enumerate(data.cases) if not case.patient]
    if unknown:
        what = f"{plural(len(unknown), 'case')} of {len(data.cases):,} without a patient id"
        yield data.finding("unknown-patients", len(unknown), what)


def series_across_splits(data: AuditedTask) -> Iterator[Finding]:
    """Frames of a series, or altered copies by their names, in several splits; where patients are unknown."""
    if any(case.patient for case in data.cases):
        return
    names = [_name(case) for case in data.cases]
    known = set(names)
    groups: defaultdict[str, list[int]] = defaultdict(list)
    series: defaultdict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        if not name:
            continue
        plain = ALTERED.sub("", source_scan(name)) or name
        downloaded = NUMBERED.sub("", plain)
        groups[downloaded if downloaded in known else plain].append(place)
        if match := NUMBER_AT_END.match(name):
            series[match[1]].append(place)
    found = _apart(data, groups)
    many = [members for members in series.values() if len(members) > 1]
    if len(many) >= FEWEST_SERIES and sum(map(len, many)) > len(names) / 3:
        found += [group for group in _apart(data, series) if group not in found]
    if found:
        examples = (
            data.example("one series in " + " and ".join(data.splits[case] for case in cases), *cases)
            for cases in found
        )
        what = f"{plural(len(found), 'series', 'series')} in two splits or more, by their names"
        yield data.finding("series-across-splits", len(found), what, examples)


def _apart(data: AuditedTask, groups: dict[str, list[int]]) -> list[list[int]]:
    """One case a split of each group that is in several, where its pictures are different files."""
    found = []
    for members in groups.values():
        first: dict[str, int] = {}
        for case in members:
            first.setdefault(data.splits[case], case)
        if len(first) > 1 and len({data.shown[case] for case in first.values()}) > 1:
            found.append(list(first.values()))
    return found


def _name(case: Case) -> str:
    """The name of the first picture's file without its suffix; "" where it is in no file of its own."""
    path = file_of(case.images[0]) if case.images else None
    return path.stem if path is not None else ""
