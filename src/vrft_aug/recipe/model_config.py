"""The policy to start from: `model` in the recipe."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from vrft_aug.data.settings import Strict
from vrft_aug.nouns import SpaceName
from vrft_aug.recipe.picture_config import PictureConfig


class Freeze(Strict):
    """What of the model stays as it is while it trains; `vrft_aug.policy.freezing` finds the parts."""

    vision: bool = False  # the vision tower, without the projector
    projector: bool = False  # what leads from the tower to the language model
    layers_below: int = Field(default=0, ge=0)  # so many first layers of the language model
    # Further modules or weights by their dotted names or the ends of these; * stands for anything.
    names: tuple[Annotated[str, Field(min_length=1)], ...] = ()


class ModelConfig(Strict):
    """The policy to start from: `tiny` (embedded), a folder, or any transformers VLM by its hub name."""

    name: str = "tiny"
    # What the model computes in. Training in bfloat16 keeps the weights that it changes in float32: all of
    # them, or with `lora` those of the adapter over a bfloat16 base. float16 is for inference alone.
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    lora: dict[str, Any] | None = None  # peft.LoraConfig settings of a new adapter; None: full fine-tuning
    # A folder with an adapter in PEFT's format: training goes on with it, evaluation is of the model with it.
    adapter: str | None = None
    freeze: Freeze = Freeze()
    merge: bool = True  # what training an adapter ends with also holds it merged into the model
    min_pixels: int | None = Field(default=None, ge=1)
    max_pixels: int | None = Field(default=None, ge=1)
    pictures: PictureConfig = PictureConfig()  # what training keeps of its processed pictures
    # The space that boxes are asked for and read in; None is the family's own, see perception/spaces.py.
    coordinates: SpaceName | None = None
    trust_remote_code: bool = False
    load: dict[str, Any] = Field(default_factory=dict)  # further arguments of from_pretrained

    @model_validator(mode="after")
    def _least_and_most(self) -> ModelConfig:
        if self.min_pixels is not None and self.max_pixels is not None and self.min_pixels > self.max_pixels:
            raise ValueError(f"min_pixels {self.min_pixels} is more than max_pixels {self.max_pixels}")
        return self

    @model_validator(mode="after")
    def _one_adapter(self) -> ModelConfig:
        if self.lora is not None and self.adapter is not None:
            raise ValueError(
                f"adapter {self.adapter!r} brings its own settings; remove lora to go on with it, "
                "or adapter to start a new one"
            )
        return self
