"""What lies in a run folder, by its name; nothing else in the product spells one."""

from __future__ import annotations

from pathlib import Path

from vrft_aug.recipe.file import RUN_RECIPE as RUN_RECIPE  # the resolved recipe
from vrft_aug.recipe.schema import Recipe

RUN_FILE = "run.json"  # when, with what versions and data, on what machine
METRICS = "metrics.jsonl"  # a line a step
ROLLOUTS = "rollouts.jsonl"  # every sampled completion with every reward term, see rollout_lines.py
PARAMETERS = "parameters.json"  # stage -> how many parameters it trains, of how many, and what is frozen
ALARM_STEPS = 10  # of a stage, that are averaged before an alarm says anything
ALARMS = "alarms.jsonl"  # {"stage", "step", "rule", "alarm"}
CHECKPOINTS = "checkpoints"  # a folder for each stage, with the model that it ends with
TENSORBOARD = "tensorboard"  # a folder, where a recipe asks for it
RUN_MODEL = "model"  # a normal transformers folder; after LoRA with the adapter in it, or that alone
MERGE = "merge.json"  # in a model's folder, what merging the adapter has cost
EVALUATION = "evaluation.json"
BASE_EVALUATION = "evaluation-base.json"  # of the model that training started from
JUDGED = "judged.json"  # what a language model made of the open answers, see evaluation/language_judge.py
LOOK = "look.json"  # what it answers to other pictures than the true ones, see evaluation/look/
REASONS = "reasons.json"  # what readers made of its reasons, see reader_study/reason_ratings.py
REPORT_PAGE = "report.html"
SUPERSEDED = "superseded"  # what a resume with a corrected recipe has put aside, see resume.py


def default_run(recipe: Recipe) -> Path:
    """Where a run of the recipe is written unless the user says otherwise."""
    return Path("runs") / recipe.name


def stage_model(run: Path, stage: str) -> Path:
    """Where the model that a stage ends with lies."""
    return run / CHECKPOINTS / stage / RUN_MODEL
