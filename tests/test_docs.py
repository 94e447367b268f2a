"""What the documents name exists, and what exists is named."""

import re
from pathlib import Path

from vrft_aug.scorer import TERMS
from vrft_aug.training.alarms import RULES

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "vrft_aug"
REWARDS = (ROOT / "docs" / "reference" / "rewards.md").read_text(encoding="utf-8")
PAPER = (ROOT / "docs" / "concepts" / "paper.md").read_text(encoding="utf-8")


def test_every_term_and_alarm_is_documented() -> None:
    assert [term for term in TERMS if f"| `{term}` |" not in REWARDS] == []
    assert [rule for rule in RULES if f"| {rule} |" not in REWARDS] == []


def test_every_file_that_the_paper_page_names_is_there() -> None:
    named = re.findall(r"`([\w/.-]+(?:\.py|\.yaml|/))`", PAPER)
    assert len(named) > 20
    rooms = [PACKAGE, ROOT, *(folder for folder in PACKAGE.iterdir() if folder.is_dir())]
    assert [name for name in named if not any((room / name).exists() for room in rooms)] == []
