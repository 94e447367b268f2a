"""Strict reading is version 0.1.0's to the bit: what it gave to thousands of completions was saved.

The saved file was written by this very file in a checkout of 0.1.0 (commit 258b3cd, the last one before
lenient reading): `PYTHONPATH=CHECKOUT/src python tests/reading/test_strict_as_before.py > FILE`. The terms
that look for findings in the reasoning (`consistency`, `grounding`) are not in it: they were mended since,
in both modes.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from vrft_aug.nouns import Box, Case, Prompt, Rollout, Target, Task
from vrft_aug.perception.spaces import BoxSpace, Frame
from vrft_aug.recipe.stage_config import RewardConfig
from vrft_aug.scorer import Scorer

SAVED = Path(__file__).with_name("strict_as_before.json")
COUNT, SHOWN = 3000, 60  # completions of every task: all count in a digest, some are saved whole
NEW = "answer_mode" in Task.__dataclass_fields__  # 0.1.0's tasks have no modes
FRAME = Frame(original=(200, 100), processed=(100, 50), space=BoxSpace("processed"))
KNOWLEDGE = "- mild: small dark red dots\n- severe: dark red blots in all four quadrants"


def task(name: str, kind: Any, labels: tuple[str, ...] = (), **more: Any) -> Task:
    mode: dict[str, Any] = {"answer_mode": "strict"} if NEW else {}
    return Task(name, kind, "?", labels, **more, **mode)


GRADES = ("none", "mild", "moderate", "severe")
BOTH = {"format": {"weight": 0.2}, "recitation": {"weight": 0.1}}
TASKS: dict[str, tuple[Task, Target, dict[str, dict[str, Any]]]] = {
    "label": (
        task("label", "classify", ("Barrett's oesophagus", "non-proliferative", "yes", "no", "B")),
        Target(label="Barrett's oesophagus"),
        {"accuracy": {}, **BOTH},
    ),
    "grade": (
        task("grade", "grade", GRADES),
        Target(label="mild"),
        {"accuracy": {}, "fuzzy_grade": {}, **BOTH, "format": {"mode": "lax"}},
    ),
    "named": (
        task("named", "classify", ("nodule", "effusion"), synonyms=(("fluid", "effusion"),)),
        Target(label="effusion"),
        {"accuracy": {"weight": 0.7}, **BOTH},
    ),
    "set": (
        task("set", "multilabel", ("effusion", "nodule", "hernia")),
        Target(labels=frozenset({"effusion", "nodule"})),
        {"accuracy": {}, "label_set": {}, **BOTH},
    ),
    "text": (
        task("text", "answer", synonyms=(("fluid", "effusion"),)),
        Target(text="effusion of the left lung, 12 mm"),
        {"accuracy": {}, "token_f1": {}, **BOTH},
    ),
    "box": (
        task("box", "localise", ("nodule", "effusion")),
        Target(boxes=(Box(20, 40, 60, 80, "nodule"), Box(100, 10, 160, 60, "effusion"))),
        {"iou": {}, "iou_threshold": {"threshold": 0.5}, "nearness": {}, **BOTH},
    ),
}
ANSWERS = {
    "label": [
        "Barrett's oesophagus",
        "barrett’s Oesophagus.",
        "non-proliferative",
        "non proliferative",
        "yes",
        "B",
        "(B)",
        "\\boxed{B}",
        "Yes, no",
        "the answer is yes",
        "Ｂ",
        "a B",
        "probably yes",
        "no?",
    ],
    "grade": ["mild", "Mild.", "**severe**", "moderate or severe", "none", "grade: mild", "`none`", "mild\n"],
    "named": ["effusion", "Fluid", "fluid, nodule", "the fluid", "nodule?", "nodular", "effusion (fluid)"],
    "set": [
        "effusion, nodule",
        "none",
        "nodule; effusion",
        "- effusion\n- nodule",
        '["effusion", "nodule"]',
        "effusion and nodule",
        "effusion, effusion",
        "hernia",
        "effusion, none",
        "",
        "effusion、nodule",
    ],
    "text": [
        "effusion of the left lung, 12 mm",
        "Fluid of the left lung, 12 mm.",
        "left lung",
        "1.2 cm",
        "lung",
        "no effusion",
        "The effusion of the left lung, 12 mm",
        "fluid fluid fluid",
        "？",
        "\\boxed{lung}",
    ],
    "box": [
        '[{"bbox_2d":[10,20,30,40],"label":"nodule"}]',
        "[[10,20,30,40]]",
        "nodule: [10,20,30,40]",
        "[]",
        '[{"bbox_2d":[10,20,30,40],"label":"nodule"},{"bbox_2d":[52,6,79,31],"label":"effusion"}]',
        '[{"bbox_2d":[30,40,10,20],"label":"nodule"}]',
        "none",
        '```json\n[{"bbox_2d":[11,19,30,40]}]\n```',
        '[{"bbox_2d":[10,20,300,40],"label":"nodule"}]',
        "[{'bbox_2d':[10,20,30,40]}]",
        "nodule",
    ],
}
THOUGHTS = [
    "",
    "Small dark red dots.",
    "dark red blots in all four quadrants, I see",
    "not sure\n\n",
    "<b>x</b>",
]
FORMS = [
    "<think>{t}</think><answer>{a}</answer>",
    "<think>{t}</think>\n\n<answer> {a} </answer>\n",
    "{a}",
    "<answer>{a}</answer>",
    "{t}</think><answer>{a}</answer>",
    "<think>{t}</think><answer>{a}",
    "<answer>{a}</answer><think>{t}</think>",
    "<think>{t}</think>The answer is {a}.",
    "<think>{t}",
    "Well. <think>{t}</think> So <answer>{a}</answer> it is",
    "<answer>{a}</answer><answer>{a}</answer>",
    "<think>{t}<answer>{a}</answer></think>",
    "<ANSWER>{a}</ANSWER>",
    "<think>{t}</think><answer></answer>",
    "<think>{t}</think>{t}</think><answer>{a}</answer>",
    "Answer: {a}",
    "\\boxed{{{a}}}",
]
MARKS = " .,;:!?*_`'\"()[]{}-\n\u200b\u00a0’。"


def completions(name: str) -> Iterator[tuple[str, bool]]:
    """Completions of a task with whether they ended by themselves; the same in every version."""
    rng = random.Random(name)
    for _ in range(COUNT):
        said = rng.choice(ANSWERS[name])
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            at = rng.randrange(len(said) + 1)
            said = said[:at] + rng.choice(MARKS) + said[at + rng.choice((0, 1)) :]
        text = rng.choice(FORMS).format(t=rng.choice(THOUGHTS), a=said)
        finished = rng.random() < 0.85
        yield (text if finished else text[: rng.randrange(len(text) + 1)]), finished


def judged(name: str) -> Iterator[list[Any]]:
    """[completion, finished, value, reason, reasoning, total, terms] of each, floats by their bits."""
    asked, target, rewards = TASKS[name]
    configs = {term: RewardConfig.model_validate(settings) for term, settings in rewards.items()}
    scorer = Scorer(asked, configs)
    case, prompt = Case("c", (), target), Prompt((), (), KNOWLEDGE)
    for text, finished in completions(name):
        score = scorer.score(case, prompt, Rollout(text, finished=finished), FRAME)
        answer = score.answer
        value: Any = answer.value
        if isinstance(value, frozenset):
            value = sorted(value)
        elif isinstance(value, tuple):
            value = [[box.x1, box.y1, box.x2, box.y2, box.label] for box in value]
        terms = {term: None if one is None else float(one).hex() for term, one in score.terms.items()}
        yield [text, finished, value, answer.reason, answer.reasoning, score.total.hex(), terms]


def results() -> dict[str, Any]:
    """Of every task the first completions whole, and a digest of all."""
    found = {}
    for name in TASKS:
        lines = list(judged(name))
        whole = "\n".join(json.dumps(line) for line in lines)
        found[name] = {"digest": sha256(whole.encode()).hexdigest(), "first": lines[:SHOWN]}
    return found


def test_strict_scores_are_those_of_the_first_version() -> None:
    saved, now = json.loads(SAVED.read_text(encoding="utf-8")), results()
    for name in TASKS:
        for before, line in zip(saved[name]["first"], now[name]["first"], strict=True):
            assert json.loads(json.dumps(line)) == before
        assert now[name]["digest"] == saved[name]["digest"], f"{name}: of {COUNT} completions some differ"


def test_the_saved_completions_are_worth_saving() -> None:
    """Right and wrong ones, and every reason for no answer."""
    lines = [line for name in TASKS for line in judged(name)]
    assert {line[3] for line in lines} == {
        None, "missing", "truncated", "malformed", "ambiguous", "unknown label"
    }  # fmt: skip
    for name in TASKS:
        term = {"box": "iou"}.get(name, "accuracy")
        earned = [float.fromhex(line[6][term]) for line in judged(name)]
        assert sum(one > 0 for one in earned) >= 20 and earned.count(0) >= 300


if __name__ == "__main__":
    json.dump(results(), sys.stdout, ensure_ascii=False, indent=0)
