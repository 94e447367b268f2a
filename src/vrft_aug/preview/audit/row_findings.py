"""Rows that the reader could not use, by what is wrong with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from vrft_aug.preview.audit.audited import AuditedTask, Example, Finding, plural


def bad_rows(data: AuditedTask) -> Iterator[Finding]:
    """One finding for all, with an example of each of the commonest kinds."""
    if not data.faults:
        return
    kinds = Counter(fault.kind for fault in data.faults)
    first = {kind: next(fault.text for fault in data.faults if fault.kind == kind) for kind in kinds}
    told = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common())
    what = f"{plural(len(data.faults), 'row')} that cannot be used: {told}"
    examples = [Example(first[kind][:400]) for kind, _ in kinds.most_common()]
    yield data.finding("bad-rows", len(data.faults), what, examples)
