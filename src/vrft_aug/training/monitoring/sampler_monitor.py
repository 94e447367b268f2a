"""Whether completions are drawn from the distribution that is trained: sampler and trainer, token by token.

GRPO takes the completions for samples of the policy. A sampler that computes in another precision, cuts the
distribution (top-p, top-k), or is another engine draws from something else, and the gradient is biased. Both
log-probabilities of a token are there anyway: the sampler's from its draw, the trainer's from the first
forward pass of the update (or from the pass that TRL makes for old log-probabilities).
"""

from __future__ import annotations

import torch

# TRL's own names for rollouts of vLLM, and one more.
MEAN = "sampling/sampling_logp_difference/mean"
MAX = "sampling/sampling_logp_difference/max"
SAMPLE_SIZE = "sampling/effective_sample_size"


def row_differences(sampler: torch.Tensor, trainer: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Of completions (B, C), where `mask` is not 0: sum, sum of sizes, largest size, and count (B, 4).

    What differs are the log-probabilities, the sampler's less the trainer's. A token that the sampler does
    not tell about (NaN) does not count.
    """
    difference = sampler.float() - trainer.detach().float()
    counts = mask.bool() & ~difference.isnan()
    difference = difference.masked_fill(~counts, 0)
    size = difference.abs()
    return torch.stack([difference.sum(1), size.sum(1), size.amax(1), counts.sum(1).float()], dim=1)


def step_figures(rows: torch.Tensor) -> dict[str, float]:
    """Figures of a step by their names in metrics.jsonl, from `row_differences` of all its completions.

    | figure | of the log-probabilities, the sampler's less the trainer's |
    |---|---|
    | `.../mean`, `.../max` | size of the difference over tokens, >= 0 |
    | `sampling/effective_sample_size` | share of the completions that are left when each is weighted by how
      much likelier the trainer finds it than the sampler does: (sum w)^2 / (n sum w^2), in (0, 1] |

    Empty where no token counts.
    """
    rows = rows[rows[:, 3] > 0].double()
    if not len(rows):
        return {}
    log_weights = -rows[:, 0]
    weights = (log_weights - log_weights.max()).exp()
    return {
        MEAN: float(rows[:, 1].sum() / rows[:, 3].sum()),
        MAX: float(rows[:, 2].max()),
        SAMPLE_SIZE: float(weights.sum() ** 2 / (len(rows) * weights.square().sum())),
    }
