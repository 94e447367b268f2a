"""A recipe's stages on a card: what they take, whether they fit, how long they run, and what to change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from vrft_aug.errors import UserError
from vrft_aug.policy.anatomy import Anatomy
from vrft_aug.policy.precision import check_precision
from vrft_aug.preview.plan.activations import precision_of
from vrft_aug.preview.plan.advice import Judged, Setting, cheapest, single_changes
from vrft_aug.preview.plan.cards import Card
from vrft_aug.preview.plan.footprint import Footprint, Sharding, footprint
from vrft_aug.preview.plan.roofline import Cost, Pace, among, seconds, step_costs
from vrft_aug.preview.plan.work import Asked, Work, stage_work
from vrft_aug.recipe.schema import Recipe
from vrft_aug.training.stage_settings import check_lora

CONTEXT = 1_000_000_000  # bytes of driver, libraries' workspaces and fragments that no tensor holds: assumed


@dataclass(frozen=True)
class PlannedStage:
    """What a stage takes on each device.

    Args:
        work: its prompts, tokens and passes.
        room: bytes that its tensors can take on a device.
        memory: by part and moment.
        seconds: of a step, by part.
        costs: operations and bytes of a step, by part.
        fits: whether the peak is below what the card leaves.
        alone: what each kind of change alone comes to, where it does not fit.
        advice: the cheapest choice of changes that fits; None where it fits as it is, or nothing does.
    """

    work: Work
    room: int
    memory: Footprint
    seconds: dict[str, float]
    costs: dict[str, Cost]
    fits: bool
    alone: tuple[Judged, ...]
    advice: Judged | None

    @property
    def step(self) -> float:
        """Seconds of a step."""
        return sum(self.seconds.values())


@dataclass(frozen=True)
class Plan:
    """A recipe on a card."""

    recipe: str
    model: Anatomy
    name: str  # of the model
    card: Card
    sharding: Sharding
    room: int  # bytes that tensors can take on a device
    pace: Pace
    stages: tuple[PlannedStage, ...]


def plan(
    recipe: Recipe,
    card: Card,
    processes: int = 1,
    pace: Pace | None = None,
    asked: Asked | None = None,
    strategy: str | None = None,
) -> Plan:
    """Plan every stage of a recipe on `processes` cards; no weights are read.

    With `asked`, prompts are of that length and the data is not read; `strategy` replaces the recipe's.

    Raises UserError where the recipe has no stages, the model's config.json cannot be had, data cannot be
    read, or the processes do not divide the groups of a step.
    """
    if not recipe.stages:
        raise UserError(f"recipe {recipe.name} has no stages, so there is nothing to plan")
    check_lora(recipe.model)
    for stage in recipe.stages:
        check_precision(stage, recipe.model)
    from vrft_aug.policy.counting import anatomy  # torch takes seconds to import

    model, card = anatomy(recipe.model), among(card, processes)

    @cache
    def adapted() -> Anatomy | None:
        """The model with a new adapter, where it has none; only asked for where something does not fit."""
        return None if model.adapter else anatomy(recipe.model.model_copy(update={"lora": {"r": 16}}))

    sharding = Sharding(strategy or strategy_of(recipe), processes)
    room = int(card.memory * card.usable) - CONTEXT
    pace = pace or Pace()
    stages = []
    for one in recipe.stages:
        work = stage_work(recipe, one, model, processes, asked)
        stages.append(_planned(work, recipe.model.dtype, model, adapted, card, sharding, room, pace))
    return Plan(recipe.name, model, recipe.model.name, card, sharding, room, pace, tuple(stages))


def strategy_of(recipe: Recipe) -> str:
    """How the recipe spreads its training state; ddp, which spreads nothing, where it does not say."""
    parallel = getattr(recipe, "parallel", None)
    named = getattr(parallel, "strategy", "ddp")
    return str(named) if named in ("ddp", "zero1", "zero2", "zero3", "fsdp2") else "ddp"


def _planned(
    work: Work,
    dtype: str,
    model: Anatomy,
    adapted: Callable[[], Anatomy | None],
    card: Card,
    sharding: Sharding,
    room: int,
    pace: Pace,
) -> PlannedStage:
    left = room - int(work.engine_share * card.memory)

    def judge(setting: Setting) -> Judged:
        precision = precision_of(setting.dtype, setting.adapted)
        taken = footprint(setting.work, setting.model, precision, card.kind, setting.sharding)
        costs = step_costs(setting.work, setting.model, precision, setting.sharding)
        lasting = sum(seconds(cost, card, precision, pace) for cost in costs.values())
        return Judged(setting, taken.peak, lasting, taken.peak <= left)

    now = Setting(work, model, dtype, bool(model.adapter), sharding)
    precision = precision_of(dtype, now.adapted)
    memory = footprint(work, model, precision, card.kind, sharding)
    costs = step_costs(work, model, precision, sharding)
    fits = memory.peak <= left
    return PlannedStage(
        work=work,
        room=left,
        memory=memory,
        seconds={name: seconds(cost, card, precision, pace) for name, cost in costs.items()},
        costs=costs,
        fits=fits,
        alone=() if fits else tuple(single_changes(now, adapted(), judge)),
        advice=None if fits else cheapest(now, adapted(), judge),
    )
