"""A processor that handles each prompt of a batch once, however often the batch repeats it.

TRL also calls the processor twice for a batch, to tokenise and to make the model's inputs; the images are
processed in the first call alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from operator import eq
from typing import Any

from vrft_aug.policy.prefix.family import Family
from vrft_aug.policy.prefix.grouping import Groups, Inputs, group_rows, join_rows
from vrft_aug.policy.prefix.patching import swapped
from vrft_aug.policy.prefix.shared_images import join_once


class OncePerPrompt:
    """Stands in for a processor: equal rows are processed once, all else is the processor's own.

    Args:
        processor: a processor of transformers.
        family: of the model that its inputs are for.
        numbers: gives the group of each of B rows; then images are in the batch once for each group, see
            `policy/prefix/shared_images.py`.
    """

    def __init__(
        self, processor: Any, family: Family, numbers: Callable[[int], Sequence[int]] | None = None
    ) -> None:
        self._processor, self._family, self._numbers = processor, family, numbers
        self._images = _OnceInARow(processor.image_processor)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._processor, name)

    def __call__(self, images: Sequence[Any] | None = None, text: Any = None, **settings: Any) -> Inputs:
        """Texts and, for each text, the list of its images."""
        if images is None or not isinstance(text, list):
            return self._processor(images=images, text=text, **settings)  # type: ignore[no-any-return]
        counts = [len(own or ()) for own in images]
        groups = group_rows(list(zip(text, images, strict=True)), eq)
        # TRL says None for a prompt without pictures, which processors do not know.
        unique = [images[row] or [] for row in groups.first], [text[row] for row in groups.first]
        with swapped(self._processor, "image_processor", self._images):
            inputs = self._processor(images=unique[0], text=unique[1], **settings)
        return self._repeated(inputs, counts, groups)

    def apply_chat_template(self, conversation: Any, **settings: Any) -> Any:
        """Conversations whose messages carry their images, tokenised in one batch."""
        batched = isinstance(conversation, list) and conversation and isinstance(conversation[0], list)
        if not (batched and settings.get("tokenize") and settings.get("return_dict")):
            return self._processor.apply_chat_template(conversation, **settings)
        groups = group_rows(conversation, eq)
        unique = [conversation[row] for row in groups.first]
        with swapped(self._processor, "image_processor", self._images):
            inputs = self._processor.apply_chat_template(unique, **settings)
        return self._repeated(inputs, [_images_in(messages) for messages in conversation], groups)

    def _repeated(self, inputs: Inputs, images: Sequence[int], groups: Groups) -> dict[str, Any]:
        rows = self._family.split(inputs, [images[row] for row in groups.first])
        repeated = [rows[group] for group in groups.index]
        if self._numbers is None:
            return join_rows(repeated)
        return join_once(self._family, repeated, group_rows(self._numbers(len(repeated)), eq))


class _OnceInARow:
    """Stands in for an image processor: asked for the same images again, it gives what it gave."""

    def __init__(self, image_processor: Any) -> None:
        self._image_processor = image_processor
        self._asked: tuple[Any, dict[str, Any]] | None = None
        self._given: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._image_processor, name)

    def __call__(self, images: Any, **settings: Any) -> Any:
        asked = (images, settings | {"return_tensors": "pt"})  # TRL leaves it out in its first call
        if self._asked != asked:
            self._asked, self._given = asked, self._image_processor(images, **asked[1])
        return copy(self._given)  # processors take fields out of it


def _images_in(messages: Sequence[Any]) -> int:
    contents = [message["content"] for message in messages if isinstance(message["content"], list)]
    return sum(part["type"] == "image" for content in contents for part in content)
