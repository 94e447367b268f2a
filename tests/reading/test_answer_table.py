"""docs/reference/answers.md: every way to write an answer earns what its row says, in both modes."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from vrft_aug.nouns import AnswerMode, Box, Case, Prompt, Rollout, Target, Task
from vrft_aug.perception.spaces import BoxSpace, Frame
from vrft_aug.prompt import FORMAT
from vrft_aug.recipe.stage_config import RewardConfig
from vrft_aug.scorer import Scorer
from vrft_aug.tasks.targets import formatted

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "answers.md").read_text(encoding="utf-8")
FRAME = Frame(original=(200, 100), processed=(100, 50), space=BoxSpace("processed"))
LABELS = ("Barrett's oesophagus", "non-proliferative", "X-ray normal")
OPTIONS = ("naevus", "melanoma", "keratosis", "none of these")
OPEN = Task("t", "answer", "?")
ASKED: dict[str, tuple[Task, Target]] = {
    "label": (Task("t", "classify", "?", LABELS), Target(label=LABELS[0])),
    "hyphen": (Task("t", "classify", "?", LABELS), Target(label=LABELS[1])),
    "cjk": (Task("t", "classify", "?", ("良性", "恶性")), Target(label="良性")),
    "choice": (Task("t", "choice", "?"), Target(label="melanoma")),
    "whole": (Task("t", "choice", "?"), Target(label="melanoma")),
    "set": (
        Task("t", "multilabel", "?", ("effusion", "nodule", "hernia")),
        Target(labels=frozenset({"effusion", "nodule"})),
    ),
    "number": (OPEN, Target(text="12 mm")),
    "yes": (OPEN, Target(text="Yes")),
    "no": (OPEN, Target(text="No")),
    "text": (OPEN, Target(text="left lung")),
    "box": (
        Task("t", "localise", "?", ("nodule", "effusion")),
        Target(boxes=(Box(20, 40, 60, 80, "nodule"),)),
    ),
}


@dataclass(frozen=True)
class Way:
    asked: str
    way: str
    text: str
    lenient: float
    strict: float


def ways(heading: str) -> list[Way]:
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    found = []
    for line in section.splitlines():
        cells = re.split(r"(?<!\\)\|", line)
        if len(cells) == 7 and cells[1].strip() in ASKED:
            asked, way, example, lenient, strict = (cell.strip() for cell in cells[1:6])
            text = re.fullmatch(r"(`+)(.*)\1", example)
            assert text is not None, line
            plain = text[2].removeprefix(" ").removesuffix(" ") if len(text[1]) > 1 else text[2]
            plain = re.sub(r"\\u([0-9a-f]{4})", lambda code: chr(int(code[1], 16)), plain)
            plain = plain.replace("\\|", "|").replace("⏎", "\n")
            found.append(Way(asked, way, plain, float(lenient), float(strict)))
    return found


RIGHT, WRONG = ways("Ways to write a right answer"), ways("Ways to write a wrong or evasive one")


def earned(way: Way, mode: AnswerMode) -> float | None:
    task, target = ASKED[way.asked]
    term = "iou" if way.asked == "box" else "accuracy"
    scorer = Scorer(replace(task, answer_mode=mode), {term: RewardConfig(weight=1)})
    completion = way.text if way.asked == "whole" else f"<think>x</think><answer>{way.text}</answer>"
    case = Case("c", (), target, options=OPTIONS if task.kind == "choice" else ())
    return scorer.score(case, Prompt((), ()), Rollout(completion), FRAME).terms[term]


@pytest.mark.parametrize("way", RIGHT + WRONG, ids=lambda way: f"{way.asked}: {way.way}")
def test_a_way_earns_what_the_table_says(way: Way) -> None:
    assert (earned(way, "lenient"), earned(way, "strict")) == (way.lenient, way.strict)


def test_all_right_ways_are_read_and_no_evasive_one_is_paid() -> None:
    assert len(RIGHT) >= 60 and len(WRONG) >= 40
    assert {way.asked for way in RIGHT} == {way.asked for way in WRONG} == set(ASKED)
    assert {way.lenient for way in RIGHT} == {1.0} and {way.lenient for way in WRONG} == {0.0}
    assert {way.strict for way in RIGHT} == {0.0, 1.0}


def test_the_page_tells_the_formats_in_the_words_of_the_prompt() -> None:
    for name, words in FORMAT.items():
        told = f"`{words}`" if "<" in words else words  # else a browser takes the tags for its own
        assert f"| {told} | `{name}` |" in PAGE


@pytest.mark.parametrize("wanted", FORMAT)
def test_what_is_taught_in_a_format_keeps_it_and_is_read(wanted: str) -> None:
    for mode in ("strict", "lenient"):
        task = Task("t", "choice", "?", answer_mode=mode, answer_format=wanted)  # type: ignore[arg-type]
        scorer = Scorer(task, {"format": RewardConfig(weight=1), "accuracy": RewardConfig(weight=1)})
        case = Case("c", (), Target(label="melanoma"), options=OPTIONS)
        taught = Rollout(formatted("B", "It is dark.", task.answer_format))
        assert scorer.score(case, Prompt((), ()), taught, None).terms == {"format": 1, "accuracy": 1}
        others = [name for name in FORMAT if name != wanted]
        for other in others:
            kept = Rollout(formatted("B", "It is dark.", other))
            assert scorer.score(case, Prompt((), ()), kept, None).terms["format"] == 0
