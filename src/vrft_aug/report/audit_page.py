"""The page of an audit: counts, findings with pictures of their examples; one HTML file, nothing loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vrft_aug.errors import UserError
from vrft_aug.files import write_text
from vrft_aug.nouns import Case
from vrft_aug.page_templates import page_templates
from vrft_aug.preview.audit.audit_lines import seen_text, spread_text, summary
from vrft_aug.preview.audit.audited import Example, Finding
from vrft_aug.preview.audit.saved_audit import Audit
from vrft_aug.report.pictures import thumbnail

SIDE = 240  # pixels of the longer side of a thumbnail
AUCS = 8  # nuisances of a task that are shown, the highest first


@dataclass(frozen=True)
class ShownPicture:
    """A thumbnail as a `data:` address, or why there is none."""

    case: str
    data: str
    why: str = ""


@dataclass(frozen=True)
class ShownExample:
    """An example with its pictures."""

    example: Example
    pictures: tuple[ShownPicture, ...]


def write_audit_page(audit: Audit, cases: Mapping[str, Case], path: Path) -> None:
    """Write the page; pictures come from `cases` by id, and the page goes without what cannot be opened."""
    shown = [(finding, _examples(finding, cases)) for finding in audit.findings]
    page = page_templates("report").get_template("audit.html")
    context = {
        "title": audit.name,
        "kicker": "VRFT-Aug audit of data",
        "audit": audit,
        "summary": summary(audit),
        "shown": shown,
        "levels": {level: len(audit.of_level(level)) for level in ("wrong", "warning", "note")},
        "seen_text": seen_text,
        "spread_text": spread_text,
        "most_aucs": AUCS,
    }
    write_text(path, page.render(context))


def _examples(finding: Finding, cases: Mapping[str, Case]) -> Sequence[ShownExample]:
    return [
        ShownExample(
            one, tuple(_picture(id, cases, one if place == 0 else None) for place, id in enumerate(one.cases))
        )
        for one in finding.examples
    ]


def _picture(id: str, cases: Mapping[str, Case], boxed: Example | None) -> ShownPicture:
    case = cases.get(id)
    if case is None or not case.images:
        return ShownPicture(id, "", "no picture")
    try:
        boxes = boxed.boxes if boxed is not None else ()
        return ShownPicture(id, thumbnail(case.images[0], true=boxes, side=SIDE))
    except UserError as error:
        return ShownPicture(id, "", str(error))
