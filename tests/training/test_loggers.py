"""What `report_to` names gets our metrics, rollouts, and pictures where asked; else nothing is sent."""

import json
import os
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from helpers.shades import GRPO, SFT, Shade, shade_recipe
from vrft_aug.errors import UserError
from vrft_aug.experiments.run import train
from vrft_aug.nouns import Box, Case, Prompt, Target, Task
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.tasks.taskset import TaskSet
from vrft_aug.training.monitoring import loggers
from vrft_aug.training.monitoring.loggers import LoggerRollouts, RolloutTable, named_loggers, truth_words
from vrft_aug.training.rollouts.rewards_bridge import RolloutBuffer


def logging(stage: dict[str, Any], *names: str, pictures: bool = False) -> dict[str, Any]:
    trainer = {**stage["trainer"], "report_to": list(names)}
    return {**stage, "trainer": trainer, "tracking": {"pictures": pictures}}


def test_a_logger_that_is_not_installed_is_named(random_policy: Path) -> None:
    (stage,) = shade_recipe(random_policy, logging(GRPO, "clearml")).stages
    with pytest.raises(UserError, match=r"clearml.*not installed"):
        named_loggers(stage)
    assert named_loggers(shade_recipe(random_policy, GRPO).stages[0]) == []


# What is sent ----------------------------------------------------------------------------------------------

TASK = Task("shades", "classify", "Dark?", ("dark", "bright"), "square")


class Told:
    """A logger that keeps what it is sent."""

    def __init__(self) -> None:
        self.tables: list[tuple[str, RolloutTable, int]] = []
        self.pictures: list[tuple[str, int]] = []


def told(monkeypatch: pytest.MonkeyPatch, step: int, **tracking: Any) -> Told:
    """What goes to a logger on a step with four rollouts of two cases, the second of which has no picture."""
    cases = (
        Case("secret-1", (Shade(20, (1, 1, 9, 9)),), Target(label="dark")),
        Case("secret-2", (), Target(label="bright")),
    )
    lines = [
        {
            "stage": "rewards", "step": step, "task": "shades", "case": f"secret-{1 + i // 2}",
            "completion": f"it is | <b>dark</b>\n{i}", "answer": "dark" if i else None,
            "reason": None if i else "missing", "total": 0.5 * i,
            "terms": {"accuracy": float(i), "format": None},
        }
        for i in range(4)
    ]  # fmt: skip
    stage = StageConfig.model_validate({**GRPO, "tracking": tracking})
    taskset = TaskSet(TASK, cases, (Prompt((), ()),) * 2, None)
    shown, logger = LoggerRollouts(stage, [taskset], RolloutBuffer(lines)), Told()
    sender = loggers.Sender(
        lambda to, name, table, at: to.tables.append((name, table, at)),
        lambda to, name, picture, at: to.pictures.append((name, at)),
    )
    monkeypatch.setattr(loggers, "SENDERS", {"Told": sender})
    shown.trainer = SimpleNamespace(callback_handler=SimpleNamespace(callbacks=[logger]))
    shown.on_log(None, SimpleNamespace(global_step=step), None, {"loss": 0.1})
    return logger


def test_rollouts_go_without_ids_and_pictures_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = told(monkeypatch, 11)
    ((name, table, step),) = logger.tables
    assert (name, step) == ("rollouts/rewards", 11)
    assert not logger.pictures
    assert table.columns == (
        "step", "task", "prompt", "answer", "truth", "reward", "accuracy", "format", "completion"
    )  # fmt: skip
    first: Any = list(table.rows[0])
    assert first == [11, "shades", 1, "none: missing", "dark", 0.0, 0.0, None, "it is | <b>dark</b>\n0"]
    assert [row[2] for row in table.rows] == [1, 1, 2, 2] and "secret" not in repr(table)
    lines = table.markdown().splitlines()
    assert len(lines) == 6 and "\\|" in lines[2] and "<b>" not in table.markdown()


def test_pictures_go_where_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = told(monkeypatch, 1, pictures=True, rollouts=0)
    assert logger.tables == [] and logger.pictures == [("rollouts/rewards/0", 1)]  # the other case has none
    assert len(told(monkeypatch, 1, rollouts=3).tables[0][1].rows) == 3


