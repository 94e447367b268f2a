"""The shapes that `vrft bench` measures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from vrft_aug.errors import UserError


@dataclass(frozen=True)
class Shape:
    """One GRPO step: `prompts` x `generations` completions of `completion` tokens after `prompt` tokens."""

    prompt: int  # P, image tokens included; the texts are built to be about as long
    completion: int  # C; every completion is as long
    generations: int  # G
    prompts: int = 4
    image: int = 112  # pixels a side; 16 x 16 pixels make a token
    size: str = "small"  # of SIZES
    accumulation: int = 1  # micro-batches of a step
    checkpointing: bool = False  # activations are computed anew in the backward pass, in both arms
    adapter: bool = False  # a LoRA adapter over a bfloat16 base is trained, instead of all weights in float32
    device: Literal["cpu", "cuda"] = "cpu"  # that it is measured on

    @property
    def name(self) -> str:
        """Such as `P180 C48 G8 small`, or `P600 C96 G8 small, accumulation 8, checkpointing`."""
        name = f"P{self.prompt} C{self.completion} G{self.generations} {self.size}"
        if self.accumulation > 1:
            name += f", accumulation {self.accumulation}"
        if self.adapter:
            name += ", adapter over bfloat16"
        if self.checkpointing:
            name += ", checkpointing"
        return name if self.device == "cpu" else f"{name}, {self.device}"


@dataclass(frozen=True)
class Size:
    """A language model's shape; the vision tower and the vocabulary keep their own unless told here."""

    hidden: int
    layers: int
    heads: int
    key_value_heads: int
    intermediate: int
    vocabulary: int | None = None
    vision: dict[str, Any] = field(default_factory=dict, hash=False)


SIZES = {
    "small": Size(hidden=192, layers=5, heads=6, key_value_heads=2, intermediate=512),
    "medium": Size(hidden=512, layers=8, heads=16, key_value_heads=4, intermediate=1408),
    "3B": Size(  # Qwen2.5-VL-3B's
        hidden=2048, layers=36, heads=16, key_value_heads=2, intermediate=11008, vocabulary=151_936,
        vision={
            "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16,
            "fullatt_block_indexes": [7, 15, 23, 31],
        },
    ),
}  # fmt: skip
SHORT = Shape(prompt=180, completion=48, generations=8)
PAPER = Shape(prompt=600, completion=96, generations=8, image=224)
ACCUMULATE = Shape(
    prompt=600, completion=96, generations=8, prompts=8, image=224, accumulation=8, checkpointing=True
)
PRESETS: dict[str, tuple[Shape, ...]] = {
    "paper": (PAPER,),
    "short": (SHORT,),
    "accumulate": (ACCUMULATE,),
    "group": tuple(Shape(180, 48, generations, prompts=2) for generations in (4, 8, 16, 32)),
    "size": tuple(Shape(180, 48, 8, prompts=2, size=size) for size in ("small", "medium")),
    "length": (
        *(Shape(prompt, 48, 8, prompts=2) for prompt in (180, 360, 720)),
        *(Shape(360, completion, 8, prompts=2) for completion in (24, 96, 192)),
    ),
}
THREE_BILLION = Shape(  # for a GPU
    prompt=600,
    completion=128,
    generations=8,
    prompts=2,
    image=224,
    size="3B",
    checkpointing=True,
    adapter=True,
    device="cuda",
)
GPU_PRESETS: dict[str, tuple[Shape, ...]] = {"gpu": (THREE_BILLION,)}  # `all` leaves them out
QUICK = Shape(prompt=180, completion=24, generations=8, prompts=1)


def shapes_of(preset: str) -> tuple[Shape, ...]:
    """The shapes of a preset, or of every preset for `all`."""
    if preset == "all":
        return tuple(dict.fromkeys(shape for shapes in PRESETS.values() for shape in shapes))
    known = PRESETS | GPU_PRESETS
    if preset not in known:
        raise UserError(f"--preset {preset!r} is not known; expected one of {', '.join(known)} or all")
    return known[preset]
