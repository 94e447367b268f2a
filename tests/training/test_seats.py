"""Demonstrations inside flat groups: who gets a seat, what it weighs, and what it never touches."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from helpers.run_checks import lines
from helpers.shades import GRPO, shade_recipe
from vrft_aug.errors import UserError
from vrft_aug.experiments.run import train
from vrft_aug.perception.spaces import BoxSpace
from vrft_aug.preview.check import check_recipe
from vrft_aug.recipe.seats_config import Seats
from vrft_aug.recipe.stage_config import RewardConfig
from vrft_aug.scorer import Scorer
from vrft_aug.tasks.taskset import TaskSet, load_taskset
from vrft_aug.training.augmentations.seats import SEATED, SeatTaker, seat_weights
from vrft_aug.training.mixture import Mixture, RowScorer
from vrft_aug.training.monitoring.progress import RunLog

END = 7


@pytest.mark.parametrize("weight", ["shaped", "ratio", "one"])
def test_a_weight_is_the_gradient_of_its_surrogate(weight: Any) -> None:
    """Against autograd: d f(p) / d log p of LUFFY's shaped ratio, of the ratio, and of the log-likelihood."""
    log_p = torch.tensor([[-0.01, -0.7, -2.3], [-5.0, -0.1, -9.0]], dtype=torch.float64, requires_grad=True)
    p = log_p.exp()
    surrogate = {"shaped": p / (p + 0.1), "ratio": p, "one": log_p}[weight]
    (gradient,) = torch.autograd.grad(surrogate.sum(), log_p)
    torch.testing.assert_close(seat_weights(log_p.detach(), Seats(weight=weight)), gradient)


def taker(random_policy: Path, traces: dict[int, list[str]], **wanted: Any) -> tuple[SeatTaker, TaskSet]:
    recipe = shade_recipe(random_policy, GRPO)
    taskset = load_taskset(recipe, "shade", "train", recipe.stages[0].injection, BoxSpace("processed"))
    scorer = Scorer(taskset.task, {"accuracy": RewardConfig(weight=1.0)})
    rows = RowScorer(Mixture((taskset,)), [scorer], lambda row: None, [END])
    told = Seats(demonstrations="traces.jsonl" if traces else None, **wanted)
    return SeatTaker(told, rows, traces, lambda text: [*map(ord, text), END], 3, 60, 5), taskset


def say(label: str, think: str = "x") -> str:
    return f"<think>{think}</think><answer>{label}</answer>"


def round_of(
    found: SeatTaker, rows: Sequence[int], said: Sequence[str]
) -> tuple[list[str], list[Any], dict[str, float]]:
    """What a round's completions are after seats, and what was logged."""
    logged: dict[str, float] = {}
    drawn = (
        [[1]] * len(rows), [[*map(ord, text), END] for text in said], None,
        [[{"role": "assistant", "content": text}] for text in said], [[-0.5] * (len(t) + 1) for t in said],
        None, None,
    )  # fmt: skip
    trainer = SimpleNamespace(state=SimpleNamespace(global_step=4), _log_metric=logged.__setitem__)
    output = found._generate(trainer, lambda prompts: drawn, [list(rows)], [None] * len(rows))
    return [text[0]["content"] for text in output[3]], list(output[4]), logged


# Case 0 is dark, case 1 bright.
def test_a_flat_group_that_is_wrong_gives_its_last_place_to_a_trace(random_policy: Path) -> None:
    traces = {0: [say("dark", "deep"), say("dark", "dim")], 1: [say("bright", "light")]}
    found, _ = taker(random_policy, traces)
    wrong, varied, right = [say("bright")] * 3, [say("bright"), say("dark"), say("dark")], [say("bright")] * 3
    texts, told, logged = round_of(found, [0] * 3 + [2] * 3 + [1] * 3, [*wrong, *varied, *right])
    assert texts[:2] == wrong[:2] and texts[2] in traces[0]
    assert texts[3:] == [*varied, *right]  # what varies keeps its own, what is right too
    assert found.row_scorer.seated == {2}
    assert (
        all(value != value for value in told[2]) and len(told[2]) == len(texts[2]) + 1
    )  # NaN: nobody drew it
    assert told[3] == [-0.5] * (len(varied[0]) + 1)
    assert logged == {"seats/taken": pytest.approx(1 / 3), "seats/flat_groups": pytest.approx(2 / 3)}
    again, _ = taker(random_policy, traces)
    assert round_of(again, [0] * 3 + [2] * 3 + [1] * 3, [*wrong, *varied, *right])[0] == texts
    # groups that dynamic sampling draws beside are left to it
    assert found._generate(None, lambda prompts: ("as", "it", "is"), [], [None] * 9) == (
        "as",
        "it",
        "is",
    )


