"""`vrft probe`: its figures by hand, what it says of planted policies, and the file that it writes."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from helpers.shades import GRPO, shade_recipe
from vrft_aug.cli import app
from vrft_aug.evaluation import probe as probing
from vrft_aug.evaluation.metrics.votes import passing
from vrft_aug.evaluation.probe import ProbedCase, ProbedTask, measured, probe, probed_parts
from vrft_aug.evaluation.probe_words import probe_table, summary_line, verdicts
from vrft_aug.nouns import Prompt, Rollout
from vrft_aug.policy.generate import generate
from vrft_aug.policy.load import load_policy
from vrft_aug.recipe.file import save_recipe
from vrft_aug.tasks.pass_rates import load_pass_rates

LABELS = ("none", "mild", "severe")


def task_of(right: list[int], samples: int = 4, **more: Any) -> ProbedTask:
    """A task whose case i (of label i % 3) is right so often; all else that is said is the next label."""
    cases = []
    for i, n in enumerate(right):
        label, other = LABELS[i % 3], LABELS[(i + 1) % 3]
        said = (*[label] * n, *[other] * (samples - n))
        plain: dict[str, Any] = {"failures": (), "answers": said, "flat": n in (0, samples)}
        cases.append(ProbedCase(f"d/{i}", None, None, (label,), label, n, samples, **{**plain, **more}))
    return measured(ProbedTask("grade", "grade", len(right), samples, tuple(cases)), seed=0)


@pytest.mark.parametrize(("samples", "right"), [(8, 0), (8, 1), (8, 3), (8, 8), (5, 2), (4, 1)])
def test_pass_at_k_is_the_share_of_all_draws_that_hold_a_right_one(samples: int, right: int) -> None:
    for k in range(1, samples + 1):
        draws = list(itertools.combinations(range(samples), k))
        assert passing(samples, right, k) == pytest.approx(
            sum(min(draw) < right for draw in draws) / len(draws)
        )


def test_the_figures_of_a_task_by_hand() -> None:
    found = task_of([0, 4, 2, 0, 1, 4])  # none: 0, 0; mild: 4, 1; severe: 2, 4
    values = {key: metric.value for key, metric in found.figures.items()}
    assert values["pass_at_1", ""] == pytest.approx(11 / 24)
    assert values["pass_at_4", ""] == pytest.approx(4 / 6)
    assert values["pass_at_2", ""] == pytest.approx((0 + 1 + 5 / 6 + 0 + 1 / 2 + 1) / 6)
    assert [values[name, ""] for name in ("never", "mixed", "always")] == pytest.approx([2 / 6, 2 / 6, 2 / 6])
    assert [values["never", label] for label in LABELS] == [1, 0, 0]
    assert values["pass_at_1", "severe"] == pytest.approx(6 / 8)
    assert values["flat", ""] == pytest.approx(4 / 6) and values["answered", ""] == 1
    # said: none 0 + 2 of severe's misses, mild 5 + 8 of none's, severe 6 + 3 of mild's
    assert values["blind", ""] == pytest.approx((2 * 2 + 2 * 13 + 2 * 9) / 6 / 24)
    metric = found.figures["pass_at_1", "mild"]
    assert metric.n == 2


def test_it_says_in_words_what_to_do() -> None:
    mixed = verdicts(task_of([2] * 30))
    assert mixed[0].startswith(
        "RL has something to work with: 50% [0.50, 0.50] of single answers are right, 100%"
    )
    assert "in 100% of the groups some are right, some not" in mixed[0]
    assert mixed[1] == "Under the rewards of grade all completions earn the same in 0% of the groups."
    assert verdicts(task_of([4] * 30))[0].startswith("Too easy: 100%")
    assert verdicts(task_of([0] * 30))[0].startswith("SFT first: 0%")
    assert verdicts(task_of(([4] * 3 + [0] * 2 + [4]) * 6))[0].startswith("Little to work with: 67%")
    unread = task_of([0] * 12, answers=("mild",), failures=("missing", "truncated", "truncated"))
    assert verdicts(unread)[0].startswith(
        "SFT first: 75% of the completions have no readable answer, mostly trunc"
    )
    lost = verdicts(task_of([2, 2, 0] * 10))
    assert lost[2].startswith("'severe' is never found: none of 40 completions for its 10 cases is right")
    assert not any(
        "never found" in sentence for sentence in verdicts(task_of([2, 2, 0] * 4))
    )  # too few to say


def test_a_policy_that_guesses_is_told_from_one_that_looks() -> None:
    """Of three labels guessing finds the truth in most groups: pass@k alone would call that skill."""
    samples, count = 9, 60
    said = ("none", "mild", "severe") * 3
    guessing = task_of([3] * count, samples, answers=said, flat=False)
    assert guessing.figures["pass_at_9", ""].value == 1
    assert any(
        "not shown to be right more often than the same answers dealt out" in s for s in verdicts(guessing)
    )
    looking = task_of([7] * count, samples, flat=False)
    assert not any("dealt out" in sentence for sentence in verdicts(looking))


def test_the_table_has_a_line_for_all_and_one_for_each_class() -> None:
    table = probe_table(task_of([0, 4, 2, 0, 1, 4]))
    columns = [str(column.header) for column in table.columns]
    assert columns == ["", "pass@1", "pass@2", "pass@4", "none right", "some right", "all right", "n"]
    assert [str(cell) for cell in table.columns[0].cells] == ["all", *LABELS]
    assert list(table.columns[-1].cells) == ["6", "2", "2", "2"]
    assert summary_line(task_of([1] * 4)) == "grade (as grade asks it): 4 training cases, 4 answers each"


def test_planted_rollouts_come_out_as_their_rates(
    random_policy: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Case i of ten is answered right in i % 5 of four samples, by prompts that the stage would ask."""
    recipe = shade_recipe(random_policy, GRPO)
    policy = load_policy(recipe.model)
    asked: dict[str, Any] = {}

    def planted(policy: Any, prompts: list[Prompt], *, samples: int, done: Any, **settings: Any) -> Any:
        asked.update(settings, prompts=len(prompts))
        done(len(prompts))
        return [
            [
                Rollout(
                    f"<think>x</think><answer>{('dark', 'bright')[(i + (n >= i % 5)) % 2]}</answer>", tokens=n
                )
                for n in range(samples)
            ]
            for i in range(len(prompts))
        ]

    monkeypatch.setattr(probing, "generate", planted)
    found = probe(policy, recipe, samples=4)
    assert [one.right for one in found.tasks[0].cases] == [0, 1, 2, 3, 4] * 2
    assert asked["temperature"] == 1.0 and asked["max_new_tokens"] == 12 and asked["prompts"] == 10
    rates = found.rates.tasks["shade"].cases
    assert rates["shades/train/3"].right == 3 and rates["shades/train/3"].samples == 4
    assert found.rates.model_hash and found.rates.recipe == "shades"
    hot = {**GRPO, "trainer": {"temperature": 0.7}, "max_new_tokens": 9}
    few = probe(policy, shade_recipe(random_policy, hot), samples=2, limit=3)
    assert asked["temperature"] == 0.7 and asked["max_new_tokens"] == 9 and len(few.tasks[0].cases) == 3
    assert few.tasks[0].of == 10


