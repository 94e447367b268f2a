"""Every code block of the documents is right: read, parsed or run by what reads, parses or runs it in use."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from helpers.doc_blocks import (
    DOCUMENTS,
    FENCE,
    Block,
    all_blocks,
    blocks,
    check,
    check_line,
    check_yaml,
    parse_command,
    why_not_run,
)
from helpers.documents import read
from vrft_aug.errors import UserError

BLOCKS = all_blocks()


@pytest.mark.parametrize("block", BLOCKS, ids=[block.name for block in BLOCKS])
def test_a_block_is_right(block: Block, tmp_path: Path) -> None:
    check(block)
    if block.language == "python" and not block.reason:
        path = tmp_path / "block.py"
        path.write_text(block.text, "utf-8")
        spec = importlib.util.spec_from_file_location("block", path)
        assert spec and spec.loader
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def test_no_block_is_missed() -> None:
    for page in DOCUMENTS:
        fences = [line for line in read(page).splitlines() if line.lstrip().startswith("```")]
        assert len(fences) == 2 * len(list(blocks(page))), page


def test_few_blocks_are_skipped() -> None:
    assert sum(bool(block.reason) for block in BLOCKS) <= 6


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("stages:\n  - {name: grade, stepps: 3}\n", "stepps"),
        ("perception_loss: {weight: 0.01, mask: 1}\n", "mask"),
        ("reader: csv\ntable: a.csv\ncolour: 1\n", "colour"),
        ("kind: grade\nquestion: x\nlabels: [a, b]\ndata: {reader: nothing}\n", "nothing"),
        ("tasks: {look: {kind: classify, question: x, labels: [a]}}\n", "data"),
        ("moderate: {definition: x, tipical: {icdr: [haemorrhages]}}\n", "tipical"),
        ("name: x\nrecipe: fundus-demo\nfactors: {a: {off: {stages.grade.stepps: 1}}}\nseedz: 1\n", "seedz"),
        ("injection: {styel: none}\n", "styel"),
        ("data: {reader: csv, colour: 1}\n", "colour"),
        ("something: {else: 1}\n", "no file of ours"),
        ("a: [1\n", "valid YAML"),
    ],
)
def test_wrong_yaml_is_found(text: str, fault: str) -> None:
    with pytest.raises((AssertionError, UserError, ValueError), match=fault):
        check_yaml(text)


@pytest.mark.parametrize(
    "line",
    [
        "vrft chek my.yaml", "vrft check my.yaml --colour", "vrft evaluate a b --limit many",
        "make coffee", "pip install 'vrft-aug[nothing]'", "rm -rf my.yaml", "vrft score my.yaml",
        "sbatch deploy/none.sbatch",
        "torchrun -m vrft_aug train my.yaml --steps 3", "vrft knowledge shwo idrid",
    ],
)  # fmt: skip
def test_wrong_commands_are_found(line: str) -> None:
    with pytest.raises((AssertionError, Exception)) as found:
        check_line(line)
    assert type(found.value).__name__ in {
        "AssertionError", "NoSuchOption", "MissingParameter", "BadParameter", "UsageError"
    }  # fmt: skip


def test_what_is_run_and_what_is_parsed_alone() -> None:
    assert parse_command(["knowledge", "show", "idrid"]) == "knowledge show"
    assert why_not_run("vrft check my.yaml") is None and why_not_run("vrft train my.yaml --resume") is None
    assert why_not_run("vrft view runs/mine") == "serves until it is stopped"
    assert why_not_run("vrft train my.yaml --processes 4") and why_not_run("vrft init slake my.yaml")


def test_a_block_says_why_it_is_not_run() -> None:
    page = "<!-- not run: needs a camera -->\n```sh\nvrft look\n```\n\n- x\n\n  ```yaml\n  a: 1\n  ```\n"
    page += "```\nx\n```\n"
    found = [(match["reason"], match["indent"], match["language"]) for match in FENCE.finditer(page)]
    assert found == [("needs a camera", "", "sh"), (None, "  ", "yaml"), (None, "", "")]
    untold = Block(Path("x.md"), 1, "text", "1\n", "")
    with pytest.raises(AssertionError, match="say why"):
        check(untold)
    with pytest.raises(AssertionError, match="no language"):
        check(Block(Path("x.md"), 1, "", "1\n", ""))
