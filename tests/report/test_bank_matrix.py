"""The matrix of a bank: what each cell says is what the fact rewards do; the page is safe and complete."""

from pathlib import Path

import pytest

from helpers.pages import check_self_contained
from helpers.written_bank import CONTENT, agree_to, changed, write_bank
from vrft_aug.imitation.facts import consistency
from vrft_aug.knowledge.bank import load_bank, shipped_banks
from vrft_aug.knowledge.bank_schema import KnowledgeBank
from vrft_aug.nouns import Answer, Case, Target, Task
from vrft_aug.report.bank_matrix import LEGEND, Matrix, bank_matrix, matrix_lines, write_matrix

EVIL = "<script>alert(1)</script> & {{ 7 * 7 }}"


def matrix_of(path: Path) -> Matrix:
    return bank_matrix(str(path), load_bank(str(path)))


def test_cells_say_what_is_listed_and_what_follows(tmp_path: Path) -> None:
    shown = {row.finding: [cell.short for cell in row.cells] for row in matrix_of(write_bank(tmp_path)).rows}
    assert shown == {
        "lesions": ["XA", ".", "."],
        "dots": ["(XA)", "T*", "m?"],
        "blots": ["(XA)", "X", "T"],
        "haze": [".", ".", "u?"],
    }


@pytest.mark.parametrize("name", shipped_banks())
def test_a_cell_is_what_the_reward_pays(name: str) -> None:
    bank = load_bank(name)
    task = Task(name, "multilabel" if bank.coexist else "classify", "?", tuple(bank.classes))
    for row in bank_matrix(name, bank).rows:
        for label, cell in zip(bank.classes, row.cells, strict=True):
            answer = Answer(frozenset([label]) if bank.coexist else label, None, row.finding)
            paid = consistency(answer, Case("x", (), Target()), task, bank, silence=0.5)
            assert paid == {"typical": 1, "may": 0.5, "": 0.5, "unlikely": 0, "excludes": 0}[cell.said]


def test_the_page_has_every_cell_with_its_source_and_its_review(tmp_path: Path) -> None:
    path = write_bank(tmp_path)
    agree_to(path, {"mild: typical 'dots'", "mild: definition"})
    agree_to(path, {"severe: may 'dots'"}, agrees=False)
    page = tmp_path / "m.html"
    write_matrix(matrix_of(path), page)
    html = page.read_text("utf-8")
    found = check_self_contained(html).found
    cells = [attributes for tag, attributes in found if tag == "td"]
    assert len(cells) == 4 * 3
    assert all(words.split(":")[0] in html for words in LEGEND.values())
    assert 'T ✓<span class="from">atlas</span>' in html and "m ✗" in html
    assert 'title="mild: excluded by the definition: to say it is a contradiction; source: book"' in html
    assert html.count('<span class="state agreed">agreed</span>') == 1
    assert "atlas (table 1): An atlas of dots, 2003" in html and "nobody has named a source" in html
    assert "2 of 19 facts agreed to, 1 disputed" in html
    assert "Dots &amp; blots" in html


def test_what_a_bank_says_is_escaped(tmp_path: Path) -> None:
    content = changed(("title",), EVIL)
    content["classes"][EVIL] = {"definition": EVIL, "source": "atlas", "may": {"review": [EVIL]}}
    content["findings"][EVIL] = [f"{EVIL}!"]
    content["sources"]["atlas"] = EVIL
    KnowledgeBank.model_validate(content)
    page = tmp_path / "m.html"
    write_matrix(matrix_of(write_bank(tmp_path, content)), page)
    html = page.read_text("utf-8")
    check_self_contained(html)
    assert "<script" not in html and html.count("{{ 7 * 7 }}") >= 6


def test_a_terminal_has_a_line_a_finding_and_the_sources(tmp_path: Path) -> None:
    lines = matrix_lines(matrix_of(write_bank(tmp_path)))
    assert lines[0] == "Dots & blots (mine); 0 of 19 facts agreed to, 0 disputed"
    assert "dots    (XA)   T*   m?" in lines
    assert lines[-2:] == ["atlas: An atlas of dots, 2003", "book: A book on blots, 2013"]


def test_a_bank_without_findings_or_named_sources_has_a_page(tmp_path: Path) -> None:
    content = {
        "name": "b", "title": "t", "author": "a", "reviewed": False, "sources": ["A book"],
        "classes": {"x": {"definition": "X."}},
    }  # fmt: skip
    page = tmp_path / "m.html"
    write_matrix(matrix_of(write_bank(tmp_path, content)), page)
    html = page.read_text("utf-8")
    check_self_contained(html)
    assert "lists no findings" in html and "A book" in html
    assert CONTENT["title"] not in html
