"""Chat templates whose prompt ends inside the thinking: sampling, rewards, logs, SFT and evaluation."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from helpers.random_policy import CHAT_TEMPLATE, save_random_policy
from helpers.run_checks import lines
from helpers.shades import GRPO, SFT, shade_recipe
from vrft_aug.errors import UserError
from vrft_aug.evaluation.evaluate import evaluate
from vrft_aug.experiments.run import train
from vrft_aug.nouns import Case, Prompt, Target
from vrft_aug.policy.generate import generate
from vrft_aug.policy.load import load_policy
from vrft_aug.policy.thinking import continued, opened_thinking, whole_completion
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.schema import Recipe
from vrft_aug.recipe.stage_config import RewardConfig
from vrft_aug.scorer import Scorer
from vrft_aug.tasks.task import make_task
from vrft_aug.tasks.taskset import TaskSet, load_taskset
from vrft_aug.training.job import StageJob
from vrft_aug.training.mixture import Mixture, RowScorer
from vrft_aug.training.preflight import check_run
from vrft_aug.training.sft import build_sft

OPENED = "<think>\n"
TEMPLATE = CHAT_TEMPLATE.replace("assistant\n{% endif %}", f"assistant\n{OPENED}{{% endif %}}")
STRICT = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
)


def policy_folder(folder: Path, template: str = TEMPLATE) -> Path:
    save_random_policy(folder)
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def thinking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return policy_folder(tmp_path_factory.mktemp("thinking"))


def test_what_a_template_opens_is_found_and_put_before(thinking: Path, random_policy: Path) -> None:
    found = [load_policy(ModelConfig(name=str(f), device="cpu")) for f in (thinking, random_policy)]
    assert [opened_thinking(policy.processor, policy.name) for policy in found] == [OPENED, ""]
    assert whole_completion(OPENED, "x</think>") == "<think>\nx</think>"
    assert whole_completion(OPENED, " <think>x</think>") == " <think>x</think>"  # opened once more
    assert whole_completion("", "x") == "x"
    assert continued(OPENED, "<think>x</think>y") == "<think>\nx</think>y"
    assert continued("", "<think>x</think>y") == "<think>x</think>y"


def test_every_term_reads_the_whole_completion(thinking: Path) -> None:
    recipe = shade_recipe(thinking, GRPO)
    task = make_task("shade", recipe.tasks["shade"])
    case, prompt = (
        Case("d/0", (), Target(label="dark")),
        Prompt((), (), "- dark: small grey values near nothing"),
    )
    rewards = {"format": RewardConfig(), "accuracy": RewardConfig(), "recitation": RewardConfig()}
    mixture = Mixture((TaskSet(task, (case,), (prompt,)),))
    written = "small grey values near nothing</think><answer>dark</answer>"
    for opened, reasoning in ((OPENED, "small grey values near nothing"), ("", None)):
        scorer = RowScorer(mixture, [Scorer(task, rewards)], lambda row: None, [1], opened)
        rollout, score = scorer.score(0, written, [5, 1])
        if reasoning is not None:
            assert rollout.completion == opened + written
            assert score.answer.reasoning == reasoning and score.answer.value == "dark"
            assert score.terms["format"] == score.terms["accuracy"] == 1
            assert score.terms["recitation"] is not None and score.terms["recitation"] < -0.5
        else:
            assert score.terms["format"] == 0  # as it was


def test_sampling_for_evaluation_gives_whole_completions(thinking: Path) -> None:
    recipe = shade_recipe(thinking, GRPO)
    policy = load_policy(recipe.model)
    taskset = load_taskset(recipe, "shade", "test", recipe.evaluation.injection, policy.space)
    drawn = generate(
        policy, taskset.prompts[:2], samples=2, temperature=1.0, max_new_tokens=6, batch_size=4, seed=1
    )
    assert all(one.completion.startswith(OPENED) for rollouts in drawn for one in rollouts)
    assert all(row.completion.startswith(OPENED) for row in evaluate(policy, recipe, taskset).rows)


@pytest.mark.parametrize("sharing", [True, False], ids=["shared", "stock"])
def test_rollouts_of_training_begin_with_what_the_template_opened(
    thinking: Path, tmp_path: Path, sharing: bool
) -> None:
    train(shade_recipe(thinking, {**GRPO, "steps": 2, "prefix_sharing": sharing}), tmp_path / "run")
    logged = lines(tmp_path / "run" / "rollouts.jsonl")
    assert len(logged) == 16 and all(line["completion"].startswith(OPENED) for line in logged)
    assert all("sampling/effective_sample_size" in line for line in lines(tmp_path / "run" / "metrics.jsonl"))


def test_supervised_fine_tuning_teaches_what_follows_the_opening(thinking: Path, tmp_path: Path) -> None:
    recipe = shade_recipe(thinking, SFT)
    policy, part = load_policy(recipe.model, training=True), recipe.stages[0]
    taskset = load_taskset(recipe, "shade", "train", part.injection, policy.space)
    job = StageJob(part, recipe.model, (taskset,), tmp_path, tmp_path, 1, Console(quiet=True))
    batch = next(iter(build_sft(policy, job).trainer.get_train_dataloader()))
    for ids, labels in zip(batch["input_ids"], batch["labels"], strict=True):
        taught = policy.processor.tokenizer.decode(ids[labels != -100])
        before = policy.processor.tokenizer.decode(ids[: int((labels != -100).nonzero()[0])])
        assert before.endswith(f"assistant\n{OPENED}")
        assert taught.strip() in {f"</think><answer>{a}</answer><|im_end|>" for a in ("dark", "bright")}


def refused(recipe: Recipe) -> str:
    with pytest.raises(UserError) as caught:
        check_run(recipe, load_policy(recipe.model, training=True))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
    return str(caught.value)


def test_what_no_template_can_do_is_one_line(thinking: Path, tmp_path: Path) -> None:
    recipe = shade_recipe(policy_folder(tmp_path / "a", STRICT + CHAT_TEMPLATE), GRPO)
    assert "refuses messages of the roles system, user: System role not supported" in refused(recipe)
    bare = policy_folder(tmp_path / "b")
    (bare / "chat_template.jinja").unlink()
    assert "a processor without a chat template" in refused(shade_recipe(bare, GRPO))
    recipe = shade_recipe(thinking, GRPO)
    tasks = {"shade": recipe.tasks["shade"].model_copy(update={"reasoning": "none"})}
    other = recipe.model_copy(update={"tasks": {**recipe.tasks, **tasks}})
    said = refused(other)
    assert "begins every completion by <think>, which task 'shade' does not with reasoning: none" in said
    assert "set tasks.shade.reasoning: before" in said
