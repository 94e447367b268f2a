"""`vrft export`: the folder with the model and all that belongs to it, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from vrft_aug.errors import UserError
from vrft_aug.evaluation.look.look_report import load_look, save_look
from vrft_aug.evaluation.provenance import hash_folder
from vrft_aug.evaluation.report_data import Report, save_report
from vrft_aug.export.example_prompt import example_prompt
from vrft_aug.export.export_card import CardFacts, model_card, with_public_names
from vrft_aug.export.handed_model import HandedModel, find_model
from vrft_aug.export.private import private_texts
from vrft_aug.export.public_figures import public_look, public_report
from vrft_aug.export.public_recipe import public_recipe, recipe_text
from vrft_aug.export.serving import dockerfile, request_script
from vrft_aug.export.snippet import prompt_file
from vrft_aug.files import check_place
from vrft_aug.policy.greedy_settings import greedy_settings
from vrft_aug.recipe.schema import Recipe
from vrft_aug.report.run_data import Run, read_run
from vrft_aug.run.layout import BASE_EVALUATION, EVALUATION, LOOK, RUN_MODEL, RUN_RECIPE

CARD, PROMPT, SUMS = "README.md", "prompt.json", "SHA256SUMS"
READ = (".md", ".json", ".yaml", ".py", ".jinja", "")  # suffixes of what is searched for private texts
UNREAD = ("tokenizer.json", "vocab.json")  # words of all kinds


def export_run(
    run: Path,
    target: Path,
    *,
    base: str | None = None,
    adapter: bool = False,
    license: str | None = None,
    name: str | None = None,
) -> list[Path]:
    """Write the export of a finished run to a new folder; gives its files.

    Args:
        run: a folder that `vrft train` has finished and evaluated.
        target: is made; it must not exist, or be empty.
        base: what the hub calls the model that training started from; default: the recipe's, if it is one.
        adapter: hand over the adapter alone, also where it has been merged.
        license: its identifier, such as apache-2.0; default: none is said, but of the embedded model.
        name: of the model on its card; default: the recipe's.

    Raises UserError for a run that is not finished, has no model or evaluation, or was changed since; for a
    folder that holds something; and where a file would tell an id of a case or a path of this machine.
    """
    _check_target(target)
    found, report = _finished(run)
    model = find_model(run, found.recipe.model, base, adapter)
    _check_judged(run, report)
    private = private_texts(run, found.recipe, report.rows)
    prompt = example_prompt(found.recipe, model.model_type)
    settings = greedy_settings(model.folder, model.start, prompt.max_new_tokens)
    known = _known_name(found.recipe, model)
    look = load_look(run / LOOK) if (run / LOOK).is_file() else None
    tiny = found.recipe.model.name == "tiny"
    facts = CardFacts(
        with_public_names(found, known, report),
        replace(report, provenance=replace(report.provenance, model_name=known)),
        found.start,
        look,
        model,
        prompt,
        private,
        name or found.recipe.name,
        license or ("apache-2.0" if tiny else None),
        tiny,
    )
    with _whole(target) as folder:
        model.copy_to(folder)
        _write_json(folder / "generation_config.json", settings)
        _write_texts(folder, facts, found.recipe, known)
        _write_figures(folder, facts, known)
        for file in sorted(folder.iterdir()):
            if file.suffix in READ and file.name not in UNREAD:
                private.refuse(file.read_text(encoding="utf-8"), file.name)
        _write_sums(folder)
    return sorted(target.iterdir())


def _check_target(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target} exists already; expected a new folder: name another one with --to")
    check_place(target)


def _finished(run: Path) -> tuple[Run, Report]:
    """The run and its evaluation; UserError where something of it is not there yet."""
    found = read_run(run)
    if not (run / RUN_MODEL).is_dir() or not found.facts.get("finished"):
        raise UserError(
            f"run {run} is not finished, so there is no model to export; go on with "
            f"`vrft train {run} --output {run} --resume`"
        )
    if found.report is None:
        raise UserError(
            f"run {run} has no evaluation to tell of on its card; run `vrft evaluate {run}` first"
        )
    return found, found.report


def _check_judged(run: Path, report: Report) -> None:
    """UserError where the model is not the one that the figures are of."""
    judged = report.provenance.model
    places = (run / RUN_MODEL, run / RUN_MODEL / "adapter")
    if judged and not any(judged.endswith(hash_folder(place)) for place in places if place.is_dir()):
        raise UserError(
            f"{run / RUN_MODEL} has changed since it was evaluated, so its card would tell wrong figures; "
            f"run `vrft evaluate {run}` first"
        )


def _known_name(recipe: Recipe, model: HandedModel) -> str:
    """What others know the start model by."""
    if recipe.model.name == "tiny":
        return "tiny"
    return model.base or f"a {model.model_type or 'model'} in a folder"


def _write_texts(folder: Path, facts: CardFacts, recipe: Recipe, known: str) -> None:
    texts: dict[str, str] = {
        CARD: model_card(facts),
        RUN_RECIPE: recipe_text(public_recipe(recipe, known)),
        "Dockerfile": dockerfile(facts.model, recipe.model.dtype),
        "request.py": request_script(),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    _write_json(folder / PROMPT, prompt_file(facts.prompt))


def _write_figures(folder: Path, facts: CardFacts, known: str) -> None:
    save_report(public_report(facts.report, known, facts.private), folder / EVALUATION)
    if facts.start is not None:
        save_report(public_report(facts.start, known, facts.private), folder / BASE_EVALUATION)
    if facts.look is not None:
        save_look(public_look(facts.look, known, facts.private), folder / LOOK)


def _write_sums(folder: Path) -> None:
    """The SHA-256 of every file, as `sha256sum --check` reads them."""
    lines = []
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.name}\n")
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A folder beside the target that takes its place at the end, and is removed after an error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    partial.mkdir()
    try:
        yield partial
        partial.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
