"""How greedy answers are generated, as a generation_config.json that plain transformers reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vrft_aug.errors import UserError
from vrft_aug.policy.load import quiet_libraries


def greedy_settings(folder: Path, base: Path | None, max_new_tokens: int) -> dict[str, Any]:
    """The settings of `generate` without a temperature, for the model in `folder`; no weights are read.

    `base` holds config.json and generation_config.json where `folder`, of an adapter, does not; where neither
    does, the tokenizer alone says what ends an answer. Raises UserError for a folder without a processor.
    """
    from transformers import AutoProcessor, GenerationConfig

    quiet_libraries()
    try:
        processor = AutoProcessor.from_pretrained(folder)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise UserError(f"{folder} holds no processor that can be loaded: {reason}") from None
    tokenizer = processor.tokenizer
    place = next((one for one in (folder, base) if one and (one / "generation_config.json").is_file()), None)
    declared = None if place is None else GenerationConfig.from_pretrained(place).eos_token_id
    ends = [] if declared is None else [declared] if isinstance(declared, int) else list(declared)
    if tokenizer.eos_token_id not in ends:
        ends.insert(0, tokenizer.eos_token_id)
    image = getattr(processor, "image_token_id", None)
    settings = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        repetition_penalty=1.0,
        eos_token_id=ends,
        pad_token_id=tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id,
        # A written image token would ask for a picture that is not there.
        suppress_tokens=None if image is None else [image],
    )
    return dict(settings.to_diff_dict())
