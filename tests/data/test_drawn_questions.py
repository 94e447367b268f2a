"""Questions about drawn pictures: their answers are true of what was drawn, and nothing depends on luck."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from vrft_aug.data.cases import load_cases
from vrft_aug.data.procedural.drawn_cases import WORLD, ProceduralData
from vrft_aug.data.procedural.drawn_questions import CLEAR, LARGER, TOPICS
from vrft_aug.data.procedural.pool import Modality, scene
from vrft_aug.data.procedural.scene import SIZE, Finding
from vrft_aug.errors import UserError
from vrft_aug.nouns import Case, Prompt, Rollout, Task
from vrft_aug.recipe.stage_config import RewardConfig
from vrft_aug.scorer import Scorer
from vrft_aug.tasks.targets import target_completion

ASK, CHOOSE = Task("t", "answer", "?"), Task("t", "choice", "?")
NOWHERE = Path()  # drawn pictures come from no folder
MODALITIES: tuple[Modality, ...] = ("fundus", "chest")


def asked(task: Task, modality: Modality = "fundus", split: str = "test", **settings: Any) -> list[Case]:
    settings = {"train": 60, "test": 60, "per_picture": 5, **settings}
    data = ProceduralData(reader="procedural", modality=modality, **settings)
    return load_cases(data, task, NOWHERE, split)


def drawn(case: Case) -> tuple[Finding, ...]:
    modality, split, index, _ = case.id.split("/")
    return scene(modality, split, WORLD, int(index), (SIZE, SIZE)).findings  # type: ignore[arg-type]


def named(question: str, findings: tuple[Finding, ...]) -> list[Finding]:
    """What a question names, in the order of its words; a single one may be named in the singular."""
    places = {
        finding: min(
            (
                at
                for name in (finding.kind, finding.kind.removesuffix("s"))
                if (at := question.find(name)) >= 0
            ),
            default=-1,
        )
        for finding in findings
    }
    return sorted((finding for finding, at in places.items() if at >= 0), key=lambda f: places[f])


def middle(finding: Finding) -> tuple[float, float]:
    x1, y1, x2, y2 = finding.box
    return (x1 + x2) / 2, (y1 + y2) / 2


def area(finding: Finding) -> float:
    x1, y1, x2, y2 = finding.box
    return (x2 - x1) * (y2 - y1)


@pytest.mark.parametrize("modality", MODALITIES)
def test_answers_are_true_of_what_was_drawn(modality: Modality) -> None:
    seen: Counter[str] = Counter()
    for case in asked(ASK, modality):
        topic, answer, findings = dict(case.facets)["topic"], case.target.text, drawn(case)
        question = case.question or ""
        seen[topic] += 1
        if topic == "there":
            assert (answer == "yes") == bool(named(question, findings))
        elif topic == "count":
            assert answer == str(len(findings) if modality == "chest" else len(named(question, findings)))
        elif topic == "larger" and modality == "fundus":
            same = sorted(named(question, findings), key=area)
            sides = ["left" if middle(found)[0] < SIZE / 2 else "right" for found in same]
            assert sides[-1] == answer and set(sides) == {"left", "right"}
            beside = [area(found) for found, side in zip(same, sides, strict=True) if side != answer]
            assert area(same[-1]) >= LARGER * max(beside)
        elif topic == "larger":
            one, other = named(question, findings)
            larger, smaller = (one, other) if area(one) > area(other) else (other, one)
            assert area(larger) >= LARGER * area(smaller)
            assert (answer or "").removesuffix("s") == larger.kind.removesuffix("s")
        else:
            (finding,) = named(question, findings)
            x, y = middle(finding)
            side = "left" if x < SIZE / 2 else "right"
            assert abs(x - SIZE / 2) >= CLEAR
            if topic == "where":
                assert abs(y - SIZE / 2) >= CLEAR
                side = f"{'upper' if y < SIZE / 2 else 'lower'} {side}"
            assert answer == side
    assert seen.keys() == set(TOPICS) and min(seen.values()) >= 2


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_choice_has_one_true_option_among_different_ones(modality: Modality) -> None:
    letters: Counter[int] = Counter()
    for case in asked(CHOOSE, modality):
        kinds = {finding.kind for finding in drawn(case)}
        assert 2 <= len(set(case.options)) == len(case.options) <= 4
        if case.id.endswith("/there"):
            assert [option for option in case.options if option in kinds] == [case.target.label]
        letters[case.options.index(case.target.label or "")] += 1
    assert min(letters[0], letters[1], letters[2]) > 20  # the letters teach nothing


def test_questions_repeat_and_say_what_they_are() -> None:
    first, again = asked(ASK), asked(ASK)
    assert [(c.id, c.question, c.target) for c in first] == [(c.id, c.question, c.target) for c in again]
    few = asked(ASK, per_picture=2, questions=["side", "there", "count"])
    assert {case.id for case in few} <= {case.id for case in first}
    assert max(Counter(case.picture for case in few).values()) == 2
    assert {dict(case.facets)["topic"] for case in few} == {"side", "there", "count"}
    for case in first:
        assert dict(case.facets)["type"] == ("closed" if case.target.text in ("yes", "no") else "open")
        assert case.id.startswith(f"{case.picture}/") and dict(case.facets)["modality"] == "fundus"
    train = {case.question for case in asked(ASK, split="train")}
    assert train & {case.question for case in first}  # the same questions about other pictures
    answers = [(c.question, c.target.text) for c in asked(ASK, split="train")[:40]]
    assert answers != [(c.question, c.target.text) for c in first[:40]]


@pytest.mark.parametrize("task", [ASK, CHOOSE])
def test_what_is_taught_of_a_question_earns_its_reward(task: Task) -> None:
    scorer = Scorer(task, {"format": RewardConfig(weight=1), "accuracy": RewardConfig(weight=1)})
    for case in asked(task, test=12):
        taught = Rollout(target_completion(case, task))
        assert scorer.score(case, Prompt((), ()), taught, None).terms == {"format": 1, "accuracy": 1}


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(UserError, match="bring their own answers; remove labels"):
        asked(Task("t", "choice", "?", ("nodule", "effusion")))
    with pytest.raises(ValidationError, match=r"'there', 'count', 'where', 'side' or 'larger'"):
        ProceduralData.model_validate({"reader": "procedural", "questions": ["why"]})
    with pytest.raises(ValidationError, match="at least 1 item"):
        ProceduralData(reader="procedural", questions=())
