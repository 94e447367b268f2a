"""What a report rests on: short hashes of recipe, data and model, and the versions of the packages."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

from vrft_aug.knowledge.bank import load_bank
from vrft_aug.knowledge.bank_facts import bank_hash
from vrft_aug.knowledge.review import load_review
from vrft_aug.knowledge.validate import count_facts
from vrft_aug.nouns import Case
from vrft_aug.recipe.schema import Recipe

PACKAGES = (
    "vrft-aug",
    "torch",
    "transformers",
    "trl",
    "peft",
    "numpy",
    "scikit-learn",
    "pillow",
    "sacrebleu",
)
LENGTH = 12  # hexadecimal digits kept of a SHA-256


@dataclass(frozen=True)
class KnowledgeUse:
    """A bank that entered the prompts, and how far it can be trusted."""

    user: str  # a stage's name, or "evaluation"
    bank: str
    style: str
    hash: str  # of the bank's content
    reviewed: bool  # all of it, by somebody who may; False is to be said wherever results are shown
    sourced: int  # facts that name a source
    review: int  # facts marked for review
    unreviewed: int = 0  # facts that nobody has agreed to


@dataclass(frozen=True)
class Provenance:
    """Where a report comes from; hashes are the first 12 hexadecimal digits of a SHA-256."""

    recipe: str = ""
    data: str = ""
    model: str = ""
    model_name: str = ""
    seconds: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)
    knowledge: tuple[KnowledgeUse, ...] = ()


def hash_recipe(recipe: Recipe) -> str:
    """Of the resolved recipe."""
    return _short([json.dumps(recipe.model_dump(mode="json"), sort_keys=True).encode()])


def hash_cases(cases: Sequence[Case]) -> str:
    """Of ids, patients, questions, options, facets, targets and pictures, in order.

    Of pictures that lie in a file (`path`) the file's bytes count, of others the decoded RGB pixels.
    """
    return _short(_case_bytes(cases))


def hash_folder(folder: Path) -> str:
    """Of the names and contents of all files below a folder."""
    return _short(_folder_bytes(folder))


def knowledge_uses(recipe: Recipe) -> tuple[KnowledgeUse, ...]:
    """The banks that the stages and the evaluation inject; UserError where one cannot be read."""
    parts = [part for stage in recipe.stages for part in stage.parts()]
    users = [(part.name, part.task, part.injection.style) for part in parts]
    users.append(("evaluation", recipe.evaluation.task, recipe.evaluation.injection.style))
    uses = []
    for user, task, style in users:
        name = recipe.tasks[task].knowledge
        if name is None or style == "none":
            continue
        bank, state = load_bank(name), load_review(name)
        counts = count_facts(bank)
        uses.append(
            KnowledgeUse(
                user=user,
                bank=bank.name,
                style=style,
                hash=bank_hash(bank),
                reviewed=state.complete,
                sourced=counts.sourced,
                review=counts.review,
                unreviewed=len(state.unreviewed()),
            )
        )
    return tuple(uses)


def use_line(use: KnowledgeUse) -> str:
    """One line of plain text."""
    facts = f", {use.sourced} facts with a source, {use.review} marked for review" if use.sourced else ""
    seen = "reviewed" if use.reviewed else "not reviewed"
    return f"knowledge in {use.user}: {use.bank} ({use.style}), {seen}{facts}"


def package_versions() -> dict[str, str]:
    """Python's version and those of the packages that results depend on, where installed."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _case_bytes(cases: Sequence[Case]) -> Iterable[bytes]:
    files: dict[Path, bytes] = {}
    for case in cases:
        facts: list[object] = [case.id, case.patient, case.question, asdict(case.target)]
        facts += [part for part in (case.options, case.facets) if part]
        yield json.dumps(facts, sort_keys=True, default=sorted).encode()  # sets of labels, in order
        for image in case.images:
            path = getattr(image, "path", None)
            if path is None:
                yield image.open().tobytes()
                continue
            if path not in files:
                with Path(path).open("rb") as file:
                    files[path] = hashlib.file_digest(file, "sha256").digest()
            yield files[path]


def _folder_bytes(folder: Path) -> Iterable[bytes]:
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        yield path.relative_to(folder).as_posix().encode()
        with path.open("rb") as file:
            yield hashlib.file_digest(file, "sha256").digest()


def _short(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()[:LENGTH]
