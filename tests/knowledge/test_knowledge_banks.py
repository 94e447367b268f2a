from typing import Any

import pytest

from vrft_aug.data.procedural.chest import FINDINGS
from vrft_aug.data.readers.medmnist_labels import LABELS as MEDMNIST
from vrft_aug.knowledge.bank import SHIPPED, Attribute, Difference, KnowledgeBank, load_bank
from vrft_aug.knowledge.count import words
from vrft_aug.knowledge.validate import FactCounts, check_bank, count_facts

SEVERITY = ["mild", "moderate", "severe", "proliferative"]
LABELS = {
    **MEDMNIST,
    "fundus": ["none", *SEVERITY],
    "chest": ["normal", *FINDINGS],
    "idrid": ["no retinopathy", *SEVERITY],
    "idrid-dme": ["no risk", "moderate risk", "high risk"],
    "busi": ["normal", "benign", "malignant"],
}
ORGANS = ("organamnist", "organcmnist", "organsmnist")


def test_every_shipped_bank_is_tested() -> None:
    assert {path.stem for path in SHIPPED.glob("*.yaml")} == set(LABELS)


@pytest.mark.parametrize("name", LABELS)
def test_a_shipped_bank_fits_its_task_and_says_where_it_is_from(name: str) -> None:
    bank = load_bank(name)
    assert check_bank(bank, LABELS[name]) == []
    assert list(bank.classes) == list(LABELS[name])
    assert bank.name == name
    assert not bank.reviewed  # until someone who may has read it
    assert all(known.attributes for known in bank.classes.values())
    if name != "fundus":  # whose sources are those of the bank as a whole
        assert count_facts(bank).whole == 0
        assert bank.findings and all(known.typical for known in bank.classes.values())


def test_one_scale_is_told_in_the_same_words_everywhere() -> None:
    retina, idrid = load_bank("retinamnist"), load_bank("idrid")
    assert retina.classes == idrid.classes and retina.findings == idrid.findings
    assert retina.official_labels == idrid.official_labels
    organs = [load_bank(name) for name in ORGANS]
    told = [{label: known.definition for label, known in bank.classes.items()} for bank in organs]
    assert told[0] == told[1] == told[2]
    assert organs[0].findings == organs[1].findings == organs[2].findings


def test_the_procedural_banks_are_short() -> None:
    for name in ("fundus", "chest"):
        for known in load_bank(name).classes.values():
            assert words(known.definition) <= 16


def test_an_attribute_reads_as_one_fact() -> None:
    dots = Attribute(what="dots", where="near the macula", colour="red", size="tiny", source="s")
    assert dots.text == "dots: tiny, red, near the macula"
    assert Attribute(what="no dots").text == "no dots"


def bank_of(**changed: object) -> KnowledgeBank:
    content: dict[str, object] = {
        "name": "b",
        "title": "t",
        "author": "a",
        "reviewed": False,
        "sources": {"s1": "A book"},
        "findings": {"dots": ("spots",), "blots": (), "any": {"includes": ("dots", "blots")}},
        "classes": {
            "mild": {
                "definition": "Dots.",
                "source": "s1",
                "attributes": ["dots"],
                "typical": {"s1": ["dots"]},
            },
            "severe": {
                "definition": "Blots.",
                "source": "review",
                "attributes": [{"what": "blots", "source": "s1"}],
            },
        },
    }
    return KnowledgeBank.model_validate(content | changed)


def only(label: str, **changed: object) -> dict[str, Any]:
    """The bank's classes with one of them changed."""
    classes: dict[str, Any] = bank_of().model_dump()["classes"]
    classes["mild"]["attributes"] = []
    classes[label] |= changed
    return classes


def test_what_a_bank_lacks_is_named() -> None:
    classes = {
        "mild": {"definition": " "},
        "severe": {"definition": "Many.", "attributes": ["blots", ""]},
    }
    assert check_bank(bank_of(sources=["A book"], classes=classes), ["none", "mildd", "severe"]) == [
        "knowledge bank 'b' has no class 'none'; it has mild, severe",
        "knowledge bank 'b' has no class 'mildd'; did you mean 'mild'?",
        "knowledge bank 'b': class 'mild': definition is empty",
        "knowledge bank 'b': class 'severe': attribute 2 is empty",
    ]


