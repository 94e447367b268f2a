"""How alike an encoder finds two texts: the F1 of BERTScore, as a reward term for open answers.

Zhang et al., BERTScore: Evaluating Text Generation with BERT (ICLR 2020). Every token is matched with the
most similar one of the other text; without weights by rarity and without a baseline, so that unrelated texts
of a field earn much: use it with `accuracy`, never alone, and read what a constant answer earns
(`vrft check`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any

import torch
from pydantic import Field

from vrft_aug.errors import UserError, shown
from vrft_aug.nouns import Answer, Case, Task
from vrft_aug.shaping.text import compared


def embedding_f1(
    answer: Answer, case: Case, task: Task, encoder: str, layer: Annotated[int | None, Field(ge=0)] = None
) -> float | None:
    """BERTScore's F1 of the answer and the true text, 0..1 (negative similarities count as 0).

    `encoder` is a BERT-like model by folder or hub name, `layer` whose hidden states are compared (0: the
    embeddings; None: the last). 1 for an answer that is the same, 0 for one that cannot be read, None where
    the task is of another kind. Raises UserError where the encoder cannot be loaded or lacks the layer.
    """
    texts = compared(answer, case, task)
    if texts is None or texts == "unreadable":
        return None if texts is None else 0.0
    said, true = texts
    if said == true or not said or not true:
        return float(said == true)
    (one, of_one), (two, of_two) = (_tokens(text, encoder, layer) for text in (said, true))
    alike = one @ two.T
    precision = _mean(alike.max(dim=1).values, of_one)
    recall = _mean(alike.max(dim=0).values, of_two)
    return 0.0 if precision + recall <= 0 else min(1.0, 2 * precision * recall / (precision + recall))


def _mean(values: torch.Tensor, counted: torch.Tensor) -> float:
    return float((values.clamp(min=0) * counted).sum() / counted.sum().clamp(min=1))


def _tokens(text: str, name: str, layer: int | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit vectors of the tokens (tokens, width), and which are words: the marks around a text are not."""
    tokenizer, model = _loaded(name)
    inputs = tokenizer(text, return_tensors="pt", truncation=True, return_special_tokens_mask=True)
    words = 1.0 - inputs.pop("special_tokens_mask")[0].float()
    with torch.inference_mode():
        states = model(**inputs, output_hidden_states=True).hidden_states
    if layer is not None and layer >= len(states):
        raise UserError(f"reward embedding_f1: encoder {name} has layers 0 to {len(states) - 1}, not {layer}")
    return torch.nn.functional.normalize(states[-1 if layer is None else layer][0].float(), dim=-1), words


@lru_cache(maxsize=2)
def _loaded(name: str) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        model = AutoModel.from_pretrained(name, trust_remote_code=False, use_safetensors=True)
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"reward embedding_f1: encoder {shown(name)} cannot be loaded: {reason}; expected a BERT-like "
            "model, by folder or hub name"
        ) from None
    return tokenizer, model.eval()
