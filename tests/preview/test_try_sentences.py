"""`vrft knowledge try`: what is read in a sentence, where, why, and what it earns."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.written_bank import CONTENT
from vrft_aug.errors import UserError
from vrft_aug.imitation.facts import consistency
from vrft_aug.knowledge.bank import load_bank
from vrft_aug.knowledge.bank_schema import KnowledgeBank
from vrft_aug.nouns import Answer, Case, Target, Task
from vrft_aug.preview.try_sentences import try_file, try_text

BANK = KnowledgeBank.model_validate(CONTENT)


def test_each_finding_is_told_with_place_polarity_why_and_standing() -> None:
    text = "Small spots, no large blots, no stains; haze cannot be ruled out."
    tried = try_text(BANK, "mild", text)
    assert [(one.finding, one.words, one.polarity, one.standing) for one in tried.findings] == [
        ("dots", "spots", "present", "speaks for the class"),
        ("blots", "large blots", "open", "not counted"),
        ("blots", "stains", "absent", "its absence says nothing"),
        ("haze", "haze", "open", "not counted"),
    ]
    assert all(text[one.start : one.end] == one.words for one in tried.findings)
    assert [one.why for one in tried.findings] == [
        "", "a narrower word is denied", "denied before it", "left undecided",
    ]  # fmt: skip
    assert tried.consistency == 1
    assert tried.lines()[0] == f"1.00  mild: {text}"
    assert tried.lines()[1] == "      present dots (“spots”) at 6-11: speaks for the class"


def test_clashes_are_told_in_words() -> None:
    tried = try_text(BANK, "mild", "No dots.")
    assert tried.consistency == 0
    assert tried.lines()[-1] == "      denies dots, one of which defines the class"
    assert try_text(BANK, "mild", "Calm.").lines()[1] == "      no finding of the bank is named"
    assert try_text(BANK, "mild", "Calm.", silence=0.5).consistency == 0.5


@given(
    st.sampled_from(["none", "mild", "severe"]),
    st.lists(st.sampled_from(["dots", "no", "blots", "haze", ",", ".", "without"])).map(" ".join),
)
def test_it_is_what_the_reward_pays(label: str, text: str) -> None:
    task = Task("t", "grade", "?", tuple(BANK.classes))
    paid = consistency(Answer(label, None, text), Case("x", (), Target()), task, BANK)
    assert try_text(BANK, label, text).consistency == pytest.approx(paid, abs=1e-4)


def lines(path: Path, *contents: object) -> Path:
    path.write_text(
        "\n".join(one if isinstance(one, str) else json.dumps(one) for one in contents), encoding="utf-8"
    )
    return path


def test_a_file_names_classes_by_any_name_and_sets_where_they_coexist(tmp_path: Path) -> None:
    file = lines(tmp_path / "s.jsonl", {"class": "Slight", "text": "Dots."}, "",
                 {"class": "mild", "text": "Haze.", "bank": "mine"})  # fmt: skip
    assert [(one.line, one.answered, one.consistency) for one in try_file(BANK, file)] == [
        (1, "mild", 1.0),
        (3, "mild", 0.0),
    ]
    assert list(try_file(BANK, file)[0].as_json())[:3] == ["line", "class", "text"]
    chest = lines(tmp_path / "c.jsonl", {"class": ["effusion", "mass"], "text": "A large rounded opacity."},
                  {"class": [], "text": "No effusion."}, {"class": "hernia", "text": "x"})  # fmt: skip
    assert [one.answered for one in try_file(load_bank("chestmnist"), chest)] == [
        ("effusion", "mass"), (), ("hernia",),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 1 is no JSON"),
        ("3", "line 1 is 3; expected"),
        ({"class": "mild"}, "line 1: text is empty; expected"),
        ({"class": "mild", "text": 3}, "line 1: text is 3"),
        (
            {"class": "milde", "text": "x"},
            "line 1: class 'milde' is none of bank 'mine'; did you mean 'mild'?",
        ),
        ({"class": "zzz", "text": "x"}, "is none of bank 'mine'; expected one of none, mild, severe"),
        ({"text": "x"}, "line 1: class empty is none"),
        ({"class": ["mild"], "text": "x"}, "class is a list, but the classes of bank 'mine' do not coexist"),
        ({"class": "mild", "text": "x", "sentence": "y"}, "line 1 has the key 'sentence'"),
        ({"class": "mild", "text": "x", "bank": "idrid"}, "is for bank 'idrid', and this is 'mine'"),
        ("", "is empty; expected"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: object, says: str) -> None:
    file = lines(tmp_path / "s.jsonl", line)
    with pytest.raises(UserError) as caught:
        try_file(BANK, file)
    assert says in str(caught.value) and str(file) in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.jsonl cannot be read"):
        try_file(BANK, tmp_path / "none.jsonl")
