"""Answers for a user's own pictures, by a trained run; boxes are drawn on copies of the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vrft_aug.answer import parse
from vrft_aug.data.images import FileImage
from vrft_aug.data.load import make_task
from vrft_aug.errors import UserError, nearest
from vrft_aug.evaluation.evaluate import RUN_MODEL
from vrft_aug.evaluation.generate import generate
from vrft_aug.knowledge.count import injection_count
from vrft_aug.nouns import Box, Case, Target
from vrft_aug.recipe import Injection, Recipe
from vrft_aug.recipe_file import RUN_RECIPE, load_recipe
from vrft_aug.training.material import task_bank, word_prompts
from vrft_aug.training.policy import case_frame, load_policy, written_model
from vrft_aug.training.rewards_bridge import plain_value

if TYPE_CHECKING:
    from PIL.Image import Image

COLOURS = ("#ffd400", "#00e5ff", "#ff4fd8", "#7cff4f", "#ff8c1a", "#b794ff")  # by label, in the task's order


def predict_images(
    run: Path, images: Sequence[Path], output: Path, task: str | None = None
) -> list[dict[str, Any]]:
    """Answer one of the run's tasks (default: the one it is evaluated on) for every picture.

    Gives per picture `image`, `task`, `answer` (boxes in pixels of the original picture), `reason`,
    `reasoning`, `completion`, and `picture`: the PNG in `output` with the boxes drawn, None where the task
    has no boxes. Raises UserError for a folder that is no finished run, or a file that is no picture.
    """
    if not (run / RUN_RECIPE).is_file() or not (run / RUN_MODEL).is_dir():
        raise UserError(
            f"{run} is no finished run ({RUN_RECIPE} and {RUN_MODEL}/); expected what `vrft train` wrote"
        )
    recipe = load_recipe(str(run / RUN_RECIPE))
    name = task or recipe.evaluation.task
    if name not in recipe.tasks:
        raise UserError(
            f"run {run} has no task {name!r}{nearest(name, recipe.tasks)}; it has {', '.join(recipe.tasks)}"
        )
    asked = make_task(name, recipe.tasks[name])
    cases = [Case(id=str(path), images=(FileImage(path),), target=Target()) for path in images]
    for case in cases:
        case.images[0].open()  # a broken file is found before a model is loaded
    policy = load_policy(written_model(recipe.model, run / RUN_MODEL))
    injection = task_injection(recipe, name)
    bank, count = task_bank(recipe, name, injection), injection_count(injection, recipe.model)
    prompts = word_prompts(asked, cases, policy.space, injection, bank, count)
    rollouts = generate(
        policy,
        prompts,
        samples=1,
        temperature=None,
        max_new_tokens=recipe.evaluation.max_new_tokens,
        batch_size=recipe.evaluation.batch_size,
        seed=recipe.seed,
    )
    results = []
    for index, (path, case, (rollout,)) in enumerate(zip(images, cases, rollouts, strict=True)):
        answer = parse(rollout, asked, case_frame(policy, asked, case))
        picture = None
        if isinstance(answer.value, tuple):
            picture = output / f"{index + 1:03d}-{path.stem}.png"
            output.mkdir(parents=True, exist_ok=True)
            draw_boxes(case.images[0].open(), answer.value, asked.labels).save(picture)
        results.append(
            {
                "image": str(path),
                "task": name,
                "answer": plain_value(answer.value),
                "reason": answer.reason,
                "reasoning": answer.reasoning,
                "completion": rollout.completion,
                "picture": None if picture is None else str(picture),
            }
        )
    return results


def task_injection(recipe: Recipe, task: str) -> Injection:
    """The knowledge in a task's prompts: that of the evaluation, else of the last stage that trained it."""
    if task == recipe.evaluation.task:
        return recipe.evaluation.injection
    stages = [part for stage in recipe.stages for part in stage.parts() if part.task == task]
    return stages[-1].injection if stages else Injection()


def draw_boxes(image: Image, boxes: Sequence[Box], labels: Sequence[str]) -> Image:
    """A copy of a picture with boxes (in its own pixels) and their names drawn on it."""
    from PIL import ImageDraw, ImageFont

    drawn = image.convert("RGB")
    width = max(1, round(max(drawn.size) / 300))
    font = ImageFont.load_default(size=max(10, round(max(drawn.size) / 50)))
    pen = ImageDraw.Draw(drawn)
    for box in boxes:
        colour = COLOURS[labels.index(box.label) % len(COLOURS)] if box.label in labels else COLOURS[0]
        pen.rectangle(
            (box.x1, box.y1, max(box.x1, box.x2 - 1), max(box.y1, box.y2 - 1)), outline=colour, width=width
        )
        if box.label:
            pen.text(
                (box.x1 + width + 1, box.y1 + width),
                box.label,
                fill=colour,
                font=font,
                stroke_width=1,
                stroke_fill="black",
            )
    return drawn
