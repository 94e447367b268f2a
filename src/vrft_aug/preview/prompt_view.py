"""One case as the model is given it, for people to read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from vrft_aug.errors import UserError, nearest
from vrft_aug.knowledge.count import Count, injection_count, words
from vrft_aug.knowledge.told import told_bank
from vrft_aug.nouns import Case, Prompt, Task
from vrft_aug.perception.model_view import GRIDS, View, model_view
from vrft_aug.preview.resized_away import resized_away
from vrft_aug.prompt import build_prompt
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.model_folder import model_folder
from vrft_aug.recipe.schema import Recipe
from vrft_aug.recipe.task_config import Injection
from vrft_aug.tasks.find import find_cases, first_case
from vrft_aug.tasks.frames import case_frame
from vrft_aug.tasks.task import make_task


@dataclass(frozen=True)
class ImageView:
    """A picture's (width, height) in pixels on disk and as the model sees it, and its visual tokens."""

    original: tuple[int, int]
    processed: tuple[int, int]
    tokens: int | None  # None where the family is not known: the whole prompt's count has them


@dataclass(frozen=True)
class PromptView:
    """A prompt with what it costs."""

    case: str
    task: str
    text: str  # the rendered chat where the model's tokenizer was asked, else role: text, a message each
    images: tuple[ImageView, ...]
    tokens: int | None  # of the whole prompt; None where the tokenizer was not asked
    parts: Mapping[str, int]  # tokens by part, which add up; words of the texts where it was not asked
    boxes: str = ""  # of a localise task: which pixels its coordinates are, in words, with a true box
    warnings: tuple[str, ...] = ()  # pictures that are resized away


def view_prompt(
    recipe: Recipe, case_id: str | None = None, stage_name: str | None = None, load: bool | None = None
) -> PromptView:
    """The prompt of a case, default the first to be evaluated, in a stage, default the evaluation.

    `load` says whether to load the model, which alone knows its tokens; None loads what lies on this disk.
    Raises UserError where there is no such stage or case.
    """
    task_name, injection = _asked(recipe, stage_name)
    task = make_task(task_name, recipe.tasks[task_name])
    if case_id is None:
        case = first_case(recipe, task_name)
    else:
        found = find_cases(recipe, task_name, {case_id})
        if case_id not in found:
            example = first_case(recipe, task_name).id
            raise UserError(f"task {task_name!r} has no case {case_id!r}; expected an id like {example}")
        case = found[case_id]
    view = model_view(recipe.model)
    bank, count = told_bank(recipe, task_name, injection), injection_count(injection, recipe.model)
    prompt = build_prompt(task, case, view.space, injection, bank, count)
    sizes = [image.open().size for image in case.images]
    known = view.cut is not None or view.family in GRIDS
    images = tuple(
        ImageView(size, view.frame(size).processed, view.image_tokens(size))
        if known
        else ImageView(size, size, None)
        for size in sizes
    )
    warnings = tuple(resized_away(view, case, sizes)) if known else ()
    boxes = _box_words(task, case, view)
    if load is False or (load is None and model_folder(recipe.model) is None):
        plain, lengths = _plain_text(prompt), _text_parts(prompt, words)
        return PromptView(case.id, task_name, plain, images, None, lengths, boxes, warnings)
    text, tokens, parts = _rendered(recipe.model, prompt)
    if known and (counted := sum(image.tokens or 0 for image in images)) != parts["image"]:
        warnings += (f"the processor makes {parts['image']} image tokens, its settings say {counted}",)
    return PromptView(case.id, task_name, text, images, tokens, parts, boxes, warnings)


def _box_words(task: Task, case: Case, view: View) -> str:
    """Which pixels or units the coordinates are, how far they go, and a true box in both."""
    frame = case_frame(task, case, view.frame)
    if frame is None:
        return ""
    (right, bottom), (width, height) = frame.extent, frame.original
    said = f"boxes are asked for in {frame.space.meaning}: x from 0 to {right}, y from 0 to {bottom}"
    if (right, bottom) != (width, height):
        said += f"; the original has {width} x {height}"
    if not case.target.boxes:
        return said
    box = case.target.boxes[0]
    there = ", ".join(f"{corner:g}" for corner in (box.x1, box.y1, box.x2, box.y2))
    here = ", ".join(f"{corner:g}" for corner in frame.spoken(box))
    of = f" of {box.label}" if box.label else ""
    return f"{said}. The true box{of}, in the data [{there}], is [{here}] to the model"


def _asked(recipe: Recipe, stage_name: str | None) -> tuple[str, Injection]:
    if stage_name is None:
        return recipe.evaluation.task, recipe.evaluation.injection
    stages = recipe.named_stages()
    if stage_name not in stages:
        raise UserError(
            f"recipe {recipe.name!r} has no stage {stage_name!r}{nearest(stage_name, stages)}; "
            f"it has {', '.join(stages) or 'none'}"
        )
    return stages[stage_name].task, stages[stage_name].injection


def _plain_text(prompt: Prompt) -> str:
    lines = []
    for message in prompt.messages:
        parts = ["<image>" if part["type"] == "image" else part["text"] for part in message["content"]]
        lines.append(f"{message['role']}: " + "\n".join(parts))
    return "\n".join(lines)


def _text_parts(prompt: Prompt, count: Count) -> dict[str, int]:
    """How long system message, question (with how to answer) and knowledge are; each without the others."""
    system, user = (
        "\n".join(part["text"] for part in message["content"] if part["type"] == "text")
        for message in prompt.messages
    )
    if prompt.knowledge:
        system, user = (text.replace(f"\n{prompt.knowledge}", "", 1) for text in (system, user))
    return {"system": count(system), "question": count(user), "knowledge": count(prompt.knowledge)}


def _rendered(model: ModelConfig, prompt: Prompt) -> tuple[str, int, dict[str, int]]:
    """The chat as its tokens spell it, repeated image tokens counted; how many tokens it has, and by part.

    Part "image" is all that a picture becomes; "chat" is what the chat template adds.
    """
    from vrft_aug.policy.chat import chat_with_images, encode_chats
    from vrft_aug.policy.load import load_policy

    policy = load_policy(model)
    tokenizer = policy.processor.tokenizer
    ids = encode_chats(policy, [chat_with_images(prompt)])["input_ids"][0].tolist()
    spelt: str = tokenizer.decode(ids)
    parts = _text_parts(prompt, lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"]))
    image = getattr(policy.model.config, "image_token_id", None)
    parts["image"] = ids.count(image)
    parts["chat"] = len(ids) - sum(parts.values())
    if image is not None:
        token = tokenizer.decode([image])
        runs = re.compile(f"(?:{re.escape(token)})+")
        spelt = runs.sub(lambda run: f"{token} x {len(run.group()) // len(token)}", spelt)
    return spelt, len(ids), parts
