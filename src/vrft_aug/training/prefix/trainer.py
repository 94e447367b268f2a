"""Prefix sharing in TRL's GRPOTrainer: three of its methods are wrapped, the model is never left changed.

Each wrapper swaps one thing for the length of one call (the processor, `model.generate`, the backbone's
forward), so that all other code of TRL, PEFT and DDP runs as it is. Where sharing does not apply to a call,
the stock method runs and the reason is logged once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache, partial, wraps
from types import SimpleNamespace
from typing import Any

import torch
from torch.nn.functional import pad

from vrft_aug.training.prefix.continuation import Completions, hidden_states_after
from vrft_aug.training.prefix.processing import OncePerPrompt
from vrft_aug.training.prefix.rows import (
    FLAT_FIELDS,
    group_rows,
    images_per_row,
    join_rows,
    same_inputs,
    split_rows,
)
from vrft_aug.training.prefix.sampling import decode_groups
from vrft_aug.training.prefix.swapped import swapped

logger = logging.getLogger(__name__)

FAMILIES = ("qwen2_5_vl",)  # config.model_type of the models that are tested to be exact
SHARED_FIELDS = {"input_ids", "attention_mask", "mm_token_type_ids", "pixel_values", "image_grid_thw"}


def enable_prefix_sharing(trainer: Any) -> bool:
    """Let a `trl.GRPOTrainer` compute each prompt once per group; call it after its construction.

    Returns False, and logs why in one line, where it cannot: the trainer then stays stock. Losses, gradients
    and the distribution of samples are those of stock; the stream of random numbers is too until finished
    completions leave the batch. With LoRA dropout the completions of a group share their prompt's dropout.
    """
    if reason := why_not(trainer):
        _say_once(f"prefix sharing is off: {reason}")
        return False
    trainer._generate_and_score_completions = _processing_once(
        trainer, trainer._generate_and_score_completions
    )
    trainer._generate_single_turn = _sampling_once(trainer, trainer._generate_single_turn)
    trainer._get_per_token_logps_and_entropies = partial(
        _log_probs, trainer, trainer._get_per_token_logps_and_entropies
    )
    return True


def why_not(trainer: Any) -> str | None:
    """Why prefix sharing cannot be used with this trainer, or None where it can."""
    if reason := why_not_model(_causal_model(trainer, trainer.model)):
        return reason
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        return "it is not tested with FSDP or DeepSpeed"
    if trainer.tools or trainer.rollout_func is not None:
        return "tools and rollout functions put more than the model's own tokens after the prompt"
    return None


def why_not_model(model: Any) -> str | None:
    """Why neither prefix sharing nor `decode_groups` can be used with this model, or None where they can."""
    config = model.config
    if config.model_type not in FAMILIES:
        return f"model family {config.model_type!r} is not among {', '.join(FAMILIES)}"
    if "sliding_attention" in getattr(config.get_text_config(), "layer_types", ()):
        return "the model uses sliding window attention"
    return None


def _processing_once(trainer: Any, stock: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(stock)
    def generate_and_score(inputs: Any) -> Any:
        with swapped(trainer, "processing_class", OncePerPrompt(trainer.processing_class)):
            return stock(inputs)

    return generate_and_score


def _sampling_once(trainer: Any, stock: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(stock)
    def generate_single_turn(*args: Any, **kwargs: Any) -> Any:
        model = _causal_model(trainer, trainer.model)
        with swapped(model, "generate", partial(_generate, model, model.generate)):
            return stock(*args, **kwargs)

    return generate_single_turn


def _generate(model: Any, stock: Callable[..., Any], generation_config: Any, **inputs: Any) -> Any:
    """`model.generate` for a batch that repeats its prompts."""
    images = images_per_row(inputs["input_ids"], inputs.get("image_grid_thw"), model.config)
    reason = _why_not_sample(generation_config) or _why_not_inputs(inputs, images)
    if reason or images is None:
        _say_once(f"sampling runs without prefix sharing: {reason}")
        return stock(generation_config=generation_config, **inputs)
    rows = split_rows(inputs, images)
    groups = group_rows(rows, same_inputs)
    return stock(
        **join_rows([rows[row] for row in groups.first]),
        generation_config=generation_config,
        custom_generate=decode_groups,
        group=torch.tensor(groups.index, device=inputs["input_ids"].device),
    )


def _why_not_sample(config: Any) -> str | None:
    if (config.num_beams or 1) > 1 or config.cache_implementation is not None:
        return "it needs plain sampling or greedy decoding with a dynamic cache"
    if (config.repetition_penalty or 1) != 1:
        return "the repetition penalty of transformers is bound to the rows of the prompts"
    return None


def _why_not_inputs(inputs: dict[str, Any], images: list[int] | None) -> str | None:
    if unknown := set(inputs) - SHARED_FIELDS:
        return f"the batch holds {', '.join(sorted(unknown))}"
    if images is None:
        return "the image tokens of the batch do not fit its images"
    if not inputs["attention_mask"][:, -1].all():
        return "prompts are not padded on the left"
    return None


def _log_probs(
    trainer: Any,
    stock: Callable[..., Any],
    model: Any,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    logits_to_keep: int,
    batch_size: int | None = None,
    compute_entropy: bool = False,
    compute_aux_loss: bool = False,
    num_images: list[int] | None = None,
    **fields: Any,
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
    """TRL's `_get_per_token_logps_and_entropies`: log-probabilities and entropies (B, C) of the completions.

    `input_ids` (B, P + C) are prompts padded on the left and completions padded on the right, C =
    `logits_to_keep`; `batch_size` rows go through the model at a time.
    """
    length = input_ids.shape[1] - logits_to_keep
    prompts = {"input_ids": input_ids[:, :length], "attention_mask": attention_mask[:, :length]}
    prompts |= {name: value for name, value in fields.items() if value is not None}
    if "mm_token_type_ids" in prompts:
        prompts["mm_token_type_ids"] = prompts["mm_token_type_ids"][:, :length]
    images = num_images or [0] * len(input_ids)
    if reason := _why_not_train(trainer, model, prompts, images):
        _say_once(f"log-probabilities run without prefix sharing: {reason}")
        return stock(  # type: ignore[no-any-return]
            model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy, compute_aux_loss,
            num_images=num_images, **fields,
        )  # fmt: skip
    rows = split_rows(prompts, images)
    step = batch_size or len(rows)
    ids, mask = input_ids[:, length:], attention_mask[:, length:]
    parts = [
        _score(trainer, model, rows[at : at + step], ids[at : at + step], mask[at : at + step])
        for at in range(0, len(rows), step)
    ]
    log_probs = torch.cat([part.log_probs for part in parts])
    return log_probs, torch.cat([part.entropy for part in parts]) if compute_entropy else None, None


def _why_not_train(trainer: Any, model: Any, prompts: dict[str, Any], images: list[int]) -> str | None:
    causal = _causal_model(trainer, model)
    if causal.training and any(getattr(part, "gradient_checkpointing", False) for part in causal.modules()):
        return "gradient checkpointing switches caches off"
    return _why_not_inputs(prompts, images)


def _score(
    trainer: Any, model: Any, rows: list[dict[str, Any]], ids: torch.Tensor, mask: torch.Tensor
) -> SimpleNamespace:
    """Log-probabilities and entropies (B, C) of one micro-batch: one row of prompt inputs per completion."""
    groups = group_rows(rows, same_inputs)
    prompts = _without_common_padding(join_rows([rows[row] for row in groups.first]))
    longest = max(1, int(mask.sum(dim=1).max()))
    completions = Completions(
        ids[:, :longest], mask[:, :longest], prompt=torch.tensor(groups.index, device=ids.device)
    )
    backbone = _causal_model(trainer, model).base_model
    continued = partial(_continued, backbone, backbone.forward, completions)
    labels = completions.ids.masked_fill(completions.mask == 0, -100)
    with trainer.accelerator.autocast(), swapped(backbone, "forward", continued):
        # Labels that are not to be shifted: TRL's fused head scores one hidden state against each.
        outputs = model(**prompts, shift_labels=labels, fused_lm_head=True)
    short = (0, ids.shape[1] - longest)
    return SimpleNamespace(
        log_probs=pad(outputs.log_probs, short),
        entropy=None if outputs.entropy is None else pad(outputs.entropy, short),
    )


def _continued(
    backbone: Any,
    stock: Callable[..., Any],
    completions: Completions,
    use_cache: bool = False,
    **prompts: Any,
) -> SimpleNamespace:
    """The backbone's forward while completions are scored: it is given the prompts alone."""
    states = hidden_states_after(prompts, completions, backbone=backbone, forward=stock)
    return SimpleNamespace(last_hidden_state=states)


def _without_common_padding(prompts: dict[str, Any]) -> dict[str, Any]:
    """Drop the columns on the left that are padding in every prompt of the micro-batch."""
    start = int(prompts["attention_mask"].any(dim=0).int().argmax())
    return {name: v if name in FLAT_FIELDS else v[:, start:] for name, v in prompts.items()}


def _causal_model(trainer: Any, model: Any) -> Any:
    """The transformers model inside DDP and PEFT wrappers."""
    model = trainer.accelerator.unwrap_model(model)
    return model.get_base_model() if hasattr(model, "get_base_model") else model


@cache
def _say_once(message: str) -> None:
    logger.warning(message)
