"""What a model is made of, in numbers that a plan of memory and time needs; `counting` makes them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stack:
    """A row of equal transformer blocks: a language model's, or a vision tower's.

    Args:
        layers: how many blocks.
        width: of the states between them.
        asked: width of all query heads of a block together.
        keys: width of all key heads together, less than `asked` where query heads share keys.
        inner: width inside the perceptron.
        gated: whether the perceptron multiplies two projections (SwiGLU), or has one.
        joined: whether query, key and value are one projection.
        layer_norm: whether norms are torch's LayerNorm; else they are RMS norms written out in Python.
        head_norms: whether queries and keys are normed.
        multiplied: parameters of all projections, which a token is multiplied with.
        parameters: all of them.
        trained: those that are trained, adapters not among them.
    """

    layers: int
    width: int
    asked: int
    keys: int
    inner: int
    gated: bool
    joined: bool
    layer_norm: bool
    head_norms: bool
    multiplied: int
    parameters: int
    trained: int


@dataclass(frozen=True)
class Anatomy:
    """A vision-language model, as a recipe's `model` makes and freezes it.

    Args:
        family: transformers' model_type.
        parameters: of the model, without an adapter.
        trained: what is trained: weights of the model, or of the adapter.
        adapter: parameters of the adapter, 0 without.
        rank: of the adapter's matrices, 0 without.
        language: the decoder's blocks.
        vision: the tower's blocks; None where no tower of a known name is found.
        vision_flows: whether gradients reach the vision tower.
        projector: parameters between tower and decoder.
        vocabulary: tokens that the head scores.
        embedding: parameters of the token embeddings and, where it is not tied to them, of the head.
        patch: pixels of a patch's side, in the tower.
        patch_numbers: numbers that the processor makes of a patch.
    """

    family: str
    parameters: int
    trained: int
    adapter: int
    rank: int
    language: Stack
    vision: Stack | None
    vision_flows: bool
    projector: int
    vocabulary: int
    embedding: int
    patch: int
    patch_numbers: int
