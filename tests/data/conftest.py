"""What the tests of wrong data share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helpers.good_sets import SETS, GoodSet, Made, contents


@pytest.fixture(scope="session")
def made_once(
    tmp_path_factory: pytest.TempPathFactory,
) -> Made:
    """A set by name with all that is in it; made once, to be copied."""
    known: dict[str, tuple[Path, GoodSet, dict[str, Any]]] = {}

    def make(name: str) -> tuple[Path, GoodSet, dict[str, Any]]:
        if name not in known:
            root = tmp_path_factory.mktemp(name)
            made = SETS[name](root)
            known[name] = (root, made, contents(root, made))
        return known[name]

    return make
