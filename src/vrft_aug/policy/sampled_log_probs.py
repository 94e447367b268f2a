"""What the sampler itself says of the tokens that it draws, for plain sampling with transformers.

`model.generate(..., custom_generate=draw_rows, log_probs=[])` samples as without, and fills the list;
`policy/prefix/sampling.py` does the same where prompts are shared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList
from transformers.generation.configuration_utils import GenerationMode

from vrft_aug.policy.row_noise import RowNoise, draw


def generate_and_tell(
    stock: Callable[..., Any],
    log_probs: list[torch.Tensor],
    noise: RowNoise | None,
    generation_config: Any,
    **inputs: Any,
) -> Any:
    """A model's `generate` (`stock`), by `draw_rows` where it samples or is greedy; else as it is."""
    modes = (GenerationMode.SAMPLE, GenerationMode.GREEDY_SEARCH)
    if generation_config.get_generation_mode() in modes:
        inputs |= {"custom_generate": draw_rows, "log_probs": log_probs, "noise": noise}
    return stock(generation_config=generation_config, **inputs)


def draw_rows(
    model: Any,
    input_ids: torch.Tensor,
    logits_processor: Any,
    stopping_criteria: Any,
    generation_config: Any,
    log_probs: list[torch.Tensor],
    noise: RowNoise | None = None,
    **state: Any,
) -> Any:
    """Transformers' sampling loop; `log_probs` gets one tensor (B, new tokens).

    They are of the distribution that is drawn from: after temperature, top-p and all else. What stands behind
    the end of a row has no meaning. With `noise` each row is drawn by numbers of its own.
    """
    watch = _Watch(noise if generation_config.do_sample else None, input_ids.shape[1])
    sequences = type(model)._sample(
        model,
        input_ids,
        logits_processor=LogitsProcessorList([*logits_processor, watch]),
        stopping_criteria=stopping_criteria,
        generation_config=generation_config,
        **state,
    )
    log_probs.append(watch.of(sequences[:, input_ids.shape[1] :]))
    return sequences


class _Watch(LogitsProcessor):  # type: ignore[misc]
    """Stands behind all other processors; a token is seen a step after the scores that it is drawn from."""

    def __init__(self, noise: RowNoise | None, prompt: int) -> None:
        self._told: list[torch.Tensor] = []
        self._scores: torch.Tensor | None = None
        self._noise, self._prompt = noise, prompt

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if self._scores is not None:
            self._told.append(_log_prob(self._scores, input_ids[:, -1]))
        self._scores = scores
        if self._noise is None:
            return scores
        # What transformers draws from leaves one token, which has been drawn here.
        chance = self._noise.of(None, input_ids.shape[1] - self._prompt)
        chosen = draw(scores.softmax(dim=-1), chance)
        return torch.full_like(scores, -torch.inf).scatter_(1, chosen, 0.0)

    def of(self, drawn: torch.Tensor) -> torch.Tensor:
        """Log-probabilities of the tokens `drawn` (B, C) since the beginning; a loop may run a step ahead."""
        if self._scores is not None and len(self._told) < drawn.shape[1]:
            self._told.append(_log_prob(self._scores, drawn[:, -1]))
        return torch.stack(self._told[: drawn.shape[1]], dim=1)


def _log_prob(scores: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
    return scores.gather(1, token[:, None]).squeeze(1) - scores.logsumexp(dim=-1)
