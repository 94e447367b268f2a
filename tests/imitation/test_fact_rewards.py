"""Findings read from texts with negation, and the rewards that hold them against class and picture."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vrft_aug.errors import UserError
from vrft_aug.imitation.facts import consistency, grounding
from vrft_aug.imitation.findings import mentions
from vrft_aug.knowledge.bank import injected_text, load_bank
from vrft_aug.knowledge.bank_schema import KnowledgeBank
from vrft_aug.nouns import Answer, Box, Case, Target, Task
from vrft_aug.recipe.schema import RewardConfig
from vrft_aug.scorer import Scorer

WORDS = {
    "microaneurysms": ("small dark red dots", "MA"),
    "haemorrhages": ("dark red blots", "bleeding"),
    "hard exudates": ("bright yellow spots", "exudates"),
    "cotton wool spots": ("pale fluffy patches",),
    "new vessels": ("neovascularisation",),
    "mass": (),
    "opacity": (),
}
SHORT = {
    "m": "microaneurysms",
    "h": "haemorrhages",
    "e": "hard exudates",
    "c": "cotton wool spots",
    "v": "new vessels",
    "M": "mass",
    "o": "opacity",
}


@pytest.mark.parametrize(
    ("text", "present", "absent"),
    [
        ("Microaneurysms are seen.", "m", ""),
        ("a single microaneurysm", "m", ""),
        ("SMALL DARK RED DOTS", "m", ""),
        ("small, dark red dots", "", ""),
        ("microaneurysmatic", "", ""),
        ("", "", ""),
        ("... !", "", ""),
        ("Hemorrhage and neovascularization", "hv", ""),
        ("cotton-wool spots", "c", ""),
        ("masses, opacities", "Mo", ""),
        ("No haemorrhages, exudates or new vessels; a few microaneurysms.", "m", "hev"),
        ("There is no hemorrhage but a hard exudate is seen.", "e", "h"),
        ("Neither haemorrhages nor exudates are visible.", "", "he"),
        ("Haemorrhages and exudates are absent, microaneurysms are seen.", "m", "he"),
        ("Microaneurysms are seen, haemorrhages are absent.", "m", "h"),
        ("Haemorrhages, exudates and new vessels are absent.", "", "hev"),
        ("Absence of new vessels. Cotton wool spots present.", "c", "v"),
        ("no evidence of bleeding", "", "h"),
        ("New vessels have been ruled out.", "", "v"),
        ("New vessels cannot be ruled out.", "", ""),
        ("We must rule out new vessels.", "", ""),
        ("Not only microaneurysms but also bleeding", "mh", ""),
        ("There's no absence of haemorrhages.", "h", ""),
        ("not without exudates", "e", ""),
        ("without haemorrhages, some exudates", "e", "h"),
        ("I don't see any haemorrhages.", "", "h"),
        ("Haemorrhages cannot be seen, exudates can.", "e", "h"),
        ("haemorrhages: none. exudates: yes", "e", "h"),
        ("masses and opacities, no other lesions", "Mo", ""),
        ("no haemorrhages with cotton wool spots", "c", "h"),
        ("no haemorrhages are seen and exudates are present", "e", "h"),
        ("free of exudates", "", "e"),
        ("no haemorrhages, microaneurysms only", "m", "h"),
        ("w/o exudates", "", "e"),
        ("Exudates aren’t seen", "", "e"),
        ("no doubt exudates", "e", ""),
        ("exudates\nno haemorrhages\nmicroaneurysms", "em", "h"),
        ("exudates. No exudates.", "e", "e"),
        ("perhaps exudates", "e", ""),
        ("nothing but exudates", "e", ""),
        ("ехudates", "", ""),
        ("ex\u200budates", "", ""),
        ("ｅｘｕｄａｔｅｓ", "e", ""),
    ],
)
def test_what_a_text_states(text: str, present: str, absent: str) -> None:
    found = mentions(text, WORDS)
    assert found.present == {SHORT[letter] for letter in present}
    assert found.absent == {SHORT[letter] for letter in absent}


@pytest.mark.parametrize(
    "piece", ["is ", "no ", "no exudates ", "exudates absent ", "can not be ", "exudates, ", "a"]
)
def test_long_texts_are_read_at_once(piece: str) -> None:
    mentions(piece * 5_000, WORDS)  # what grows faster than the text would not end here


BANK = KnowledgeBank.model_validate(
    {
        "name": "eyes",
        "title": "t",
        "author": "a",
        "reviewed": False,
        "sources": [],
        "findings": {name: list(others) for name, others in WORDS.items()},
        "classes": {
            "none": {
                "definition": "No lesions.",
                "absent": ["microaneurysms", "haemorrhages", "new vessels"],
            },
            "mild": {
                "definition": "Small dark red dots and no haemorrhages.",
                "present": ["microaneurysms"],
                "absent": ["haemorrhages"],
            },
            "moderate": {
                "definition": "Haemorrhages or hard exudates.",
                "present": ["haemorrhages", "hard exudates"],
            },
            "proliferative": {"definition": "New vessels.", "present": ["new vessels"]},
        },
    }
)
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
        ("mild", "Microaneurysms; haemorrhages too.", 0),
        ("mild", "No microaneurysms.", 0),
        ("mild", "Microaneurysms. No microaneurysms.", 0),
        ("mild", "New vessels.", 0),
        ("moderate", "Haemorrhages and exudates, new vessels.", 1 / 3),
        ("moderate", "Haemorrhages.", 1),
        ("moderate", "Haemorrhages, but no exudates.", 1),  # not every moderate case has exudates
        ("moderate", "No haemorrhages, no exudates.", 0),
        ("moderate", "Haemorrhages. No haemorrhages. Exudates.", 0),
        ("none", "No haemorrhages.", 1),
        ("none", "Exudates, no haemorrhages.", 0),
        ("none", "It is calm.", 0),
        ("proliferative", "New vessels, haemorrhages.", 1 - (1 / 6) ** 2),  # a milder grade's finding
        ("mild", "No haemorrhages, no exudates.", 0),  # denials earn nothing where there is something to see
        ("mild", "", 0),
    ],
)
def test_contradiction_costs(grade: str, reasoning: str, value: float) -> None:
    assert consistent(grade, reasoning) == pytest.approx(value)


def test_listing_every_finding_does_not_pay() -> None:
    every = ", ".join(WORDS)
    assert [consistent(grade, every) for grade in GRADE.labels] == [0, 0, 0, 0]
    assert [consistent(grade, f"No {every.replace(', ', ', no ')}.") for grade in GRADE.labels[1:]] == [
        0,
        0,
        0,
    ]


def test_sets_of_labels_are_held_against_all_their_findings() -> None:
    assert (
        consistent(frozenset({"mild", "proliferative"}), "dark red dots; microaneurysms; new vessels", SETS)
        == 1
    )
    assert consistent(frozenset({"mild"}), "microaneurysms and new vessels", SETS) == 0
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
                "mild": BANK.classes["mild"].model_copy(update={"present": (), "absent": ()}),
            }
        }
    )
    with pytest.raises(UserError, match=r"lists no findings \(present, absent\) of 'mild'"):
        scorer(GRADE, silent, consistency=1)
    assert scorer(GRADE, BANK, consistency=1, grounding=1)


@pytest.mark.parametrize("name", ["idrid", "busi", "chestmnist"])
def test_shipped_banks_read_their_own_findings(name: str) -> None:
    bank = load_bank(name)
    for finding, others in bank.findings.items():
        for term in (finding, *others):
            assert finding in mentions(f"I see {term}.", bank.findings).present, term
