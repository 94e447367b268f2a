"""What `report_to` names gets our metrics and a few pictures; nothing is sent where it names nothing."""

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from helpers.shades import GRPO, SFT, shade_recipe
from vrft_aug.errors import UserError
from vrft_aug.experiments.run import train
from vrft_aug.training.monitoring.loggers import named_loggers


def logging(stage: dict[str, Any], *names: str) -> dict[str, Any]:
    return {**stage, "trainer": {**stage["trainer"], "report_to": list(names)}}


def test_a_logger_that_is_not_installed_is_named(random_policy: Path) -> None:
    (stage,) = shade_recipe(random_policy, logging(GRPO, "clearml")).stages
    with pytest.raises(UserError, match=r"clearml.*not installed"):
        named_loggers(stage)
    assert named_loggers(shade_recipe(random_policy, GRPO).stages[0]) == []


@pytest.mark.slow
def test_tensorboard_and_trackio_get_metrics_and_pictures(random_policy: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs tensorboard (extra `dev`)")
    try:
        import trackio  # noqa: F401

        names = ["tensorboard", "trackio"]
    except ImportError:
        names = ["tensorboard"]
    run = tmp_path / "logged"
    train(shade_recipe(random_policy, logging(SFT, "tensorboard"), logging(GRPO, *names)), run)

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert sorted(path.name for path in (run / "tensorboard").iterdir()) == ["answers", "rewards"]
    events = EventAccumulator(str(run / "tensorboard" / "rewards")).Reload()
    tags = events.Tags()
    assert {"train/reward", "train/rewards/accuracy", "train/failures/missing"} <= set(tags["scalars"])
    assert [one.step for one in events.Scalars("train/reward")] == [1, 2, 3]
    assert tags["images"] == ["rollouts/rewards/0", "rollouts/rewards/1"]
    assert events.Images("rollouts/rewards/0")[0].width >= 448
    if "trackio" in names:
        (file,) = Path(os.environ["TRACKIO_DIR"]).glob("logged*.db")
        with sqlite3.connect(file) as database:
            rows = [row[0] for row in database.execute("select metrics from metrics")]
        assert any("rewards/accuracy" in str(row) for row in rows)
        assert any("rollouts/rewards/0" in str(row) and "trackio.image" in str(row) for row in rows)