def test_other_steps_send_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = told(monkeypatch, 2, pictures=True)
    assert logger.tables == [] and logger.pictures == []


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (Target(label="dark"), "dark"),
        (Target(labels=frozenset({"b", "a"})), "a, b"),
        (Target(labels=frozenset()), "none"),
        (Target(boxes=(Box(0, 0, 1, 1),)), "1 boxes"),
        (Target(text="a line"), "a line"),
        (Target(), ""),
    ],
)
def test_a_truth_in_words(target: Target, words: str) -> None:
    assert truth_words(target) == words


# Where it arrives ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_tensorboard_and_trackio_get_metrics_rollouts_and_pictures(
    random_policy: Path, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard", reason="needs tensorboard (extra `dev`)")
    try:
        import trackio  # noqa: F401

        names = ["tensorboard", "trackio"]
    except ImportError:
        names = ["tensorboard"]
    run = tmp_path / "logged"
    stages = logging(SFT, "tensorboard"), logging(GRPO, *names, pictures=True)
    train(shade_recipe(random_policy, *stages), run)

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert sorted(path.name for path in (run / "tensorboard").iterdir()) == ["answers", "rewards"]
    events = EventAccumulator(str(run / "tensorboard" / "rewards")).Reload()
    tags = events.Tags()
    assert {"train/reward", "train/rewards/accuracy", "train/failures/missing"} <= set(tags["scalars"])
    assert [one.step for one in events.Scalars("train/reward")] == [1, 2, 3]
    assert tags["images"] == ["rollouts/rewards/0", "rollouts/rewards/1"]
    assert events.Images("rollouts/rewards/0")[0].width >= 448
    assert "rollouts/rewards/text_summary" in tags["tensors"]
    (text,) = events.Tensors("rollouts/rewards/text_summary")
    table = text.tensor_proto.string_val[0].decode()
    assert (
        table.startswith("| step | task | prompt | answer | truth | reward |") and "shades/train" not in table
    )
    if "trackio" in names:
        (file,) = Path(os.environ["TRACKIO_DIR"]).glob("logged*.db")
        with sqlite3.connect(file) as database:
            rows = [str(row[0]) for row in database.execute("select metrics from metrics")]
        assert any("rewards/accuracy" in row for row in rows)
        assert any("rollouts/rewards/0" in row and "trackio.image" in row for row in rows)
        assert any("rollouts/rewards/table" in row and "trackio.table" in row for row in rows)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of what wandb itself does
def test_wandb_gets_rollouts_and_pictures_offline(
    random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    train(shade_recipe(random_policy, logging(GRPO, "wandb", pictures=True)), tmp_path / "logged")
    (kept,) = (tmp_path / "wandb").glob("offline-run-*")
    (table,) = [json.loads(path.read_text()) for path in kept.rglob("*.table.json")]
    assert table["columns"][:6] == ["step", "task", "prompt", "answer", "truth", "reward"] and table["data"]
    assert "shades/train" not in json.dumps(table)
    assert len(list(kept.rglob("*.png"))) == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of what mlflow itself does
def test_mlflow_gets_metrics_rollouts_and_pictures(
    random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    monkeypatch.chdir(tmp_path)  # where artifacts of a local store go
    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    train(shade_recipe(random_policy, logging(GRPO, "mlflow", pictures=True)), tmp_path / "logged")
    client = mlflow.MlflowClient(address)
    experiments = [one.experiment_id for one in client.search_experiments()]
    (kept,) = client.search_runs(experiments)
    assert "rewards/accuracy" in kept.data.metrics
    folder = Path(client.download_artifacts(kept.info.run_id, "", str(tmp_path)))
    table = json.loads((folder / "rollouts" / "rewards" / "step-000001.json").read_text())
    assert table["columns"][:3] == ["step", "task", "prompt"] and table["data"]
    assert "shades/train" not in json.dumps(table)
    assert len(list(folder.rglob("images/rollouts-rewards-*.png"))) == 2