def difference(tell: str = "So.") -> Difference:
    return Difference(tell=tell, source="review")


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({}, "class 'mild': attribute 1 names no source; expected one of s1, review"),
        ({"classes": only("mild", source="s2")}, "class 'mild': definition has the unknown source 's2'"),
        ({"classes": only("mild", source=None)}, "class 'mild': definition names no source"),
        ({"sources": []}, "sources are empty"),
        ({"sources": ["A book"]}, "names source 's1', but the bank's sources have no names"),
        ({"author": ""}, "author is empty"),
        ({"reviewed": True}, "reviewer is empty; expected who reviewed it"),
        ({"reviewed": True, "reviewer": "Dr B"}, "reviewed, but 1 facts are still marked review"),
        ({"findings": {"dots": ["blots"], "blots": []}}, "'dots' and 'blots' are both called 'blots'"),
        ({"classes": only("mild", synonyms=["Severe"])}, "'mild' and 'severe' are both called 'severe'"),
        (
            {"classes": only("mild", typical={"s1": ["dot"]})},
            "finding 'dot' is not listed under findings; did",
        ),
        ({"classes": only("mild", unlikely={"s1": ["dots"]})}, "finding 'dots' is both typical and unlikely"),
        (
            {"classes": only("mild", excludes={"s1": ["any"]})},
            "told by 'dots' and excludes 'any', of which it",
        ),
        ({"classes": only("mild", typical={"s1": ["dots", "no dots"]})}, "is typical, and so is its absence"),
        (
            {"classes": only("mild", may={"s1": ["no blots"]})},
            "'no blots' is an absence, which only `typical`",
        ),
        ({"classes": only("mild", may={"s3": ["blots"]})}, "may 'blots' has the unknown source 's3'"),
        ({"classes": only("mild", may=["blots"])}, "may 'blots' names no source; expected one of s1, review"),
        (
            {"classes": only("mild", may={"s1 and (x": ["blots"]})},
            "has the source 's1 and (x'; expected `id`",
        ),
        ({"classes": only("mild", defining={"s1": [[]]})}, "a group under defining is empty"),
        ({"findings": {"dots": {"includes": ["blot"]}, "blots": []}}, "includes 'blot', which is not listed"),
        (
            {"findings": {"dots": {"includes": ["blots"]}, "blots": {"includes": ["dots"]}}},
            "dots -> blots -> do",
        ),
        ({"findings": {"dots": {"excludes": ["dots"]}}}, "finding 'dots' excludes 'dots', itself"),
        (
            {"findings": {"dots": {"includes": ["b"], "excludes": ["b"]}, "b": []}},
            "one is a kind of the other",
        ),
        (
            {"findings": {"dots": {"names": ["Spot"]}, "blots": {"narrower": ["spots"]}}},
            "both called 'spots'",
        ),
        (
            {"findings": {"dots": {"names": ["spot"], "broader": ["spots"]}}},
            "both a broader word and another",
        ),
        ({"official_labels": {"1": "milde"}}, "stands for 'milde', which is no class; did you mean 'mild'?"),
        ({"official_labels": {"severe": "mild"}}, "stands for 'mild', but is a name of 'severe'"),
        ({"coexist": True, "classes": only("severe", excludes={"s1": ["dots"]})}, "no class speaks against"),
        ({"classes": only("mild", confused_with={"moderate": difference()})}, "confused with 'moderate'"),
        ({"classes": only("mild", confused_with={"mild": difference()})}, "expected another class"),
        ({"classes": only("mild", confused_with={"severe": difference("")})}, "from 'severe' is empty"),
        ({"classes": only("mild", definition="word " * 91)}, "class 'mild': 91 words; expected at most 90"),
    ],
)
def test_check_finds(changed: dict[str, object], problem: str) -> None:
    assert any(problem in found for found in check_bank(bank_of(**changed), ["mild", "severe"]))


def test_check_finds_what_is_said_twice() -> None:
    classes = only("mild", confused_with={"severe": difference()})
    classes["severe"]["confused_with"] = {"mild": difference()}
    found = check_bank(bank_of(classes=classes), [])
    assert len(found) == 1 and "class 'mild': is told apart from 'severe' twice" in found[0]
    classes = {label: {"definition": "Dots.", "source": "s1"} for label in ("mild", "severe")}
    assert "'mild' and 'severe' are told in the same words" in check_bank(bank_of(classes=classes), [])[0]


def test_a_bank_without_faults_is_counted() -> None:
    bank = bank_of(classes=only("mild"))
    assert check_bank(bank, ["mild", "severe"]) == []
    assert count_facts(bank) == FactCounts(sourced=3, review=1, whole=0)
    assert count_facts(load_bank("fundus")) == FactCounts(sourced=0, review=0, whole=41)
