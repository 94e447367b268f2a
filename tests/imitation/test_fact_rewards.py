"""The rewards that hold what the reasoning says against class and picture."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.fact_bank import BANK, WORDS
from vrft_aug.errors import UserError
from vrft_aug.imitation.facts import consistency, grounding
from vrft_aug.knowledge.bank import injected_text, load_bank, shipped_banks
from vrft_aug.knowledge.bank_schema import KnowledgeBank
from vrft_aug.nouns import Answer, Box, Case, Target, Task
from vrft_aug.recipe.stage_config import RewardConfig
from vrft_aug.scorer import Scorer

GRADE = Task("eyes", "grade", "?", tuple(BANK.classes))
SETS = Task("eyes", "multilabel", "?", ("mild", "moderate", "proliferative"))
NOTHING = Case("x", (), Target(label="mild"))


def consistent(value: Any, reasoning: str, task: Task = GRADE) -> float:
    earned = consistency(Answer(value, None, reasoning), NOTHING, task, BANK)
    assert earned is not None
    return earned


def test_paraphrase_passes_and_copying_earns_nothing_extra() -> None:
    said = [
        consistent("mild", text) for text in ("I see small dark red dots.", BANK.classes["mild"].definition)
    ]
    assert said == [1, 1]
    everything = injected_text(BANK, GRADE.labels, "attributes")
    assert all(consistent(grade, everything) < 0.7 for grade in GRADE.labels)


@pytest.mark.parametrize(
    ("grade", "reasoning", "value"),
    [
        ("mild", "Microaneurysms; haemorrhages too.", 0.25),
        ("mild", "No microaneurysms.", 0),
        ("mild", "Microaneurysms. No microaneurysms.", 0),
        ("mild", "New vessels.", 0),
        ("moderate", "Haemorrhages and exudates, new vessels.", 0.25),
        ("moderate", "Haemorrhages.", 1),
        ("moderate", "Haemorrhages, but no exudates.", 1),  # not every moderate case has exudates
        ("moderate", "No haemorrhages, no exudates.", 0),
        ("moderate", "Haemorrhages. No haemorrhages. Exudates.", 0.25),
        ("none", "No haemorrhages.", 1),
        ("none", "Exudates, no haemorrhages.", 0.25),
        ("none", "It is calm.", 0),
        ("proliferative", "New vessels, haemorrhages.", 1),  # a milder grade's finding may be there
        ("proliferative", "Haemorrhages.", 0),  # which alone says nothing of this grade
        ("mild", "Microaneurysms and a mass.", 0.8),  # unlikely costs a little
        ("moderate", "Haemorrhages, cotton wool spots, opacity.", 1),  # nothing is known of the last two
        ("mild", "No haemorrhages, no exudates.", 0),  # denials earn nothing where there is something to see
        ("mild", "", 0),
    ],
)
def test_contradiction_costs(grade: str, reasoning: str, value: float) -> None:
    assert consistent(grade, reasoning) == pytest.approx(value)


def test_listing_every_finding_does_not_pay() -> None:
    every = ", ".join(WORDS)
    assert all(consistent(grade, every) <= 0.25 for grade in ("none", "mild", "moderate"))
    assert consistent("proliferative", every) == consistent("proliferative", "New vessels.")
    assert all(consistent(grade, f"No {every.replace(', ', ', no ')}.") == 0 for grade in GRADE.labels[1:])


@pytest.mark.parametrize("name", shipped_banks())
def test_a_list_of_all_findings_never_beats_the_right_ones(name: str) -> None:
    """Of every class of every bank; the list is worth less but where the bank holds all of it possible."""
    bank = load_bank(name)
    task = Task("t", "multilabel" if bank.coexist else "classify", "?", tuple(bank.classes))
    every = ". ".join(bank.findings)
    worth = {}
    for label, known in bank.classes.items():
        right = ". ".join(known.listed("typical"))
        value = frozenset([label]) if bank.coexist else label
        listed, honest = (
            consistency(Answer(value, None, text), NOTHING, task, bank) or 0.0 for text in (every, right)
        )
        assert honest == 1
        worth[label] = listed
    assert sum(value < 1 for value in worth.values()) >= len(worth) - 1


@pytest.mark.parametrize("silence", [0.0, 0.4])
def test_silence_is_what_the_recipe_says(silence: float) -> None:
    def worth(text: str) -> float | None:
        return consistency(Answer("moderate", None, text), NOTHING, GRADE, BANK, silence)

    assert [worth(text) for text in ("", "It is calm.", "Microaneurysms.")] == [silence] * 3
    assert worth("New vessels.") == 0 and worth("Haemorrhages.") == 1
    case = Case("x", (), Target(present=frozenset({"haemorrhages"})))
    assert grounding(Answer("mild", None, "Calm."), case, GRADE, BANK, silence) == silence
    with pytest.raises(UserError, match=r"silence is 2\.0; expected a number from 0 to 1"):
        Scorer(GRADE, {"consistency": RewardConfig.model_validate({"silence": 2})}, BANK)


def test_sets_of_labels_are_held_against_all_their_findings() -> None:
    assert (
        consistent(frozenset({"mild", "proliferative"}), "dark red dots; microaneurysms; new vessels", SETS)
        == 1
    )
    assert consistent(frozenset({"mild"}), "microaneurysms and new vessels", SETS) == 0.25
    assert consistent(frozenset(), "no new vessels, no haemorrhages", SETS) == 1


def grounded(reasoning: str, **target: Any) -> float | None:
    return grounding(Answer("mild", None, reasoning), Case("x", (), Target(**target)), GRADE, BANK)


def test_grounding_in_findings_and_in_boxes() -> None:
    known = {"present": frozenset({"microaneurysms", "hard exudates"}), "absent": frozenset({"new vessels"})}
    assert grounded("Exudates.", **known) == 1
    assert grounded("Exudates and new vessels.", **known) == 0
    assert grounded("Exudates, dots: microaneurysms, new vessels.", **known) == pytest.approx(1 / 3)
    assert grounded("No new vessels.", **known) == 0
    assert grounded("A mass.", **known) == 0  # not known of this picture
    assert grounded("No new vessels.", absent=frozenset({"new vessels"})) == 1
    boxes = (Box(0, 0, 5, 5, "exudates"), Box(5, 5, 9, 9, "drusen"))
    assert grounded("Hard exudates.", boxes=boxes) == 1
    assert grounded("No hard exudates.", boxes=boxes) == 0
    assert grounded("Hard exudates.") is None
    assert grounded("Hard exudates.", boxes=(Box(0, 0, 5, 5, "drusen"),)) is None


KNOWN = Target("moderate", present=frozenset({"haemorrhages"}), absent=frozenset({"new vessels", "mass"}))
ABUSES = {
    "silence": "",
    "dots": "... !",
    "every finding": ", ".join(WORDS),
    "every denial": "No " + ", no ".join(WORDS),
    "both": ". ".join(f"{w}. No {w}" for w in WORDS),
    "copy": injected_text(BANK, GRADE.labels, "attributes"),
    "hedge": "Maybe " + ", maybe ".join(WORDS),
    "undecided": ". ".join(f"{w} cannot be ruled out" for w in WORDS),
    "look-alikes": "hаemоrrhages",
    "invisible": "haemor\u200brhages",
    "markup": "<b>haemor</b>rhages",
    "huge": "haemorrhages " * 3000 + ", ".join(WORDS),
    "bomb": "[" * 5000,
    "question": "Which grade?",
}


@pytest.mark.parametrize("name", ABUSES)
def test_no_abuse_of_facts_earns_more_than_an_honest_wrong_answer(name: str) -> None:
    task, case = GRADE, Case("x", (), KNOWN)
    honest = Answer("mild", None, "Microaneurysms and haemorrhages in the upper half.")  # half of it is wrong
    worth = [
        sum(term(answer, case, task, BANK) or 0.0 for term in (grounding, consistency))
        for answer in (Answer("mild", None, ABUSES[name]), honest)
    ]
    assert worth[0] <= worth[1]


def test_unparseable_answers_earn_the_least() -> None:
    failed = Answer(None, "malformed", "Microaneurysms.")
    assert consistency(failed, NOTHING, GRADE, BANK) == 0
    assert grounding(failed, Case("x", (), KNOWN), GRADE, BANK) == 0


pieces = st.lists(
    st.sampled_from([*WORDS, "no", "and", ",", ".", "but", "are absent", "not", "a", "without"])
)


@settings(max_examples=60)
@given(pieces.map(" ".join), st.sampled_from(GRADE.labels), st.sets(st.sampled_from(sorted(WORDS))))
def test_facts_are_shares_and_apply_by_the_case_alone(text: str, grade: str, seen: set[str]) -> None:
    assert 0 <= consistent(grade, text) <= 1
    case = Case("x", (), Target(present=frozenset(seen)))
    value = grounding(Answer(grade, None, text), case, GRADE, BANK)
    assert (value is None) == (not seen) and (value is None or 0 <= value <= 1)


def scorer(task: Task, bank: KnowledgeBank | None, **terms: float) -> Scorer:
    return Scorer(task, {name: RewardConfig(weight=weight) for name, weight in terms.items()}, bank)


def test_a_bank_that_cannot_judge_is_told_before_the_run() -> None:
    with pytest.raises(UserError, match="'eyes' names no knowledge bank"):
        scorer(GRADE, None, grounding=1)
    silent = BANK.model_copy(
        update={
            "classes": {
                **BANK.classes,
                "mild": BANK.classes["mild"].model_copy(update={"typical": {}, "excludes": {}}),
            }
        }
    )
    with pytest.raises(UserError, match=r"lists no findings \(typical, excludes\) of 'mild'"):
        scorer(GRADE, silent, consistency=1)
    assert scorer(GRADE, BANK, consistency=1, grounding=1)


SHAPES = KnowledgeBank.model_validate(
    {
        "name": "shapes", "title": "t", "author": "a", "reviewed": False, "sources": ["x"],
        "findings": {
            "oval": {"excludes": ["round", "irregular"]}, "round": {"excludes": ["irregular"]},
            "irregular": [],
            "deposits": {"includes": ["deposits nearby"]}, "deposits nearby": ["within one disc diameter"],
        },
        "classes": {
            "benign": {"definition": "d", "typical": ["oval"], "may": ["round"], "unlikely": ["irregular"]},
            "far": {"definition": "d", "defining": ["deposits"], "typical": ["no deposits nearby"]},
        },
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("label", "text", "value"),
    [
        ("benign", "Oval or round.", 1),
        ("benign", "Oval, sometimes round.", 1),
        ("benign", "Oval or (less often) round.", 1),
        ("benign", "Oval and round.", 0.25),
        ("benign", "Oval. Round.", 0.25),
        ("benign", "Oval or round or irregular.", pytest.approx(0.8 * 0.25)),  # of the first and the last one
        ("benign", "Not oval, or an oval one.", 1),
        ("benign", "Oval. Not oval.", 0),
        ("far", "No deposits within one disc diameter.", 1),  # others may lie further off
        ("far", "Deposits, none within one disc diameter.", 1),
        ("far", "No deposits.", 0.25),
    ],
)
def test_alternatives_and_denials_for_a_place_are_no_contradictions(
    label: str, text: str, value: float
) -> None:
    task = Task("t", "classify", "?", tuple(SHAPES.classes))
    assert consistency(Answer(label, None, text), NOTHING, task, SHAPES) == value
