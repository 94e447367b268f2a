"""Prefix sharing: the prompt and its images are computed once per group of completions, exactly.

GRPO samples G completions for each prompt, and stock TRL repeats the prompt and its images G times: in the
processor, in sampling, and in every forward and backward. Here each of these happens once per prompt:

- `rows`: which rows of a batch hold the same prompt with the same images
- `processing`: the processor runs once per prompt
- `sampling`, `attention`: the prompt is prefilled once, all its completions attend to that one cache, and
  finished completions leave the batch
- `continuation`: the prompt runs once *with gradients*, the completions continue its repeated cache
- `trainer`: puts the three into TRL's GRPOTrainer, and says why where it cannot

Log-probabilities and gradients equal stock up to the rounding of the arithmetic.
"""

from vrft_aug.training.prefix.continuation import Completions, hidden_states_after
from vrft_aug.training.prefix.sampling import decode_groups
from vrft_aug.training.prefix.trainer import enable_prefix_sharing, why_not_model

__all__ = ["Completions", "decode_groups", "enable_prefix_sharing", "hidden_states_after", "why_not_model"]
