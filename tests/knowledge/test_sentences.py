"""True and false sentences of every class of every bank, and what the fact reward pays for them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from vrft_aug.imitation.facts import consistency
from vrft_aug.knowledge.bank import load_bank, shipped_banks
from vrft_aug.nouns import Answer, Case, Target, Task

FOLDER = Path(__file__).parent / "sentences"
TRUE, FALSE = 0.8, 0.3  # a true sentence earns at least, a false one at most


def sentences() -> Iterator[tuple[str, str, bool, str]]:
    """(bank, class, whether it is true, text)."""
    for path in sorted(FOLDER.glob("*.yaml")):
        for part in yaml.safe_load_all(path.read_text("utf-8")):
            for bank in part["banks"]:
                for label, texts in part["classes"].items():
                    yield from ((bank, label, truth == "true", t) for truth in texts for t in texts[truth])


def earned(name: str, label: str, text: str) -> float:
    bank = load_bank(name)
    task = Task(name, "multilabel" if bank.coexist else "classify", "?", tuple(bank.classes))
    answer = Answer(frozenset({label}) if bank.coexist else label, None, text)
    value = consistency(answer, Case("x", (), Target()), task, bank)
    assert value is not None
    return value


ALL = list(sentences())


@pytest.mark.parametrize("name", shipped_banks())
def test_true_sentences_earn_and_false_ones_do_not(name: str) -> None:
    values = {one: earned(one[0], one[1], one[3]) for one in ALL if one[0] == name}
    wrong = {one: v for one, v in values.items() if (v < TRUE if one[2] else v > FALSE)}
    assert not wrong


@pytest.mark.parametrize("name", shipped_banks())
def test_every_class_has_three_true_sentences_and_two_false_ones(name: str) -> None:
    for label in load_bank(name).classes:
        of_class = [truth for bank, about, truth, _ in ALL if (bank, about) == (name, label)]
        assert of_class.count(True) >= 3 and of_class.count(False) >= 2, label


def test_the_golden_sentences_of_the_review() -> None:
    lines = (FOLDER / "golden.jsonl").read_text("utf-8").splitlines()
    golden = [json.loads(line) for line in lines]
    assert len(golden) == 35
    below = [one for one in golden if earned(one["bank"], one["class"], one["text"]) < TRUE]
    assert not below


def test_sentences_of_one_disease_earn_nothing_for_its_opposite() -> None:
    assert earned("busi", "benign", "Irregular shape with a spiculated margin.") == 0
    assert earned("idrid", "severe", "New vessels on the disc.") == 0
    assert earned("chestmnist", "effusion", "The heart is enlarged.") == 0
