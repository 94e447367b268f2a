"""A curriculum: its file, what is left out, what comes first, and an order that renews itself."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from helpers.run_checks import lines
from helpers.shades import GRPO, shade_recipe
from vrft_aug.errors import UserError
from vrft_aug.experiments.run import train
from vrft_aug.perception.spaces import BoxSpace
from vrft_aug.preview.check import check_recipe, part_lines
from vrft_aug.recipe.schema import Recipe
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.tasks.pass_rates import (
    CaseRate,
    PassRates,
    TaskRates,
    hash_prompts,
    load_pass_rates,
    save_pass_rates,
)
from vrft_aug.tasks.taskset import TaskSet, load_taskset
from vrft_aug.training.augmentations.curriculum import GroupsSeen, Logged, curriculum_notes, stage_order
from vrft_aug.training.monitoring.progress import RunLog
from vrft_aug.training.order import case_order, mixed_order

# Of ten cases two are always right, two never, and two have no rate.
RIGHT = {0: 8, 1: 0, 2: 4, 3: 1, 4: 7, 5: 8, 6: 0, 7: 6}


def rates_file(path: Path, right: Mapping[int, int] = RIGHT, **more: Any) -> Path:
    cases = {f"shades/train/{i}": CaseRate(right=n, samples=8) for i, n in right.items()}
    task = TaskRates(split="train", prompts="0" * 12, temperature=1.0, cases=cases)
    plain: dict[str, Any] = {
        "model": "tiny",
        "model_hash": "abc",
        "recipe": "shades",
        "recipe_hash": "def",
        "seed": 0,
    }
    save_pass_rates(PassRates(**{**plain, "tasks": {"shade": task}, **more}), path)
    return path


def stage_of(path: Path, random_policy: Path, **curriculum: Any) -> tuple[StageConfig, list[TaskSet], Recipe]:
    recipe = shade_recipe(random_policy, {**GRPO, "curriculum": {"pass_rates": str(path), **curriculum}})
    stage = recipe.stages[0]
    taskset = load_taskset(recipe, "shade", "train", stage.injection, BoxSpace("processed"))
    return stage, [taskset], recipe


def order_of(
    stage: StageConfig, tasksets: list[TaskSet], rows: int, seed: int = 3, seen: Any = None
) -> list[int]:
    return list(stage_order(stage, tasksets, rows, seed, 2, 1, seen or (lambda step: ())))


def test_the_file_comes_back_as_it_was_and_its_cases_are_a_line_each(tmp_path: Path) -> None:
    path = rates_file(tmp_path / "rates.json")
    found = load_pass_rates(path)
    assert found.tasks["shade"].cases["shades/train/4"].share == 7 / 8
    save_pass_rates(found, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == path.read_text()
    assert sum("shades/train/" in line for line in path.read_text().splitlines()) == len(RIGHT)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda plain: plain.pop("tasks"), "tasks: Field required"),
        (lambda plain: plain.update(what="else"), "what: Input should be 'vrft pass rates'"),
        (lambda plain: plain.update(extra=1), "extra"),
        (
            lambda plain: plain["tasks"]["shade"]["cases"].update(x={"right": 9, "samples": 8}),
            "9 of 8 samples",
        ),
        (
            lambda plain: plain["tasks"]["shade"]["cases"].update(x={"right": -1, "samples": 8}),
            "right: Input",
        ),
        (lambda plain: plain["tasks"]["shade"]["cases"].update(x=0.5), "cases.x"),
    ],
)
def test_a_file_that_is_something_else_is_one_line(tmp_path: Path, change: Any, said: str) -> None:
    plain = json.loads(rates_file(tmp_path / "rates.json").read_text())
    change(plain)
    (tmp_path / "bad.json").write_text(json.dumps(plain))
    with pytest.raises(UserError, match=said) as refused:
        load_pass_rates(tmp_path / "bad.json")
    assert (
        "bad.json" in str(refused.value) and "\n" not in str(refused.value) and len(str(refused.value)) < 500
    )


def test_what_is_no_json_or_not_there_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("case,rate\n")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    for name, said in (
        ("bad.json", "is no JSON"),
        ("bytes.json", "cannot be read"),
        ("none.json", "cannot be read"),
    ):
        with pytest.raises(UserError, match=f"{name} {said}.*vrft probe"):
            load_pass_rates(tmp_path / name)


def test_without_a_curriculum_the_order_is_what_it_was(random_policy: Path) -> None:
    recipe = shade_recipe(random_policy, GRPO)
    stage = recipe.stages[0]
    tasksets = [load_taskset(recipe, "shade", "train", stage.injection, BoxSpace("processed"))]
    assert order_of(stage, tasksets, 37) == mixed_order([10], [1.0], 37, 3) == case_order(10, 37, 3)


def test_always_and_never_are_left_out_and_the_unknown_kept(tmp_path: Path, random_policy: Path) -> None:
    path = rates_file(tmp_path / "rates.json")
    for drop, unknown, kept in (
        (["always", "never"], "keep", {2, 3, 4, 7, 8, 9}),
        ("always", "keep", {1, 2, 3, 4, 6, 7, 8, 9}),
        (["never"], "drop", {0, 2, 3, 4, 5, 7}),
    ):
        stage, tasksets, _ = stage_of(path, random_policy, drop=drop, unknown=unknown)
        order = order_of(stage, tasksets, 3 * len(kept))
        assert Counter(order) == dict.fromkeys(kept, 3)
        assert (
            order
            == order_of(stage, tasksets, 3 * len(kept))
            != order_of(stage, tasksets, 3 * len(kept), seed=4)
        )


def test_an_order_by_difficulty_has_the_same_cases_as_often(tmp_path: Path, random_policy: Path) -> None:
    path = rates_file(tmp_path / "rates.json")
    shuffled = order_of(*stage_of(path, random_policy, drop="never")[:2], 25)
    rate = {i: RIGHT.get(i, 4) / 8 for i in range(10)}
    for order, sign in (("easy-to-hard", -1), ("hard-to-easy", 1)):
        found = order_of(*stage_of(path, random_policy, drop="never", order=order)[:2], 25)
        assert Counter(found) == Counter(shuffled)
        assert [sign * rate[i] for i in found] == sorted(sign * rate[i] for i in found)
        ties = [i for i in found if rate[i] == 0.5]
        assert ties == [i for i in shuffled if rate[i] == 0.5]  # shuffled among themselves


def test_a_renewed_order_goes_by_the_newest_group_of_a_case_once_it_may_know_it(
    tmp_path: Path, random_policy: Path
) -> None:
    path = rates_file(tmp_path / "rates.json")
    stage, tasksets, _ = stage_of(path, random_policy, drop=["always", "never"], re_estimate=4)
    log = [(1, 2, 1.0), (2, 3, 0.0), (5, 3, 1.0), (5, 4, 0.5), (6, 7, 0.0)]  # step, case, share right

    def seen(step: int) -> list[Logged]:
        return [Logged(0, case, share) for at, case, share in log if at <= step]

    asked: list[int] = []
    order = stage_order(stage, tasksets, 40, 3, 2, 1, lambda step: asked.append(step) or seen(step))  # type: ignore[func-returns-value]
    assert len(order) == 40 and order[0] == order[-40]
    first = [order[i] for i in range(8)]
    assert (
        first == order_of(*stage_of(path, random_policy, drop=["always", "never"])[:2], 40)[:8] and not asked
    )
    second = [order[i] for i in range(8, 16)]
    assert asked == [2]  # of steps 1 to 4 the last two may not be over when a loader first asks for step 5
    assert set(second) == {4, 7, 8, 9}  # 2 is always right by now, 3 never
    third = [order[i] for i in range(16, 24)]
    assert asked == [2, 6] and set(third) == {4, 8, 9}  # 3 was dropped for good, though 5 said otherwise
    again = stage_order(stage, tasksets, 40, 3, 2, 1, seen)
    assert [again[i] for i in reversed(range(16, 24))] == third[::-1]  # whatever is asked for first
    assert order[38:40] == [order[38], order[39]]
    with pytest.raises(IndexError):
        order[40]


def test_without_a_file_rates_are_those_of_the_runs_own_groups(random_policy: Path) -> None:
    told = {"pass_rates": None, "drop": ["always", "never"], "order": "easy-to-hard", "re_estimate": 4}
    recipe = shade_recipe(random_policy, {**GRPO, "curriculum": told})
    (stage,) = recipe.stages
    tasksets = [load_taskset(recipe, "shade", "train", stage.injection, BoxSpace("processed"))]
    (said,) = curriculum_notes(stage, tasksets)
    assert said.startswith("curriculum: no pass rate is known at first; those of the run's own groups count")
    groups = GroupsSeen([(1, 0, 2, 1.0), (1, 0, 2, 0.0), (2, 0, 3, 0.0)])
    order = stage_order(stage, tasksets, 40, 3, 2, 1, groups)
    assert [order[i] for i in range(8)] == case_order(10, 40, 3)[:8]
    groups.note((2, 0, 3, 0.0))
    groups.note((3, 0, 4, 1.0))  # after what block 1 may know
    assert groups(2) == [Logged(0, 2, 0.5), Logged(0, 3, 0.0)]
    assert 3 not in [order[i] for i in range(8, 16)] and 4 in [order[i] for i in range(8, 17)]
    for case in range(10):
        groups.note((6, 0, case, 1.0))  # all are always right: none would be left, so that all come
    assert {order[i] for i in range(16, 24)} <= set(range(10))


@pytest.mark.parametrize(
    ("curriculum", "said"),
    [
        ({}, "it changes nothing; name drop, or an order"),
        ({"unknown": "drop", "re_estimate": 2}, "re_estimate renews what drop and order go by"),
        (
            {"pass_rates": None, "drop": "always"},
            "no pass_rates are named; name the file, or set re_estimate",
        ),
        ({"pass_rates": None, "drop": "never", "re_estimate": 2, "unknown": "drop"}, "and unknown is drop"),
        ({"order": "easy"}, "easy-to-hard"),
        ({"drop": ["sometimes"]}, "'always' or 'never'"),
        ({"drop": "always", "re_estimate": 0}, "greater than or equal to 1"),
        ({"drop": "always", "reestimate": 2}, "Extra inputs"),
    ],
)
def test_a_curriculum_that_makes_no_sense_is_refused(random_policy: Path, curriculum: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        shade_recipe(random_policy, {**GRPO, "curriculum": {"pass_rates": "x.json", **curriculum}})


def test_neither_sft_nor_workers_go_with_it(random_policy: Path) -> None:
    told = {"pass_rates": "x.json", "drop": "always", "re_estimate": 2}
    with pytest.raises(ValueError, match="a curriculum is what grpo alone follows"):
        shade_recipe(random_policy, {**GRPO, "method": "sft", "rewards": {}, "curriculum": told})
    with pytest.raises(ValueError, match="dataloader_num_workers: 0"):
        shade_recipe(random_policy, {**GRPO, "curriculum": told, "trainer": {"dataloader_num_workers": 2}})


def test_check_says_what_it_leaves_and_what_it_does_not_know(tmp_path: Path, random_policy: Path) -> None:
    path = rates_file(tmp_path / "rates.json", {**RIGHT, 99: 3})
    stage, tasksets, recipe = stage_of(path, random_policy, drop=["always", "never"], order="easy-to-hard")
    said = curriculum_notes(stage, tasksets)
    assert said == [
        "curriculum: 6 of 10 cases of shade are trained on (2 were always right, 2 never, 2 have no pass "
        "rate), easy-to-hard; rates of tiny (abc)",
        "curriculum: 1 cases of the file are not trained on here: shades/train/99",
    ]
    task = recipe.tasks["shade"]
    alike = task.data.model_copy(update={"accept": ("copies-across-splits",)})  # the squares of both splits
    recipe = recipe.model_copy(
        update={"tasks": {**recipe.tasks, "shade": task.model_copy(update={"data": alike})}}
    )
    assert all(f"  data: {sentence}" in part_lines(check_recipe(recipe)[0]) for sentence in said)
    known = rates_file(tmp_path / "other.json")
    assert (
        "another prompt than this stage's"
        in curriculum_notes(*stage_of(known, random_policy, drop="never")[:2])[-1]
    )
    cases = [case for case in tasksets[0].cases if int(case.id.rsplit("/")[-1]) in RIGHT]
    plain = json.loads(known.read_text())
    plain["tasks"]["shade"]["prompts"] = hash_prompts(cases, tasksets[0].prompts[: len(cases)])
    known.write_text(json.dumps(plain))
    assert len(curriculum_notes(*stage_of(known, random_policy, drop="never")[:2])) == 1


@pytest.mark.parametrize(
    ("right", "curriculum", "said"),
    [
        (dict.fromkeys(range(10), 8), {"drop": "always"}, "leaves no case of task 'shade': all 10 are"),
        (RIGHT, {"unknown": "refuse"}, "2 training cases of task 'shade' have no pass rate: shades/train/8"),
        (
            {77: 1},
            {"drop": "always"},
            "knows none of the 10 training cases of task 'shade', such as shades/train/0",
        ),
    ],
)
def test_what_cannot_be_followed_is_one_line_at_check(
    tmp_path: Path, random_policy: Path, right: Any, curriculum: Any, said: str
) -> None:
    path = rates_file(tmp_path / "rates.json", right)
    with pytest.raises(UserError, match=said) as refused:
        check_recipe(stage_of(path, random_policy, **curriculum)[2])
    assert "stages.rewards.curriculum" in str(refused.value) and "\n" not in str(refused.value)
    other = json.loads(path.read_text())
    other["tasks"] = {"grade": other["tasks"]["shade"]}
    path.write_text(json.dumps(other))
    with pytest.raises(UserError, match="no pass rates of task 'shade'; it has grade"):
        check_recipe(stage_of(path, random_policy, drop="always")[2])


@pytest.mark.slow
def test_a_run_follows_it_and_a_killed_one_goes_on_to_the_same_bits(
    tmp_path: Path, random_policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six steps with rates renewed every two, killed after the checkpoint of the fourth."""
    path = rates_file(tmp_path / "rates.json")
    curriculum = {
        "pass_rates": str(path),
        "drop": ["always", "never"],
        "order": "easy-to-hard",
        "re_estimate": 2,
    }
    stage = {
        **GRPO,
        "steps": 6,
        "curriculum": curriculum,
        "dynamic_sampling": {"mode": "resample", "budget": 2},
    }
    recipe = shade_recipe(random_policy, stage, evaluation={"base": False})
    train(recipe, tmp_path / "whole")
    whole = lines(tmp_path / "whole" / "rollouts.jsonl")
    dropped = {f"shades/train/{i}" for i, n in RIGHT.items() if n in (0, 8)}
    assert not {line["case"] for line in whole} & dropped

    class Killed(Exception):
        pass

    stock = RunLog.on_log

    def killed(self: Any, args: Any, state: Any, control: Any, logs: Any, **more: Any) -> None:
        stock(self, args, state, control, logs=logs, **more)
        if state.global_step == 5:
            raise Killed

    monkeypatch.setattr(RunLog, "on_log", killed)
    with pytest.raises(Killed):
        train(recipe, tmp_path / "killed")
    monkeypatch.setattr(RunLog, "on_log", stock)
    train(recipe, tmp_path / "killed", resume=True)
    assert lines(tmp_path / "killed" / "rollouts.jsonl") == whole
    weights = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("whole", "killed")]
    assert weights[0] == weights[1]
