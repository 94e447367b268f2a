"""The same model with more in its prompt, as the teacher of itself: `teacher` of a stage."""

from __future__ import annotations

from pydantic import Field

from vrft_aug.data.settings import Strict


class Teacher(Strict):
    """A pull towards the same model that is told, or shown, more than the prompt has."""

    weight: float = Field(default=0.0, ge=0, le=10)  # of the divergence from the teacher; 0 is off
    bound: float = Field(default=5.0, gt=0, le=20)  # nats: a token that diverges by more is not pulled
    # What has a larger share of its 5-grams from the knowledge that was withheld from it is not pulled, nor
    # what speaks of drawn boxes; 1: everything is pulled.
    leak: float = Field(default=0.1, ge=0, le=1)
    # The teacher also sees the lesions' boxes drawn on the picture, where they are known; then prompts with
    # knowledge are pulled too, and injection.dropout is not needed.
    boxes: bool = False
