"""The page of planned and measured memory is of the settings and cards that there are, and what it says."""

import re
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from helpers.documents import DOCS, ROOT, read
from vrft_aug.preview.plan.cards import CARDS

PAGE = DOCS / "measured" / "plan.md"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    sys.modules.pop("plan_page", None)
    return import_module("plan_page")


def test_the_page_is_of_all_settings_and_cards(script: ModuleType) -> None:
    page = read(PAGE)
    rows = re.findall(r"^\| ([^|]+) \|.* \| (\d+) \| (\d+) \| (\d\.\d\d) \| [\w, ]+ \|$", page, re.MULTILINE)
    assert [name for name, *_ in rows] == list(script.SETTINGS)
    assert all(
        int(planned) / int(measured) == pytest.approx(float(ratio), abs=0.02)
        for _, planned, measured, ratio in rows
    )
    within = sum(abs(float(ratio) - 1) <= 0.15 for *_, ratio in rows)
    assert f"{within} of {len(rows)} settings are within 15 %" in page and within >= 10
    assert all(f"| {card.name} |" in page and card.source in page for card in CARDS.values())


@pytest.mark.slow
def test_a_planned_peak_is_what_is_measured(script: ModuleType, tmp_path: Path) -> None:
    one = script.result("checkpointing", tmp_path)
    assert one["planned"] / one["measured"] == pytest.approx(1, abs=0.15)
    assert one["moment"] == "backward, start"


@pytest.mark.slow
def test_the_scaling_page_is_what_the_plan_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.setattr(sys, "argv", ["scaling_page.py", str(tmp_path / "scaling.md")])
    import_module("scaling_page").main()
    assert read(tmp_path / "scaling.md") == read(DOCS / "measured" / "scaling.md"), (
        "run python scripts/scaling_page.py docs/measured/scaling.md"
    )
