"""Who has agreed to what, what is told and paid of the rest, and that a changed fact is unread again."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from helpers.written_bank import CONTENT, agree_to, changed, write_bank
from vrft_aug.errors import UserError
from vrft_aug.evaluation.provenance import knowledge_uses
from vrft_aug.knowledge.bank import load_bank
from vrft_aug.knowledge.bank_facts import bank_facts, bank_hash
from vrft_aug.knowledge.bank_schema import KnowledgeBank
from vrft_aug.knowledge.controls import unrelated_facts
from vrft_aug.knowledge.count import words
from vrft_aug.knowledge.inject import Style, injected_text
from vrft_aug.knowledge.review import (
    Reviewer,
    load_review,
    read_verdicts,
    review_path,
    review_state,
    reviewed_part,
)
from vrft_aug.knowledge.told import told_bank, unreviewed_rewards
from vrft_aug.recipe.schema import Recipe
from vrft_aug.recipe.task_config import Injection

LABELS = ("none", "mild", "severe")
BANK = KnowledgeBank.model_validate(CONTENT)


def recipe(bank: Path, rewards: dict[str, Any], style: str = "definitions") -> Recipe:
    task = {
        "kind": "grade", "question": "?", "labels": list(LABELS), "knowledge": str(bank),
        "data": {"reader": "procedural", "modality": "fundus"},
    }  # fmt: skip
    stage = {"name": "s", "method": "grpo", "task": "t", "steps": 1, "rewards": rewards,
             "injection": {"style": style}}  # fmt: skip
    return Recipe.model_validate(
        {"name": "r", "tasks": {"t": task}, "stages": [stage], "evaluation": {"task": "t"}}
    )


def test_every_fact_has_an_address_and_a_hash_of_what_it_says() -> None:
    facts = bank_facts(BANK)
    assert len({fact.where for fact in facts}) == len(facts) == len({fact.digest for fact in facts})
    paid = {fact.where for fact in facts if fact.paid}
    assert {"words of 'dots'", "mild: defining 'dots'", "severe: may 'dots'"} <= paid
    assert not {"mild: definition", "mild: attribute 1", "mild: difference from 'severe'"} & paid


@pytest.mark.parametrize(
    ("path", "value", "unread"),
    [
        (("classes", "mild", "definition"), "Dots alone.", {"mild: definition"}),
        (("findings", "dots"), ["spots", "points"], {"words of 'dots'"}),
        (("sources", "book"), "Another book", {"severe: definition", "severe: typical 'blots'",
         "severe: attribute 1", "mild: excludes 'blots'", "mild: attribute 2"}),
        (("classes", "mild", "attributes"), [{"what": "sharp edges", "source": "book"}], set()),  # moved up
        (("classes", "severe", "may"), {"review": ["dots", "lesions"]}, {"severe: may 'lesions'"}),
        (("classes", "severe", "may"), {"atlas": ["dots"]}, {"severe: may 'dots'"}),
        (("title",), "Another title", set()),
    ],
)  # fmt: skip
def test_a_fact_that_was_changed_is_unread_and_no_other(
    tmp_path: Path, path: tuple[str, ...], value: Any, unread: set[str]
) -> None:
    bank = write_bank(tmp_path)
    agree_to(bank)
    assert load_review(str(bank)).complete
    write_bank(tmp_path, changed(path, value))
    assert {fact.where for fact in load_review(str(bank)).unreviewed()} == unread


def test_the_last_word_of_each_person_counts_and_a_dispute_outweighs(tmp_path: Path) -> None:
    bank = write_bank(tmp_path)
    one = {"mild: definition"}
    agree_to(bank, one, agrees=False)
    agree_to(bank, one, agrees=True)
    state = load_review(str(bank))
    assert (len(state.agreed), len(state.disputed)) == (1, 0)
    agree_to(bank, one, agrees=False, who="Dr B")
    state = load_review(str(bank))
    assert (len(state.agreed), len(state.disputed)) == (0, 1)
    assert state.line() == f"0 of {len(bank_facts(BANK))} facts agreed to, 1 disputed"


def test_a_line_says_who_when_what_and_of_which_bank(tmp_path: Path) -> None:
    path = review_path(write_bank(tmp_path))
    reviewer = Reviewer(BANK, "Dr A, ophthalmologist", path, lambda: datetime(2026, 1, 2, 3, 4, tzinfo=UTC))
    (first, *rest) = reviewer.left("mild")
    reviewer.say(first, False, " not alone ")
    assert reviewer.left("mild") == tuple(rest)
    assert json.loads(path.read_text("utf-8")) == {
        "who": "Dr A, ophthalmologist", "when": "2026-01-02T03:04:00+00:00", "agrees": False,
        "note": "not alone", "fact": first.digest, "of": "mild: definition", "text": "Dots only.",
        "bank": "mine", "bank_hash": bank_hash(BANK),
    }  # fmt: skip
    assert Reviewer(BANK, "Dr A, ophthalmologist", path).left("mild") == tuple(rest)  # goes on later
    assert first in Reviewer(BANK, "Dr B", path).left("mild")  # everybody reads for themselves


def test_a_bank_that_says_it_is_reviewed_is_but_for_disputes(tmp_path: Path) -> None:
    signed = BANK.model_copy(update={"reviewed": True, "reviewer": "Dr A"})
    assert review_state(signed).complete
    path = tmp_path / "x.review.jsonl"
    reviewer = Reviewer(signed, "Dr B", path)
    reviewer.say(bank_facts(signed)[0], False)
    assert review_state(signed, read_verdicts(path)).unreviewed() == bank_facts(signed)[:1]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 1 is no JSON"),
        ("{}", "line 1: who is missing; expected"),
        ("[]", "line 1: the line is a list; expected"),
        ('{"who": 3}', "line 1: who is 3; expected"),
    ],
)
def test_a_broken_review_is_one_line_and_is_kept(tmp_path: Path, line: str, says: str) -> None:
    bank = write_bank(tmp_path)
    review_path(bank).write_text(f"{line}\n", encoding="utf-8")
    for read in (lambda: load_review(str(bank)), lambda: Reviewer(BANK, "Dr A", review_path(bank))):
        with pytest.raises(UserError) as caught:
            read()
        assert says in str(caught.value) and str(review_path(bank)) in str(caught.value)
    assert review_path(bank).read_text("utf-8") == f"{line}\n"
    with pytest.raises(UserError, match="who reviews is empty"):
        Reviewer(BANK, " ", tmp_path / "y.jsonl")


def test_only_what_was_agreed_to_is_told(tmp_path: Path) -> None:
    bank = write_bank(tmp_path)
    agree_to(bank, {"mild: definition", "mild: attribute 2", "severe: attribute 1"})
    agree_to(bank, {"severe: definition"}, agrees=False)
    only = Injection(style="attributes", only_reviewed=True)
    asked = recipe(bank, {"accuracy": 1})
    part = told_bank(asked, "t", only)
    assert part is not None
    assert injected_text(part, LABELS, "attributes").splitlines() == [
        "What is known:",
        "- mild: Dots only. Look for: sharp edges.",
        "- severe: Look for: blots: anywhere.",
    ]
    assert injected_text(part, LABELS, "definitions").splitlines()[1:] == ["- mild: Dots only."]
    everything = told_bank(asked, "t", Injection(style="attributes"))
    assert everything is not None and len(injected_text(everything, LABELS, "attributes").splitlines()) == 4
    assert told_bank(asked, "t", Injection()) is None


@pytest.mark.parametrize("style", ["definitions", "attributes", "contrastive", "shuffled", "irrelevant"])
def test_where_nobody_agreed_to_anything_nothing_can_be_told(tmp_path: Path, style: Style) -> None:
    bank = write_bank(tmp_path)
    part = reviewed_part(load_bank(str(bank)), load_review(str(bank)))
    with pytest.raises(UserError, match=r"nothing is left to tell in style \w+: nobody has agreed"):
        injected_text(part, LABELS, style)
    agree_to(bank, {"mild: difference from 'severe'"})
    part = reviewed_part(load_bank(str(bank)), load_review(str(bank)))
    if style == "contrastive":
        assert injected_text(part, LABELS, style).endswith("- mild or severe? Severe has blots.")


def test_controls_of_what_was_agreed_to_are_as_long_and_name_the_same_labels(tmp_path: Path) -> None:
    bank = write_bank(tmp_path)
    agree_to(bank, {"mild: definition", "mild: attribute 2", "severe: attribute 1"})
    part = reviewed_part(load_bank(str(bank)), load_review(str(bank)))
    true = injected_text(part, LABELS, "attributes")
    shuffled = injected_text(part, LABELS, "shuffled", of="attributes")
    irrelevant = injected_text(part, LABELS, "irrelevant", of="attributes")
    assert words(true) == words(shuffled) == words(irrelevant)
    assert "- mild: Look for: blots: anywhere." in shuffled and "- severe: Dots only." in shuffled
    told = [line.split(": ", 1)[1].removesuffix(".").split(". ") for line in irrelevant.splitlines()[1:]]
    assert {f"{fact}." for facts in told for fact in facts} <= set(unrelated_facts())
    agree_to(bank, {"severe: attribute 1"}, agrees=False)
    part = reviewed_part(load_bank(str(bank)), load_review(str(bank)))
    with pytest.raises(UserError, match="needs at least two labels"):
        injected_text(part, LABELS, "shuffled", of="attributes")


@pytest.mark.parametrize(
    ("rewards", "style", "terms"),
    [
        ({"consistency": 1}, "none", "consistency"),
        ({"grounding": 1, "consistency": 1, "format": 1}, "none", "consistency and grounding"),
        ({"recitation": {"delta": 1}}, "definitions", "recitation"),
        ({"recitation": {"delta": 1}}, "none", None),  # nothing is injected that could be recited
        ({"recitation": 1}, "definitions", None),  # costs by default: a wrong fact is not learned by it
        ({"accuracy": 1}, "definitions", None),
    ],
)
def test_a_stage_that_pays_by_unreviewed_facts_is_named(
    tmp_path: Path, rewards: dict[str, Any], style: str, terms: str | None
) -> None:
    bank = write_bank(tmp_path)
    told = unreviewed_rewards(recipe(bank, rewards, style))
    if terms is None:
        assert told == []
        return
    (line,) = told
    assert line.startswith(f"stage 's' pays {terms} by the facts of knowledge bank {bank}: ")
    assert f"vrft knowledge review {bank}" in line and "\n" not in line
    paid = {fact.where for fact in bank_facts(BANK) if fact.paid or terms == "recitation"}
    assert f"{len(paid)} of {len(paid)} are unreviewed." in line
    some = sorted(paid)[:2]
    agree_to(bank, {some[0]})
    agree_to(bank, {some[1]}, agrees=False)
    (line,) = unreviewed_rewards(recipe(bank, rewards, style))
    assert f"{len(paid) - 1} of {len(paid)} are unreviewed, 1 of them disputed." in line
    agree_to(bank, paid)
    assert unreviewed_rewards(recipe(bank, rewards, style)) == []


def test_a_run_says_how_much_of_what_it_was_told_nobody_agreed_to(tmp_path: Path) -> None:
    bank = write_bank(tmp_path)
    agree_to(bank, {"mild: definition"})
    (use,) = knowledge_uses(recipe(bank, {"accuracy": 1}))
    assert (use.reviewed, use.unreviewed) == (False, len(bank_facts(BANK)) - 1)
    assert use.hash == bank_hash(BANK)
    agree_to(bank)
    (use,) = knowledge_uses(recipe(bank, {"accuracy": 1}))
    assert (use.reviewed, use.unreviewed) == (True, 0)
