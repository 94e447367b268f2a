"""An audit as it is kept: the counts, the findings, what the model sees; and the JSON file of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from vrft_aug.errors import UserError, first_fault
from vrft_aug.files import write_text
from vrft_aug.preview.audit.audited import Finding
from vrft_aug.preview.audit.model_sizes import Seen
from vrft_aug.preview.audit.shortcuts import NuisanceAuc


@dataclass(frozen=True)
class SplitCount:
    """A split of a task in numbers."""

    split: str
    cases: int
    patients: int  # 0: none is known
    labels: dict[str, int]  # label -> cases; of boxes: pictures with one


@dataclass(frozen=True)
class TaskAudit:
    """A task in numbers."""

    name: str
    kind: str
    splits: tuple[SplitCount, ...]
    pictures: int
    kinds: dict[str, int]  # format, mode and depth -> pictures that are files
    seen: Seen | None
    shortcuts: tuple[NuisanceAuc, ...]
    notes: tuple[str, ...]  # what the reader says


@dataclass(frozen=True)
class Audit:
    """The whole audit; findings of level wrong first, accepted ones last."""

    name: str
    tasks: tuple[TaskAudit, ...]
    findings: tuple[Finding, ...]
    pictures: int  # that were opened, each once

    def of_level(self, level: str) -> list[Finding]:
        """The findings of a level that the recipe does not accept."""
        return [one for one in self.findings if one.level == level and not one.accepted]


def save_audit(audit: Audit, path: Path) -> None:
    """Write the JSON file."""
    write_text(path, audit_json(audit))


def audit_json(audit: Audit) -> str:
    """The audit as JSON, indented; no picture is in it, ids of cases are."""
    return json.dumps(asdict(audit), indent=1, ensure_ascii=False) + "\n"


def load_audit(path: Path) -> Audit:
    """Read what `save_audit` wrote; UserError for anything else."""
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; expected the JSON of an audit") from None
    except ValidationError as error:
        raise UserError(
            f"{path} is no audit: {first_fault(error, 'the whole file')}; expected a file that "
            "vrft data RECIPE --json FILE wrote"
        ) from None


_ADAPTER = TypeAdapter(Audit)
