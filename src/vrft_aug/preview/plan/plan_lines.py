"""A plan in plain text, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vrft_aug.preview.audit.audited import plural
from vrft_aug.preview.plan.advice import Judged
from vrft_aug.preview.plan.planned import Plan, PlannedStage
from vrft_aug.run.place import in_words

# What people call the parts of the memory, in the order in which they are told.
PARTS = {
    "weights": "weights",
    "copies": "their bfloat16 copies",
    "gradients": "gradients",
    "optimiser": "optimiser",
    "buckets": "buckets of gradients in flight",
    "reference": "reference model",
    "activations": "activations",
    "logits": "logits",
    "pictures": "pictures",
    "kv_cache": "keys and values of sampling",
    "sampling": "sampling beside them",
}


def plan_lines(plan: Plan) -> Iterator[str]:
    """Line by line: the model, then every stage."""
    model, card = plan.model, plan.card
    yield (
        f"model {plan.name} ({model.family}): {model.parameters:,} parameters, trains {model.trained:,} "
        f"({model.trained / (model.parameters + model.adapter):.1%})"
        + (f", an adapter of rank {model.rank}" if model.adapter else "")
    )
    many = "" if plan.sharding.processes == 1 else f"{plan.sharding.processes} x "
    spread = "" if plan.sharding.processes == 1 else f", {plan.sharding.strategy}"
    yield (
        f"card {many}{card.name}: {card.memory / 1e9:.0f} GB, of which {in_words(plan.room)} for tensors"
        f"{spread} ({card.source})"
    )
    if not card.native and plan.stages[0].memory.precision.compute == 2:
        yield f"warning: {card.name} has no bfloat16; times are those of its float32 arithmetic"
    for stage in plan.stages:
        yield from _stage_lines(plan, stage)


def _stage_lines(plan: Plan, stage: PlannedStage) -> Iterator[str]:
    work, memory = stage.work, stage.memory
    each = f" on each of {work.processes} processes" if work.processes > 1 else ""
    yield f"stage {work.stage} ({work.method}): {_fitting(stage)}"
    rows = f"{work.prompts} prompts"
    rows += f" x {work.generations} completions" if work.method == "grpo" else ""
    length = f"prompts of up to {work.lengths.prompt:,} tokens"
    length += "" if work.lengths.counted else " (estimated: the model's tokenizer is not at hand)"
    yield (
        f"  step{each}: {rows}, {length}, completions of {work.lengths.completion:,}; "
        f"{plural(work.micro_batches, 'micro-batch', 'micro-batches')} of {work.pass_tokens:,} tokens; "
        f"checkpointing {'on' if work.checkpointing else 'off'}, "
        f"prefix sharing {'on' if work.shared else 'off'}"
    )
    if work.engine != "transformers":
        yield (
            f"  {work.engine} draws the completions: {work.engine_share:.0%} of the card are its own; "
            "prefill and decoding are timed as our own sampler's, which is slower"
        )
    if work.masked:
        yield f"  a second pass sees masked pictures ({work.masked})"
    if work.uncounted:
        yield f"  not counted, and more than what follows: {', '.join(work.uncounted)}"
    told = [f"{PARTS[name]} {in_words(size)}" for name, size in memory.parts.items() if size >= 500_000]
    yield f"  memory, each part at its highest: {', '.join(told)}"
    moments = ", ".join(f"{name} {in_words(size)}" for name, size in memory.moments.items())
    yield f"  memory at once: {moments}"
    parts = ", ".join(f"{name} {duration(taken)}" for name, taken in stage.seconds.items() if taken > 0)
    yield (
        f"  time of a step about {duration(stage.step)} ({parts}); all {work.steps:,} steps about "
        f"{duration(stage.step * work.steps)}; {plan.pace.source}"
    )
    for one in stage.alone:
        yield f"  {'fits' if one.fits else 'not enough'}: {_judged(one)}"
    if not stage.fits:
        best = stage.advice
        yield (
            f"  cheapest that fits: {_judged(best)}"
            if best
            else "  nothing of these fits: a smaller model, "
            "lower model.max_pixels and max_new_tokens, more or larger cards"
        )


def _fitting(stage: PlannedStage) -> str:
    verdict = "fits" if stage.fits else "DOES NOT FIT"
    return (
        f"{verdict}: {in_words(stage.memory.peak)} of {in_words(stage.room)} at the highest "
        f"({stage.memory.moment})"
    )


def _judged(one: Judged) -> str:
    told = f"{' '.join(one.setting.changes)}: {in_words(one.peak)}, a step about {duration(one.seconds)}"
    return told if one.setting.there else f"{told} (this version cannot do that yet)"


def duration(seconds: float) -> str:
    """`12 ms`, `3.4 s`, `2.1 h`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def plan_json(plan: Plan) -> dict[str, Any]:
    """The same for programs: bytes and seconds."""
    model = plan.model
    return {
        "recipe": plan.recipe,
        "model": {
            "name": plan.name,
            "family": model.family,
            "parameters": model.parameters,
            "trained": model.trained,
            "adapter": model.adapter,
        },
        "card": {"name": plan.card.name, "memory": plan.card.memory, "source": plan.card.source},
        "processes": plan.sharding.processes,
        "strategy": plan.sharding.strategy,
        "room": plan.room,
        "pace": {"stretch": plan.pace.stretch, "source": plan.pace.source},
        "stages": [_stage_json(stage) for stage in plan.stages],
    }


def _stage_json(stage: PlannedStage) -> dict[str, Any]:
    work = stage.work
    return {
        "name": work.stage,
        "method": work.method,
        "fits": stage.fits,
        "room": stage.room,
        "engine": work.engine,
        "masked": work.masked,
        "uncounted": list(work.uncounted),
        "peak": stage.memory.peak,
        "moment": stage.memory.moment,
        "memory": stage.memory.parts,
        "moments": stage.memory.moments,
        "steps": work.steps,
        "prompts": work.prompts,
        "generations": work.generations,
        "micro_batches": work.micro_batches,
        "prompt_tokens": work.lengths.prompt,
        "completion_tokens": work.lengths.completion,
        "patches": work.lengths.patches,
        "counted": work.lengths.counted,
        "pass_tokens": work.pass_tokens,
        "step_tokens": round(work.step_tokens),
        "flops": {name: cost.flops for name, cost in stage.costs.items()},
        "sent_bytes": sum(cost.sent for cost in stage.costs.values()),
        "seconds": {name: round(value, 6) for name, value in stage.seconds.items()},
        "step_seconds": round(stage.step, 6),
        "total_seconds": round(stage.step * work.steps, 3),
        "changes": [_judged_json(one) for one in stage.alone],
        "cheapest": None if stage.advice is None else _judged_json(stage.advice),
    }


def _judged_json(one: Judged) -> dict[str, Any]:
    return {
        "overrides": list(one.setting.changes),
        "peak": one.peak,
        "step_seconds": round(one.seconds, 6),
        "fits": one.fits,
        "available": one.setting.there,
    }