def test_no_seat_without_a_trace_for_one_that_is_too_long_or_earns_no_more(random_policy: Path) -> None:
    wrong = [say("bright")] * 3
    for traces in ({3: [say("dark")]}, {0: [say("dark", "x" * 60)]}, {0: [say("bright", "y")]}):
        found, _ = taker(random_policy, traces)
        texts, _, logged = round_of(found, [0] * 3, wrong)
        assert texts == wrong and not found.row_scorer.seated and logged["seats/taken"] == 0


def test_without_traces_the_last_one_is_corrected(random_policy: Path) -> None:
    found, _ = taker(random_policy, {})
    texts, _, _ = round_of(
        found, [0] * 3, [say("bright", "a"), say("bright", "b"), say("bright", "a dim grey")]
    )
    assert texts == [say("bright", "a"), say("bright", "b"), say("dark", "a dim grey")]
    assert Scorer(found.row_scorer.scorers[0].task, {}).task.name == "shade"


def test_advantages_of_seats_alone_are_weighted(random_policy: Path) -> None:
    found, _ = taker(random_policy, {})
    log_p = torch.tensor([[-0.1, -2.0], [-0.3, -1.0]])
    mask = torch.ones(2, 2)
    plain = torch.tensor([0.5, -1.0])
    nobody: dict[str, Any] = {
        "advantages": plain,
        SEATED: torch.tensor([False, False]),
        "completion_mask": mask,
    }
    found.weighted(log_p, nobody)
    assert nobody["advantages"] is plain and found.figures() == {}
    for advantages in (plain, plain[:, None] * torch.tensor([[1.0, 2.0]])):
        inputs = {"advantages": advantages, SEATED: torch.tensor([False, True]), "completion_mask": mask}
        found.weighted(log_p, inputs)
        whole = advantages[:, None].expand(2, 2) if advantages.dim() == 1 else advantages
        torch.testing.assert_close(inputs["advantages"][0], whole[0])
        torch.testing.assert_close(inputs["advantages"][1], whole[1] * seat_weights(log_p, Seats())[1])
    assert found.figures()["seats/weight"] == pytest.approx(float(seat_weights(log_p, Seats())[1].mean()))
    assert found.figures() == {}


def traces_file(path: Path, **change: str) -> Path:
    told = [{"case": f"shades/train/{i}", "completion": say(("dark", "bright")[i % 2])} for i in range(10)]
    path.write_text("".join(json.dumps({**line, **change}) + "\n" for line in told))
    return path


