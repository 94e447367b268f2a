"""Pictures in the size that the recipe's pixel limits give them, for a server that does not know these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image

from vrft_aug.nouns import ImageRef, Prompt
from vrft_aug.perception.model_view import View
from vrft_aug.recipe.model_config import ModelConfig


@dataclass(frozen=True)
class LimitedPicture:
    """A picture that is resized when it is opened, as the model's image processor would within the limits."""

    picture: ImageRef
    view: View

    def open(self) -> Image.Image:
        """The picture, its sides multiples of what one visual token spans; the server leaves those alone."""
        image = self.picture.open()
        size = self.view.frame(image.size).processed
        return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)


def with_limits(prompts: Sequence[Prompt], config: ModelConfig, view: View) -> list[Prompt]:
    """The prompts, their pictures within `model.min_pixels` and `max_pixels` where these are set."""
    if config.min_pixels is None and config.max_pixels is None:
        return list(prompts)
    return [
        replace(prompt, images=tuple(LimitedPicture(ref, view) for ref in prompt.images))
        for prompt in prompts
    ]
