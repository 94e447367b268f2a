"""Micro-batches that hold whole groups, and a loss that does not depend on how many there are.

TRL shuffles all completions of a generation round before it cuts them into micro-batches. A group that is
spread over eight of them runs its prompt eight times. Here the completions of each optimiser step are put in
order of their groups again. Which completions a step trains on stays what stock has drawn, so that every step
is stock's; where a round is one step, as it is unless the recipe says otherwise, all its groups are whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from vrft_aug.policy.together import gather_all

GROUP = "group"  # the field of a batch that numbers the group of each row
APART = "_vrft_apart"  # of a trainer, while a call runs: how many of a group's last rows have other pictures


def group_ids(trainer: Any, rows: int) -> torch.Tensor:
    """The group of each row of this process (rows,), by its place: TRL's sampler lays groups in a row."""
    training = trainer.model.training
    each = trainer.num_generations if training else trainer.num_generations_eval
    places = trainer.accelerator.process_index * rows + torch.arange(rows)
    groups: torch.Tensor = places // each - places[0] // each
    if apart := getattr(trainer, APART, 0):
        groups = 2 * groups + (places % each >= each - apart)
    return groups


def shuffle_groups(batch: Mapping[str, Any], step: int) -> dict[str, Any]:
    """TRL's `shuffle_sequence_dict`, by the same random numbers; in each `step` rows those of a group adjoin.

    `step` is how many rows this process trains on in an optimiser step.
    """
    shuffled = torch.randperm(len(batch[GROUP]))  # all that stock draws
    parts = [shuffled[start : start + step] for start in range(0, len(shuffled), step)]
    rows = torch.cat([part[_by_group(batch[GROUP][part])] for part in parts])
    return {name: _chosen(value, rows) for name, value in batch.items()}


def deal_groups(batch: Mapping[str, Any], generations: int, steps: int) -> dict[str, Any]:
    """In place of TRL's `shuffle_sequence_dict`, where a round is several optimiser steps.

    Groups of `generations` rows, which adjoin, go to the `steps` in turn and whole: so each step has the same
    completions whatever part of the round a process holds. Prompts come in random order anyway.
    """
    groups = torch.arange(len(batch["completion_ids"])).view(-1, generations)
    rows = torch.cat([groups[step::steps] for step in range(steps)]).flatten()
    return {name: _chosen(value, rows) for name, value in batch.items()}


def _by_group(group: torch.Tensor) -> torch.Tensor:
    """The order of rows (n,) in which groups come as they first appear, and each is whole."""
    rank = {number: place for place, number in enumerate(dict.fromkeys(group.tolist()))}
    return torch.tensor([rank[number] for number in group.tolist()]).argsort(stable=True)


def loss_share(trainer: Any, inputs: Mapping[str, Any]) -> float:
    """What to multiply a micro-batch's loss by, so that those of an optimiser step add up to one batch's.

    They do so over all processes, which all call this for each of their micro-batches. Only the loss type
    `bnpo` divides by the tokens of the micro-batch itself (and so weighs a token more the shorter its
    neighbours are); of all others the parts add up by themselves.
    """
    steps, batches = trainer.current_gradient_accumulation_steps, trainer._buffered_inputs
    if trainer.loss_type != "bnpo" or not trainer.model.training or not batches:
        return 1.0
    first = trainer._step % len(batches) // steps * steps
    tokens = gather_all([int(_mask(batch).sum()) for batch in batches[first : first + steps]])
    return int(_mask(inputs).sum()) * len(tokens) / max(1, sum(tokens))


def _mask(batch: Mapping[str, Any]) -> torch.Tensor:
    mask: torch.Tensor = batch["completion_mask"]
    return mask if batch.get("tool_mask") is None else mask * batch["tool_mask"]


def _chosen(value: Any, rows: torch.Tensor) -> Any:
    """The lines `rows` of a tensor or a sequence; what has no lines stays."""
    if value is None or (isinstance(value, torch.Tensor) and value.ndim == 0):
        return value
    return value[rows] if isinstance(value, torch.Tensor) else [value[row] for row in rows.tolist()]
