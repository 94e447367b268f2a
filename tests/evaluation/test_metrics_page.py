"""docs/reference/metrics.md explains every metric there is, and no other."""

import re
from pathlib import Path

from vrft_aug.evaluation.meanings import HEADLINES, MEANINGS
from vrft_aug.evaluation.metrics.case_metrics import METRICS
from vrft_aug.evaluation.metrics.curves import Curves

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")


def test_every_metric_is_explained() -> None:
    assert {*MEANINGS, *METRICS} <= set(re.findall(r"`(\w+)`", PAGE))


def test_every_headline_metric_has_a_meaning() -> None:
    assert {name for names in HEADLINES.values() for name in names} <= set(MEANINGS)


def test_every_curve_is_named() -> None:
    for name in Curves.__dataclass_fields__:
        assert f"`{name}`" in PAGE
