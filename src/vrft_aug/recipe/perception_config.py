"""What a GRPO stage learns from changed pictures: `perception_loss`, `token_weights` and `noisy_rollouts`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vrft_aug.data.settings import Strict


class PerceptionLoss(Strict):
    """A reward for what a masked picture would make less likely (PAPO), see docs/concepts/beyond.md."""

    weight: float = Field(default=0.0, ge=0, le=10)  # of the divergence that is maximised; 0 is off
    mask_share: float = Field(default=0.6, gt=0, le=1)  # of the picture is masked, also for token_weights
    bound: float = Field(default=5.0, gt=0, le=20)  # nats: a token that diverges by more is not pushed on
    entropy: float = Field(default=0.03, ge=0, le=10)  # weight of the entropies, which are kept from rising
    # Gradients go through the masked pass too, as PAPO has it; it then costs as much as the other one.
    masked_gradient: bool = False


class TokenWeights(Strict):
    """What the advantage counts for: tokens, and completions, that depend on the picture (VPPO)."""

    share: float = Field(default=1.0, gt=0, le=1)  # of a completion's tokens that count in full; 1 is off
    rest: float = Field(default=0.0, ge=0, lt=1)  # the weight of the others
    # the weight of the completion of each group that depends least on the picture; the others get more by
    # their mean dependence, so that the mean is 1; 1 is off
    completions: float = Field(default=1.0, gt=0, le=1)


Distortion = Literal["noise", "blur", "brightness", "contrast"]  # see training/augmentations/distortions.py


class NoisyRollouts(Strict):
    """Completions that are sampled on a distorted picture and trained on the true one (NoisyRollout)."""

    share: float = Field(default=0.0, ge=0, lt=1)  # of each group's completions; 0 is off
    strength: float = Field(default=0.5, gt=0, le=1)  # of the distortion at the first step
    until: float = Field(default=1.0, gt=0, le=1)  # the share of the stage's steps after which none is left
    distortions: tuple[
        Distortion, ...
    ] = ()  # one is drawn for a picture; none named: what its modality bears
