"""How long a text is: in words, or in tokens of a model's tokenizer."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from vrft_aug.errors import UserError
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.model_folder import model_folder
from vrft_aug.recipe.task_config import Injection

Count = Callable[[str], int]


@lru_cache(maxsize=8192)  # the same lines are counted for every case
def words(text: str) -> int:
    """Runs of letters, digits and underscores."""
    return len(re.findall(r"\w+", text))


def injection_count(injection: Injection, model: ModelConfig) -> Count:
    """The counter in the unit that the injection names: words, or tokens of the recipe's model.

    Only the tokenizer's file is read (of a model on the hub: fetched), never weights. Raises UserError where
    there is none.
    """
    if injection.unit == "words":
        return words
    try:
        return token_counter(_tokenizer_file(model))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"the tokenizer of model {model.name!r} cannot be read: {reason}; with injection.unit=words "
            "none is needed"
        ) from None


@lru_cache(maxsize=4)
def token_counter(file: Path) -> Count:
    """Counts tokens by a `tokenizer.json`, special ones not added; OSError or ValueError where it is none."""
    from tokenizers import Tokenizer

    text = file.read_text(encoding="utf-8")
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # the library raises nothing more special
        raise ValueError(f"{file} is no tokenizer: {error}") from None

    @lru_cache(maxsize=8192)
    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    return count


def _tokenizer_file(model: ModelConfig) -> Path:
    folder = model_folder(model)
    if folder is not None:
        return folder / "tokenizer.json"
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(model.name, "tokenizer.json", revision=model.load.get("revision")))
