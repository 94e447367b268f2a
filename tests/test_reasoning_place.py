"""Where the reasoning stands: one setting in prompt, format, parser, rewards, monitors and metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vrft_aug.answer import parse
from vrft_aug.errors import UserError
from vrft_aug.evaluation.metrics.case_rows import make_rows
from vrft_aug.evaluation.metrics.catalogue import statistics
from vrft_aug.knowledge.bank import load_bank
from vrft_aug.nouns import Case, Prompt, Reasoning, Rollout, Target, Task
from vrft_aug.perception.spaces import BoxSpace
from vrft_aug.prompt import build_prompt
from vrft_aug.recipe.file import load_recipe
from vrft_aug.recipe.stage_config import RewardConfig
from vrft_aug.scorer import Scorer
from vrft_aug.shaping.format import format_reward
from vrft_aug.tasks.targets import formatted, target_completion
from vrft_aug.tasks.task import make_task
from vrft_aug.training.monitoring.monitors import Judged, monitor
from vrft_aug.view.pages import completion_parts

PLACES: tuple[Reasoning, ...] = ("before", "after", "none")
KNOWN = "- mild: small red dots can be seen"
WRITTEN = {
    "before": "<think>small red dots can be seen</think><answer>mild</answer>",
    "after": "<answer>mild</answer><think>small red dots can be seen</think>",
    "none": "<answer>mild</answer>",
}


def task_of(reasoning: str, **more: Any) -> Task:
    recipe = load_recipe("fundus-demo", [f"tasks.grade.reasoning={reasoning}"])
    return make_task("grade", recipe.tasks["grade"].model_copy(update=more))


def case() -> Case:
    return Case("d/1", (), Target(label="mild"))


@pytest.mark.parametrize("place", PLACES)
def test_one_setting_words_the_prompt_and_is_what_is_paid_taught_and_read(place: Reasoning) -> None:
    task = task_of(place)
    assert task.reasoning == place
    system = build_prompt(task, case(), BoxSpace("processed")).messages[0]["content"][0]["text"]
    assert ("<think>" in system) == (place != "none")
    assert (system.find("<think>") > system.find("<answer>")) == (place == "after")
    for other, text in WRITTEN.items():
        assert format_reward(Rollout(text), task=task) == float(other == place)
    answer = parse(Rollout(WRITTEN[place]), task, None)
    assert (answer.value, answer.reasoning) == (
        "mild",
        "" if place == "none" else "small red dots can be seen",
    )
    assert format_reward(Rollout(target_completion(case(), task)), task=task) == 1
    assert formatted("mild", "small red dots can be seen", task.answer_format) == WRITTEN[place]
    marked = [kind for _, kind in completion_parts(WRITTEN["after"], KNOWN)]
    assert marked[-3:] == ["tag", "recited", "tag"]  # the viewer finds it wherever it stands


@pytest.mark.parametrize("mode", ["lenient", "strict"])
def test_reasoning_that_was_cut_after_the_answer_takes_nothing_back(mode: str) -> None:
    cut = Rollout("<answer>mild</answer><think>there are small", finished=False)
    found = {place: parse(cut, task_of(place, answer_mode=mode), None).reason for place in PLACES}
    assert found["before"] == found["none"] == "malformed"
    assert found["after"] == (None if mode == "lenient" else "malformed")


@pytest.mark.parametrize("reward", ["recitation", "consistency", "grounding"])
def test_a_reward_for_reasoning_is_refused_where_there_is_none(reward: str) -> None:
    bank = load_bank("fundus")
    with pytest.raises(UserError) as refused:
        Scorer(task_of("none"), {reward: RewardConfig(weight=1)}, bank)
    assert str(refused.value) == (
        f"reward {reward!r} judges the reasoning, but tasks.grade.reasoning is none; set it to before or "
        "after, or leave the reward out"
    )
    for place in ("before", "after"):
        Scorer(task_of(place), {reward: RewardConfig(weight=1)}, bank)


def test_the_older_names_are_read_and_settings_that_contradict_are_refused(tmp_path: Path) -> None:
    for old, place in (("think-answer", "before"), ("answer-first", "after"), ("answer-alone", "none")):
        task = load_recipe("fundus-demo", [f"tasks.grade.answer_format={old}"]).tasks["grade"]
        assert (task.reasoning, task.answer_format, task.form) == (place, "tags", old)
    for changes, said in (
        (
            ["answer_format=answer-first", "reasoning=none"],
            "older name of reasoning: after, but reasoning is none",
        ),
        (
            ["answer_format=free", "reasoning=after"],
            "free ends with the answer, so the reasoning cannot be 'after'",
        ),
        (["answer_format=free", "reasoning=none"], "so the reasoning cannot be 'none'"),
        (["reasoning=behind"], "'before', 'after' or 'none'"),
        (["answer_format=tag"], "'tags' or 'free'"),
    ):
        with pytest.raises(UserError, match=said) as refused:
            load_recipe("fundus-demo", [f"tasks.grade.{change}" for change in changes])
        assert "\n" not in str(refused.value) and "tasks.grade" in str(refused.value)


def test_what_obeys_by_giving_no_reasons_is_no_length_collapse_and_no_figure() -> None:
    """Monitors that watch reasoning, and figures of it, say nothing of a task that asks for none."""

    def found(place: str) -> dict[str, float]:
        task, prompt = task_of(place), Prompt((), (), KNOWN)
        scorer = Scorer(task, {"accuracy": RewardConfig(weight=1)})
        rollouts = [Rollout(WRITTEN[place]), Rollout(WRITTEN[place])]
        return monitor(
            [Judged(0, task, case(), prompt, r, scorer.score(case(), prompt, r, None)) for r in rollouts]
        )

    about = {
        f"monitor/{name}" for name in ("words", "recitation", "copied_5grams", "distinct_2", "self_bleu")
    }
    assert about <= found("after").keys() and not about & found("none").keys()
    assert found("after").keys() - about == found("none").keys()
    for place in ("after", "none"):
        task, rollout = task_of(place), Rollout(WRITTEN[place])
        answer = parse(rollout, task, None)
        rows = make_rows(
            task,
            [case()],
            [answer],
            [rollout],
            [[answer, answer]],
            [Prompt((), (), KNOWN)],
            load_bank("fundus"),
        )
        kept = statistics("grade", task.labels, rows)
        assert ("recitation" in rows[0].figures) == (("recitation", "") in kept) == (place == "after")
        assert ("reasoning_words", "") in kept and rows[0].formatted
