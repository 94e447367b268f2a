"""Prefix sharing: the prompt and its images are computed once per group of completions, exactly.

GRPO samples G completions for each prompt, and stock TRL repeats the prompt and its images G times: in the
processor, in sampling, and in every forward and backward. Here each of these happens once per prompt:

- `grouping`: which rows of a batch hold the same prompt with the same images
- `shared_images`: batches hold the images of a group once
- `features`: a frozen vision tower runs once per image of the whole run
- `packing`: prompts and completions lie in one sequence, every prompt once, no padding
- `attention`, `decoding`, `split_softmax`, `row_order`: completions attend to the one copy of their prompt
- `flex`: the same in one compiled kernel, on GPUs
- `scoring`: log-probabilities from one pass over that sequence; gradients of a group meet in its prompt
- `sampling`: the prompt is prefilled once, finished completions leave the batch
- `decoder_step`: a step of sampling in few operations, for decoders of Llama's kind
- `family`, `families`: what differs between model families, and which are known
- `structure`: whether a family that is not known is plainly image tokens in a causal model

`training/prefix_sharing.py` puts it all into TRL's GRPOTrainer, and says why where it cannot;
`training/pictures/prompt_processing.py` lets the processor run once per prompt, its images once per batch.

Log-probabilities and gradients equal stock up to the rounding of the arithmetic.
"""

from vrft_aug.policy.prefix.families import why_not_model
from vrft_aug.policy.prefix.sampling import decode_groups

__all__ = ["decode_groups", "why_not_model"]
