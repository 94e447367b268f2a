"""Every micro-batch runs the vision tower, also one without any picture, where engines shard its weights.

FSDP2 and DeepSpeed gather weights and reduce gradients by collective calls, module by module. A process
whose micro-batch has no picture would leave out the tower's, and the others would wait for it, or take what
it sends for another weight's. So such a micro-batch has the tower see a blank picture, that counts nothing.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

import torch
from PIL import Image

from vrft_aug.policy.prefix.features import ARGUMENTS
from vrft_aug.training.processes.sharding import is_engine

SIDE = 56  # pixels of the blank picture, before the processor makes of it what it does


def always_look(trainer: Any) -> None:
    """Let the model of a trainer of TRL's run its vision tower in each forward pass over a sequence.

    To be called once the trainer is made. Nothing is done where no engine shards the model, for a model
    without a tower, and in a processor's hands that makes no picture of its own.
    """
    if not is_engine(trainer):
        return
    causal = trainer.model.get_base_model() if hasattr(trainer.model, "get_base_model") else trainer.model
    backbone, processor = causal.base_model, getattr(trainer.processing_class, "image_processor", None)
    if processor is None or not hasattr(backbone, "get_image_features"):
        return
    made = dict(processor([[Image.new("RGB", (SIDE, SIDE))]], return_tensors="pt"))
    blank = {name: made[name] for name in ARGUMENTS if name in made}
    stock = backbone.forward

    @wraps(stock)
    def forward(*arguments: Any, **inputs: Any) -> Any:
        said = inputs.get("input_ids", inputs.get("inputs_embeds"))
        seen = inputs.get("pixel_values") is not None or inputs.get("mm_encoder_outputs") is not None
        if arguments or said is None or seen or said.shape[1] == 1:  # a step of decoding
            return stock(*arguments, **inputs)

        def look(embedding: Any, given: Any, states: torch.Tensor) -> torch.Tensor:
            own = {name: value.to(states.device) for name, value in blank.items()}
            nothing = 0 * _sum(backbone.get_image_features(**own, return_dict=True))
            return states + nothing.to(states.dtype)

        # After the tokens are embedded: there the tower runs where there are pictures.
        hook = backbone.get_input_embeddings().register_forward_hook(look)
        try:
            return stock(**inputs)
        finally:
            hook.remove()

    backbone.forward = forward


def _sum(output: Any) -> torch.Tensor:
    """Of all features, so that each weight of the tower has a gradient; deeper layers get some of them."""
    parts = [*output.pooler_output, *(getattr(output, "deepstack_features", None) or ())]
    return torch.stack([part.float().sum() for part in parts]).sum()
