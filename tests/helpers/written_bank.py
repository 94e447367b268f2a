"""A small bank as a file of a user's own, good or with one thing wrong in it."""

from pathlib import Path
from typing import Any

import yaml

from vrft_aug.knowledge.bank_facts import bank_facts
from vrft_aug.knowledge.bank_schema import KnowledgeBank
from vrft_aug.knowledge.review import Reviewer, review_path

CONTENT: dict[str, Any] = {
    "name": "mine",
    "title": "Dots & blots",
    "author": "A tester",
    "reviewed": False,
    "sources": {"atlas": "An atlas of dots, 2003", "book": "A book on blots, 2013"},
    "findings": {
        "lesions": {"includes": ["dots", "blots"]},
        "dots": ["spots"],
        "blots": {"names": ["stains"], "narrower": ["large blots"]},
        "haze": [],
    },
    "classes": {
        "none": {
            "definition": "No lesions.",
            "source": "atlas",
            "typical": {"atlas": ["no lesions"]},
            "excludes": {"atlas": ["lesions"]},
        },
        "mild": {
            "definition": "Dots only.",
            "source": "atlas (table 1)",
            "synonyms": ["slight"],
            "defining": {"atlas": ["dots"]},
            "typical": {"atlas": ["dots"]},
            "excludes": {"book": ["blots"]},
            "attributes": [
                {"what": "dots", "colour": "red", "source": "review"},
                {"what": "sharp edges", "source": "book"},
            ],
            "confused_with": {"severe": {"tell": "Severe has blots.", "source": "review"}},
        },
        "severe": {
            "definition": "Blots.",
            "source": "book",
            "typical": {"book": ["blots"]},
            "may": {"review": ["dots"]},
            "unlikely": {"review": ["haze"]},
            "attributes": [{"what": "blots", "where": "anywhere", "source": "book"}],
        },
    },
}


def changed(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """The content with one value set; None takes the key away."""
    content: dict[str, Any] = yaml.safe_load(yaml.safe_dump(CONTENT))
    here = content
    for key in path[:-1]:
        here = here.setdefault(key, {})
    if value is None:
        del here[path[-1]]
    else:
        here[path[-1]] = value
    return content


def write_bank(folder: Path, content: dict[str, Any] = CONTENT, name: str = "mine.yaml") -> Path:
    """Write it and say where."""
    path = folder / name
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def agree_to(path: Path, which: set[str] | None = None, agrees: bool = True, who: str = "Dr A") -> None:
    """Have somebody say so of the facts at these addresses, or of all."""
    bank = KnowledgeBank.model_validate(yaml.safe_load(path.read_text("utf-8")))
    reviewer = Reviewer(bank, who, review_path(path))
    for fact in bank_facts(bank):
        if which is None or fact.where in which:
            reviewer.say(fact, agrees)