def seated_recipe(
    random_policy: Path, path: Path | None, model: dict[str, Any] | None = None, **stage: Any
) -> Any:
    seats = {"demonstrations": str(path) if path else None, **stage.pop("seats", {})}
    plain = {**GRPO, "rewards": {"accuracy": 1.0}, "max_new_tokens": 40, "steps": 2, "seats": seats, **stage}
    return shade_recipe(random_policy, plain, evaluation={"base": False}, model=model or {})


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ({"method": "sft", "rewards": {}}, "seats are in the groups of grpo"),
        ({"seats": {"weight": "off"}}, "'shaped', 'ratio' or 'one'"),
        ({"seats": {"gamma": 0}}, "greater than 0"),
        ({"rollouts": {"engine": "vllm"}}, "not known to work with rollouts.engine: vllm"),
    ],
)
def test_seats_that_cannot_be_are_refused(random_policy: Path, stage: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        seated_recipe(random_policy, None, **stage)


def test_a_wrong_or_missing_trace_is_one_line_at_check(random_policy: Path, tmp_path: Path) -> None:
    for path, said in (
        (tmp_path / "none.jsonl", "none.jsonl cannot be read"),
        (
            traces_file(tmp_path / "wrong.jsonl", completion=say("bright")),
            "wrong.jsonl line 1: .*answers 'bright'",
        ),
        (traces_file(tmp_path / "other.jsonl", case="shades/test/1"), "trains on no case 'shades/test/1'"),
    ):
        with pytest.raises(UserError, match=said) as refused:
            check_recipe(seated_recipe(random_policy, path))
        assert "\n" not in str(refused.value)


def test_a_trace_that_no_completion_has_room_for_is_one_line_before_training(
    random_policy: Path, tmp_path: Path
) -> None:
    path = traces_file(tmp_path / "traces.jsonl")
    with pytest.raises(UserError, match=r"stages.rewards.seats: the demonstration .* raise max_new_tokens"):
        train(seated_recipe(random_policy, path, max_new_tokens=4), tmp_path / "run")


def test_seats_teach_what_is_never_found_and_count_as_nobodys_answers(
    random_policy: Path, tmp_path: Path
) -> None:
    """A random policy is never right: without seats nothing moves, with them it does."""
    path = traces_file(tmp_path / "traces.jsonl")
    recipe = seated_recipe(random_policy, path, steps=1)
    train(recipe, tmp_path / "run")
    logged = lines(tmp_path / "run" / "metrics.jsonl")
    rollouts = lines(tmp_path / "run" / "rollouts.jsonl")
    shown = [line for line in rollouts if line.get("demonstration")]
    assert len(rollouts) == 8 and len(shown) == 2  # a seat in each group
    assert all(line["terms"]["accuracy"] == 1 and line["advantage"] > 0 for line in shown)
    for line in logged:
        assert line["seats/taken"] == 1 and 0 < line["seats/weight"] <= 0.25
        assert line["monitor/right"] == 0 and line["rewards/accuracy"] == 0
        assert line["grad_norm"] > 0 and line["sampling/sampling_logp_difference/max"] < 0.01
    alone = shade_recipe(
        random_policy, {**recipe.stages[0].model_dump(exclude={"seats"})}, evaluation={"base": False}
    )
    train(alone, tmp_path / "alone")
    assert all(line["grad_norm"] == 0 for line in lines(tmp_path / "alone" / "metrics.jsonl"))


@pytest.mark.slow
def test_seats_go_with_accumulation_prefix_sharing_lora_and_resume(
    random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file

    path = traces_file(tmp_path / "traces.jsonl")

    def weights(name: str, recipe: Any, **settings: Any) -> dict[str, torch.Tensor]:
        train(recipe, tmp_path / name, **settings)
        found: dict[str, torch.Tensor] = load_file(tmp_path / name / "model" / "model.safetensors")
        return found

    # One plain step, which shows the gradient itself.
    plain: dict[str, Any] = {"steps": 1, "trainer": {"learning_rate": 0.01, "optim": "sgd"}}
    whole = weights("whole", seated_recipe(random_policy, path, **plain))
    parts: dict[str, Any] = {**plain, "trainer": {**plain["trainer"], "gradient_accumulation_steps": 2}}
    accumulated = weights("parts", seated_recipe(random_policy, path, **parts))
    for key, value in whole.items():
        torch.testing.assert_close(accumulated[key], value, rtol=0, atol=1e-6)
    weights("unshared", seated_recipe(random_policy, path, **plain, prefix_sharing=False))
    told = {name: lines(tmp_path / name / "metrics.jsonl")[0] for name in ("whole", "parts", "unshared")}
    for name in ("parts", "unshared"):  # what a seat weighs depends on model, case and trace alone
        assert told[name]["seats/weight"] == pytest.approx(told["whole"]["seats/weight"], rel=1e-4)
    adapter = seated_recipe(random_policy, path, model={"lora": {"r": 4, "target_modules": "all-linear"}})
    train(adapter, tmp_path / "adapter")
    assert all(line["grad_norm"] > 0 for line in lines(tmp_path / "adapter" / "metrics.jsonl"))

    class Killed(Exception):
        pass

    stock = RunLog.on_log

    def killed(self: Any, args: Any, state: Any, control: Any, logs: Any, **more: Any) -> None:
        stock(self, args, state, control, logs=logs, **more)
        if state.global_step == 3:
            raise Killed

    recipe = seated_recipe(random_policy, path, steps=4, dynamic_sampling={"mode": "resample", "budget": 2})
    straight = weights("straight", recipe)
    monkeypatch.setattr(RunLog, "on_log", killed)
    with pytest.raises(Killed):
        train(recipe, tmp_path / "killed")
    monkeypatch.setattr(RunLog, "on_log", stock)
    resumed = weights("killed", recipe, resume=True)
    assert lines(tmp_path / "killed" / "rollouts.jsonl") == lines(tmp_path / "straight" / "rollouts.jsonl")
    for key, value in straight.items():
        assert torch.equal(resumed[key], value)
