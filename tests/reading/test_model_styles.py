"""Completions in the styles of public models, written for these tests: read as a person would."""

import pytest

from vrft_aug.answer import parse
from vrft_aug.nouns import Case, Prompt, Rollout, Target, Task
from vrft_aug.recipe.stage_config import RewardConfig
from vrft_aug.scorer import Scorer

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
    "Qwen thinking, final answer in bold": "<think>\nfluid\n</think>\n\n**Final Answer**\n\n\\boxed{B}",
    "Qwen thinking, letter in bold": "The angle is blunted.\n</think>\n\n**B**",
    "MedGemma, thought": (
        "<unused94>thought\nThe angle is blunted. Is it A? No.\n<unused95>The correct answer is **B**"
    ),
    "MedGemma, answer and why": (
        "The correct answer is **B. Pleural effusion**.\n\nHere's why:\n\n"
        "*   **Angle:** blunted\n*   **Meniscus:** seen"
    ),
    "MedGemma, rationale": "**B. Pleural effusion**\n\n**Rationale:** the costophrenic angle is blunted.",
    "InternVL, thinking": "<think>\nThe angle is blunted.\n</think>\n\n**Final Answer: B**",
    "InternVL, reasons first": "The angle is blunted.\n\nTherefore, the answer is: B. Pleural effusion",
    "Kimi-VL, thinking": "◁think▷The angle is blunted: B.◁/think▷The answer is B",
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


OPEN_STYLES = {  # what was asked in brackets; the truth, in words of its own
    "LLaVA-Med (effusion?)": ("Yes", "Yes, there is a pleural effusion present in the image."),
    "LLaVA-Med (pneumothorax?)": ("No", "No, there is no evidence of pneumothorax in the image."),
    "LLaVA-Med (enlarged?)": ("No", "No, the heart is not enlarged."),
    "Qwen thinking (effusion?)": (
        "yes",
        "<think>\nblunted\n</think>\n\nYes, there is a left pleural effusion.",
    ),
    "Qwen thinking (how long?)": ("12 mm", "<think>\nmeasured\n</think>\n\n**Answer:** 1.2 cm"),
    "Qwen thinking (where?)": ("left lung", "white there\n</think>\n\nLeft lung"),
    "MedGemma (effusion?)": ("yes", "The costophrenic angle is blunted.\n\nFinal Answer: Yes"),
    "MedGemma (modality?)": ("CT", "<unused94>thought\nbone is bright\n<unused95>**Answer:** CT"),
    "MedGemma (modality?), bold": ("CT", "**CT**"),
    "InternVL (pneumothorax?)": ("no", "The answer is no.<|im_end|>"),
    "InternVL (where?)": ("left lung", "The answer is the left lung."),
}


@pytest.mark.parametrize("style", OPEN_STYLES)
def test_an_open_answer_in_a_style_meets_the_truth_and_not_another(style: str) -> None:
    truth, text = OPEN_STYLES[style]
    scorer = Scorer(Task("t", "answer", "?"), {"accuracy": RewardConfig(weight=1)})
    other = {"yes": "no", "no": "yes"}.get(truth.casefold(), "right kidney")
    earned = [
        scorer.score(Case("c", (), Target(text=one)), Prompt((), ()), Rollout(text), None).terms["accuracy"]
        for one in (truth, other)
    ]
    assert earned == [1, 0]


def test_llava_med_explains_itself_in_a_free_format() -> None:
    """More than a dozen words without any tag are an answer where the recipe asks for none."""
    text = "Yes, the X-ray shows an effusion on the left. This is seen by the blunting of the angle."
    free = Scorer(Task("t", "answer", "?", answer_format="free"), {"accuracy": RewardConfig(weight=1)})
    case = Case("c", (), Target(text="yes"))
    assert free.score(case, Prompt((), ()), Rollout(text), None).terms["accuracy"] == 1
    assert parse(Rollout(text), YES_NO, None).reason == "missing"


OPENED = "<think>\n"  # what a chat template such as Qwen3-Thinking's ends the prompt with


def test_what_a_template_opened_is_part_of_the_completion_that_is_judged() -> None:
    """The roads that generate hand the parser and the terms the whole text."""
    rest = "Small dark red dots are seen.\n</think>\n\n<answer>B</answer>"
    knowledge = "- B: small dark red dots are seen"
    for mode in ("lenient", "strict"):
        task = Task("t", "choice", "?", answer_mode=mode)
        terms = {"format": RewardConfig(), "accuracy": RewardConfig(), "recitation": RewardConfig()}
        scorer, prompt = Scorer(task, terms), Prompt((), (), knowledge)
        whole = scorer.score(CASE, prompt, Rollout(OPENED + rest), None)
        assert (whole.terms["format"], whole.terms["accuracy"]) == (1, 1)
        assert whole.answer.reasoning == "Small dark red dots are seen."
        assert whole.terms["recitation"] == pytest.approx(-1, abs=0.6) and whole.terms["recitation"] != 0
        half = scorer.score(CASE, prompt, Rollout(rest), None)
        assert half.terms["format"] == 0  # a file of such completions for `vrft score` needs its opening
        assert half.terms["accuracy"] == (1 if mode == "lenient" else 0)
        inside = scorer.score(CASE, prompt, Rollout(OPENED + "Small dark", finished=False), None)
        assert inside.answer.reason == "truncated" and inside.terms["recitation"] == -1
        silent = scorer.score(CASE, prompt, Rollout(OPENED + "The answer is B."), None)
        assert silent.answer.reason == "missing" and silent.total <= 0


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
