"""Micro-batches that hold whole groups, and a loss that does not depend on how many there are.

TRL shuffles all completions of a generation round before it cuts them into micro-batches. A group that is
spread over eight of them runs its prompt eight times. Here a shuffled round is put in order of groups again:
the groups lie in a random order, and so do the completions of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

GROUP = "group"  # the field of a batch that numbers the group of each row


def group_ids(trainer: Any, rows: int) -> torch.Tensor:
    """The group of each row of this process (rows,), by its place: TRL's sampler lays groups in a row."""
    training = trainer.model.training
    each = trainer.num_generations if training else trainer.num_generations_eval
    places = trainer.accelerator.process_index * rows + torch.arange(rows)
    return places // each - places[0] // each


def shuffle_groups(batch: Mapping[str, Any]) -> dict[str, Any]:
    """TRL's `shuffle_sequence_dict`, by the same random numbers, but rows of a group stay side by side."""
    group = batch[GROUP]
    shuffled = torch.randperm(len(group))  # all that stock draws
    rank = {number: place for place, number in enumerate(dict.fromkeys(group[shuffled].tolist()))}
    order = torch.tensor([rank[number] for number in group[shuffled].tolist()]).argsort(stable=True)
    rows = shuffled[order]
    return {name: _chosen(value, rows) for name, value in batch.items()}


def loss_share(trainer: Any, inputs: Mapping[str, Any]) -> float:
    """What to multiply a micro-batch's loss by, so that those of an optimiser step add up to one batch's.

    Only the loss type `bnpo` divides by the tokens of the micro-batch itself (and so weighs a token more
    the shorter its neighbours are); of all others the parts add up by themselves.
    """
    steps, batches = trainer.current_gradient_accumulation_steps, trainer._buffered_inputs
    if trainer.loss_type != "bnpo" or not trainer.model.training or not batches:
        return 1.0
    first = trainer._step % len(batches) // steps * steps
    tokens = [int(_mask(batch).sum()) for batch in batches[first : first + steps]]
    return int(_mask(inputs).sum()) * len(tokens) / max(1, sum(tokens))


def _mask(batch: Mapping[str, Any]) -> torch.Tensor:
    mask: torch.Tensor = batch["completion_mask"]
    return mask if batch.get("tool_mask") is None else mask * batch["tool_mask"]


def _chosen(value: Any, rows: torch.Tensor) -> Any:
    """The lines `rows` of a tensor or a sequence; what has no lines stays."""
    if value is None or (isinstance(value, torch.Tensor) and value.ndim == 0):
        return value
    return value[rows] if isinstance(value, torch.Tensor) else [value[row] for row in rows.tolist()]
