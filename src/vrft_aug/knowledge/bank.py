"""The knowledge bank on disk: per class a definition, visual attributes and findings, in one YAML file."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from vrft_aug.errors import UserError, nearest
from vrft_aug.files import write_text
from vrft_aug.knowledge.bank_schema import OLD_KEYS, Attribute, ClassKnowledge, Difference, KnowledgeBank
from vrft_aug.knowledge.inject import injected_text
from vrft_aug.recipe.file import parse_yaml
from vrft_aug.recipe.validation import explain

__all__ = [
    "SHIPPED",
    "Attribute",
    "ClassKnowledge",
    "Difference",
    "KnowledgeBank",
    "bank_path",
    "bank_text",
    "bank_title",
    "injected_text",
    "load_bank",
    "old_keys",
    "parse_bank",
    "read_bank_file",
    "save_bank",
    "shipped_banks",
]
SHIPPED = Path(__file__).parent / "banks"


def shipped_banks() -> list[str]:
    """The names of the banks that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def bank_path(name: str) -> Path:
    """Where a bank lies: a shipped one by its name, or one of the user's by its YAML file.

    Raises UserError where there is none.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else SHIPPED / f"{name}.yaml"
    if not path.is_file():
        hint = nearest(name, shipped_banks())
        raise UserError(
            f"knowledge bank {name!r} not found at {path}{hint}; expected a YAML file or a shipped bank: "
            f"{', '.join(shipped_banks())}"
        )
    return path


def bank_title(name: str) -> str:
    """What a message calls a bank: a shipped one by its name, another by its file."""
    return f"knowledge bank {name if name.endswith(('.yaml', '.yml')) else repr(name)}"


def load_bank(name: str) -> KnowledgeBank:
    """A shipped bank by its name, or one of the user's by its YAML file.

    A bank of version 0.1.0 is read with a line of warning: `present` as `typical`, `absent` as `unlikely`.
    Raises UserError where there is none, or where it is not a bank.
    """
    path = bank_path(name)
    found = path.stat()
    return _load(path, found.st_mtime_ns, found.st_size)


@lru_cache(
    maxsize=64
)  # by its time and size: the same bank is asked for by the task, the prompts and the reports
def _load(path: Path, _changed: int, _size: int) -> KnowledgeBank:
    content = read_bank_file(path)
    if labels := old_keys(content):
        shown = ", ".join(labels[:3]) + (f" and {len(labels) - 3} more" if len(labels) > 3 else "")
        print(
            f"warning: {path} is of version 0.1.0 (present, absent in {shown}), read as typical, "
            f"unlikely; `vrft knowledge upgrade {path}` rewrites it",
            file=sys.stderr,
        )
    return parse_bank(path, content)


def parse_bank(path: Path, content: Any) -> KnowledgeBank:
    """The bank that a file's YAML holds; UserError, naming file and key, where it holds none."""
    try:
        return KnowledgeBank.model_validate(content)
    except ValidationError as error:
        raise UserError(
            f"{path}: {explain(error, content, KnowledgeBank)}; expected a knowledge bank, see "
            "`vrft knowledge show idrid`"
        ) from None


def read_bank_file(path: Path) -> Any:
    """What the YAML of a bank holds, unchecked; UserError where it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"knowledge bank {path} cannot be read as UTF-8 text: {error}") from None
    return parse_yaml(text, f"knowledge bank {path}")


def old_keys(content: Any) -> list[str]:
    """The classes of a bank as read from YAML that still have the lists of version 0.1.0."""
    classes = content.get("classes") if isinstance(content, dict) else None
    if not isinstance(classes, dict):
        return []
    return [
        str(label)
        for label, known in classes.items()
        if isinstance(known, dict) and OLD_KEYS.keys() & known.keys()
    ]


def bank_text(bank: KnowledgeBank) -> str:
    """A bank as YAML, without what is empty, and with bare lists where nothing else is said."""
    content = bank.model_dump(mode="json", exclude_defaults=True)
    content["findings"] = {
        name: finding.get("names", []) if set(finding) <= {"names"} else finding
        for name, finding in content.get("findings", {}).items()
    }
    for known in content["classes"].values():
        if set(synonyms := known.get("synonyms", {})) == {"exact"}:
            known["synonyms"] = synonyms["exact"]
        for key in ("defining", "typical", "may", "unlikely", "excludes"):
            if set(listed := known.get(key, {})) == {""}:
                known[key] = listed[""]
    if not content["findings"]:
        del content["findings"]
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)


def save_bank(bank: KnowledgeBank, path: Path, comment: str) -> None:
    """Write a bank below a line of comment, whole or not at all."""
    write_text(path, f"# {comment}\n{bank_text(bank)}")
