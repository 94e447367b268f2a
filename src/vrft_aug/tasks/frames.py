"""The frame of a case: how its first picture lies on disk and how the model sees it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from vrft_aug.data.images import image_size
from vrft_aug.nouns import Case, Task
from vrft_aug.perception.model_view import model_view
from vrft_aug.perception.spaces import Frame
from vrft_aug.recipe.model_config import ModelConfig

FrameOfSize = Callable[[tuple[int, int]], Frame]  # of a picture of (width, height) pixels


def case_frame(task: Task, case: Case, frame_of: FrameOfSize) -> Frame | None:
    """The frame of a case's first picture, which its boxes are of; None where the task has no boxes.

    `frame_of` is a loaded policy's or a view's `frame`. A file is opened for its header alone.
    """
    return frame_of(image_size(case.images[0])) if task.kind == "localise" else None


def frames_without_model(task: Task, model: ModelConfig) -> Callable[[Case], Frame | None]:
    """From a case to its frame as the settings of a model tell it, nothing of the model being loaded."""
    view = cache(lambda: model_view(model))
    return lambda case: case_frame(task, case, lambda size: view().frame(size))
