"""The model families that prefix sharing is exact for, by `config.model_type` or by their structure."""

from __future__ import annotations

from typing import Any

from vrft_aug.errors import UserError
from vrft_aug.plugins import installed, installed_names
from vrft_aug.policy.prefix.family import Family
from vrft_aug.policy.prefix.structure import why_not_plain

# Each is tested to be exact. A further family is one line here; those of other packages register under
# `vrft_aug.families`, as functions of no arguments that return a Family. What is neither is tried: a family
# that is plainly image tokens in a causal model needs no line (structure.py).
FAMILIES = {
    "qwen2_vl": Family(),
    "qwen2_5_vl": Family(),
    "qwen3_vl": Family(),
    "smolvlm": Family(),
    "idefics3": Family(),
    "gemma3": Family(),
    "llava_next": Family(),
    "fast_vlm": Family(),  # the photo base, `vrft tiny photo`
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
    return find_family(model.config.model_type) or Family()


def why_not_model(model: Any) -> str | None:
    """Why prefix sharing cannot be used with this transformers model, or None where it can."""
    config = model.config
    text = config.get_text_config()
    if getattr(text, "attention_dropout", 0):
        return "the model has attention dropout"
    if getattr(text, "attn_logit_softcapping", None):
        return "the model caps its attention scores"
    if find_family(config.model_type) is None and (reason := why_not_plain(model)) is not None:
        known = ", ".join([*FAMILIES, *installed_names("families")])
        return f"model family {config.model_type!r} is not among {known}, and {reason}"
    return None
