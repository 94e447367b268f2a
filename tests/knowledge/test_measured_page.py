"""The measured page of the banks is what its script writes, and every fault that it calls mended is."""

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@cache
def script() -> Any:
    spec = importlib.util.spec_from_file_location(
        "knowledge_figures", ROOT / "scripts" / "knowledge_figures.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def now() -> dict[str, Any]:
    figures: dict[str, Any] = script().values()
    return figures


def test_the_page_holds_the_figures_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = now()
    monkeypatch.setattr(script(), "values", lambda: figures)
    assert script().PAGE.read_text("utf-8") == script().page()


def test_every_fault_is_told_and_its_sentences_are_paid_as_they_should_be() -> None:
    faults = script().faults()
    assert len(faults) == 29
    for fault in faults:
        assert set(fault) - {"sentences"} == {"where", "fault", "now", "source", "status"}, fault["where"]
        assert all(fault[key].strip() and "|" not in fault[key] for key in fault if key != "sentences")
        for one in fault.get("sentences", ()):
            value = now()["faults"][script().key(one)]
            assert script().is_right(value, one.get("holds", True)), one
    assert [fault["where"] for fault in faults if not fault["status"].startswith("mended")] == [
        "idrid, severe"
    ]


def test_the_sentences_fail_on_0_1_0() -> None:
    """Or they would not have caught it: most faults have a sentence that it paid wrongly."""
    before = json.loads(script().BEFORE.read_text("utf-8"))
    assert before["golden"] == 4 and now()["golden"] == 35
    shown = [fault["sentences"] for fault in script().faults() if "sentences" in fault]
    caught = [
        any(
            not script().is_right(before["faults"][script().key(one)], one.get("holds", True))
            for one in sentences
        )
        for sentences in shown
    ]
    assert len(shown) >= 20 and sum(caught) >= len(shown) - 1
    old, new = (
        {
            kind: sum(counts[f"{kind} right"] for counts in source["own"].values())
            for kind in ("true", "false")
        }
        for source in (before, now())
    )
    assert new["true"] > old["true"] and new["false"] >= old["false"]


def test_no_abuse_is_paid_as_much_as_the_right_findings_on_the_whole() -> None:
    table = now()["abuse"]
    right = table["the right findings"]
    assert right["consistency"] == right["grounding"] == 1
    abuses = set(table) - {
        "the right findings",
        "one right finding",
        "a right finding, then every other denied",
    }
    for name in abuses:
        assert table[name]["consistency"] < 0.6 and table[name]["grounding"] < 0.1, name
        assert table[name]["as much"] < table[name]["classes"] / 4, name
