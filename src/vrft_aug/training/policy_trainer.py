"""TRL's GRPOTrainer where the policy needs it to differ: one subclass, and what it changes.

- Sampling computes as the loss does, under the same autocast; TRL leaves it to the model, and an adapter in
  float32 over a bfloat16 base would sample from another distribution than it is trained on.
- The reference of the KL term is a copy of the policy as it was loaded, with all its settings; TRL would load
  it by name, with settings of its own. With an adapter there is none: TRL switches the adapter off, or back
  to where it began.
"""

from __future__ import annotations

import copy
from typing import Any

from trl import GRPOTrainer
from trl.trainer import grpo_trainer

from vrft_aug.policy.prefix.patching import swapped


class PolicyTrainer(GRPOTrainer):  # type: ignore[misc]
    """A `trl.GRPOTrainer` of an instance of a model, which is also its reference."""

    def __init__(self, model: Any, **settings: Any) -> None:
        def reference(*_: Any, **__: Any) -> Any:
            return copy.deepcopy(model)

        with swapped(grpo_trainer, "create_model_from_path", reference):
            super().__init__(model=model, **settings)

    def _generate_single_turn(self, *arguments: Any, **settings: Any) -> Any:
        with self.accelerator.autocast():
            return super()._generate_single_turn(*arguments, **settings)
