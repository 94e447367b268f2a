"""GRPO stages of several tasks, with tightening thresholds and dynamic sampling; also killed and resumed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from helpers.run_checks import interrupt, lines, same_run
from helpers.shades import GRPO, SHADE_TASK, shade_recipe
from vrft_aug.experiments.run import train
from vrft_aug.recipe.stage_config import DynamicSampling, StageConfig
from vrft_aug.training.order import case_order, mixed_order
from vrft_aug.training.rollouts.dynamic import flat_groups

MIX: dict[str, Any] = {"spot": {"share": 0.25, "rewards": {"format": 0.5, "iou_threshold": 1.0}}}

# Recipes --------------------------------------------------------------------------------------------------


def stage(**changed: Any) -> StageConfig:
    return StageConfig.model_validate({**GRPO, **changed})


def test_a_stage_of_one_task_is_its_only_part() -> None:
    one = stage()
    assert one.parts() == (one,) and one.shares() == (1,)


def test_parts_are_stages_of_one_task_each() -> None:
    own, spot = stage(mix=MIX).parts()
    assert (own.task, own.rewards.keys(), own.mix) == ("shade", GRPO["rewards"].keys(), {})
    assert (spot.task, spot.rewards["iou_threshold"].weight, spot.steps) == ("spot", 1.0, own.steps)
    assert stage(mix=MIX).shares() == (0.75, 0.25)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"mix": {"shade": MIX["spot"]}}, "under task and under mix"),
        ({"mix": {name: {**MIX["spot"], "share": 0.5} for name in "ab"}}, "expected less than 1"),
        ({"mix": {"spot": {**MIX["spot"], "share": 0}}}, "greater than 0"),
        ({"mix": {"spot": {"share": 0.5, "rewards": {}}}}, "at least 1 item"),
        ({"mix": MIX, "method": "sft"}, "mix is what grpo alone can"),
        ({"dynamic_sampling": {"mode": "sometimes"}}, "'off', 'skip' or 'resample'"),
        ({"dynamic_sampling": {"budget": 0}}, "greater than or equal to 1"),
    ],
)  # fmt: skip
def test_wrong_mixes_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        stage(**changed)


def test_the_off_of_yaml_is_off() -> None:
    assert DynamicSampling.model_validate({"mode": False}).mode == "off"


def test_a_mixed_task_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="names task 'disc'"):
        shade_recipe(tmp_path, {**GRPO, "mix": {"disc": MIX["spot"]}})
    named = shade_recipe(tmp_path, {**GRPO, "mix": MIX}).named_stages()
    assert {name: part.task for name, part in named.items()} == {
        "rewards": "shade", "rewards/shade": "shade", "rewards/spot": "spot",
    }  # fmt: skip


# Order ----------------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=4),
    st.integers(1, 80),
    st.integers(0, 99),
)
def test_any_stretch_of_the_order_holds_the_shares(
    parts: list[tuple[int, int]], rows: int, seed: int
) -> None:
    sizes, weights = zip(*parts, strict=True)
    shares = [weight / sum(weights) for weight in weights]
    order = mixed_order(sizes, shares, rows, seed)
    starts = [sum(sizes[:part]) for part in range(len(sizes))]
    of = [max(part for part, start in enumerate(starts) if row >= start) for row in order]
    for length in range(1, rows + 1):
        given_ = Counter(of[:length])
        assert all(abs(given_[part] - share * length) <= len(sizes) - 1 for part, share in enumerate(shares))
    for part, size in enumerate(sizes):  # whole passes over the cases of every part
        rows_of_part = [row - starts[part] for row, p in zip(order, of, strict=True) if p == part]
        for at in range(0, len(rows_of_part) - size + 1, size):
            assert sorted(rows_of_part[at : at + size]) == list(range(size))


def test_a_single_part_is_ordered_as_ever() -> None:
    assert mixed_order([7], [1.0], 20, 3) == case_order(7, 20, 3)
    assert mixed_order([7, 5], [0.75, 0.25], 40, 3) == mixed_order([7, 5], [0.75, 0.25], 60, 3)[:40]


def test_groups_without_variance() -> None:
    assert flat_groups([1, 1, 0, 1, 0.1 + 0.2, 0.3], 2) == [0, 2]
    assert flat_groups([], 4) == []


# Runs -----------------------------------------------------------------------------------------------------

TIGHT = {"threshold": {"start": 0.2, "end": 0.9, "step": 0.1, "window": 1, "success": 0.3}}
EVERYTHING: dict[str, Any] = {
    **GRPO, "steps": 5, "prompts_per_step": 4, "save_steps": 2,
    "rewards": {"format": 0.5, "helpers.shades:sometimes": 2.0, "helpers.shades:rising": TIGHT},
    "mix": {"spot": {"share": 0.25, "rewards": {"iou_threshold": TIGHT, "helpers.shades:spread": 1.0}}},
    "dynamic_sampling": {"mode": "resample", "budget": 3},
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(random_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stages") / "whole"
    train(shade_recipe(random_policy, EVERYTHING), folder)
    return folder


def groups_of(rollouts: list[dict[str, Any]], step: int) -> list[list[dict[str, Any]]]:
    own = [rollout for rollout in rollouts if rollout["step"] == step]
    return [own[at : at + 4] for at in range(0, len(own), 4)]


def test_shares_hold_whatever_is_drawn_again(whole: Path) -> None:
    rollouts = lines(whole / "rollouts.jsonl")
    for step in range(1, 6):
        groups = groups_of(rollouts, step)
        assert all(len({rollout["case"] for rollout in group}) == 1 for group in groups)
        assert sorted(group[0]["task"] for group in groups) == ["shade", "shade", "shade", "spot"]
        for rollout in (rollout for group in groups for rollout in group):
            own = (
                {"iou_threshold", "helpers.shades:spread"}
                if rollout["task"] == "spot"
                else EVERYTHING["rewards"].keys()
            )
            assert rollout["terms"].keys() == own


def test_the_log_tells_share_and_cost(whole: Path) -> None:
    rollouts, replaced = lines(whole / "rollouts.jsonl"), 0
    for line in lines(whole / "metrics.jsonl"):
        figures = {k.split("/")[1]: v for k, v in line.items() if k.startswith("dynamic_sampling/")}
        assert figures.keys() == {
            "flat_groups",
            "flat_groups_left",
            "extra_rollouts",
            "extra_tokens",
            "reward",
        }
        assert figures["flat_groups_left"] <= figures["flat_groups"]
        assert figures["extra_rollouts"] % 4 == 0 and figures["extra_rollouts"] <= 12
        assert (
            (figures["extra_rollouts"] > 0) == (figures["extra_tokens"] > 0) == (figures["flat_groups"] > 0)
        )
        left = [
            group for group in groups_of(rollouts, line["step"])
            if len({rollout["total"] for rollout in group}) == 1
        ]  # fmt: skip
        assert figures["flat_groups_left"] == pytest.approx(len(left) / 4)
        assert line["tasks/shade"] >= 0 and line["tasks/spot"] >= 0
        replaced += figures["flat_groups"] > figures["flat_groups_left"]
    assert replaced > 0


def test_thresholds_are_logged_and_rise_with_success(whole: Path) -> None:
    steps = lines(whole / "metrics.jsonl")
    rising = [step["thresholds/shade/helpers.shades:rising"] for step in steps]
    assert rising[0] == pytest.approx(0.2) and rising == sorted(rising) and rising[-1] > 0.25
    for step in steps:
        for rollout in lines(whole / "rollouts.jsonl"):
            if rollout["step"] == step["step"] and rollout["task"] == "shade":
                spread = (sum(map(ord, rollout["completion"])) % 100) / 100
                limit = round(step["thresholds/shade/helpers.shades:rising"], 6)
                assert rollout["terms"]["helpers.shades:rising"] == (spread >= limit)
    assert all(step["thresholds/spot/iou_threshold"] == pytest.approx(0.2) for step in steps)  # no hit


@pytest.mark.slow
def test_a_run_with_everything_resumes_exactly(
    whole: Path, random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = shade_recipe(random_policy, EVERYTHING)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        interrupt(patched, "rewards", 3)  # two steps are in a checkpoint
        train(recipe, tmp_path / "run")
    train(recipe, tmp_path / "run", resume=True)
    same_run(whole, tmp_path / "run")


@pytest.mark.parametrize(("mode", "sharing"), [("skip", True), ("resample", True), ("resample", False)])
def test_flat_groups_leave_the_update(
    random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, sharing: bool
) -> None:
    """What reaches the loss, seen at the point where TRL takes it over; with prefix sharing and without."""
    from vrft_aug.training.rollouts import dynamic

    seen: list[Any] = []
    round_of = dynamic.DynamicSampler._round

    def watch(self: Any, trainer: Any, stock: Any, inputs: Any) -> Any:
        output = round_of(self, trainer, stock, inputs)
        seen.append(SimpleNamespace(**output))
        return output

    monkeypatch.setattr(dynamic.DynamicSampler, "_round", watch)
    stage = {
        **GRPO, "steps": 2, "prompts_per_step": 4, "prefix_sharing": sharing,
        "rewards": {"helpers.shades:sometimes": 1.0}, "dynamic_sampling": {"mode": mode, "budget": 1},
    }  # fmt: skip
    train(shade_recipe(random_policy, stage, tasks={"shade": SHADE_TASK}), tmp_path / "run")
    rollouts, metrics = lines(tmp_path / "run" / "rollouts.jsonl"), lines(tmp_path / "run" / "metrics.jsonl")
    for step, (output, line) in enumerate(zip(seen, metrics, strict=True), start=1):
        groups = groups_of(rollouts, step)
        varied = [len({rollout["total"] for rollout in group}) > 1 for group in groups]
        masked = [not output.completion_mask[at * 4 : at * 4 + 4].any() for at in range(4)]
        assert masked == [any(varied) and not one for one in varied]
        assert output.num_items_in_batch == output.completion_mask.sum() > 0
        drawn_again = mode == "resample" and line["dynamic_sampling/flat_groups"] > 0
        assert line["dynamic_sampling/extra_rollouts"] == (4 if drawn_again else 0)
        assert line["loss"] == line["loss"] and line["grad_norm"] == line["grad_norm"]  # no NaN
        # Advantages belong to the completions that are trained on.
        for group, advantages in zip(groups, output.advantages.view(4, 4).tolist(), strict=True):
            best = max(range(4), key=lambda i: group[i]["total"])
            assert advantages[best] == pytest.approx(max(advantages))
