"""What of an interrupted or finished run stays valid under a recipe, and how the rest steps aside.

A stage is kept as long as nothing that it depends on has changed: seed, model, its tasks with their data and
knowledge, its own settings, and all stages before it. So a mistake in stage 2 never costs stage 1.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vrft_aug.errors import UserError, nearest
from vrft_aug.recipe.file import load_recipe, save_recipe
from vrft_aug.recipe.paths import resolve_paths
from vrft_aug.recipe.schema import Recipe
from vrft_aug.run.layout import (
    ALARMS,
    BASE_EVALUATION,
    CHECKPOINTS,
    EVALUATION,
    LOOK,
    METRICS,
    REPORT_PAGE,
    ROLLOUTS,
    RUN_MODEL,
    RUN_RECIPE,
    SUPERSEDED,
    TENSORBOARD,
    stage_model,
)
from vrft_aug.run.logs import cut_back

LOGS = (METRICS, ROLLOUTS, ALARMS)
# Settings that change how fast or with how much memory weights come about, and not (but for rounding) which:
# after running out of memory a stage goes on from its checkpoint with another of these.
SAME_WEIGHTS = {
    "device",
    "pictures",
    "save_steps",
    "prefix_sharing",
    "gradient_accumulation_steps",
    "gradient_checkpointing",
    "dataloader_num_workers",
    "report_to",
    "look",
    "tracking",
}


@dataclass(frozen=True)
class ResumePlan:
    """What `--resume` keeps of a run and what it runs anew."""

    kept: tuple[str, ...]  # stages that go on as they are: finished, begun, or not yet begun
    anew: tuple[str, ...]  # stages that are run (again) from their start
    gone: tuple[str, ...]  # stages of the old recipe that the new one does not have at that place
    evaluate: bool  # whether the evaluation is to be done again
    evaluate_base: bool = False  # and that of the start model
    change: str = ""  # the first difference, in words; "" where there is none

    @property
    def replaces(self) -> bool:
        """Whether anything that the run has made is replaced."""
        return bool(self.anew or self.gone or self.evaluate)


def plan_resume(recipe: Recipe, run: Path, from_stage: str | None = None) -> ResumePlan:
    """Compare a recipe with that of the run; nothing is changed.

    `from_stage` runs that stage and all after it anew, changed or not. Raises UserError where the first stage
    has changed, so that nothing could be kept, and where there is no such stage.
    """
    saved = load_recipe(str(run / RUN_RECIPE))
    names = [stage.name for stage in recipe.stages]
    if from_stage is not None and from_stage not in names:
        raise UserError(
            f"recipe {recipe.name!r} has no stage {from_stage!r}{nearest(from_stage, names)}; it has "
            f"{', '.join(names)}"
        )
    same = _same_stages(saved, recipe)
    where, old, new = first_difference(_plain(saved), _plain(recipe)) or ("", None, None)
    change = f"{where} was {old!r}, the recipe now says {new!r}" if where else ""
    if same == 0 and change and from_stage is None:
        raise UserError(
            f"{run}: {change}; nothing trained can be kept: resume with {run / RUN_RECIPE}, choose another "
            f"--output, or start anew with --overwrite"
        )
    keep = same if from_stage is None else min(same, names.index(from_stage))
    return ResumePlan(
        kept=tuple(names[:keep]),
        anew=tuple(names[keep:]),
        gone=tuple(stage.name for stage in saved.stages[keep:]),
        evaluate=keep < max(len(names), len(saved.stages)) or _judged_by(saved) != _judged_by(recipe),
        evaluate_base=(_judged_by(saved), saved.model) != (_judged_by(recipe), recipe.model),
        change=change,
    )


def apply_resume(plan: ResumePlan, recipe: Recipe, run: Path) -> Path | None:
    """Put what the plan does not keep aside, into `superseded/N/`, and write the new recipe.

    Nothing is deleted: stages, model, evaluation and page are moved, recipe and logs copied before the logs
    are cut back. Gives the folder, None where nothing is replaced.
    """
    if not plan.replaces:
        save_recipe(recipe, run / RUN_RECIPE)
        return None
    aside = run / SUPERSEDED / str(1 + len(list((run / SUPERSEDED).glob("*"))))
    aside.mkdir(parents=True)
    for name in (RUN_RECIPE, *LOGS):
        if (run / name).is_file():
            shutil.copy2(run / name, aside / name)
    for name in LOGS:
        cut_back(run / name, plan.kept, "", 0)
    stages = [Path(parent) / name for parent in (CHECKPOINTS, TENSORBOARD) for name in plan.gone]
    trained = [RUN_MODEL] if plan.anew or plan.gone else []
    base = [BASE_EVALUATION] if plan.evaluate_base else []
    for old in [*stages, *map(Path, (*trained, EVALUATION, LOOK, *base, REPORT_PAGE))]:
        if (run / old).exists():
            (aside / old).parent.mkdir(parents=True, exist_ok=True)
            (run / old).rename(aside / old)
    save_recipe(recipe, run / RUN_RECIPE)
    return aside


def resume_lines(plan: ResumePlan, run: Path, aside: Path | None) -> list[str]:
    """What `--resume` does, in plain sentences."""
    finished = [name for name in plan.kept if stage_model(run, name).is_dir()]
    lines = [f"changed: {plan.change}"] if plan.change else []
    if finished:
        lines.append(f"kept as finished: {', '.join(finished)}")
    if plan.anew:
        lines.append(f"run anew: {', '.join(plan.anew)}")
    if aside is not None:
        lines.append(f"what this replaces is in {aside}")
    return lines


def first_difference(old: Any, new: Any, where: str = "") -> tuple[str, Any, Any] | None:
    """The first place, dotted, where two plain structures differ, with both values; None if nowhere."""
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        old, new = _by_place(old, new)
    if not isinstance(old, dict) or not isinstance(new, dict):
        return None if old == new else (where, old, new)
    for key in dict.fromkeys([*old, *new]):
        found = first_difference(old.get(key), new.get(key), f"{where}.{key}".lstrip("."))
        if found is not None:
            return found
    return None


def _by_place(old: list[Any], new: list[Any]) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """Two lists by the names of their items, as overrides call them, where they agree; else by number."""
    names = [[item.get("name") if isinstance(item, dict) else None for item in items] for items in (old, new)]
    places = names[0] if names[0] == names[1] and None not in names[0] else range(len(old))
    return dict(zip(places, old, strict=True)), dict(zip(places, new, strict=True))


def _same_stages(old: Recipe, new: Recipe) -> int:
    """How many stages from the first on depend on the same in both."""
    pairs = zip(old.stages, new.stages, strict=False)
    differ = (i for i, _ in enumerate(pairs) if _depends_on(old, i) != _depends_on(new, i))
    return next(differ, min(len(old.stages), len(new.stages)))


def _depends_on(recipe: Recipe, index: int) -> dict[str, Any]:
    """All of a recipe that the weights after a stage rest on, but for the stages before it."""
    whole = _plain(recipe)
    stage, model = whole["stages"][index], whole["model"]
    tasks = {part.task for part in recipe.stages[index].parts()}
    return {
        "seed": whole["seed"],
        "data_root": whole["data_root"],
        "model": {key: value for key, value in model.items() if key not in SAME_WEIGHTS},
        "tasks": {name: config for name, config in whole["tasks"].items() if name in tasks},
        "stage": {key: value for key, value in stage.items() if key not in SAME_WEIGHTS | {"trainer"}},
        "trainer": {key: value for key, value in stage["trainer"].items() if key not in SAME_WEIGHTS},
    }


def _judged_by(recipe: Recipe) -> tuple[Any, ...]:
    """All of a recipe that an evaluation of given weights rests on."""
    whole = _plain(recipe)
    wanted = {key: value for key, value in whole["evaluation"].items() if key != "base"}
    return wanted, whole["tasks"][recipe.evaluation.task], whole["seed"], whole["data_root"]


def _plain(recipe: Recipe) -> dict[str, Any]:
    """As it is written, with absolute paths: older runs kept them as given in the working folder."""
    plain = recipe.model_dump(mode="json")
    resolve_paths(plain, Path.cwd(), recipe.name)
    return plain
