"""Bytes that autograd keeps of a token, block by block, from how the blocks are written in transformers.

What a projection, a norm, a product or an attention kernel keeps for its backward pass is counted once for
each tensor that it holds; docs/measured/plan.md compares the sums with measured peaks.
"""

from __future__ import annotations

from dataclasses import dataclass

from vrft_aug.policy.anatomy import Stack


@dataclass(frozen=True)
class Precision:
    """In what numbers a model trains; see `vrft_aug.policy.precision`.

    Args:
        weight: bytes of a weight of the model.
        compute: bytes of a number in projections and attention.
        stream: bytes of a number in the states between the language model's blocks.
        autocast: whether float32 states are cast for each projection that reads them.
        adapted: whether an adapter alone is trained.
    """

    weight: int
    compute: int
    stream: int
    autocast: bool
    adapted: bool


def precision_of(dtype: str, adapted: bool) -> Precision:
    """What training a model of `model.dtype` means, with an adapter or without."""
    half = dtype == "bfloat16"
    return Precision(
        weight=2 if half and adapted else 4,
        compute=2 if half else 4,
        stream=2 if half and adapted else 4,
        autocast=half,
        adapted=adapted,
    )


def block_bytes(stack: Stack, precision: Precision, rank: int, packed: bool = True) -> float:
    """What a block keeps of a token, or a tower's block of a patch; 0 without anything trained in it.

    `packed` is attention to shared prompts, which holds keys both repeated for the queries that share them
    and once.
    """
    if not stack.trained and not rank:
        return 0.0
    return (
        2 * _norm(stack, precision)
        + _inputs(stack.width, 1 if stack.joined else 3, precision)
        + _attention(stack, precision, packed)
        + _inputs(stack.width, 2 if stack.gated else 1, precision)
        + (4 if stack.gated else 2) * stack.inner * precision.compute
        + rank * precision.compute * ((2 if stack.joined else 4) + (3 if stack.gated else 2))
    )


def kept_bytes(
    stack: Stack, precision: Precision, rank: int, checkpointing: bool, packed: bool = True
) -> float:
    """What all blocks keep of a token; with checkpointing that is the input of each."""
    one = block_bytes(stack, precision, rank, packed)
    stream = precision.compute if stack.joined else precision.stream
    return stack.layers * (stack.width * stream if checkpointing and one else one)


def transient_bytes(stack: Stack, precision: Precision) -> float:
    """Gradients of a token while the backward pass is inside a block: of the perceptron's and the states."""
    return 2 * stack.inner * precision.compute + 2 * stack.width * 4


def _norm(stack: Stack, precision: Precision) -> float:
    """An RMS norm in Python keeps its input in float32, and what it scales where its weights are trained."""
    if stack.layer_norm:
        return 4.0 * stack.width
    return (4.0 + (precision.stream if stack.trained else 0)) * stack.width


def _inputs(width: int, projections: int, precision: Precision) -> float:
    """Projections keep their input: one tensor, or under autocast one each."""
    return width * (2.0 * projections if precision.autocast else 4.0)


def _attention(stack: Stack, precision: Precision, packed: bool) -> float:
    if stack.joined:  # the joined projection lives on in the values; turned queries and keys; two outputs
        kept = 3 * stack.asked + 2 * stack.asked + 2 * stack.asked
        return float(kept * precision.compute)
    repeated = 2 * stack.asked if stack.keys < stack.asked else 0
    keys = 2 * stack.keys if packed or not repeated else 0
    kept = stack.asked + repeated + keys + 2 * stack.asked  # queries, keys and values, two outputs
    normed = (4 + precision.compute) * (stack.asked + stack.keys) if stack.head_norms else 0
    return float(kept * precision.compute + normed)
