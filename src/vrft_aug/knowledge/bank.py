"""The knowledge bank: per class a definition and visual attributes, in one reviewed YAML file."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from vrft_aug.errors import UserError
from vrft_aug.knowledge.inject import injected_text
from vrft_aug.knowledge.schema import Attribute, ClassKnowledge, Difference, KnowledgeBank

__all__ = [
    "SHIPPED",
    "Attribute",
    "ClassKnowledge",
    "Difference",
    "KnowledgeBank",
    "injected_text",
    "load_bank",
]
SHIPPED = Path(__file__).parent / "banks"


def load_bank(name: str) -> KnowledgeBank:
    """A shipped bank by its name, or one of the user's by its YAML file.

    Raises UserError where there is none, or where it is not a bank.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else SHIPPED / f"{name}.yaml"
    if not path.is_file():
        shipped = ", ".join(sorted(p.stem for p in SHIPPED.glob("*.yaml")))
        raise UserError(f"knowledge bank {name!r} not found at {path}; shipped banks: {shipped}")
    try:
        return KnowledgeBank.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        message = " ".join(str(first["msg"]).split())
        raise UserError(f"{path}: {where}: {message}; expected a knowledge bank, see docs") from None
