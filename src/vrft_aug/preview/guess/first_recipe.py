"""The recipe of `vrft init --from`: what was guessed, in YAML with comments, checked before it is told."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vrft_aug.errors import UserError
from vrft_aug.files import write_text
from vrft_aug.preview.check import check_recipe
from vrft_aug.preview.guess.from_folder import guess
from vrft_aug.preview.guess.guessed import Guess
from vrft_aug.recipe.file import load_recipe

QUESTIONS = {
    "classify": "Which of these does the {modality} show: {labels}?",
    "grade": "How severe is what the {modality} shows: {labels}?",
    "multilabel": "Which of these does the {modality} show?",
    "localise": "Find every {labels} in the {modality}.",
    "answer": "Answer the question about the {modality}.",
    "choice": "Choose the right answer about the {modality}.",
}
REWARDS = {
    "classify": ("accuracy: 1.0",),
    "grade": ("fuzzy_grade: 1.0 # a near miss earns part of it",),
    "multilabel": ("label_set: {weight: 1.0, measure: jaccard}",),
    "localise": ("iou: 1.0",),
    "answer": ("accuracy: 1.0", "token_f1: {weight: 0.5, beta: 0.5}"),
    "choice": ("accuracy: 1.0",),
}


@dataclass(frozen=True)
class FirstRecipe:
    """A recipe that was written, and what is to be said of it."""

    path: Path
    said: tuple[str, ...]
    open: tuple[str, ...]
    fault: str | None  # what `vrft check` says against it; None: nothing


def first_recipe(data: Path, destination: Path | None = None) -> FirstRecipe:
    """Look at the data, write a recipe for it and check that.

    The recipe goes to `<name of the data>.yaml` here by default. Raises UserError, and writes nothing, where
    the data says too little, or where there is a file already.
    """
    name = re.sub(r"[^\w-]+", "-", data.resolve().stem.casefold()).strip("-") or "mine"
    target = destination or Path(f"{name}.yaml")
    if target.is_dir():
        target = target / f"{name}.yaml"
    if target.exists():
        raise UserError(f"{target} exists already; name another destination")
    found = guess(data)
    write_text(target, recipe_text(found, name, target.resolve().parent))
    try:
        check_recipe(load_recipe(str(target)))
    except UserError as error:
        return FirstRecipe(target, found.said, found.open, str(error))
    return FirstRecipe(target, found.said, found.open, None)


def recipe_text(found: Guess, name: str, place: Path) -> str:
    """The recipe as YAML; `place` is the folder that it will lie in."""
    modality = found.modality or "medical image"
    labels = ", ".join(found.labels)
    question = QUESTIONS[found.kind].format(modality=modality, labels=labels)
    short = found.kind == "localise"
    lines = [
        "# Written by `vrft init --from`: read all of it.",
        *_comment("Guessed", found.said),
        *_comment("To decide", found.open),
        f"name: {_flow(name)}",
        "seed: 0",
        f"data_root: {_flow(_root(found.root, place))} # from this file's folder on",
        "",
        "model:",
        "  name: tiny # to try it; then a hub name or folder, such as Qwen/Qwen2.5-VL-3B-Instruct",
        "",
        "tasks:",
        "  main:",
        f"    kind: {found.kind}{KINDS.get(found.kind, '')}",
        f"    question: {_flow(question)}",
        f"    modality: {_flow(modality)}{'' if found.modality else ' # say what the pictures are'}",
    ]
    if found.labels:
        lines.append(f"    labels: {_flow(list(found.labels))}")
    if found.knowledge is not None:
        lines.append(f"    knowledge: {found.knowledge} # `vrft knowledge show {found.knowledge}`")
    elif found.maybe_knowledge is not None:
        lines.append(
            f"    # knowledge: {found.maybe_knowledge}  # its labels fit; is it about pictures of this kind?"
        )
    elif found.labels and found.kind != "localise":
        lines.append(
            "    # knowledge: bank.yaml  # what each label looks like; `vrft knowledge draft` begins one"
        )
    lines += ["    data:", *(f"      {key}: {_flow(value)}" for key, value in found.data.items())]
    injection = "{style: definitions}" if found.knowledge else "{style: none}"
    lines += [
        "",
        "stages:",
        f"  - name: {found.kind}",
        "    method: grpo",
        "    task: main",
        "    steps: 20",
        "    prompts_per_step: 4",
        "    generations: 8",
        f"    max_new_tokens: {192 if short else 96}",
        f"    injection: {injection}",
        "    rewards:",
        "      format: 0.2",
        *(f"      {line}" for line in REWARDS[found.kind]),
        "    trainer:",
        "      learning_rate: 5e-5",
        "",
        "evaluation:",
        "  task: main",
        f"  split: {found.judged_on}",
        f"  injection: {injection}",
        f"  max_new_tokens: {192 if short else 96}",
    ]
    return "\n".join(lines) + "\n"


KINDS = {"grade": " # the labels stand from least to most", "multilabel": " # several may be true at once"}


def _comment(what: str, sentences: tuple[str, ...]) -> list[str]:
    return (
        [f"# {what}:", *(f"# - {' '.join(sentence.split())}" for sentence in sentences)] if sentences else []
    )


def _flow(value: Any) -> str:
    """A value on one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def _root(root: Path, place: Path) -> str:
    """Relative to the recipe where that stays near, so that both can be moved together."""
    relative = os.path.relpath(root.resolve(), place)
    return relative if relative.count("..") <= 1 else str(root.resolve())
