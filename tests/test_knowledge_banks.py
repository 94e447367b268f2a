import re

import pytest

from vrft_aug.knowledge.bank import SHIPPED, ClassKnowledge, KnowledgeBank, injected_text, load_bank
from vrft_aug.knowledge.check import check_bank

SEVERITY = ["mild", "moderate", "severe", "proliferative"]
LABELS = {
    "fundus": ["none", *SEVERITY],
    "retinamnist": ["no retinopathy", *SEVERITY],
    "idrid": ["no retinopathy", *SEVERITY],
    "idrid-dme": ["no risk", "moderate risk", "high risk"],
    "busi": ["normal", "benign", "malignant"],
}


def test_every_shipped_bank_is_tested() -> None:
    assert {path.stem for path in SHIPPED.glob("*.yaml")} == set(LABELS)


@pytest.mark.parametrize("name", LABELS)
def test_a_shipped_bank_fits_its_task_and_says_where_it_is_from(name: str) -> None:
    bank = load_bank(name)
    assert check_bank(bank, LABELS[name]) == []
    assert list(bank.classes) == LABELS[name]
    assert bank.name == name and bank.sources and bank.author
    assert not bank.reviewed  # until someone who may has read it
    assert all(known.attributes for known in bank.classes.values())


def test_one_scale_is_told_in_the_same_words_everywhere() -> None:
    assert load_bank("retinamnist").classes == load_bank("idrid").classes


def test_the_procedural_bank_is_short() -> None:
    for known in load_bank("fundus").classes.values():
        assert len(re.findall(r"\w+", known.definition)) <= 16


@pytest.mark.parametrize("name", LABELS)
def test_injected_text_has_a_line_a_label(name: str) -> None:
    text = injected_text(load_bank(name), LABELS[name], "attributes").splitlines()
    assert [line.split(":")[0] for line in text[1:]] == [f"- {label}" for label in LABELS[name]]


def test_what_a_bank_lacks_is_named() -> None:
    classes = {
        "mild": ClassKnowledge(definition=" "),
        "severe": ClassKnowledge(definition="Many.", attributes=("blots", "")),
    }
    bank = KnowledgeBank(name="b", title="", author="", reviewed=False, sources=(), classes=classes)
    assert check_bank(bank, ["none", "mildd", "severe"]) == [
        "knowledge bank 'b' has no class 'none'; it has mild, severe",
        "knowledge bank 'b' has no class 'mildd'; did you mean 'mild'?",
        "knowledge bank 'b', class 'mild': definition is empty",
        "knowledge bank 'b', class 'severe': attribute 2 is empty",
    ]
