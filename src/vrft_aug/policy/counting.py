"""What a model is made of, counted on its modules as config.json describes them; no weights are read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from vrft_aug.errors import UserError
from vrft_aug.policy.anatomy import Anatomy, Stack
from vrft_aug.policy.freezing import PROJECTORS, TOWERS, freeze
from vrft_aug.policy.load import model_without_weights
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.model_folder import adapter_folder

ATTENTION = ("self_attn", "attn", "attention", "self_attention")
PERCEPTRON = ("mlp", "feed_forward")


def anatomy(config: ModelConfig) -> Anatomy:
    """Count the model of a recipe, its adapter and what `model.freeze` leaves to train.

    Raises UserError where the model's config.json cannot be had, has no decoder of a kind that is known here,
    or does not take the adapter.
    """
    return count_modules(model_without_weights(config, whole=False), config)


def count_modules(model: Any, config: ModelConfig) -> Anatomy:
    """The same for modules that are there, which get the adapter of `config` and are frozen as it says."""
    parameters = _count(model.parameters())
    text = model.config.get_text_config()
    try:
        decoder = model.get_decoder()
        blocks = decoder.layers
    except AttributeError:
        raise UserError(
            f"model {config.name!r} of type {model.config.model_type} has no decoder with layers; vrft plan "
            "knows language models of Llama's kind behind a vision tower"
        ) from None
    towers = [module for name, module in model.named_modules() if name.rpartition(".")[2] in TOWERS]
    projectors = [module for name, module in model.named_modules() if name.rpartition(".")[2] in PROJECTORS]
    tower = towers[0] if towers else None
    settings = getattr(model.config, "vision_config", None)
    language = _stack(blocks, decoder)  # shapes are read before an adapter stands among them
    vision = None if tower is None else _tower_stack(tower)
    projector = _count(weight for part in projectors for weight in part.parameters())
    rank = _adapt(model, config)
    freeze(model, config.freeze)
    adapter = _count(weight for name, weight in model.named_parameters() if "lora_" in name)
    trained = _count(weight for weight in model.parameters() if weight.requires_grad)
    patch = int(_first(settings, ("patch_size", "spatial_patch_size"), 14)) if settings is not None else 14
    frames = int(_first(settings, ("temporal_patch_size",), 1)) if settings is not None else 1
    return Anatomy(
        family=str(model.config.model_type),
        parameters=parameters,
        trained=trained,
        adapter=adapter,
        rank=rank,
        language=replace(language, trained=_trained(decoder)),
        vision=None if vision is None else replace(vision, trained=_trained(tower)),
        vision_flows=tower is not None and any(weight.requires_grad for weight in tower.parameters()),
        projector=projector,
        vocabulary=int(text.vocab_size),
        embedding=_embedding(model),
        patch=patch,
        patch_numbers=3 * frames * patch**2,
    )


def _adapt(model: Any, config: ModelConfig) -> int:
    """Put the recipe's adapter on the model, if any; gives its rank."""
    from peft import LoraConfig, inject_adapter_in_model

    from vrft_aug.policy.adapters import lora_config

    wanted, folder = lora_config(config), adapter_folder(config)
    if wanted is None and folder is None:
        return 0
    try:
        if wanted is None:
            wanted = LoraConfig.from_pretrained(str(folder))
            wanted.inference_mode = False
        wanted.init_lora_weights = True  # all else looks at weights, which are not there
        inject_adapter_in_model(wanted, model, low_cpu_mem_usage=True)
    except (ValueError, TypeError, KeyError, AttributeError, ImportError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"model.lora does not fit model {config.name!r}: {reason}") from None
    return int(wanted.r)


def _embedding(model: Any) -> int:
    given, head = model.get_input_embeddings(), model.get_output_embeddings()
    tied = head is None or head.weight is given.weight or model.config.tie_word_embeddings
    return int(given.weight.numel()) * (1 if tied else 2)


def _tower_stack(tower: Any) -> Stack | None:
    """The longest row of blocks in a tower."""
    import torch

    rows = [module for module in tower.modules() if isinstance(module, torch.nn.ModuleList) and len(module)]
    rows = [row for row in rows if any(hasattr(row[0], name) for name in ATTENTION)]
    return _stack(max(rows, key=len), tower) if rows else None


def _stack(blocks: Any, whole: Any) -> Stack:
    """Of blocks that lie in `whole`, whose projections all count."""
    import torch

    block = blocks[0]
    attention = next(getattr(block, name) for name in ATTENTION if hasattr(block, name))
    perceptron = next(getattr(block, name) for name in PERCEPTRON if hasattr(block, name))
    linears = [_shape(part) for part in perceptron.modules() if _is_linear(part)]
    projections = {name: _shape(part) for name, part in attention.named_modules() if _is_linear(part)}
    asked, keys = _heads(projections)
    multiplied = [
        part.weight
        for part in whole.modules()
        if _is_linear(part) or isinstance(part, torch.nn.Conv2d | torch.nn.Conv3d)
    ]
    inner, width = linears[0]  # of the first projection of a perceptron, gate or not
    return Stack(
        layers=len(blocks),
        width=width,
        asked=asked,
        keys=keys,
        inner=inner,
        gated=len(linears) > 2,
        joined=any(out >= 3 * own for out, own in projections.values()),
        layer_norm=any(isinstance(part, torch.nn.LayerNorm) for part in block.modules()),
        head_norms=any(hasattr(attention, name) for name in ("q_norm", "q_layernorm")),
        multiplied=_count(multiplied),
        parameters=_count(whole.parameters()),
        trained=0,
    )


def _trained(module: Any) -> int:
    """Weights of a module's own that are trained, an adapter's not among them."""
    named = module.named_parameters()
    return _count(weight for name, weight in named if weight.requires_grad and "lora_" not in name)


def _heads(projections: dict[str, tuple[int, int]]) -> tuple[int, int]:
    """Widths of queries and of keys, by the shapes (out, in) of an attention's projections."""
    named = {name.rpartition(".")[2] or name: shape for name, shape in projections.items()}
    if "q_proj" in named and "k_proj" in named:
        return named["q_proj"][0], named["k_proj"][0]
    out = next((out for out, own in projections.values() if out >= 3 * own), None)
    if out is not None:
        return out // 3, out // 3
    own = next(iter(projections.values()))[1]
    return own, own


def _is_linear(module: Any) -> bool:
    import torch

    return isinstance(module, torch.nn.Linear)


def _shape(linear: Any) -> tuple[int, int]:
    out, own = linear.weight.shape
    return int(out), int(own)


def _first(settings: Any, names: Iterable[str], default: Any) -> Any:
    return next((value for name in names if (value := getattr(settings, name, None)) is not None), default)


def _count(weights: Iterable[Any]) -> int:
    return sum(int(weight.numel()) for weight in weights)
