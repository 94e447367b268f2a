"""Labels that contradict each other, and how labels and splits are spread."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator

from vrft_aug.data.splits import SPLITS
from vrft_aug.preview.audit.audited import AuditedTask, Finding, plural, truth, truth_text
from vrft_aug.preview.audit.duplicate_findings import near_cases

RARE = 10  # training cases of a label below which it is rare
LOPSIDED = 20  # times the rarest label that the commonest is
UNEVEN = 0.15  # of its share in train that a label's share in another split may be away


def contradicting_labels(data: AuditedTask) -> Iterator[Finding]:
    """The same pictures, and the same question, with several truths; of free texts both may be right."""
    said: defaultdict[Hashable, dict[Hashable, int]] = defaultdict(dict)
    for place, case in enumerate(data.cases):
        contents = tuple(data.pictures.content(at) for at in data.shown[place])
        again = all(len(data.cases_of.get(one, ())) > 1 for one in contents)  # else nobody contradicts it
        if again and (value := truth(case)) is not None:
            said[contents, case.question, frozenset(case.options)].setdefault(value, place)
    apart = [list(values.values()) for values in said.values() if len(values) > 1]
    if apart:
        examples = (
            data.example(" or ".join(truth_text(data.cases[case]) for case in cases[:4]), *cases[:4])
            for cases in apart
        )
        if data.task.kind == "answer":
            what = f"{plural(len(apart), 'question')} about a picture with several answers"
            yield data.finding("contradicting-answers", len(apart), what, examples)
        else:
            what = f"{plural(len(apart), 'picture')} with labels that contradict each other"
            yield data.finding("contradicting-labels", len(apart), what, examples)


def copies_that_disagree(data: AuditedTask) -> Iterator[Finding]:
    """A picture and an altered copy of it with other truths."""
    apart = []
    for pair, firsts, seconds in near_cases(data):
        a, b = data.cases[firsts[0]], data.cases[seconds[0]]
        if (a.question, set(a.options)) == (b.question, set(b.options)) and None not in (truth(a), truth(b)):
            apart += [(pair, firsts[0], seconds[0])] if truth(a) != truth(b) else []
    if apart:
        apart.sort(key=lambda one: -one[0].likeness)
        examples = (
            data.example(
                f"{truth_text(data.cases[a])} or {truth_text(data.cases[b])}; likeness {pair.likeness:.2f}",
                a,
                b,
            )
            for pair, a, b in apart
        )
        what = f"{plural(len(apart), 'pair')} of a picture and an altered copy with different labels"
        yield data.finding("copies-disagree", len(apart), what, examples)


def spread_of_labels(data: AuditedTask) -> Iterator[Finding]:
    """Labels that are absent from a split, rare in training, lopsided, or dealt unevenly."""
    counts = label_counts(data)
    train = counts.get("train", {})
    rarest = min((n for n in train.values() if n), default=0)
    absent = [(s, label) for s, of in counts.items() for label, n in of.items() if n == 0]
    if absent:
        examples = (data.example(f"no {label} in {split}") for split, label in absent)
        what = f"{plural(len(absent), 'label')} without a case in a split"
        yield data.finding("label-absent", len(absent), what, examples)
    rare = {label: n for label, n in train.items() if 0 < n < RARE}
    if rare:
        examples = (data.example(f"{label}: {plural(n, 'case')} in train") for label, n in rare.items())
        what = f"{plural(len(rare), 'label')} with fewer than {RARE} training cases"
        yield data.finding("rare-label", len(rare), what, examples)
    if rarest and max(train.values()) > LOPSIDED * rarest:
        common, few = max(train, key=train.__getitem__), min((n, k) for k, n in train.items() if n)[1]
        ratio = max(train.values()) / rarest
        what = f"in train {common} is {ratio:.0f} times as frequent as {few}"
        yield data.finding("imbalance", round(ratio), what)
    yield from _uneven(data, counts)


def _uneven(data: AuditedTask, counts: dict[str, dict[str, int]]) -> Iterator[Finding]:
    cases = Counter(data.splits)
    train = counts.get("train", {})
    apart = []
    for split, of in counts.items():
        for label, n in of.items():
            mine, theirs = n / cases[split], train.get(label, 0) / max(1, cases["train"])
            noise = 2 * (theirs * (1 - theirs) / cases[split]) ** 0.5 if 0 <= theirs <= 1 else 0.0
            if split != "train" and train and abs(mine - theirs) > max(UNEVEN, noise):
                apart.append((abs(mine - theirs), f"{label}: {theirs:.0%} of train, {mine:.0%} of {split}"))
    if apart:
        apart.sort(reverse=True)
        what = f"{plural(len(apart), 'label')} dealt unevenly over the splits"
        yield data.finding("uneven-splits", len(apart), what, (data.example(text) for _, text in apart))


def label_counts(data: AuditedTask) -> dict[str, dict[str, int]]:
    """Split -> label of the task -> cases that have it (of boxes: pictures with one); {} for texts."""
    if data.task.kind in ("choice", "answer"):
        return {}
    counted: dict[str, Counter[str]] = {split: Counter() for split in SPLITS if split in set(data.splits)}
    for case, split in zip(data.cases, data.splits, strict=True):
        counted[split].update(labels_of(case.target, data.task.kind))
    return {split: {label: of[label] for label in data.task.labels} for split, of in counted.items()}


def labels_of(target: object, kind: str) -> set[str]:
    """The labels of the task that are true of a case."""
    if kind == "localise":
        return {str(box.label) for box in getattr(target, "boxes", None) or ()}
    if kind == "multilabel":
        return set(getattr(target, "labels", None) or ())
    label = getattr(target, "label", None)
    return {label} if label is not None else set()
