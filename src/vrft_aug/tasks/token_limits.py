"""What a model can hold: prompt and completion in its context, and more of a picture than one patch."""

from __future__ import annotations

from vrft_aug.data.images import image_size
from vrft_aug.errors import UserError
from vrft_aug.perception.model_view import GRIDS, model_view
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.tasks.taskset import TaskSet

SAMPLED = 16  # pictures whose size is asked for


def check_picture_tokens(config: ModelConfig, taskset: TaskSet) -> None:
    """Raise UserError where the recipe's pixel limits leave a picture one visual token.

    Some pictures of the task set are asked for their size, in families whose pictures become patch grids.
    """
    if config.max_pixels is None and config.min_pixels is None:
        return
    view = model_view(config)
    if view.family not in GRIDS:
        return
    stride = max(1, len(taskset.cases) // SAMPLED)
    for case in taskset.cases[::stride]:
        for size in map(image_size, case.images):
            if view.image_tokens(size) <= 1:
                width, height = size
                raise UserError(
                    f"model.max_pixels {config.max_pixels} leaves one visual token of case {case.id} "
                    f"({width} x {height} pixels): a token is {view.factor} x {view.factor} pixels; set it "
                    f"to {64 * view.factor**2} or more, which leaves 64"
                )


def refuse_too_long(
    who: str,
    taskset: TaskSet,
    case: int,
    tokens: int,
    completion: int,
    model: str,
    context: int,
    generated: bool = True,
) -> None:
    """Raise UserError where the longest prompt, of this case, and a completion do not fit the context.

    `who` is named as overrides call it; a completion that is not `generated` is taught.
    """
    if tokens + completion <= context:
        return
    prompt = taskset.prompts[case]
    lower = [f"{who}.max_new_tokens"] if generated else []
    lower += ["model.max_pixels (smaller pictures)"] if prompt.images else []
    lower += [f"{who}.injection.budget (less knowledge)"] if prompt.knowledge else []
    raise UserError(
        f"{who}, case {taskset.cases[case].id}: its prompt takes {tokens} tokens and the completion up to "
        f"{completion}, but {model} was made for {context}; "
        + (f"lower {' or '.join(lower)}" if lower else "shorten what is taught")
    )
