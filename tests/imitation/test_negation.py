"""Negation on 200 sentences labelled by hand, beside what a library makes of them where one is installed."""

import pytest

from helpers.negation_sentences import (
    Labelled,
    bank_of_the_sentences,
    labelled,
    score_denials,
    words_of_the_sentences,
)
from vrft_aug.imitation.findings import Mention, read_findings

BANK = bank_of_the_sentences()
SENTENCES = list(labelled())


def mention(one: Labelled) -> Mention:
    (found,) = (m for m in read_findings(one.text, BANK).mentions if m.start == one.start)
    return found


def test_every_labelled_finding_is_read_once_and_there_are_enough() -> None:
    assert len({one.text for one in SENTENCES}) >= 199
    assert {one.label for one in SENTENCES} == set("+-~?")
    for one in SENTENCES:
        assert one.end == mention(one).end


@pytest.mark.parametrize(("held_out", "least"), [(False, 0.99), (True, 0.93)])
def test_denials_are_told_from_all_else(held_out: bool, least: float) -> None:
    part = [one for one in SENTENCES if one.held_out == held_out]
    found = score_denials(lambda one: mention(one).polarity == "absent", part)
    assert found.f1 >= least, [one.text for one in found.wrong]


def test_what_is_told_of_the_past_or_of_another_case_is_not_stated() -> None:
    told = [one for one in SENTENCES if one.label in "+?"]
    right = sum((mention(one).polarity == "present") == (one.label == "+") for one in told)
    assert right / len(told) >= 0.94


def test_we_read_no_worse_than_medspacy() -> None:
    """ConText's rules as medspaCy ships them, on a blank English pipeline: no model is needed."""
    medspacy = pytest.importorskip(
        "medspacy", reason="medspacy is not installed; docs/measured/knowledge.md has its figures"
    )
    spacy = pytest.importorskip("spacy")
    pipeline = spacy.blank("en")
    pipeline.add_pipe("sentencizer")
    ruler = pipeline.add_pipe("entity_ruler", config={"phrase_matcher_attr": "LOWER"})
    ruler.add_patterns([{"label": "FINDING", "pattern": word} for word in words_of_the_sentences()])
    pipeline.add_pipe("medspacy_context")
    assert medspacy is not None

    def denied(one: Labelled) -> bool:
        return any(e._.is_negated for e in pipeline(one.text).ents if e.start_char == one.start)

    part = [one for one in SENTENCES if one.held_out]
    theirs = score_denials(denied, part)
    ours = score_denials(lambda one: mention(one).polarity == "absent", part)
    assert ours.f1 >= theirs.f1
