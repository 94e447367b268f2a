"""What to change where a stage does not fit: each change alone, and the cheapest choice of them that fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from vrft_aug.policy.anatomy import Anatomy
from vrft_aug.preview.plan.footprint import Sharding
from vrft_aug.preview.plan.work import Work
from vrft_aug.training.processes.parallel import BUILT

SHARDED = ("zero1", "zero2", "fsdp2")


@dataclass(frozen=True)
class Setting:
    """A way to run a stage: its work, its model, how the state is spread, and what sets it in the recipe.

    Args:
        work: what each process computes.
        model: with its adapter, if any.
        dtype: what the model computes in.
        adapted: whether an adapter alone is trained.
        sharding: over the processes.
        changes: as overrides of the command line write them; empty for the recipe as it is.
        there: whether this version can train so.
    """

    work: Work
    model: Anatomy
    dtype: str
    adapted: bool
    sharding: Sharding
    changes: tuple[str, ...] = ()
    there: bool = True


@dataclass(frozen=True)
class Judged:
    """A setting with what it takes."""

    setting: Setting
    peak: int  # bytes on each device
    seconds: float  # of a step
    fits: bool


Judge = Callable[[Setting], Judged]


def single_changes(now: Setting, lora: Anatomy | None, judge: Judge) -> list[Judged]:
    """Each kind of change alone, taken as far as it must go to fit, or as far as it goes."""
    found = []
    for kind in (_micro_batches, _checkpointing, _half, _sharding, lambda one: _lora(one, lora)):
        options = [judge(option) for option in kind(now)]
        if options:
            found.append(next((one for one in options if one.fits), options[-1]))
    return found


def cheapest(now: Setting, lora: Anatomy | None, judge: Judge) -> Judged | None:
    """Of all choices that fit the fastest one; None where none does.

    What is computed stays as long as that can be: bfloat16 comes second, an adapter third.

    Equally fast ones are told apart by how few changes they are.
    """
    for start in (now, *_half(now), *(one for half in (now, *_half(now)) for one in _lora(half, lora))):
        options = [judge(option) for option in _all(start)]
        fitting = [one for one in options if one.fits and one.setting.there]
        if fitting:
            return min(fitting, key=lambda one: (round(one.seconds, 2), len(one.setting.changes)))
    return None


def _all(start: Setting) -> Iterator[Setting]:
    for spread in (start, *_sharding(start)):
        for again in (spread, *_checkpointing(spread)):
            yield again
            yield from _micro_batches(again)


def _micro_batches(now: Setting) -> Iterator[Setting]:
    """More of them: first those that keep groups whole, then down to one completion."""
    work = now.work
    everywhere = work.rows * work.processes  # accumulation divides the completions of a step
    for parts in range(work.micro_batches + 1, work.rows + 1):
        if work.rows % parts:
            continue
        if work.rows // parts % work.generations and work.shared and parts <= work.prompts:
            continue
        assert everywhere % parts == 0
        yield replace(
            now,
            work=work.cut(parts),
            changes=(*now.changes, f"stages.{work.stage}.trainer.gradient_accumulation_steps={parts}"),
        )


def _checkpointing(now: Setting) -> Iterator[Setting]:
    if not now.work.checkpointing:
        change = f"stages.{now.work.stage}.trainer.gradient_checkpointing=true"
        yield replace(now, work=replace(now.work, checkpointing=True), changes=(*now.changes, change))


def _half(now: Setting) -> Iterator[Setting]:
    if now.dtype == "float32":
        yield replace(now, dtype="bfloat16", changes=(*now.changes, "model.dtype=bfloat16"))


def _sharding(now: Setting) -> Iterator[Setting]:
    if now.sharding.processes > 1 and now.sharding.strategy == "ddp":
        for strategy in SHARDED:
            yield replace(
                now,
                sharding=replace(now.sharding, strategy=strategy),
                changes=(*now.changes, f"parallel.strategy={strategy}"),
                there=strategy in BUILT,
            )


def _lora(now: Setting, lora: Anatomy | None) -> Iterator[Setting]:
    if lora is not None and not now.adapted:
        yield replace(now, model=lora, adapted=True, changes=(*now.changes, "model.lora.r=16"))
