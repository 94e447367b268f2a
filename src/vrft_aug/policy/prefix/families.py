"""The model families that prefix sharing is exact for, by transformers' `config.model_type`."""

from __future__ import annotations

from typing import Any

from vrft_aug.errors import UserError
from vrft_aug.plugins import installed, installed_names
from vrft_aug.policy.prefix.family import Family

# Each is tested to be exact. A further family is one line here; those of other packages register under
# `vrft_aug.families`, as functions of no arguments that return a Family.
FAMILIES = {
    "qwen2_vl": Family(),
    "qwen2_5_vl": Family(),
    "qwen3_vl": Family(),
    "smolvlm": Family(),
    "idefics3": Family(),
    "gemma3": Family(),
}


def find_family(model_type: str) -> Family | None:
    """What is known of a family, or None; UserError where a package registers something else than one."""
    function = installed("families", model_type, FAMILIES)
    if function is None:
        return FAMILIES.get(model_type)
    family = function()
    if not isinstance(family, Family):
        raise UserError(
            f"entry point {model_type!r} of vrft_aug.families gave a {type(family).__name__}; expected a "
            "function that returns a vrft_aug.Family"
        )
    return family


def family_of(model: Any) -> Family:
    """The family of a model for which `why_not_model` gives None."""
    family = find_family(model.config.model_type)
    assert family is not None, model.config.model_type
    return family


def why_not_model(model: Any) -> str | None:
    """Why prefix sharing cannot be used with this transformers model, or None where it can."""
    config = model.config
    if find_family(config.model_type) is None:
        known = ", ".join([*FAMILIES, *installed_names("families")])
        return f"model family {config.model_type!r} is not among {known}"
    text = config.get_text_config()
    if getattr(text, "attention_dropout", 0):
        return "the model has attention dropout"
    if getattr(text, "attn_logit_softcapping", None):
        return "the model caps its attention scores"
    return None
