"""Noisy rollouts (arXiv 2504.13055): some completions of a group are drawn on a distorted picture.

They stand in the group like the others: their rewards enter its mean, and all that is computed afterwards
(old and new log-probabilities, the loss) is under the true picture. So the policy is shown answers that it
gives when it sees less well, and told what they earn. The distortion fades to none.

TRL's `_generate` is wrapped: it gets the prompts of the last members of each group with a distorted picture
of the same size, and what it returns names the true ones. What the sampler says of its own probabilities is
of another picture there, and is left out of the comparison with the trainer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any

from PIL import Image

from vrft_aug.policy.prefix.patching import swapped
from vrft_aug.recipe.perception_config import Distortion, NoisyRollouts
from vrft_aug.training.augmentations.distortions import distorted
from vrft_aug.training.micro_batches import APART
from vrft_aug.training.rollouts.dynamic import IMAGES, LOG_PROBS


@dataclass(frozen=True)
class NoisySampler:
    """The noisy rollouts of one stage; `install` puts them into a trainer."""

    settings: NoisyRollouts
    among: Sequence[Distortion]
    members: int  # of each group, its last ones
    steps: int  # of the stage
    seed: int  # of the stage

    def install(self, trainer: Any) -> None:
        """Wrap a `trl.GRPOTrainer`; call it after prefix sharing and before dynamic sampling."""
        trainer._generate = partial(self._generate, trainer, trainer._generate)

    def strength(self, step: int) -> float:
        """Of the distortion at a step counted from 0; it falls evenly to 0."""
        return self.settings.strength * max(0.0, 1 - step / (self.settings.until * self.steps))

    def _generate(self, trainer: Any, stock: Callable[..., Any], prompts: list[Any]) -> Any:
        strength = self.strength(trainer.state.global_step)
        trainer._log_metric("noisy_rollouts/strength", strength)
        if not strength or not trainer.model.training:
            return stock(prompts)
        each, first = trainer.num_generations, trainer.accelerator.process_index * len(prompts)
        noisy = [(first + row) % each >= each - self.members for row in range(len(prompts))]
        made: dict[tuple[int, ...], list[Any]] = {}  # by the pictures that the members of a group share
        asked = []
        for prompt, changed in zip(prompts, noisy, strict=True):
            if changed:
                known = tuple(map(id, pictures_in(prompt)))
                if known not in made:
                    made[known] = self._distorted(prompt, strength, trainer.state.global_step)
                prompt = made[known]
            asked.append(prompt)
        with swapped(trainer, APART, self.members):
            output = list(stock(asked))
        output[IMAGES] = [pictures_in(prompt) or None for prompt in prompts]
        if output[LOG_PROBS] is not None:
            output[LOG_PROBS] = [
                [math.nan] * len(own) if changed else own
                for own, changed in zip(output[LOG_PROBS], noisy, strict=True)
            ]
        return tuple(output)

    def _distorted(self, prompt: Any, strength: float, step: int) -> list[Any]:
        """The messages of a prompt with its pictures distorted, by seed, step and the pictures themselves."""
        messages = []
        for message in prompt:
            content = message["content"]
            if isinstance(content, list):
                content = [
                    part | {"image": self._changed(part["image"], place, strength, step)}
                    if part["type"] == "image"
                    else part
                    for place, part in enumerate(content)
                ]
            messages.append({**message, "content": content})
        return messages

    def _changed(self, image: Image.Image, place: int, strength: float, step: int) -> Image.Image:
        digest = blake2b(image.tobytes(), digest_size=8).hexdigest()
        return distorted(image, self.among, strength, f"noisy {self.seed}/{step}/{digest}/{place}")


def pictures_in(prompt: Any) -> list[Image.Image]:
    """The pictures of a prompt whose messages carry them."""
    contents = [message["content"] for message in prompt if isinstance(message["content"], list)]
    return [part["image"] for content in contents for part in content if part["type"] == "image"]
