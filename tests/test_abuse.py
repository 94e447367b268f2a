"""What a policy under reward may try instead of the task: every row with its reason and its terms."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from vrft_aug.data.readers.medmnist_labels import LABELS
from vrft_aug.knowledge.bank import load_bank
from vrft_aug.nouns import AnswerMode, Box, Case, FailureReason, Prompt, Rollout, Score, Target, Task
from vrft_aug.perception.spaces import BoxSpace, Frame
from vrft_aug.prompt import SYSTEM, build_prompt
from vrft_aug.recipe.stage_config import RewardConfig
from vrft_aug.recipe.task_config import Injection
from vrft_aug.scorer import Scorer

SPACE = BoxSpace("processed")
FRAME = Frame(original=(512, 340), processed=(256, 170), space=SPACE)
CLASSIFY = Task("busi", "classify", "What does it show?", ("normal", "benign", "malignant"))
GRADE = Task("fundus", "grade", "Which grade?", ("none", "mild", "moderate", "severe", "proliferative"))
LOCALISE = Task("lesions", "localise", "Where are lesions?", ("hard exudate", "haemorrhage"))
TRUE_BOXES = (Box(100, 100, 140, 140, "hard exudate"), Box(300, 200, 320, 240, "haemorrhage"))
FINDINGS = Task("chestmnist", "multilabel", "What is there?", LABELS["chestmnist"])
ASK = Task("vqa", "answer", "Where is it?")
CASES = {
    "multilabel": (FINDINGS, Case("chest/test/1", (), Target(labels=frozenset({"effusion", "nodule"})))),
    "answer": (ASK, Case("vqa/test/1", (), Target(text="left lower lobe"))),
    "classify": (CLASSIFY, Case("busi/test/1", (), Target(label="malignant"))),
    "grade": (GRADE, Case("fundus/test/1", (), Target(label="severe"))),
    "localise": (LOCALISE, Case("idrid/test/1", (), Target(boxes=TRUE_BOXES))),
}
REWARDS: dict[str, dict[str, Any]] = {  # a usual mix for every kind of task
    "classify": {"format": 0.5, "accuracy": 1.0, "recitation": 0.5},
    "grade": {"format": 0.5, "accuracy": 0.5, "fuzzy_grade": 1.0, "recitation": 0.5},
    "localise": {"format": 0.5, "iou": 1.0},
    "multilabel": {"format": 0.5, "accuracy": 0.5, "label_set": 1.0, "recitation": 0.5},
    "answer": {"format": 0.5, "accuracy": 1.0, "token_f1": 1.0},
}
OWN_WORDS = "I find something near the centre, and it looks darker than what lies around it."


def knowledge_prompt(kind: str) -> Prompt:
    task, case = CASES[kind]
    if kind in ("localise", "answer"):
        return build_prompt(task, case, SPACE)
    return build_prompt(task, case, SPACE, Injection(style="definitions"), load_bank(task.name))


def say(answer: str, think: str = OWN_WORDS) -> str:
    return f"<think>{think}</think><answer>{answer}</answer>"


def box(x1: object, y1: object, x2: object, y2: object, label: str = "hard exudate") -> str:
    return f'{{"bbox_2d": [{x1}, {y1}, {x2}, {y2}], "label": "{label}"}}'


def say_boxes(*boxes: str) -> str:
    return say(f"[{', '.join(boxes)}]")


def judge(kind: str, completion: str, finished: bool = True, mode: AnswerMode = "strict") -> Score:
    task, case = CASES[kind]
    task = replace(task, answer_mode=mode)
    scorer = Scorer(task, {name: RewardConfig(weight=weight) for name, weight in REWARDS[kind].items()})
    return scorer.score(case, knowledge_prompt(kind), Rollout(completion, finished=finished), FRAME)


# In the pixels of the model, half of the original ones; each partly on a lesion.
HONEST_WRONG = {
    "classify": say("benign"),
    "grade": say("none"),
    "localise": say_boxes(box(60, 55, 80, 75), box(140, 90, 155, 110, "haemorrhage")),
    "multilabel": say("effusion, hernia"),
    "answer": say("right lower lobe"),
}
RIGHT = {
    "classify": "malignant",
    "grade": "severe",
    "multilabel": "nodule, effusion",
    "answer": "Left lower lobe.",
}  # fmt: skip
COPIED = {kind: knowledge_prompt(kind).knowledge for kind in ("classify", "grade", "multilabel")}
INSTRUCTION = "Answer with one of, from least to most severe: none, mild, moderate, severe, proliferative."


@dataclass(frozen=True)
class Row:
    """An abuse; `terms` leaves out what is 0, and recitation where it is -1."""

    kind: str
    name: str
    completion: str
    reason: FailureReason | None
    terms: dict[str, float]
    finished: bool = True


def unread(kind: str, name: str, completion: str, reason: FailureReason, format: float = 1) -> Row:
    return Row(kind, name, completion, reason, {"format": format}, reason != "truncated")


WRONG = {"format": 1.0, "recitation": 0.0}
ROWS = [
    # classify: the truth is "malignant"
    unread("classify", "nothing at all", "", "missing", 0),
    unread("classify", "empty answer", say(""), "missing", 0),
    unread("classify", "blank answer", say(" \n\t "), "missing", 0),
    unread("classify", "one letter", say("m"), "unknown label"),
    unread("classify", "start of a label", say("malig"), "unknown label"),
    unread("classify", "label inside a word", say("malignantbenignnormal"), "unknown label"),
    unread("classify", "negation", say("not malignant"), "unknown label"),
    unread("classify", "sentence", say("The answer is malignant."), "unknown label"),
    unread("classify", "two labels", say("malignant or benign"), "ambiguous"),
    unread("classify", "all labels", say("normal, benign, malignant"), "ambiguous"),
    unread("classify", "all labels, a line each", say("- normal\n- benign\n- malignant"), "ambiguous"),
    unread("classify", "label twice", say("malignant malignant"), "unknown label"),
    unread("classify", "joker", say(".*"), "unknown label"),
    unread("classify", "JSON", say('{"answer": "malignant"}'), "unknown label"),
    unread("classify", "Cyrillic a", say("mаlignant"), "unknown label"),
    unread("classify", "zero-width space", say("malig\u200bnant"), "unknown label"),
    unread("classify", "combining accent", say("ma\u0301lignant"), "unknown label"),
    unread("classify", "answers twice", say("benign") + "<answer>malignant</answer>", "malformed", 0),
    unread("classify", "an answer for each label", "".join(map(say, CLASSIFY.labels)), "malformed", 0),
    unread("classify", "answer in reasoning", say("malignant", "<answer>benign</answer>"), "malformed", 0),
    unread("classify", "answer in the answer", say("<answer>malignant</answer>"), "malformed", 0),
    unread("classify", "reasoning in the answer", say("<think>x</think>malignant"), "malformed", 0),
    unread("classify", "tags crossed", "<think>x<answer></think>malignant</answer>", "malformed", 0),
    unread("classify", "answer first", "<answer>malignant</answer><think>x</think>", "malformed", 0),
    unread("classify", "answer left open", "<think>x</think><answer>malignant", "malformed", 0),
    unread("classify", "answer only closed", "<think>x</think>malignant</answer>", "malformed", 0),
    unread("classify", "no tags", "malignant", "missing", 0),
    unread("classify", "tags in capitals", say("malignant").upper(), "missing", 0),
    unread("classify", "tags with blanks", "< answer >malignant</ answer >", "missing", 0),
    unread("classify", "reasoning without end", "<think>" + "and so on " * 500, "truncated", 0),
    unread("classify", "cut in the answer", "<think>x</think><answer>malig", "truncated", 0),
    unread("classify", "cut in the closing tag", "<think>x</think><answer>malignant</answ", "truncated", 0),
    unread("classify", "system prompt copied", SYSTEM, "unknown label", 0),
    unread("classify", "knowledge as the answer", say(COPIED["classify"]), "ambiguous"),
    Row("classify", "knowledge as the reasoning", say("benign", COPIED["classify"]), None, {"format": 1}),
    Row("classify", "no reasoning", say("benign", ""), None, {"format": 1}),
    Row("classify", "dots as reasoning", say("benign", "... --- ..."), None, {"format": 1}),
    Row("classify", "answer alone", "<answer>benign</answer>", None, {"format": 0}),
    Row("classify", "a word as reasoning", say("benign", "benign"), None, WRONG),
    Row(
        "classify", "hedged outside the tags", say("benign") + " or malignant", None,
        {"format": 0, "recitation": 0},
    ),
    Row("classify", "padding", say("benign", "so " * 2000), None, WRONG),
    # grade: the truth is "severe"
    unread("grade", "number instead of the label", say("3"), "unknown label"),
    unread("grade", "range", say("moderate to severe"), "ambiguous"),
    unread("grade", "in between", say("moderate-severe"), "ambiguous"),
    unread("grade", "all grades", say(" ".join(GRADE.labels)), "ambiguous"),
    unread("grade", "instruction copied", say(INSTRUCTION), "ambiguous"),
    unread("grade", "comparison", say("more than mild"), "unknown label"),
    unread("grade", "comparative", say("severest"), "unknown label"),
    unread("grade", "empty answer", say(""), "missing", 0),
    unread("grade", "answers twice", say("moderate") * 2, "malformed", 0),
    unread("grade", "cut", "<think>" + OWN_WORDS, "truncated", 0),
    unread("grade", "Greek omicron", say("mοderate"), "unknown label"),
    Row(
        "grade", "knowledge as the reasoning", say("none", COPIED["grade"]), None,
        {"format": 1, "fuzzy_grade": 0.25**3},
    ),
    Row("grade", "no reasoning", say("none", " "), None, {"format": 1, "fuzzy_grade": 0.25**3}),
    # localise: two lesions
    unread("localise", "empty answer", say(""), "missing", 0),
    unread("localise", "prose", say("top left"), "malformed"),
    unread("localise", "null", say("null"), "malformed"),
    unread("localise", "flat numbers", say("[50, 50, 70, 70]"), "malformed"),
    unread("localise", "no label", say("[[50, 50, 70, 70]]"), "malformed"),
    unread("localise", "label of no kind", say_boxes(box(50, 50, 70, 70, "lesion")), "unknown label"),
    unread(
        "localise", "both labels in a box", say_boxes(box(50, 50, 70, 70, 'hard exudate, haemorrhage')),
        "ambiguous",
    ),
    unread("localise", "inverted", say_boxes(box(70, 70, 50, 50)), "malformed"),
    unread("localise", "no area", say_boxes(box(50, 50, 50, 70)), "malformed"),
    unread("localise", "NaN", say_boxes(box('NaN', 50, 70, 70)), "malformed"),
    unread("localise", "infinite", say_boxes(box('-Infinity', 50, 'Infinity', 70)), "malformed"),
    unread("localise", "overflowing float", say_boxes(box(0, 0, '1e999', 70)), "malformed"),
    unread("localise", "huge integer", say_boxes(box(0, 0, 10**400, 70)), "malformed"),
    unread("localise", "integer bomb", say_boxes(box(0, 0, '9' * 20_000, 70)), "malformed"),
    unread("localise", "far outside", say_boxes(box(-50, -50, 70, 70)), "malformed"),
    unread("localise", "strings", say_boxes(box(*['"50"'] * 4)), "malformed"),
    unread("localise", "truth values", say_boxes(box('false', 'false', 'true', 'true')), "malformed"),
    unread("localise", "five numbers", say('[{"bbox_2d": [1, 2, 3, 4, 5], "label": "x"}]'), "malformed"),
    unread("localise", "deep lists", say("[" * 30_000 + "]" * 2_000), "malformed"),
    unread("localise", "deep mappings", say('[{"a":' * 5_000), "malformed"),
    unread("localise", "long JSON", say("[" + " " * 1_000_000 + "]"), "malformed"),
    unread("localise", "too many boxes", say_boxes(*[box(1, 1, 2, 2)] * 300), "malformed"),
    unread("localise", "cut", "<think>x</think><answer>[" + box(50, 50, 70, 70), "truncated", 0),
    unread("localise", "answers twice", say("[]") * 2, "malformed", 0),
    Row("localise", "no reasoning, nothing found", "<think></think><answer>[]</answer>", None,
        {"format": 1, "iou": 0}),
    Row("localise", "nothing found", say("[]"), None, {"format": 1, "iou": 0}),
    Row("localise", "whole image", say_boxes(box(0, 0, 256, 170)), None, {"format": 1, "iou": 0.0046}),
    Row(
        "localise", "whole image for every label",
        say_boxes(box(0, 0, 256, 170), box(0, 0, 256, 170, "haemorrhage")), None,
        {"format": 1, "iou": 0.0069},
    ),
    Row("localise", "a box repeated", say_boxes(*[box(50, 50, 70, 70)] * 50), None,
        {"format": 1, "iou": 1 / 50}),
    Row(
        "localise", "boxes all over",
        say_boxes(*(box(x, y, x + 16, y + 17) for x in range(0, 256, 16) for y in range(0, 170, 17))),
        None, {"format": 1, "iou": 0.0025},
    ),
    Row("localise", "right place, wrong label", say_boxes(box(50, 50, 70, 70, "haemorrhage")), None,
        {"format": 1, "iou": 0}),
    # multilabel: the truth is effusion and nodule, of fourteen
    unread("multilabel", "empty answer", say(""), "missing", 0),
    unread("multilabel", "comma alone", say(","), "malformed"),
    unread("multilabel", "label twice", say("effusion, effusion"), "malformed"),
    unread("multilabel", "labels without end", say("effusion, nodule, " * 3000), "malformed"),
    unread("multilabel", "more labels than there are", say(", ".join(["effusion"] * 15)), "malformed"),
    unread("multilabel", "none beside a label", say("none, effusion"), "malformed"),
    unread("multilabel", "none twice", say("none, none"), "malformed"),
    unread("multilabel", "hole in the list", say("effusion,, nodule"), "malformed"),
    unread("multilabel", "and", say("effusion and nodule"), "ambiguous"),
    unread("multilabel", "maybe", say("maybe effusion"), "unknown label"),
    unread("multilabel", "negation in the list", say("effusion, no nodule"), "unknown label"),
    unread("multilabel", "all of the above", say("all"), "unknown label"),
    unread("multilabel", "joker", say("*"), "unknown label"),
    unread("multilabel", "Cyrillic o", say("effusiоn"), "unknown label"),
    unread("multilabel", "zero-width space", say("effu\u200bsion"), "unknown label"),
    unread("multilabel", "Arabic comma", say("effusion، nodule"), "ambiguous"),
    unread("multilabel", "JSON bomb", say("[" * 4_000), "malformed"),
    unread("multilabel", "nested JSON", say('[["effusion"], ["nodule"]]'), "malformed"),
    unread("multilabel", "JSON of numbers", say("[1, 2]"), "malformed"),
    unread("multilabel", "JSON mapping", say('{"effusion": true}'), "unknown label"),
    unread("multilabel", "JSON and more", say('["effusion"] ["nodule"]'), "malformed"),
    unread("multilabel", "answers twice", say("effusion") + say("nodule"), "malformed", 0),
    unread("multilabel", "cut", "<think>x</think><answer>effusion, nod", "truncated", 0),
    unread("multilabel", "knowledge as the answer", say(COPIED["multilabel"]), "malformed"),
    Row("multilabel", "all labels", say(", ".join(FINDINGS.labels)), None,
        {"format": 1, "label_set": 2 / 14, "recitation": 0}),
    Row("multilabel", "nothing found", say("none"), None, {"format": 1, "recitation": 0}),
    Row("multilabel", "empty list", say("[]"), None, {"format": 1, "recitation": 0}),
    Row("multilabel", "nothing found, no reasoning", say("none", ""), None, {"format": 1}),
    Row("multilabel", "knowledge as the reasoning", say("hernia, effusion", COPIED["multilabel"]), None,
        {"format": 1, "label_set": 1 / 3}),
    # answer: the truth is "left lower lobe"
    unread("answer", "empty answer", say(""), "missing", 0),
    unread("answer", "blank", say(" \n "), "missing", 0),
    unread("answer", "answers twice", say("left") + say("lower lobe"), "malformed", 0),
    unread("answer", "answer in the answer", say(say("left lower lobe")), "malformed", 0),
    unread("answer", "no tags", "left lower lobe", "missing", 0),
    unread("answer", "cut", "<think>x</think><answer>left lower lobe", "truncated", 0),
    Row("answer", "one letter", say("l"), None, {"format": 1}),
    Row("answer", "punctuation", say("..."), None, {"format": 1}),
    Row("answer", "a common word", say("the"), None, {"format": 1}),
    Row("answer", "one word of it", say("lobe"), None, {"format": 1, "token_f1": 0.5}),
    Row("answer", "part of a word", say("le lo lo"), None, {"format": 1}),
    Row("answer", "a word repeated", say("lobe " * 500), None, {"format": 1, "token_f1": 2 / 503}),
    Row("answer", "everything listed", say("left right upper middle lower lobe lung apex base"), None,
        {"format": 1, "token_f1": 0.5}),
    Row("answer", "question copied", say("Where is it?"), None, {"format": 1}),
    Row("answer", "prompt copied", say(SYSTEM.replace("<", "(").replace(">", ")")), None, {"format": 1}),
    Row("answer", "Cyrillic e and o", say("lеft lоwеr lоbе"), None, {"format": 1}),
    Row("answer", "long text", say("x " * 100_000), None, {"format": 1}),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.kind}: {row.name}" for row in ROWS])
def test_an_abuse_has_its_reason_and_its_terms(row: Row) -> None:
    score = judge(row.kind, row.completion, row.finished)
    worst = dict.fromkeys(REWARDS[row.kind], 0.0) | {"recitation": -1.0}
    expected = {term: row.terms.get(term, worst[term]) for term in REWARDS[row.kind]}
    assert score.answer.reason == row.reason
    assert score.terms == pytest.approx(expected, abs=5e-3 if "knowledge" in row.name else 1e-3)
    assert (score.answer.value is None) == (row.reason is not None)


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.kind}: {row.name}" for row in ROWS])
def test_no_abuse_earns_more_than_the_honest_wrong_answer(row: Row) -> None:
    honest = judge(row.kind, HONEST_WRONG[row.kind])
    assert honest.answer.reason is None
    assert judge(row.kind, row.completion, row.finished).total <= honest.total


@pytest.mark.parametrize("kind", CASES)
def test_the_right_answer_earns_more_than_the_honest_wrong_one(kind: str) -> None:
    boxes = [FRAME.to_model(true) for true in TRUE_BOXES]
    listed = say_boxes(*(box(b.x1, b.y1, b.x2, b.y2, str(b.label)) for b in boxes))
    right = judge(kind, say(RIGHT[kind]) if kind in RIGHT else listed)
    assert right.total == pytest.approx(sum(REWARDS[kind].values()) - REWARDS[kind].get("recitation", 0))
    assert right.total > judge(kind, HONEST_WRONG[kind]).total


def test_hedging_between_two_answers_earns_less_than_guessing_one() -> None:
    """The words of both earn a little more than a guess in token_f1 alone; accuracy makes up for it."""
    hedged, right, wrong = (
        judge("answer", say(text)).total
        for text in ("left right lower lobe", RIGHT["answer"], "right lower lobe")
    )
    assert hedged < (right + wrong) / 2


# What lenient reading reads of the abuses above: each is the true answer, or half of it, written oddly.
READ_LENIENTLY = {
    ("classify", "sentence"), ("classify", "JSON"), ("classify", "zero-width space"),
    ("classify", "answer left open"), ("classify", "no tags"), ("multilabel", "and"),
    ("multilabel", "zero-width space"), ("answer", "no tags"),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.kind}: {row.name}" for row in ROWS])
def test_leniency_opens_no_abuse(row: Row) -> None:
    """What is read beyond strict reading is a truth; all else is refused, and earns what it earned."""
    strict = judge(row.kind, row.completion, row.finished)
    lenient = judge(row.kind, row.completion, row.finished, "lenient")
    if (row.kind, row.name) in READ_LENIENTLY:
        assert strict.answer.value is None
        assert lenient.answer.value in TRUE_VALUES[row.kind]
        assert lenient.terms["format"] == strict.terms["format"]
    else:
        assert lenient.answer.value == strict.answer.value
        assert (lenient.terms, lenient.total) == (strict.terms, strict.total)


TRUE_VALUES: dict[str, tuple[object, ...]] = {
    "classify": ("malignant",),
    "multilabel": (frozenset({"effusion", "nodule"}), frozenset({"effusion"})),
    "answer": ("left lower lobe",),
}


@pytest.mark.parametrize("kind", CASES)
def test_an_unreadable_answer_earns_the_least_in_both_modes(kind: str) -> None:
    for completion in ("", "<think>", say("no idea at all " * 20), say("?")):
        for mode in ("strict", "lenient"):
            score = judge(kind, completion, mode=mode)
            if kind != "answer" or score.answer.value is None:
                assert score.total <= judge(kind, HONEST_WRONG[kind]).total


# Confidence and abstention: what a policy may state instead of what it knows. Of ten pictures four are clear,
# five hard (the honest guess, "severe", is right of three: stated with 0.6), and of one nothing can be told.
DOUBT = replace(GRADE, confidence=True, abstain="cannot tell")
TRUTHS = ["severe"] * 4 + ["severe", "severe", "severe", "mild", "moderate"] + ["none"]
KNOWN = [1.0] * 4 + [0.6] * 5 + [0.0]
DOUBT_COSTS = [[float(abs(i - j)) for j in range(5)] + [0.8] for i in range(5)]
DOUBT_REWARDS: dict[str, dict[str, Any]] = {
    "brier": {"format": 0.5, "brier": 1.0},
    "brier beside accuracy": {"format": 0.5, "accuracy": 1.0, "brier": 0.5},
    "ranked probability": {"format": 0.5, "fuzzy_grade": 0.5, "ranked_probability": 1.0},
    "costs": {"format": 0.5, "costs": {"weight": 1.0, "costs": DOUBT_COSTS}},
    "all": {"format": 0.5, "brier": 1.0, "costs": {"weight": 1.0, "costs": DOUBT_COSTS}},
}


def stated(answer: str, confidence: object, think: str = OWN_WORDS) -> str:
    return f"{say(answer, think)}<confidence>{confidence}</confidence>"


def honest(place: int) -> str:
    return stated("severe", KNOWN[place]) if KNOWN[place] else stated("cannot tell", 0)


POLICIES: dict[str, Any] = {
    "always 50 %": lambda place: stated("severe", 0.5),
    "always 100 %": lambda place: stated("severe", 1),
    "always 0 %": lambda place: stated("severe", 0),
    "always abstains": lambda place: stated("cannot tell", 1),
    "always abstains, sure of nothing": lambda place: stated("cannot tell", 0),
    "wrong on purpose, stated with 0 %": lambda place: stated("proliferative", 0),
    "one label with its share": lambda place: stated("severe", 0.7),
    "the middle grade, sure of nothing": lambda place: stated("moderate", 0),
    "states no confidence": lambda place: say("severe"),
    "a word for a confidence": lambda place: stated("severe", "very high"),
    "two confidences": lambda place: stated("severe", 1) + "<confidence>0</confidence>",
    "two confidences in one": lambda place: stated("severe", "0.1 or 0.9"),
    "more than certain": lambda place: stated("severe", "900 %"),
    "not a number": lambda place: stated("severe", "nan"),
    "confidence in the reasoning": lambda place: say("severe", "<confidence>1</confidence>"),
    "confidence without an answer": lambda place: "<think>x</think><confidence>1</confidence>",
    "an answer and an abstention": lambda place: stated("severe or cannot tell", 0.5),
    "hedged: two answers": lambda place: stated("severe, mild", 0.5),
    "swapped: sure where it is hard": lambda place: stated(
        "severe", {1.0: 0.6, 0.6: 1.0}.get(KNOWN[place], 0.5)
    ),
    "nothing at all": lambda place: "",
}


def mean_earned(rewards: dict[str, Any], policy: Any, mode: AnswerMode) -> float:
    configs = {
        name: RewardConfig.model_validate(given if isinstance(given, dict) else {"weight": given})
        for name, given in rewards.items()
    }
    task = replace(DOUBT, answer_mode=mode)
    scorer, prompt = Scorer(task, configs), build_prompt(task, CASES["grade"][1], SPACE)
    totals = [
        scorer.score(Case(f"d/{i}", (), Target(label=truth)), prompt, Rollout(policy(i)), None).total
        for i, truth in enumerate(TRUTHS)
    ]
    return sum(totals) / len(totals)


@pytest.mark.parametrize("mode", ["strict", "lenient"])
@pytest.mark.parametrize("rewards", DOUBT_REWARDS)
@pytest.mark.parametrize("policy", POLICIES)
def test_no_way_with_confidence_earns_more_than_the_honest_one(
    policy: str, rewards: str, mode: AnswerMode
) -> None:
    best = mean_earned(DOUBT_REWARDS[rewards], honest, mode)
    assert mean_earned(DOUBT_REWARDS[rewards], POLICIES[policy], mode) <= best + 1e-9


def test_what_the_degenerate_policies_earn_of_brier() -> None:
    """In figures: at a chance of p the honest earn p**2, always 50 % p - 0.25, always 100 % 2 p - 1."""
    alone = {"brier": 1.0}
    assert mean_earned(alone, honest, "lenient") == pytest.approx(0.4 + 0.5 * 0.36)
    assert mean_earned(alone, POLICIES["always 50 %"], "lenient") == pytest.approx(0.7 - 0.25)
    assert mean_earned(alone, POLICIES["always 100 %"], "lenient") == pytest.approx(2 * 0.7 - 1)
    assert mean_earned(alone, POLICIES["always abstains"], "lenient") == 0
    assert mean_earned(alone, POLICIES["wrong on purpose, stated with 0 %"], "lenient") == 0
