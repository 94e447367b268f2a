"""What the model is asked, ready for others: the chat of the evaluated task, without its picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vrft_aug.data.choices import with_unanswered_options
from vrft_aug.knowledge.count import injection_count
from vrft_aug.knowledge.told import told_bank
from vrft_aug.nouns import AnswerFormat, Case, Prompt, Target
from vrft_aug.perception.spaces import family_space
from vrft_aug.prompt import build_prompt
from vrft_aug.recipe.schema import Recipe
from vrft_aug.tasks.task import make_task

# Where a completion holds its answer, as a regular expression with one group.
ANSWER: dict[AnswerFormat, str] = {
    "think-answer": r"<answer>\s*(.*?)\s*</answer>",
    "answer-first": r"<answer>\s*(.*?)\s*</answer>",
    "answer-alone": r"<answer>\s*(.*?)\s*</answer>",
    "free": r"Answer:\s*(.*)",
}
OPTIONS = ("the first option", "the second option")  # of a choice whose cases bring their own


@dataclass(frozen=True)
class ExamplePrompt:
    """A prompt without its picture.

    Args:
        system: the system message.
        text: what stands beside the picture: question, knowledge, how to answer.
        answer: a regular expression whose group is the answer.
        labels: the closed set; () where there is none.
        space: what boxes are written in, in words; "" for tasks without boxes.
        own_question: whether cases bring questions of their own, so that this one is an example.
        max_new_tokens: of a completion.
    """

    system: str
    text: str
    answer: str
    labels: tuple[str, ...]
    space: str
    own_question: bool
    max_new_tokens: int

    def messages(self) -> list[dict[str, Any]]:
        """As the chat templates of transformers take them; the picture is a file called picture.png."""
        return [
            {"role": "system", "content": [{"type": "text", "text": self.system}]},
            {
                "role": "user",
                "content": [
                    {"type": "image", "image": "picture.png"},
                    {"type": "text", "text": self.text},
                ],
            },
        ]


def example_prompt(recipe: Recipe, model_type: str) -> ExamplePrompt:
    """The prompt of the evaluation, of a case of which nothing is known.

    Knowledge whose lines are drawn anew for each case stands there in one of its orders. Raises UserError
    where the knowledge bank cannot be read.
    """
    name, injection = recipe.evaluation.task, recipe.evaluation.injection
    task = make_task(name, recipe.tasks[name])
    case = Case(id="example", images=(_NoPicture(),), target=Target())
    if task.kind == "choice":
        case = with_unanswered_options(replace(case, options=task.labels or OPTIONS), task)
    space = family_space(model_type, recipe.model.coordinates)
    count = injection_count(injection, recipe.model)
    prompt = build_prompt(task, case, space, injection, told_bank(recipe, name, injection), count)
    return ExamplePrompt(
        system=_text(prompt, 0),
        text=_text(prompt, 1),
        answer=ANSWER[task.answer_format],
        labels=task.labels,
        space=space.meaning if task.kind == "localise" else "",
        own_question=task.kind in ("choice", "answer"),
        max_new_tokens=recipe.evaluation.max_new_tokens,
    )


@dataclass(frozen=True)
class _NoPicture:
    """A place for a picture."""

    path: Path = Path("picture.png")

    def open(self) -> Any:
        raise AssertionError("an example has no picture")


def _text(prompt: Prompt, place: int) -> str:
    return "".join(part["text"] for part in prompt.messages[place]["content"] if part["type"] == "text")
