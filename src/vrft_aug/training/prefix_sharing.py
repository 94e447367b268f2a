"""Prefix sharing in TRL's GRPOTrainer: five of its methods are wrapped, the model is never left changed.

Each wrapper swaps one thing for the length of one call (the processor, `model.generate`, attention, how a
round is shuffled), so that all other code of TRL, PEFT and DDP runs as it is. Where sharing does not apply to
a call, the stock method runs and the reason is logged once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial, wraps
from operator import eq
from typing import Any
from weakref import WeakKeyDictionary

import torch

from vrft_aug.policy.prefix.families import family_of, why_not_model
from vrft_aug.policy.prefix.family import Family
from vrft_aug.policy.prefix.features import FeatureCache
from vrft_aug.policy.prefix.grouping import Groups, Inputs, group_rows, join_rows, same_inputs
from vrft_aug.policy.prefix.patching import swapped
from vrft_aug.policy.prefix.sampling import decode_groups
from vrft_aug.policy.prefix.scoring import score_completions
from vrft_aug.policy.prefix.shared_images import group_images, split_once
from vrft_aug.policy.row_noise import RowNoise
from vrft_aug.training.micro_batches import GROUP, group_ids, loss_share, shuffle_groups
from vrft_aug.training.pictures.prompt_processing import OncePerPrompt

logger = logging.getLogger(__name__)
Caches = MutableMapping[Any, FeatureCache]
IMAGES = "_vrft_group_images"  # of a trainer: the images of each group of the round, where they lie flat
ROW_GROUPS = "_vrft_row_groups"  # of a trainer, while a call runs: the group of each of its rows, by number
PASSING = "_vrft_passing_images"  # of a trainer, while a call runs: images that no later call asks for again


def whole_batches(trainer: Any) -> list[dict[str, Any]]:
    """The micro-batches of the round that a trainer holds, with the images of every row as stock has them."""
    shared = getattr(trainer, IMAGES, None)
    if not shared:
        return list(trainer._buffered_inputs)
    return [
        {**batch, **join_rows([shared[group] for group in batch[GROUP].tolist()])}
        for batch in trainer._buffered_inputs
    ]


def enable_prefix_sharing(trainer: Any) -> bool:
    """Let a `trl.GRPOTrainer` compute each prompt once per group; call it after its construction.

    Returns False, and logs why in one line, where it cannot: the trainer then stays stock. Losses, gradients
    and the distribution of samples are those of stock; the stream of random numbers is too until finished
    completions leave the batch. With LoRA dropout the completions of a group share their prompt's dropout.
    Micro-batches hold whole groups, and the loss type `bnpo` divides by the tokens of the optimiser step.
    """
    if reason := why_not(trainer):
        _say_once(f"prefix sharing is off: {reason}")
        return False
    features: Caches = WeakKeyDictionary()  # of each model whose vision tower is frozen
    trainer._generate_and_score_completions = _processing_once(
        trainer, trainer._generate_and_score_completions
    )
    trainer._generate_single_turn = _sampling_once(trainer, trainer._generate_single_turn, features)
    trainer._get_per_token_logps_and_entropies = partial(
        _log_probs, trainer, trainer._get_per_token_logps_and_entropies, features
    )
    trainer._prepare_inputs = _groups_together(trainer, trainer._prepare_inputs)
    trainer._compute_loss = _loss_of_groups(trainer, trainer._compute_loss)
    return True


def why_not(trainer: Any) -> str | None:
    """Why prefix sharing cannot be used with this trainer, or None where it can."""
    if reason := why_not_model(_causal_model(trainer, trainer.model)):
        return reason
    if trainer.tools or trainer.rollout_func is not None:
        return "tools and rollout functions put more than the model's own tokens after the prompt"
    return None


def _processing_once(trainer: Any, stock: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(stock)
    def generate_and_score(inputs: Any) -> Any:
        groups, family = group_ids(trainer, len(inputs)), family_of(_causal_model(trainer, trainer.model))

        def numbers(rows: int) -> list[int]:
            return group_ids(trainer, rows).tolist()

        processor = OncePerPrompt(trainer.processing_class, family, numbers)
        setattr(trainer, IMAGES, None)  # those of the last round
        with swapped(trainer, "processing_class", processor), swapped(trainer, ROW_GROUPS, groups.tolist()):
            output = stock(inputs)
        output[GROUP] = groups
        if output.get("image_grid_thw") is not None:
            shared = group_images(family, output, output["num_images"], group_rows(groups.tolist(), eq))
            setattr(trainer, IMAGES, shared)
            output = {name: value for name, value in output.items() if name not in family.image_fields}
        return output

    return generate_and_score


def _sampling_once(trainer: Any, stock: Callable[..., Any], features: Caches) -> Callable[..., Any]:
    @wraps(stock)
    def generate_single_turn(prompt_ids: Any, images: Any, *args: Any, **kwargs: Any) -> Any:
        model = _causal_model(trainer, trainer.model)
        counts = [len(own or ()) for own in images] if images else [0] * len(prompt_ids)
        groups = group_ids(trainer, len(prompt_ids)).tolist()
        generate = partial(generate_shared, model, model.generate, counts, groups)
        with swapped(model, "generate", generate), _serving(features, model.base_model):
            return stock(prompt_ids, images, *args, **kwargs)

    return generate_single_turn


def _groups_together(trainer: Any, stock: Callable[..., Any]) -> Callable[..., Any]:
    from trl.trainer import grpo_trainer

    @wraps(stock)
    def prepare_inputs(inputs: Any) -> Any:
        rounds = trainer.args.steps_per_generation * trainer.num_iterations
        if trainer.model.training and trainer._step % rounds == 0:
            trainer._buffered_inputs = None  # the last round's images are not held while this one is drawn
        if not trainer.model.training or trainer.args.steps_per_generation == 1:  # nothing is cut
            return stock(inputs)
        step = trainer.args.per_device_train_batch_size * trainer.args.gradient_accumulation_steps
        with swapped(grpo_trainer, "shuffle_sequence_dict", partial(shuffle_groups, step=step)):
            return stock(inputs)

    return prepare_inputs


def _loss_of_groups(trainer: Any, stock: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(stock)
    def compute_loss(model: Any, inputs: Any) -> Any:
        groups = inputs.get(GROUP)
        if groups is not None and (shared := getattr(trainer, IMAGES, None)):
            inputs = {**inputs, **join_rows([shared[group] for group in dict.fromkeys(groups.tolist())])}
        with swapped(trainer, ROW_GROUPS, None if groups is None else groups.tolist()):
            share = 1.0 if getattr(trainer, "adds_up", False) else loss_share(trainer, inputs)
            return stock(model, inputs) * share

    return compute_loss


def generate_shared(
    model: Any,
    stock: Callable[..., Any],
    images: list[int],
    numbers: Sequence[int] | None,
    generation_config: Any,
    custom_generate: Callable[..., Any] | None = None,
    log_probs: list[torch.Tensor] | None = None,
    noise: RowNoise | None = None,
    **inputs: Any,
) -> Any:
    """A model's `generate` (`stock`) for a batch that repeats its prompts.

    `images` (B,) counts the images of each row, `numbers` (B,) names its group; without, rows are compared.
    `custom_generate` samples where prompts cannot be shared; `log_probs` is filled, and `noise` draws, as in
    `decode_groups`.
    """
    told: dict[str, Any] = {} if log_probs is None else {"log_probs": log_probs}
    told |= {} if noise is None else {"noise": noise}
    rows, reason = _rows(family_of(model), inputs, images, numbers)
    if reason := _why_not_sample(generation_config) or reason:
        _say_once(f"sampling runs without prefix sharing: {reason}")
        told = {} if custom_generate is None else {**told, "custom_generate": custom_generate}
        whole = join_rows(rows) if rows else inputs
        return stock(generation_config=generation_config, **whole, **told)
    groups = _groups(rows, numbers)
    return stock(
        **join_rows([rows[row] for row in groups.first]),
        generation_config=generation_config,
        custom_generate=decode_groups,
        **told,
        group=torch.tensor(groups.index, device=inputs["input_ids"].device),
    )


def _why_not_sample(config: Any) -> str | None:
    if (config.num_beams or 1) > 1 or config.cache_implementation is not None:
        return "it needs plain sampling or greedy decoding with a dynamic cache"
    if (config.repetition_penalty or 1) != 1:
        return "the repetition penalty of transformers is bound to the rows of the prompts"
    return None


def _groups(rows: Sequence[Inputs], numbers: Sequence[int] | None) -> Groups:
    return group_rows(rows, same_inputs) if numbers is None else group_rows(numbers, eq)


def _rows(
    family: Family, inputs: dict[str, Any], images: list[int], numbers: Sequence[int] | None
) -> tuple[list[dict[str, Any]], str | None]:
    """The inputs of each row, and why they cannot be shared; no rows where they cannot be told apart."""
    if unknown := set(inputs) - family.token_fields - family.image_fields:
        return [], f"the batch holds {', '.join(sorted(unknown))}"
    try:
        rows = split_once(family, inputs, images, None if numbers is None else group_rows(numbers, eq))
    except ValueError as error:
        return [], str(error)
    return rows, None if inputs["attention_mask"][:, -1].all() else "prompts are not padded on the left"


def _log_probs(
    trainer: Any,
    stock: Callable[..., Any],
    features: Caches,
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
    causal, step = _causal_model(trainer, model), batch_size or len(input_ids)
    length, family = input_ids.shape[1] - logits_to_keep, family_of(causal)
    prompts = {"input_ids": input_ids, "attention_mask": attention_mask}
    prompts |= {name: value for name, value in fields.items() if value is not None}
    prompts = {name: v[:, :length] if name in family.token_fields else v for name, v in prompts.items()}
    numbers = getattr(trainer, ROW_GROUPS, None)
    rows, reason = _rows(family, prompts, num_images or [0] * len(input_ids), numbers)
    if reason:
        _say_once(f"log-probabilities run without prefix sharing: {reason}")
        whole = join_rows(rows) if rows else {}
        fields |= {name: whole[name] for name in whole if name in family.image_fields}
        return stock(  # type: ignore[no-any-return]
            model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy, compute_aux_loss,
            num_images=num_images, **fields,
        )  # fmt: skip
    ids, mask = input_ids[:, length:], attention_mask[:, length:]
    served = nullcontext() if getattr(trainer, PASSING, False) else _serving(features, causal.base_model)
    with trainer.accelerator.autocast(), served:
        parts = []
        for a in range(0, len(rows), step):
            part = slice(a, a + step)
            groups = _groups(rows[part], numbers and numbers[part])
            parts.append(score_completions(model, causal, rows[part], groups, ids[part], mask[part]))
    log_probs, entropies = zip(*parts, strict=True)
    return torch.cat(log_probs), torch.cat(entropies) if compute_entropy else None, None


def _serving(features: Caches, backbone: Any) -> AbstractContextManager[None]:
    return features.setdefault(backbone, FeatureCache()).serving(backbone)


def _causal_model(trainer: Any, model: Any) -> Any:
    """The transformers model inside DDP and PEFT wrappers."""
    model = trainer.accelerator.unwrap_model(model)
    return model.get_base_model() if hasattr(model, "get_base_model") else model


@cache
def _say_once(message: str) -> None:
    logger.warning(message)
