"""Parts of a model that stay as they are: no gradients, and evaluation mode whatever trains around them.

`model.freeze` of a recipe names them. What lies in a frozen part is frozen with it, layers of an adapter too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MethodType
from typing import Any

import torch

from vrft_aug.errors import UserError, nearest
from vrft_aug.recipe.model_config import Freeze

# What families call the vision tower, and what leads from it to the language model, which may lie inside it.
TOWERS = ("visual", "vision_tower", "vision_model")
PROJECTING_WEIGHTS = ("image_newline",)  # that belong to it: LLaVA-NeXT's, between the lines of an image
PROJECTORS = ("merger", "deepstack_merger_list", "multi_modal_projector", "connector")


@dataclass(frozen=True)
class Trained:
    """How much of a model is trained."""

    trained: int  # parameters
    parameters: int  # all of them
    frozen: tuple[str, ...]  # the settings that froze something

    def __str__(self) -> str:
        share = f"{self.trained:,} of {self.parameters:,} parameters ({self.trained / self.parameters:.1%})"
        return f"trains {share}" + (f"; frozen: {', '.join(self.frozen)}" if self.frozen else "")


def freeze(model: Any, wanted: Freeze) -> Trained:
    """Freeze parts of a transformers model, or of a peft.PeftModel that holds one.

    Raises UserError where a setting names nothing, and where nothing would be left to train.
    """
    found = frozen_parts(model, wanted)
    for parts in found.values():
        for part in parts:
            if isinstance(part, torch.nn.Module):
                part.requires_grad_(False)
                part.eval()
                part.train = MethodType(_stay, part)  # type: ignore[method-assign]
            else:
                part.requires_grad_(False)
    count = Trained(
        trained=sum(weight.numel() for weight in model.parameters() if weight.requires_grad),
        parameters=sum(weight.numel() for weight in model.parameters()),
        frozen=tuple(found),
    )
    if not count.trained:
        raise UserError(
            f"model.freeze leaves nothing to train of {count.parameters:,} parameters: {', '.join(found)} "
            "are frozen; freeze less"
        )
    return count


def frozen_parts(model: Any, wanted: Freeze) -> dict[str, Sequence[torch.nn.Module | torch.nn.Parameter]]:
    """The modules and single weights that each setting freezes; UserError where one names nothing."""
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    found: dict[str, Sequence[torch.nn.Module | torch.nn.Parameter]] = {}
    towers = [module for name, module in causal.named_modules() if _last(name) in TOWERS]
    projectors = [module for name, module in causal.named_modules() if _last(name) in PROJECTORS]
    if wanted.vision:
        found["vision"] = [part for tower in towers for part in _without(tower, projectors)]
    if wanted.projector:
        found["projector"] = [
            *projectors,
            *(weight for name, weight in causal.named_parameters() if _last(name) in PROJECTING_WEIGHTS),
        ]
    for setting, parts in found.items():
        if not parts:
            raise UserError(
                f"model.freeze.{setting}: {type(causal).__name__} has no part of a name that we know for it; "
                "name it under model.freeze.names"
            )
    if wanted.layers_below:
        layers = causal.get_decoder().layers
        if wanted.layers_below > len(layers):
            raise UserError(
                f"model.freeze.layers_below is {wanted.layers_below}, but the language model has "
                f"{len(layers)} layers; expected at most that"
            )
        found[f"layers below {wanted.layers_below}"] = list(layers[: wanted.layers_below])
    for pattern in wanted.names:
        found[pattern] = _named(causal, pattern)
    return found


def _named(causal: Any, pattern: str) -> Sequence[torch.nn.Module | torch.nn.Parameter]:
    """Modules, else weights, whose dotted name or its end is `pattern`, in which * stands for anything."""
    for named in (causal.named_modules(), causal.named_parameters()):
        parts = [
            part for name, part in named if fnmatchcase(name, pattern) or fnmatchcase(name, f"*.{pattern}")
        ]
        if parts:
            return parts
    known = list(dict.fromkeys(_last(name) for name, _ in causal.named_modules() if name))
    raise UserError(
        f"model.freeze.names: {type(causal).__name__} has no part {pattern!r}{nearest(pattern, known)}; "
        "expected a dotted name, or its end, of a module or a weight"
    )


def _without(tower: torch.nn.Module, projectors: Sequence[Any]) -> Iterator[Any]:
    """The tower, or all that lies in it directly but the projectors."""
    if not any(part is projector for part in tower.modules() for projector in projectors):
        yield tower
        return
    yield from (part for part in tower.children() if not any(part is other for other in projectors))
    yield from tower.parameters(recurse=False)


def _stay(part: torch.nn.Module, mode: bool = True) -> torch.nn.Module:
    """Stands in for `train` of a frozen part."""
    return part


def _last(name: str) -> str:
    return name.rpartition(".")[2]
