"""Shared prompts against stock TRL, and what samples against what trains, on a small random model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from operator import eq
from typing import Any

import torch

from vrft_aug.bench.contenders import make_trainer
from vrft_aug.bench.presets import Shape
from vrft_aug.bench.timing import compare
from vrft_aug.policy.generate import evaluating
from vrft_aug.policy.prefix.grouping import Groups, group_rows, join_rows, split_rows
from vrft_aug.policy.prefix.sampling import decode_groups
from vrft_aug.selftest.outcome import Finding, Machine
from vrft_aug.training.micro_batches import GROUP

SHAPE = Shape(prompt=120, completion=24, generations=4, prompts=2)
TOKEN_FIELDS = ("input_ids", "attention_mask", "mm_token_type_ids")


def equality(machine: Machine) -> list[Finding]:
    """One GRPO step of both arms; then tokens drawn by the sampler and scored by the trainer."""
    stock, shared = (
        make_trainer(SHAPE, arm, machine.room("equality"), machine.device) for arm in (False, True)
    )
    for trainer in (stock, shared):
        torch.manual_seed(1)
        trainer.train()
    found = compare(stock, shared)
    exact, rounded = drawn_and_scored(shared, half=False), drawn_and_scored(shared, half=True)
    weights = rounded.exp()
    effective = float(weights.sum() ** 2 / (weights.square().sum() * weights.numel()))
    return [
        Finding(
            "exact_log_probs", "shared prompts give stock TRL's log-probabilities: largest difference",
            found["logprob_max_diff"], 2e-5,
        ),
        Finding(
            "exact_gradient", "shared prompts give stock TRL's gradient: relative difference",
            found["grad_rel_diff"], 1e-5,
        ),
        Finding(
            "sampler_float32", "what samples is what trains, in float32: largest difference of a token",
            float(exact.abs().max()), 2e-5,
        ),
        Finding(
            "sampler_bfloat16", "what samples is what trains, in bfloat16: mean difference of a token",
            float(rounded.abs().mean()), 0.02,
        ),
        Finding(
            "sampler_effective", "share of the sampled tokens that counts after weighing, in bfloat16",
            effective, 0.99, at_most=False,
        ),
    ]  # fmt: skip


def drawn_and_scored(trainer: Any, half: bool) -> torch.Tensor:
    """log p(trainer) - log p(sampler) of every token that the sampler draws, (N,), after a step of `trainer`.

    `half` computes both in bfloat16 by autocast.
    """
    batch = trainer._buffered_inputs[0]
    groups = group_rows(batch[GROUP].tolist(), eq)
    rows = split_rows(_prompts(batch), batch["num_images"])
    record = _Record()
    torch.manual_seed(2)
    with torch.no_grad(), _precision(batch["prompt_ids"].device, half), evaluating(trainer.model):
        sequences = trainer.model.generate(
            **join_rows([rows[row] for row in groups.first]),
            max_new_tokens=SHAPE.completion, do_sample=True, top_k=0, disable_compile=True,
            custom_generate=decode_groups, group=torch.tensor(groups.index).to(trainer.model.device),
            logits_processor=[record],
        )  # fmt: skip
        completions = sequences[:, batch["prompt_ids"].shape[1] :]
        mask, sampled = _sampled(completions, record.steps, trainer.model)
        trained = _trained(trainer, rows, groups, completions, mask, batch["num_images"])
    return (trained.float() - sampled)[mask.bool()]


class _Record:
    """A logits processor that changes nothing and keeps the log-probabilities, (live rows, V) a step."""

    def __init__(self) -> None:
        self.steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self.steps.append(scores.float().log_softmax(dim=-1))
        return scores


def _prompts(batch: dict[str, Any]) -> dict[str, Any]:
    length = batch["prompt_ids"].shape[1]
    fields = {"pixel_values", "image_grid_thw", "mm_token_type_ids"} & batch.keys()
    inputs = {"input_ids": batch["prompt_ids"], "attention_mask": batch["prompt_mask"]}
    inputs |= {name: batch[name] for name in sorted(fields)}
    return {name: value[:, :length] if name in TOKEN_FIELDS else value for name, value in inputs.items()}


def _sampled(
    completions: torch.Tensor, steps: list[torch.Tensor], model: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mask and log-probabilities (B, C) of the drawn tokens; a finished row leaves the steps after its end.

    What follows a drawn image token is masked: its picture is not there, and the trainer reads it as padding.
    """
    ends = model.generation_config.eos_token_id
    ended = torch.isin(completions, torch.tensor(ends).to(completions.device))
    live = torch.ones_like(completions[:, 0], dtype=torch.bool)
    readable = (completions == model.config.image_token_id).long().cumsum(dim=1) == 0
    mask, scores = torch.zeros_like(completions), torch.zeros(completions.shape, device=completions.device)
    for place, step in enumerate(steps):
        token = completions[:, place]
        own = step if len(step) == len(live) else step.new_zeros(len(live), step.shape[1])
        if len(step) != len(live):
            own[live] = step
        mask[:, place] = (live & readable[:, place]).long()
        scores[:, place] = own.gather(1, token[:, None]).squeeze(1)
        live = live & ~ended[:, place]
    return mask, scores


def _trained(
    trainer: Any,
    rows: list[dict[str, Any]],
    groups: Groups,
    completions: torch.Tensor,
    mask: torch.Tensor,
    images: list[int],
) -> torch.Tensor:
    """Log-probabilities (B, C) as the loss computes them."""
    prompts = join_rows([rows[groups.first[group]] for group in groups.index])
    longer = {"input_ids": completions, "attention_mask": mask}
    for name in TOKEN_FIELDS:
        if name in prompts:
            added = longer.get(name, torch.zeros_like(mask))
            prompts[name] = torch.cat([prompts[name], added], dim=1)
    ids, attention = prompts.pop("input_ids"), prompts.pop("attention_mask")
    counted = [images[groups.first[group]] for group in groups.index]
    scores: torch.Tensor = trainer._get_per_token_logps_and_entropies(
        trainer.model, ids, attention, completions.shape[1], num_images=counted, **prompts
    )[0]
    return scores


@contextmanager
def _precision(device: torch.device, half: bool) -> Iterator[None]:
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
        yield
