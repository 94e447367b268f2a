"""How much a completion depends on the picture, and what is made of it: a loss term and token weights.

Both compare the log-probability of each sampled token under the true picture with that under a masked one.
The divergence is Schulman's estimator on the sampled tokens, as GRPO estimates its own KL term: r - log r - 1
with r the masked probability over the true one, >= 0, without the vocabulary's logits.

- `perception_term`: PAPO (arXiv 2507.06448). The divergence is maximised, up to a bound, and the entropies of
  both policies are kept from rising, by which the divergence could be bought without looking.
- `weights_of_tokens`: VPPO (arXiv 2510.09285), its selection of tokens.
- `weights_of_completions`: its weighting of whole completions. VPPO compares those of a batch; here those of
  a group are compared, so that nothing depends on how a step is cut into micro-batches.
"""

from __future__ import annotations

import torch

STEEPEST = 20.0  # of log r: beyond, exp is cut, so that no gradient is infinite


def visual_dependence(true: torch.Tensor, masked: torch.Tensor) -> torch.Tensor:
    """r - log r - 1 for each token, in nats, >= 0; log-probabilities (B, C) in and out."""
    log_ratio = (masked - true).clamp(max=STEEPEST)
    return log_ratio.exp() - log_ratio - 1


def perception_term(
    dependence: torch.Tensor, entropy: torch.Tensor, weight: float, bound: float, entropy_weight: float
) -> torch.Tensor:
    """The loss of each token (B, C): less with more dependence (up to `bound`) and with less entropy.

    `entropy` (B, C) is the sum of those of both policies, in nats.
    """
    return entropy_weight * entropy - weight * dependence.clamp(max=bound)


def weights_of_tokens(
    dependence: torch.Tensor, mask: torch.Tensor, share: float, rest: float
) -> torch.Tensor:
    """Weights (B, C): 1 for the `share` of each row's tokens that depend most, rounded up, `rest` elsewhere.

    Of equal tokens the earlier counts. Without gradients; what a row's neighbours are does not matter.
    """
    ranked = dependence.detach().masked_fill(mask == 0, -1).argsort(dim=1, descending=True, stable=True)
    count = (mask.sum(dim=1, keepdim=True).double() * share - 1e-9).ceil()
    chosen = torch.arange(mask.shape[1], device=mask.device) < count
    weights = torch.full_like(dependence, rest, requires_grad=False)
    return weights.scatter(1, ranked, torch.where(chosen, 1.0, rest).to(weights))


def weights_of_completions(
    dependence: torch.Tensor, mask: torch.Tensor, group: torch.Tensor, least: float
) -> torch.Tensor:
    """Weights (B,): `least` for the completion of each group that depends least, with a mean of 1.

    A completion's dependence is the mean over its tokens, brought to 0 to 1 within its group, s; its weight
    is least + (1 - least) s / mean(s). Where all are equal each is 1, and so is one without tokens, which is
    not compared. `group` (B,) numbers the groups, which are whole. Without gradients.
    """
    counted = mask.sum(dim=1)
    means = (dependence.detach() * mask).sum(dim=1).double() / counted.clamp(min=1)
    weights = torch.ones_like(means)
    for number in sorted(set(group.tolist())):
        members = (group == number) & (counted > 0)
        if not members.any():
            continue
        own = means[members]
        spread = own - own.min()
        if spread.max() > 0:
            weights[members] = least + (1 - least) * spread / spread.mean()
    return weights.to(dependence)
