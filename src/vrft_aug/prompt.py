"""From a case to the chat that the model is given. The only place that words a prompt."""

from __future__ import annotations

from vrft_aug.answer import options_of
from vrft_aug.knowledge.bank import KnowledgeBank, injected_text
from vrft_aug.knowledge.count import Count, words
from vrft_aug.nouns import AnswerFormat, Case, Message, Prompt, Task
from vrft_aug.perception.spaces import BoxSpace
from vrft_aug.reading.options import LETTERS
from vrft_aug.recipe.task_config import Injection

READER = "You read medical images."
# What the format term pays for, in the words that the model is told it in.
FORMAT: dict[AnswerFormat, str] = {
    "think-answer": (
        "Write your reasoning between <think> and </think>, "
        "then only the answer between <answer> and </answer>."
    ),
    "answer-first": (
        "Write only the answer between <answer> and </answer>, "
        "then your reasoning between <think> and </think>."
    ),
    "answer-alone": "Write only the answer, between <answer> and </answer>.",
    "free": "End with a line that begins with “Answer:” and holds only the answer.",
}
CONFIDENCE = (
    "Right after the answer write how likely it is right, a number from 0 to 1, between <confidence> and "
    "</confidence>."
)
ABSTENTION = "If it cannot be told from what you are given, answer with: {words}."
SYSTEM = f"{READER} {FORMAT['think-answer']}"  # of most tasks
ANSWER_INSTRUCTION = {
    "classify": "Answer with one of: {labels}.",
    "grade": "Answer with one of, from least to most severe: {labels}.",
    "multilabel": "Answer with all of these that apply, separated by commas, or with none: {labels}.",
    "answer": "Answer in a few words.",
}
CHOICE_INSTRUCTION = {
    "letter": "{options}\nAnswer with the letter of one option.",
    "text": "Answer with one of: {options}.",
}
BOX_INSTRUCTION = {  # by the task's box format and whether its boxes have names
    ("json", True): (
        'Answer with a JSON list like [{{"bbox_2d":[x1,y1,x2,y2],"label":"NAME"}}], corners {space}; '
        "[] if there is none. Names: {labels}."
    ),
    ("json", False): (
        'Answer with a JSON list like [{{"bbox_2d":[x1,y1,x2,y2]}}], corners {space}; [] if there is none.'
    ),
    ("plain", True): (
        "Answer with a line for each box like NAME: [x1,y1,x2,y2], corners {space}; none if there is none. "
        "Names: {labels}."
    ),
    ("plain", False): (
        "Answer with a line for each box like [x1,y1,x2,y2], corners {space}; none if there is none."
    ),
}


def build_prompt(
    task: Task,
    case: Case,
    space: BoxSpace,
    injection: Injection = Injection(),  # noqa: B008 (frozen)
    bank: KnowledgeBank | None = None,
    count: Count = words,
) -> Prompt:
    """The chat for one case: system message, then the images, the question, the knowledge, how to answer.

    `space` is what the model family calls a coordinate; it words the localisation instruction. `count`
    measures the knowledge against its budget.
    """
    knowledge = injected_knowledge(task, case, injection, bank, count)
    system, lines = f"{READER} {FORMAT[task.answer_format]}", [case.question or task.question]
    if task.confidence:
        system = f"{system} {CONFIDENCE}"
    if knowledge and injection.place == "system":
        system = f"{system}\n{knowledge}"
    elif knowledge:
        lines.append(knowledge)
    lines.append(_instruction(task, case, space))
    if task.abstain is not None:
        lines.append(ABSTENTION.format(words=task.abstain))
    content: list[Message] = [{"type": "image"} for _ in case.images]
    content.append({"type": "text", "text": "\n".join(lines)})
    messages: tuple[Message, ...] = (
        {"role": "system", "content": [{"type": "text", "text": system}]},
        {"role": "user", "content": content},
    )
    return Prompt(messages=messages, images=case.images, knowledge=knowledge)


def _instruction(task: Task, case: Case, space: BoxSpace) -> str:
    if task.kind == "choice":
        options = options_of(case, task)
        if task.option_names == "letter":
            shown = "\n".join(f"{LETTERS[place]}. {option}" for place, option in enumerate(options))
        else:
            shown = "; ".join(options)
        return CHOICE_INSTRUCTION[task.option_names].format(options=shown)
    asked = ANSWER_INSTRUCTION.get(task.kind) or BOX_INSTRUCTION[task.box_format, bool(task.labels)]
    return asked.format(labels=", ".join(task.labels), space=space.wording)


def injected_knowledge(
    task: Task, case: Case, injection: Injection, bank: KnowledgeBank | None, count: Count = words
) -> str:
    """What of the bank is injected for a case, the same whenever it is asked; "" without a bank."""
    if bank is None:
        return ""
    return injected_text(
        bank,
        task.labels,
        injection.style,
        of=injection.of,
        budget=injection.budget,
        order=injection.order,
        seed=injection.seed,
        case=case.id,
        count=count,
    )
