"""The parts of training that need no model: targets, order, logs, the bridge to TRL, checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from helpers.shades import GRPO, SHADE_TASK, SPOT_TASK, read
from vrft_aug.answer import parse
from vrft_aug.errors import UserError
from vrft_aug.nouns import Box, Case, Prompt, Rollout, SpaceName, Target, Task
from vrft_aug.perception.spaces import BoxSpace, Frame
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.recipe.task_config import TaskConfig
from vrft_aug.run.logs import append_lines, cut_back, read_lines
from vrft_aug.run.resume import first_difference
from vrft_aug.scorer import Scorer
from vrft_aug.tasks.targets import target_completion
from vrft_aug.tasks.task import make_task
from vrft_aug.tasks.taskset import TaskSet
from vrft_aug.training.checkpoints import last_checkpoint
from vrft_aug.training.mixture import Mixture, RowScorer
from vrft_aug.training.order import case_order, stage_seed
from vrft_aug.training.rollouts.rewards_bridge import RolloutBuffer, reward_function
from vrft_aug.training.thresholds import Thresholds

SHADE = make_task("shade", TaskConfig.model_validate(SHADE_TASK))
SPOT = make_task("spot", TaskConfig.model_validate(SPOT_TASK))


@pytest.mark.parametrize("name", ["processed", "thousandths"])
def test_a_target_is_what_the_parser_reads_back(name: SpaceName) -> None:
    frame = Frame(original=(640, 480), processed=(112, 84), space=BoxSpace(name))
    boxes = (Box(100, 50, 300, 200, label="spot"), Box(637, 470, 640, 480, label="spot"))
    case = Case("x", (), Target(label="bright", boxes=boxes))
    assert target_completion(case, SHADE) == "<think></think><answer>bright</answer>"
    answer = parse(Rollout(target_completion(case, SPOT, frame)), SPOT, frame)
    assert isinstance(answer.value, tuple)
    for box, true in zip(answer.value, boxes, strict=True):
        for corner in ("x1", "y1", "x2", "y2"):
            assert getattr(box, corner) == pytest.approx(getattr(true, corner), abs=640 / 112)
        assert box.label == "spot"


def test_a_case_without_the_target_is_refused() -> None:
    case = Case("eye/3", (), Target(label="bright"))
    with pytest.raises(UserError, match="case eye/3 has no boxes"):
        target_completion(case, SPOT, None)
    assert target_completion(Case("x", (), Target(boxes=())), SPOT, _frame()).endswith("<answer>[]</answer>")


def test_free_text_targets() -> None:
    task = Task("vqa", "answer", "What is it?")
    assert "<answer>grey</answer>" in target_completion(Case("x", (), Target(text="grey")), task)


def test_an_order_passes_over_all_cases_before_it_repeats_one() -> None:
    order = case_order(5, 13, seed=1)
    assert len(order) == 13 and sorted(order[:5]) == sorted(order[5:10]) == [0, 1, 2, 3, 4]
    assert len(set(order[10:])) == 3
    assert order == case_order(5, 13, seed=1) != case_order(5, 13, seed=2)
    assert order == case_order(5, 40, seed=1)[:13]  # more steps begin as fewer steps do


def test_stages_have_seeds_of_their_own() -> None:
    seeds = {stage_seed(seed, index) for seed in (0, 1, -1) for index in range(3)}
    assert len(seeds) == 9 and all(0 <= seed < 2**31 for seed in seeds)


def test_logs_are_cut_back_to_a_step(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    for stage in ("first", "second"):
        append_lines(log, [{"stage": stage, "step": step, "loss": 0.5} for step in (1, 2, 3)])
    with log.open("a") as file:
        file.write('{"stage": "second", "step": 4, "lo')  # killed while writing
    cut_back(log, ["first"], "second", 2)
    kept = [(line["stage"], line["step"]) for line in read_lines(log)]
    assert kept == [("first", 1), ("first", 2), ("first", 3), ("second", 1), ("second", 2)]
    cut_back(log, [], "first", 0)
    assert log.read_text() == ""


def test_logs_are_json_whatever_the_loss(tmp_path: Path) -> None:
    append_lines(tmp_path / "m.jsonl", [{"loss": float("nan"), "terms": {"a": float("inf"), "b": 1.0}}])
    line = (tmp_path / "m.jsonl").read_text()
    assert json.loads(line, parse_constant=pytest.fail) == {"loss": None, "terms": {"a": None, "b": 1.0}}


def test_the_reward_function_gives_totals_and_keeps_the_rollouts() -> None:
    stage = StageConfig.model_validate({**GRPO, "rewards": {"format": 0.5, "accuracy": 1.0}})
    cases = read(Path(), "train", SHADE)
    buffer = RolloutBuffer()
    logged: dict[str, float] = {}
    mixture = Mixture((TaskSet(SHADE, tuple(cases), (Prompt((), ()),) * 10),))
    row_scorer = RowScorer(mixture, [Scorer(SHADE, stage.rewards)], lambda row: None, [7])
    reward = reward_function(row_scorer, Thresholds(row_scorer), "rft", buffer)
    texts = ["<think>a</think><answer>bright</answer>", "<think>a</think><answer>dark</answer>", "<answer>"]
    totals = reward(
        completions=[[{"role": "assistant", "content": text}] for text in texts],
        completion_ids=[[1, 7], [1, 2, 7], [1, 2]],
        row=[1, 1, 3],
        prompts=None,
        trainer_state=SimpleNamespace(global_step=4),
        log_metric=logged.__setitem__,
    )
    assert totals == [1.5, 0.5, 0.0]
    assert logged["rewards/accuracy"] == pytest.approx(1 / 3)
    assert logged["rewards/format"] == pytest.approx(2 / 3)
    assert logged["failures/truncated"] == pytest.approx(1 / 3) and logged["failures/missing"] == 0
    lines = buffer.take([0.1, 0.2, 0.3])
    assert [line["finished"] for line in lines] == [True, True, False]
    assert {line["task"] for line in lines} == {"shade"}
    assert lines[0]["case"] == "shades/train/1" and lines[0]["step"] == 5 and lines[0]["answer"] == "bright"
    assert lines[2]["reason"] == "truncated" and lines[2]["advantage"] == 0.3
    assert buffer.take([0.1]) == []


def test_advantages_that_do_not_fit_are_left_out() -> None:
    assert RolloutBuffer([{"step": 1}]).take([0.5, 0.5]) == [{"step": 1}]


def test_only_a_complete_checkpoint_is_resumed(tmp_path: Path) -> None:
    names = ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json")
    for step, kept in ((2, names), (4, names), (6, names[:3]), (8, names)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        for name in kept:
            (folder / name).write_text("{}")
    (tmp_path / "checkpoint-8" / "trainer_state.json").write_text('{"glob')
    assert last_checkpoint(tmp_path) == (tmp_path / "checkpoint-4", 4)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-4"]
    assert last_checkpoint(tmp_path / "nothing") is None


def test_the_first_difference_is_named() -> None:
    old = {"a": [{"b": 1, "c": None}], "d": {"e": 2}}
    assert first_difference(old, {"a": [{"b": 1}], "d": {"e": 2}}) is None
    assert first_difference(old, {"a": [{"b": 3}], "d": {"e": 2}}) == ("a.0.b", 1, 3)
    assert first_difference(old, {"a": [], "d": {"e": 2}}) == ("a", old["a"], [])


def _frame() -> Frame:
    return Frame(original=(10, 10), processed=(10, 10), space=BoxSpace("processed"))
