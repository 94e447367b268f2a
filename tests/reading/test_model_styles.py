"""Completions in the styles of public models, written for these tests: read as a person would."""

import pytest

from vrft_aug.answer import parse
from vrft_aug.nouns import Case, Rollout, Target, Task

OPTIONS = ("Pneumothorax", "Pleural effusion", "Cardiomegaly", "No abnormality")
CHOICE = Task("t", "choice", "What does the film show?")
CASE = Case("c", (), Target(label=OPTIONS[1]), options=OPTIONS)
YES_NO = Task("t", "answer", "Is there an effusion?")

STYLES = {
    "Qwen thinking, template opened": (
        "Okay, the costophrenic angle is blunted. Is it A? No, markings reach the wall.\n"
        "So B fits.\n</think>\n\nThe correct answer is **B. Pleural effusion**."
    ),
    "Qwen thinking, box": "<think>\nThe angle is blunted.\n</think>\n\n\\boxed{B}",
    "Qwen thinking, paragraphs": (
        "<think>\nLooks like fluid.\n</think>\n\n### Explanation\nThe left angle is blunted.\n\n"
        "### Answer\n**Answer: B**<|im_end|>"
    ),
    "LLaVA-Med, short": "Pleural effusion.",
    "LLaVA-Med, sentence": "The answer is pleural effusion.",
    "MedGemma, final answer": (
        "Based on the image, here's the analysis:\n\n*   **Lungs:** blunted left costophrenic angle\n"
        "*   **Heart:** not enlarged\n\nFinal Answer: **B**"
    ),
    "MedGemma, boxed": "It is a fluid level.\n\n**Final Answer: The final answer is $\\boxed{B}$**",
    "InternVL, direct": "B. Pleural effusion",
    "InternVL, with end of turn": "Answer: B<|im_end|>",
    "GLM, box tokens": "<think>fluid</think><|begin_of_box|>B<|end_of_box|>",
    "R1 tags": "<think>The angle is blunted.</think>\n<answer>B</answer>",
    "R1 tags, letter and text": "<think>fluid</think> <answer>(B) Pleural effusion</answer>",
    "R1 tags, closing tag missing": "<think>fluid</think>\n<answer> B",
}  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
def test_a_style_is_read(style: str) -> None:
    answer = parse(Rollout(STYLES[style]), CHOICE, None, CASE)
    assert (answer.value, answer.reason) == ("Pleural effusion", None)


def test_the_thinking_that_a_template_opened_is_the_reasoning() -> None:
    answer = parse(Rollout("the angle is blunted</think><answer>B</answer>"), CHOICE, None, CASE)
    assert (answer.value, answer.reasoning) == ("Pleural effusion", "the angle is blunted")


@pytest.mark.parametrize("style", STYLES)
def test_a_style_that_was_cut_before_its_end_is_no_answer(style: str) -> None:
    cut = STYLES[style].removesuffix("</answer>")
    assert parse(Rollout(cut, finished=False), CHOICE, None, CASE).reason == "truncated"


def test_open_answers_keep_their_words() -> None:
    task = Task("t", "answer", "?")
    assert parse(Rollout("<answer>**Left lung**, lower lobe.</answer>"), task, None).value == (
        "**Left lung**, lower lobe."
    )
    assert parse(Rollout("<answer>\\boxed{Left lung}</answer>"), task, None).value == "Left lung"
    long = "The film shows the left lung with an effusion that reaches up to the level of the fourth rib."
    assert parse(Rollout(long), task, None).reason == "missing"
    free = Task("t", "answer", "?", answer_format="free")
    assert parse(Rollout(long), free, None).value == long
    assert parse(Rollout(f"{long}\nAnswer: effusion"), free, None).value == "effusion"
