"""No bank contradicts itself: what it tells of a class is never charged when said of that class."""

import pytest

from vrft_aug.imitation.facts import class_view, judge_class
from vrft_aug.imitation.findings import read_findings
from vrft_aug.knowledge.bank import load_bank, shipped_banks
from vrft_aug.knowledge.bank_schema import KnowledgeBank
from vrft_aug.knowledge.finding_graph import finding_graph


def charged(bank: KnowledgeBank, label: str, text: str) -> list[str]:
    graph = finding_graph(bank)
    judged = judge_class(read_findings(text, bank), class_view(graph, label), graph)
    wrong = [name for name, how in judged.stated.items() if how in ("contradiction", "unlikely")]
    return [*wrong, *judged.clashes]


@pytest.mark.parametrize("name", shipped_banks())
def test_definitions_attributes_and_typical_findings_are_not_charged(name: str) -> None:
    bank = load_bank(name)
    told = {
        (label, text): found
        for label, known in bank.classes.items()
        for text in (
            known.definition,
            *(attribute.text for attribute in known.attributes),
            *known.listed("typical"),
            *known.listed("may"),
        )
        if (found := charged(bank, label, text))
    }
    assert told == {}
