"""Banks of 0.1.0 are read with a warning or rewritten; where two banks differ."""

from pathlib import Path

import pytest
import yaml

from helpers.written_bank import CONTENT, changed, write_bank
from vrft_aug.errors import UserError
from vrft_aug.knowledge.bank import load_bank, shipped_banks
from vrft_aug.knowledge.bank_diff import bank_differences
from vrft_aug.knowledge.bank_schema import KnowledgeBank
from vrft_aug.knowledge.upgrade import upgraded_text
from vrft_aug.knowledge.validate import check_bank

OLD = Path(__file__).parent / "old_banks" / "idrid.yaml"  # as 0.1.0 shipped it


def test_a_bank_as_0_1_0_shipped_it_is_read_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "old.yaml"  # a path of its own: what was read is kept
    path.write_bytes(OLD.read_bytes())
    bank = load_bank(str(path))
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith(f"warning: {path} is of version 0.1.0")
    assert f"`vrft knowledge upgrade {path}`" in said
    assert bank.classes["mild"].typical == {"review": ("microaneurysms",)}
    assert "new vessels" in bank.classes["mild"].unlikely["review"]
    assert not bank.classes["mild"].excludes
    assert check_bank(bank, tuple(bank.classes)) == []


def test_an_upgraded_file_reads_as_the_old_one_and_keeps_its_comments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_bytes(OLD.read_bytes())
    upgraded = upgraded_text(old)
    new.write_text(upgraded.text, encoding="utf-8")
    assert upgraded.lists == 8 and upgraded.problems == ()
    before = load_bank(str(old))
    capsys.readouterr()
    assert load_bank(str(new)) == before
    assert capsys.readouterr().err == ""
    kept = [line for line in upgraded.text.splitlines() if "typical:" not in line and "unlikely:" not in line]
    lists = ("present:", "absent:")
    assert kept == [
        line for line in OLD.read_text("utf-8").splitlines() if not line.strip().startswith(lists)
    ]


def test_lists_over_several_lines_are_rewritten_too(tmp_path: Path) -> None:
    path = tmp_path / "old.yaml"
    path.write_text(
        "name: b\ntitle: t\nauthor: a\nreviewed: false\nsources: [x]\nfindings: {dots: [], 'a, b': []}\n"
        "classes:\n  mild:\n    present:\n      - dots\n      # why\n      - 'a, b'\n    definition: d\n"
        "  severe:\n    absent: [dots,\n      'a, b']\n    definition: e # here\n",
        encoding="utf-8",
    )
    text = upgraded_text(path).text
    content = yaml.safe_load(text)["classes"]
    assert content["mild"] == {"typical": {"review": ["dots", "a, b"]}, "definition": "d"}
    assert content["severe"] == {"unlikely": {"review": ["dots", "a, b"]}, "definition": "e"}
    assert "definition: e # here" in text


@pytest.mark.parametrize("name", ["idrid", "fundus"])
def test_what_is_of_today_is_not_upgraded(name: str, tmp_path: Path) -> None:
    path = write_bank(tmp_path)
    with pytest.raises(UserError, match="there is nothing to upgrade") as caught:
        upgraded_text(path)
    assert str(path) in str(caught.value)


def test_faults_of_an_old_file_are_told_and_a_wrong_list_is_refused(tmp_path: Path) -> None:
    head = "name: b\ntitle: t\nauthor: a\nreviewed: false\nsources: [x]\nfindings: {dots: []}\nclasses: "
    path = tmp_path / "old.yaml"
    path.write_text(f"{head}{{mild: {{definition: d, present: [dot]}}}}\n", encoding="utf-8")
    (problem,) = upgraded_text(path).problems
    assert problem == (
        f"knowledge bank {path}: class 'mild': finding 'dot' is not listed under findings; "
        "did you mean 'dots'?"
    )
    path.write_text(f"{head}{{mild: {{definition: d, present: dots}}}}\n", encoding="utf-8")
    with pytest.raises(UserError, match="present holds no list of findings"):
        upgraded_text(path)


@pytest.mark.parametrize(
    ("path", "value", "lines"),
    [
        ((), None, []),
        (("title",), "Other", ["~ title: Dots & blots -> Other"]),
        (("classes", "mild", "definition"), "Dots.",
         ["~ mild: definition: Dots only. (atlas (table 1)) -> Dots. (atlas (table 1))"]),
        (("classes", "severe", "may"), {"book": ["dots"]},
         ["~ severe: may 'dots': dots (review) -> dots (book)"]),
        (("classes", "severe", "may"), {}, ["- severe: may 'dots': dots (review)"]),
        (("findings", "haze"), ["fog"], ["~ words of 'haze': no other words -> also: fog"]),
        (("findings", "cracks"), [], ["+ words of 'cracks': no other words"]),
        (("official_labels",), {"1": "mild"}, ["+ official label '1': mild"]),
        (("classes", "mild", "synonyms"), {"narrower": ["slight"]},
         ["- mild: exact name 'slight': yes", "+ mild: narrower name 'slight': yes"]),
        (("classes", "mild", "attributes"),
         [{"what": "sharp edges", "source": "book"},
          {"what": "dots", "colour": "red", "source": "review"}], []),
        (("reviewer",), "Dr A", ["+ reviewer: Dr A"]),
    ],
)  # fmt: skip
def test_differences_are_told_fact_by_fact(path: tuple[str, ...], value: object, lines: list[str]) -> None:
    one = KnowledgeBank.model_validate(CONTENT)
    two = KnowledgeBank.model_validate(changed(path, value) if path else CONTENT)
    assert [found.line() for found in bank_differences(one, two)] == lines
    back = {"+": "-", "-": "+", "~": "~"}
    assert [found.line()[0] for found in bank_differences(two, one)].count("~") == sum(
        back[line[0]] == "~" for line in lines
    )


def test_a_shipped_bank_does_not_differ_from_itself_and_does_from_0_1_0() -> None:
    for name in shipped_banks():
        assert bank_differences(load_bank(name), load_bank(name)) == []
    lines = [found.line() for found in bank_differences(load_bank(str(OLD)), load_bank("idrid"))]
    assert any(line.startswith("- words of 'haemorrhages in all four quadrants'") for line in lines)
