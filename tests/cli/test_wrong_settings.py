"""150 wrong settings over the whole schema: `vrft check` refuses each in one line, or training takes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from trl import SFTTrainer
from typer.testing import CliRunner

from helpers.wrong_settings import Wrong, base_recipe, changed, generated
from vrft_aug.cli import app
from vrft_aug.experiments.run import train
from vrft_aug.recipe.file import load_recipe
from vrft_aug.training.policy_trainer import PolicyTrainer

COUNT = 150


class FirstStep(Exception):
    """Training would begin now."""


@pytest.fixture
def stops_at_the_first_step(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def stop(*_: Any, **__: Any) -> None:
        raise FirstStep

    for trainer in (SFTTrainer, PolicyTrainer):
        monkeypatch.setattr(trainer, "training_step", stop)
    yield


def refused(recipe: Path, run: Path, wrong: Wrong) -> bool:
    """Whether check refuses it; what it says is one line."""
    result = CliRunner().invoke(app, ["check", str(recipe), "-o", str(run)])
    assert isinstance(result.exception, SystemExit | None), (wrong, result.exception)
    assert result.exit_code in (0, 2), wrong
    if result.exit_code == 2:
        assert result.stdout == "" and result.stderr.startswith("error: "), wrong
        assert result.stderr.count("\n") == 1 and len(result.stderr) <= 500, (wrong, result.stderr)
    return result.exit_code == 2


def run_all(random_policy: Path, tmp_path: Path, wanted: list[Wrong], base: dict[str, Any]) -> Counter[str]:
    """Check each; train what passes until its first step. Gives how many were refused and how many taken."""
    found: Counter[str] = Counter()
    for number, wrong in enumerate(wanted):
        recipe, run = tmp_path / "wrong.yaml", tmp_path / f"run{number}"
        recipe.write_text(yaml.safe_dump(changed(base, wrong), allow_unicode=True), encoding="utf-8")
        if refused(recipe, run, wrong):
            found["refused"] += 1
            assert not run.exists(), wrong
            continue
        if wrong.settings.get(("stages",)) == []:
            continue  # a recipe for evaluate alone, which check says in words
        with pytest.raises(FirstStep):  # anything else was knowable, and check did not know it
            train(load_recipe(str(recipe)), run)
        found["taken"] += 1
    return found


def test_the_base_is_right(random_policy: Path, tmp_path: Path, stops_at_the_first_step: None) -> None:
    base = base_recipe(random_policy, tmp_path / "data")
    assert run_all(random_policy, tmp_path, [Wrong({}, "nothing")], base) == {"taken": 1}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of libraries, about settings that are odd and not wrong
def test_none_passes_check_and_then_fails_in_train(
    random_policy: Path, tmp_path: Path, stops_at_the_first_step: None
) -> None:
    base = base_recipe(random_policy, tmp_path / "data")
    wanted = generated(base, COUNT)
    kinds = Counter(wrong.kind for wrong in wanted)
    assert len(wanted) == COUNT and len(kinds) >= 5, kinds
    found = run_all(random_policy, tmp_path, wanted, base)
    assert sum(found.values()) == COUNT and found["refused"] > COUNT // 2, found
