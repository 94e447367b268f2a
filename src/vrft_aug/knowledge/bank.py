"""The knowledge bank on disk: per class a definition and visual attributes, in one reviewed YAML file."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from vrft_aug.errors import UserError, nearest
from vrft_aug.files import write_text
from vrft_aug.knowledge.bank_schema import Attribute, ClassKnowledge, Difference, KnowledgeBank
from vrft_aug.knowledge.inject import injected_text
from vrft_aug.recipe.file import parse_yaml

__all__ = [
    "SHIPPED",
    "Attribute",
    "ClassKnowledge",
    "Difference",
    "KnowledgeBank",
    "bank_text",
    "injected_text",
    "load_bank",
    "save_bank",
    "shipped_banks",
]
SHIPPED = Path(__file__).parent / "banks"


def shipped_banks() -> list[str]:
    """The names of the banks that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def load_bank(name: str) -> KnowledgeBank:
    """A shipped bank by its name, or one of the user's by its YAML file.

    Raises UserError where there is none, or where it is not a bank.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else SHIPPED / f"{name}.yaml"
    if not path.is_file():
        hint = nearest(name, shipped_banks())
        raise UserError(
            f"knowledge bank {name!r} not found at {path}{hint}; expected a YAML file or a shipped bank: "
            f"{', '.join(shipped_banks())}"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"knowledge bank {path} cannot be read as UTF-8 text: {error}") from None
    try:
        return KnowledgeBank.model_validate(parse_yaml(text, f"knowledge bank {path}"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        message = " ".join(str(first["msg"]).split())
        raise UserError(
            f"{path}: {where}: {message}; expected a knowledge bank, see `vrft knowledge show idrid`"
        ) from None


def bank_text(bank: KnowledgeBank) -> str:
    """A bank as YAML, without what is empty."""
    content = bank.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)


def save_bank(bank: KnowledgeBank, path: Path, comment: str) -> None:
    """Write a bank below a line of comment, whole or not at all."""
    write_text(path, f"# {comment}\n{bank_text(bank)}")
