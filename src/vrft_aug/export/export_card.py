"""The model card, after the model-card conventions: for what, on what data, how good, and its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import yaml
from markupsafe import Markup

from vrft_aug import __version__
from vrft_aug.errors import UserError
from vrft_aug.evaluation.cautions import cautions
from vrft_aug.evaluation.look.look_report import FIGURES, Look
from vrft_aug.evaluation.look.look_words import figure_note, how_asked, sentences
from vrft_aug.evaluation.meanings import MEANINGS, headline
from vrft_aug.evaluation.metrics.bootstrap import Metric
from vrft_aug.evaluation.metrics.catalogue import drawn_units
from vrft_aug.evaluation.provenance import KnowledgeUse, knowledge_uses
from vrft_aug.evaluation.report_data import Report
from vrft_aug.export.example_prompt import ExamplePrompt
from vrft_aug.export.handed_model import HandedModel
from vrft_aug.export.markdown import code_block, markdown_templates
from vrft_aug.export.private import Private
from vrft_aug.export.public_figures import FEWEST
from vrft_aug.export.snippet import python_snippet
from vrft_aug.recipe.schema import Recipe
from vrft_aug.report.run_data import Run, reward_warnings, rewards_of
from vrft_aug.report.run_facts import card as run_card
from vrft_aug.report.run_facts import provenance

# Families that llama.cpp's converter and its multimodal part know, by config.model_type (its own page on
# multimodal models); the embedded model has one of these names, but a tokenizer that llama.cpp does not know.
GGUF_FAMILIES = (
    "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "gemma3", "idefics3", "smolvlm", "mistral3", "internvl", "llava",
)  # fmt: skip
CALIBRATION = ("calibration_error", "confidence_error", "brier_score", "risk_area", "coverage_at_10")
NOT_FOR = (
    "diagnosis, triage, screening, treatment or advice to patients, in any setting, without validation there "
    "and without what the law asks of medical devices",
    "pictures of other modalities, devices, sites, populations or diseases than those that it was judged on",
    "questions in other words, or without the knowledge that stands in its prompt: both were not judged",
    "telling who somebody is, or anything about a person beyond what is asked",
    "reading its reasoning as an explanation: it is generated text, wrong at times where the answer is right",
)


@dataclass(frozen=True)
class CardFacts:
    """All that a card is made of; `run` already calls the start model as others know it."""

    run: Run
    report: Report  # with its cases, of which figures alone are told
    start: Report | None
    look: Look | None
    model: HandedModel
    prompt: ExamplePrompt
    private: Private
    name: str  # of the model, as people call it
    license: str | None
    tiny: bool  # trained from the embedded model


def model_card(facts: CardFacts) -> str:
    """The card as Markdown with its YAML head; everything that comes from files is escaped."""
    run, report, private = facts.run, facts.report, facts.private
    task = run.recipe.tasks[report.task]
    context: dict[str, Any] = {
        "facts": facts,
        "task": task,
        "version": __version__,
        "head": Markup(_head(facts)),
        "card": [row for row in run_card(run) if row[0] not in ("Not intended", "Its reasoning")],
        "not_for": NOT_FOR,
        "snippet": code_block(python_snippet(facts.prompt, run.recipe.model.dtype), "python"),
        "prompt_text": code_block(f"{facts.prompt.system}\n\n{facts.prompt.text}", "text"),
        "data": _data_rows(run),
        "knowledge": _knowledge(run.recipe, report),
        "unreviewed": private.silent(reward_warnings(run.recipe)),
        "units": drawn_units(report.rows),
        "patients": len({row.patient for row in report.rows if row.patient}),
        "first": headline(report.kind, report.metrics),
        "results": _results(report, facts.start),
        "class_metrics": list(next(iter(report.per_class.values()), {})),
        "slices": [one for one in report.slices if one.cases >= FEWEST],
        "fewest": FEWEST,
        "calibration": _named(report, CALIBRATION),
        "samples": max((row.samples for row in report.rows), default=0),
        "look": facts.look,
        "look_sentences": [] if facts.look is None else private.silent(sentences(facts.look)),
        "look_how": "" if facts.look is None else how_asked(facts.look),
        "look_figures": _look_figures(facts.look),
        "limits": private.silent(cautions(report)),
        "alarms": private.silent(f"{one['stage']}, step {one['step']}: {one['alarm']}" for one in run.alarms),
        "watched": run.watched and not run.too_short,
        "stages": [(one, rewards_of(one)) for one in run.recipe.stages],
        "provenance": [row for row in provenance(run) if not row[0].startswith("Knowledge in")],
        "gguf": facts.model.model_type in GGUF_FAMILIES and not facts.model.adapter and not facts.tiny,
    }
    return markdown_templates("export/templates").get_template("card.md").render(context)


def _head(facts: CardFacts) -> str:
    """What the hub reads: licence, library, base, and the headline metrics."""
    report = facts.report
    head: dict[str, Any] = {
        "license": facts.license or "other",
        "library_name": "peft" if facts.model.adapter else "transformers",
        "pipeline_tag": "image-text-to-text",
        "tags": ["medical", "reinforcement-learning", "grpo", "vrft-aug"],
    }
    if facts.model.base is not None:
        head["base_model"] = facts.model.base
    figures = {name: report.metrics[name].value for name in headline(report.kind, report.metrics)}
    head["model-index"] = [
        {
            "name": facts.name,
            "results": [
                {
                    "task": {"type": "image-text-to-text", "name": f"{report.task} ({report.kind})"},
                    "dataset": {"type": "private", "name": facts.run.recipe.name, "split": report.split},
                    "metrics": [
                        {"type": name, "name": report.meanings[name].title, "value": round(value, 4)}
                        for name, value in figures.items()
                        if value is not None
                    ],
                }
            ],
        }
    ]
    return yaml.safe_dump(head, sort_keys=False, allow_unicode=True).rstrip()


def _data_rows(run: Run) -> list[tuple[str, str]]:
    """What each stage was trained on: the task, how many cases, and their hash."""
    rows = []
    found = run.facts.get("data")
    for stage, parts in found.items() if isinstance(found, Mapping) else ():
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, Mapping):
                what = f"{part.get('cases')} cases of task {part.get('task')}, hash {part.get('hash')}"
                rows.append((f"Stage {stage}", what))
    return rows


def _knowledge(recipe: Recipe, report: Report) -> list[tuple[KnowledgeUse, str]]:
    """The banks in the prompts as they are now, else as they were when the model was judged."""
    try:
        uses = knowledge_uses(recipe)
    except UserError:
        uses = tuple(report.provenance.knowledge)
    return [(use, _review(use)) for use in uses]


def _review(use: KnowledgeUse) -> str:
    if use.reviewed:
        return "every fact agreed to by a reviewer"
    left = f"{use.unreviewed} facts are" if use.unreviewed else "it is"
    return f"NOT reviewed by a clinician: {left} agreed to by nobody"


def _results(report: Report, start: Report | None) -> list[tuple[str, Metric, Metric | None, str]]:
    """Title, metric, that of the start model on the same cases, and how it is read."""
    same = start is not None and {row.case for row in start.rows} == {row.case for row in report.rows}
    before = start.metrics if same and start is not None else {}
    rows = []
    for name, metric in report.metrics.items():
        if name in CALIBRATION:
            continue
        meaning = report.meanings[name]
        note = f"{meaning.note} ({meaning.direction})" if meaning.direction else meaning.note
        rows.append((meaning.title, metric, before.get(name), note))
    return rows


def _named(report: Report, names: tuple[str, ...]) -> list[tuple[str, Metric, str]]:
    return [
        (MEANINGS[name].title, report.metrics[name], MEANINGS[name].note)
        for name in names
        if name in report.metrics
    ]


def _look_figures(look: Look | None) -> list[tuple[str, Metric, str]]:
    if look is None:
        return []
    return [(FIGURES[name].title, metric, figure_note(look, name)) for name, metric in look.figures.items()]


def with_public_names(run: Run, model: str, report: Report) -> Run:
    """The run whose recipe and report call the start model as others know it."""
    config = run.recipe.model.model_copy(update={"name": model, "adapter": None})
    named = replace(report, provenance=replace(report.provenance, model_name=model))
    return replace(run, recipe=run.recipe.model_copy(update={"model": config}), report=named)
