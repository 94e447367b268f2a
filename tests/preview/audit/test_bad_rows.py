"""Rows of question files that cannot be used: an audit counts all of them, a training stops at the first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from helpers.scan_questions import rows_with, save_questions
from helpers.scans import named
from vrft_aug.cli import app
from vrft_aug.data.row_faults import BadRow, each_row, faulty_rows
from vrft_aug.errors import UserError
from vrft_aug.preview.audit.audit import audit_recipe
from vrft_aug.preview.audit.saved_audit import Audit
from vrft_aug.recipe.file import load_recipe

BAD: dict[str, dict[str, Any]] = {
    "no option right": {"answer": "spleen"},
    "two equal options": {"options": ["lung", "Lung", "heart"]},
    "too few or too many options": {"options": ["lung"]},
    "no answer": {"answer": ""},
    "no question": {"question": " "},
    "a picture that is absent": {"image": "i99.png"},
    "no picture named": {"image": None},
    "cannot be used": {"answer": {"text": "lung"}},
}


def audit(path: Path) -> Audit:
    return audit_recipe(load_recipe(str(path)))[0]


def test_every_bad_row_is_counted_by_kind(tmp_path: Path) -> None:
    bad = [one for one in BAD.values() for _ in range(2)] + [BAD["no option right"]]
    found = audit(save_questions(tmp_path, rows_with(*bad)))
    finding = named(found)["bad-rows"]
    assert (finding.level, finding.count) == ("wrong", 17)
    for kind in BAD:
        assert f"{kind} {3 if kind == 'no option right' else 2}" in finding.what
    assert finding.what.startswith("17 rows that cannot be used: no option right 3")
    assert "q.json row 13: the answer 'spleen' is not among the options" in finding.examples[0].text
    assert sum(one.cases for one in found.tasks[0].splits) == 12  # the good ones


@pytest.mark.parametrize("kind", BAD)
def test_outside_an_audit_the_first_ends_the_reading(tmp_path: Path, kind: str) -> None:
    rows = rows_with(BAD[kind], BAD[kind])
    rows = [row | {"split": "train"} for row in rows]
    path = save_questions(tmp_path, rows, split="split")
    result = CliRunner().invoke(app, ["check", str(path)])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1 and len(result.stderr) < 500
    assert "q.json row 13" in result.stderr


def test_conversations_without_an_answer_are_counted(tmp_path: Path) -> None:
    def talk(*turns: tuple[str, str]) -> list[dict[str, str]]:
        return [{"from": who, "value": said} for who, said in turns]

    rows: list[dict[str, Any]] = [
        {
            "id": str(n),
            "image": f"i{n}.png",
            "conversations": talk(("human", f"What is {n}?"), ("gpt", "a lung")),
        }
        for n in range(12)
    ]
    rows[4]["conversations"] = talk(("human", "What is it?"))
    rows[7]["conversations"] = talk(("gpt", "a lung"))
    path = save_questions(tmp_path, rows, "answer", image=None, question=None, answer=None, options=None)
    finding = named(audit(path))["bad-rows"]
    assert (finding.count, finding.what) == (2, "2 rows that cannot be used: no answer 1, no question 1")


def test_the_same_question_with_two_answers_contradicts(tmp_path: Path) -> None:
    rows = rows_with({"question": "Which?", "image": "i3.png"}, {"question": "Which?", "image": "i3.png"})
    rows[-1]["answer"] = "liver"
    found = named(audit(save_questions(tmp_path, rows)))
    assert found["contradicting-labels"].count == 1
    free = save_questions(tmp_path, rows, "answer", options=None)
    found = named(audit(free))
    assert found["contradicting-answers"].level == "warning"
    assert "contradicting-labels" not in found
    rows[-1]["question"] = "Which not?"
    assert "contradicting-labels" not in named(audit(save_questions(tmp_path, rows)))


def test_bad_rows_cannot_be_accepted(tmp_path: Path) -> None:
    path = save_questions(tmp_path, rows_with(), accept=["bad-rows"])
    with pytest.raises(UserError, match="no finding that could be accepted is called 'bad-rows'"):
        load_recipe(str(path))


def test_all_rows_bad_is_a_finding_too(tmp_path: Path) -> None:
    rows = [row | {"answer": "spleen"} for row in rows_with()]
    assert named(audit(save_questions(tmp_path, rows)))["bad-rows"].count == 12


def refuse(error: Exception) -> None:
    with each_row():
        raise error


def test_rows_are_kept_only_inside() -> None:
    with faulty_rows() as kept:
        for number in range(3):
            refuse(BadRow("odd", f"row {number}"))
        refuse(UserError("of no kind"))
        with pytest.raises(ZeroDivisionError):
            refuse(ZeroDivisionError())
    assert [(one.kind, one.text) for one in kept] == [
        ("odd", "row 0"), ("odd", "row 1"), ("odd", "row 2"), ("cannot be used", "of no kind")
    ]  # fmt: skip
    with pytest.raises(BadRow, match="row 9"):
        refuse(BadRow("odd", "row 9"))
