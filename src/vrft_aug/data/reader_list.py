"""What readers there are, and what a recipe may set for each: `vrft data --readers`."""

from __future__ import annotations

from dataclasses import dataclass

from vrft_aug.data.settings import READERS, DataConfig, reader_config
from vrft_aug.plugins import installed_names


@dataclass(frozen=True)
class ReaderFacts:
    """A reader as a user sees it."""

    name: str
    reads: str  # one sentence
    needed: tuple[str, ...]  # settings that have to be there
    optional: tuple[str, ...]


def list_readers() -> list[ReaderFacts]:
    """Ours in their order, then those of other packages; UserError where one of theirs cannot be loaded."""
    return [_facts(name) for name in (*READERS, *installed_names("readers"))]


def _facts(name: str) -> ReaderFacts:
    settings = reader_config(name)
    sentence = " ".join((settings.__doc__ or "").split("\n\n")[0].split())
    fields = {key: field for key, field in settings.model_fields.items() if key != "reader"}
    needed = tuple(key for key, field in fields.items() if field.is_required())
    shared = set(DataConfig.model_fields)
    optional = tuple(key for key in fields if key not in needed and key not in shared)
    return ReaderFacts(name, sentence, needed, optional)