def test_which_parts_are_asked(random_policy: Path) -> None:
    again = {**GRPO, "name": "again", "rewards": {"accuracy": 1}}
    spots = {**GRPO, "name": "spots", "task": "spot", "rewards": {"iou": 1}}
    parts = probed_parts(shade_recipe(random_policy, GRPO, again, spots))
    assert [part.name for part in parts if part is not None] == ["rewards", "spots"]
    assert probed_parts(shade_recipe(random_policy)) == [None]


def test_the_command_writes_what_a_curriculum_reads(random_policy: Path, tmp_path: Path) -> None:
    recipe = shade_recipe(random_policy, GRPO)
    save_recipe(recipe, tmp_path / "mine.yaml")
    arguments = ["probe", str(tmp_path / "mine.yaml"), "--samples", "2", "--limit", "0", "-o"]
    result = CliRunner().invoke(app, [*arguments, str(tmp_path / "rates.json")])
    assert result.exit_code == 0, result.output
    for text in (
        "shade (as rewards asks it): 10 training cases, 2 answers each",
        "SFT first",
        "pass@2",
        "wrote",
    ):
        assert text in result.output
    assert len(load_pass_rates(tmp_path / "rates.json").tasks["shade"].cases) == 10
    before = (tmp_path / "rates.json").read_bytes()
    refused = CliRunner().invoke(app, [*arguments, str(tmp_path / "rates.json")])
    assert refused.exit_code == 2 and "exists already" in refused.output
    again = CliRunner().invoke(app, [*arguments, str(tmp_path / "rates.json"), "--overwrite", "--json"])
    assert again.exit_code == 0 and (tmp_path / "rates.json").read_bytes() == before  # the same rates
    told = json.loads(again.stdout)
    assert told["tasks"]["shade"]["cases"] == 10 and told["tasks"]["shade"]["said"][0].startswith("SFT first")


def test_an_interrupted_probe_goes_on_to_the_same_rates(
    random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = shade_recipe(random_policy, GRPO)
    save_recipe(recipe, tmp_path / "mine.yaml")
    arguments = ["probe", str(tmp_path / "mine.yaml"), "--samples", "2", "--limit", "0"]
    whole = [*arguments, "-o", str(tmp_path / "whole.json"), "--csv", str(tmp_path / "whole.csv")]
    assert CliRunner().invoke(app, whole).exit_code == 0
    assert not list(tmp_path.glob("*.part"))
    asked: list[int] = []

    def counted(policy: Any, prompts: list[Prompt], **settings: Any) -> Any:
        if asked == [2, 2]:  # a batch of four completions is two cases
            raise KeyboardInterrupt
        asked.append(len(prompts))
        return generate(policy, prompts, **settings)

    again = [*arguments, "-o", str(tmp_path / "again.json"), "--csv", str(tmp_path / "again.csv")]
    with monkeypatch.context() as patched:
        patched.setattr(probing, "generate", counted)
        assert CliRunner().invoke(app, again).exit_code != 0
    part = tmp_path / "again.json.part"
    assert len(part.read_text().splitlines()) == 1 + 4 and not (tmp_path / "again.json").exists()
    other = CliRunner().invoke(app, [*again, "--samples", "4"])
    assert other.exit_code == 2 and "samples is 2, now 4" in " ".join(other.output.split())
    with part.open("a") as file:
        file.write('{"task": "shade", "ca')  # killed while it wrote
    left: list[int] = []

    def noted(policy: Any, prompts: list[Prompt], **settings: Any) -> Any:
        left.append(len(prompts))
        return generate(policy, prompts, **settings)

    monkeypatch.setattr(probing, "generate", noted)
    assert CliRunner().invoke(app, again).exit_code == 0
    assert left == [2, 2, 2] and not part.exists()
    for name in ("json", "csv"):
        first, second = ((tmp_path / f"{one}.{name}").read_bytes() for one in ("whole", "again"))
        assert first == second
    table = (tmp_path / "whole.csv").read_text().splitlines()
    assert table[0] == "task,stage,case,classes,right,samples,pass_rate,flat,unreadable" and len(table) == 11
    assert table[1].startswith("shade,rewards,shades/train/0,dark,")
