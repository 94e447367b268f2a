"""The pass over masked pictures in a GRPO step, and what the stage's settings make of it.

`VisualTerms.look` runs between the scores of a micro-batch and its loss: the scores under the true picture
are there already, those under the masked one take one more pass, which prefix sharing packs like the first.
It weighs the advantages (`token_weights`) and gives what the loss gains (`perception_loss`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch

from vrft_aug.policy.prefix.patching import swapped
from vrft_aug.recipe.perception_config import PerceptionLoss, TokenWeights
from vrft_aug.training.augmentations.masked_pictures import masked_pixels, pictures_of
from vrft_aug.training.augmentations.perception_loss import (
    perception_term,
    visual_dependence,
    weights_of_completions,
    weights_of_tokens,
)
from vrft_aug.training.prefix_sharing import PASSING, ROW_GROUPS

ROW = "row"  # the field of a batch that says which case of the data a completion is of
MEMBERS = "members"  # the field that numbers the group of each completion, among those of its process
Scores = tuple[torch.Tensor, torch.Tensor, Any]  # log-probabilities and entropies (B, C), and what TRL adds


@dataclass
class VisualTerms:
    """The settings of a stage that need masked pictures, with what is summed up of a step for its log."""

    perception: PerceptionLoss
    weights: TokenWeights
    seed: int  # of the stage
    _sums: list[torch.Tensor] = field(default_factory=list)

    def look(
        self, trainer: Any, true: Scores, inputs: dict[str, Any], score: Callable[..., Scores]
    ) -> torch.Tensor | None:
        """What the loss of a micro-batch gains; its advantages in `inputs` are weighted in place.

        `true` are the scores under the true pictures, with gradients; `score` gives those of other pixels.
        """
        mask = loss_mask(inputs)
        with self._gradients(), swapped(trainer, PASSING, True):
            masked = score(pixel_values=self._masked(trainer, inputs))
        dependence = visual_dependence(true[0], masked[0])
        if self.weights.share < 1:
            weights = weights_of_tokens(dependence, mask, self.weights.share, self.weights.rest)
            inputs["advantages"] = inputs["advantages"][:, None] * weights
        if self.weights.completions < 1:
            group = inputs[MEMBERS].to(dependence.device)
            whole = weights_of_completions(dependence, mask, group, self.weights.completions)
            advantages = inputs["advantages"]
            inputs["advantages"] = advantages * (whole if advantages.dim() == 1 else whole[:, None])
        entropy = true[1] + masked[1]
        self._note(dependence, true[1], masked[1], mask)
        if not self.perception.weight:
            return None
        own = self.perception
        term = perception_term(dependence, entropy, own.weight, own.bound, own.entropy)
        return as_the_loss(trainer, term, mask, inputs)

    def figures(self, trainer: Any) -> dict[str, float]:
        """Means over the tokens of the step, of all processes, by their names in metrics.jsonl."""
        sums = trainer.accelerator.reduce(torch.stack(self._sums).sum(dim=0), reduction="sum").tolist()
        self._sums = []
        names = ("kl", "at_bound", "entropy", "entropy_masked")
        tokens = max(sums.pop(), 1)
        return {f"perception/{name}": of / tokens for name, of in zip(names, sums, strict=True)}

    def _gradients(self) -> AbstractContextManager[Any]:
        through = self.perception.weight and self.perception.masked_gradient
        return nullcontext() if through else torch.no_grad()

    def _masked(self, trainer: Any, inputs: Mapping[str, Any]) -> torch.Tensor:
        groups, config = getattr(trainer, ROW_GROUPS, None), trainer.model.config
        pictures = pictures_of(inputs, inputs[ROW].tolist(), groups)
        merge = getattr(getattr(config, "vision_config", None), "spatial_merge_size", 1)
        return masked_pixels(
            inputs["pixel_values"],
            inputs.get("image_grid_thw"),
            pictures,
            self.perception.mask_share,
            f"{self.seed}/{trainer.state.global_step}",
            merge**2,
        )

    def _note(
        self, dependence: torch.Tensor, true: torch.Tensor, masked: torch.Tensor, mask: torch.Tensor
    ) -> None:
        bounded = dependence >= self.perception.bound
        sums = [(of.detach().float() * mask).sum() for of in (dependence, bounded, true, masked)]
        self._sums.append(torch.stack([*sums, mask.sum().float()]))


def loss_mask(inputs: Mapping[str, Any]) -> torch.Tensor:
    """(B, C) 1 for the tokens that TRL's loss counts."""
    mask: torch.Tensor = inputs["completion_mask"]
    return mask if inputs.get("tool_mask") is None else mask * inputs["tool_mask"]


def as_the_loss(
    trainer: Any, per_token: torch.Tensor, mask: torch.Tensor, inputs: Mapping[str, Any]
) -> torch.Tensor:
    """A loss of each token (B, C) brought together as TRL does for the trainer's loss type.

    So a term weighs the same beside the policy's loss whatever the accumulation; a test holds it to TRL's.
    """
    steps = trainer.current_gradient_accumulation_steps
    masked, parts = per_token * mask, steps
    match trainer.loss_type:
        case "grpo" | "sapo":
            loss = (masked.sum(-1) / mask.sum(-1).clamp(min=1.0)).mean()
        case "bnpo":
            loss = masked.sum() / mask.sum().clamp(min=1.0)
        case "dr_grpo":
            loss = masked.sum() / (len(mask) * trainer.max_completion_length)
        case "luspo":
            loss = masked.sum(-1).mean()
        case "cispo" | "dapo" | "vespo":
            items = inputs["num_items_in_batch"].clamp(min=1.0) / trainer.accelerator.num_processes
            loss, parts = masked.sum() / items, steps / trainer.args.steps_per_generation
        case other:
            raise ValueError(f"loss type {other!r}")
    together: torch.Tensor = loss / parts
    return together
