"""Whole runs on a random policy: SFT then GRPO, killed and resumed, with LoRA, refused."""

from __future__ import annotations

import html
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from helpers.run_checks import interrupt, lines, same_run
from helpers.shades import GRPO, SFT, SHADE_TASK, shade_recipe
from vrft_aug.errors import UserError
from vrft_aug.evaluation.report_data import load_report
from vrft_aug.experiments.run import train
from vrft_aug.recipe.schema import Recipe


@pytest.fixture(scope="module")
def recipe(random_policy: Path) -> Recipe:
    return shade_recipe(random_policy, SFT, GRPO)


@pytest.fixture(scope="module")
def run(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    train(recipe, folder)
    return folder


def test_a_run_leaves_the_folder_that_the_design_names(run: Path) -> None:
    names = {path.name for path in run.iterdir() if not path.name.startswith(".")}  # the lock is hidden
    assert names == {
        "recipe.yaml", "metrics.jsonl", "rollouts.jsonl", "checkpoints", "evaluation.json",
        "evaluation-base.json", "report.html", "model", "run.json", "parameters.json",
    }  # fmt: skip
    for stage in ("answers", "rewards"):
        assert [path.name for path in (run / "checkpoints" / stage).iterdir()] == ["model"]
    facts = json.loads((run / "run.json").read_text())
    assert facts["finished"] and facts["versions"]["trl"]
    assert facts["stages"]["rewards"]["rollouts"] == 24 and facts["stages"]["answers"]["steps"] == 3


def test_a_run_ends_beside_its_start_and_a_constant_answer(
    run: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finished run that is resumed judges nothing again, and gives the same three reports."""
    monkeypatch.setattr("vrft_aug.experiments.run.evaluate", lambda *_: pytest.fail("judged again"))
    arms = train(recipe, run, resume=True)
    constant, start, reached = arms.items()
    assert (start, reached) == (
        ("start model", load_report(run / "evaluation-base.json")),
        ("this run", load_report(run / "evaluation.json")),
    )
    truths = Counter(row.truth for row in reached[1].rows)
    ((commonest, times),) = truths.most_common(1)
    assert constant[0] == f"always {commonest!r}"
    assert constant[1].metrics["accuracy"].value == pytest.approx(times / truths.total())
    assert {row.answer for row in constant[1].rows} == {commonest}
    assert [row.case for row in start[1].rows] == [row.case for row in reached[1].rows]
    assert [row.completion for row in start[1].rows] != [row.completion for row in reached[1].rows]


def test_the_model_loads_without_this_package(run: Path) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    assert AutoModelForImageTextToText.from_pretrained(run / "model").config.model_type == "qwen2_5_vl"
    assert AutoProcessor.from_pretrained(run / "model").tokenizer.eos_token == "<|im_end|>"


def test_sft_lowers_the_loss(run: Path) -> None:
    losses = [line["loss"] for line in lines(run / "metrics.jsonl") if line["stage"] == "answers"]
    assert len(losses) == 3 and losses[-1] < losses[0] - 0.5


def test_grpo_logs_every_term_and_every_rollout(run: Path) -> None:
    steps = [line for line in lines(run / "metrics.jsonl") if line["stage"] == "rewards"]
    rollouts = lines(run / "rollouts.jsonl")
    assert [line["step"] for line in steps] == [1, 2, 3]
    for line in steps:
        own = [rollout for rollout in rollouts if rollout["step"] == line["step"]]
        assert len(own) == 8 and len({rollout["case"] for rollout in own}) == 2
        assert line["reward"] == pytest.approx(sum(rollout["total"] for rollout in own) / 8)
        for term in ("format", "accuracy", "helpers.shades:spread"):
            mean = sum(rollout["terms"][term] for rollout in own) / 8
            assert line[f"rewards/{term}"] == pytest.approx(mean)
        assert line["failures/truncated"] == sum(rollout["reason"] == "truncated" for rollout in own) / 8
        groups = {case: [r for r in own if r["case"] == case] for case in (own[0]["case"], own[4]["case"])}
        for group in groups.values():
            assert sum(rollout["advantage"] for rollout in group) == pytest.approx(0, abs=1e-4)
    for rollout in rollouts:
        terms = rollout["terms"]
        weighted = 0.5 * terms["format"] + terms["accuracy"] + 2 * terms["helpers.shades:spread"]
        assert rollout["total"] == pytest.approx(weighted)
        assert rollout["finished"] or rollout["tokens"] == 12


def test_grpo_changes_the_weights(run: Path) -> None:
    before = load_file(run / "checkpoints" / "answers" / "model" / "model.safetensors")
    after = load_file(run / "model" / "model.safetensors")
    assert any((before[name] != after[name]).any() for name in before)


def test_a_run_ends_with_an_evaluation(run: Path) -> None:
    report = load_report(run / "evaluation.json")
    assert report.task == "shade" and len(report.rows) == 4 and report.provenance.model


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "step"), [("answers", 1), ("rewards", 3)])
def test_resuming_gives_what_the_whole_run_gave(
    run: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, step: int
) -> None:
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        interrupt(patched, stage, step)
        train(recipe, tmp_path / "run")
    train(recipe, tmp_path / "run", resume=True)
    same_run(run, tmp_path / "run")


@pytest.mark.slow
def test_a_run_killed_between_checkpoint_and_model_resumes(
    run: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(
            "vrft_aug.training.stage.publish_model",
            lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt),
        )
        train(recipe, tmp_path / "run")
    half = tmp_path / "run" / "checkpoints" / "answers" / "checkpoint-9"
    half.mkdir()  # as left by a kill in the middle of writing
    (half / "model.safetensors").write_bytes(b"half")
    train(recipe, tmp_path / "run", resume=True)
    same_run(run, tmp_path / "run")


@pytest.mark.slow
def test_a_killed_process_resumes(run: Path, recipe: Recipe, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path;"
        "from vrft_aug.recipe.file import load_recipe; from vrft_aug.experiments.run import train;"
        "train(load_recipe(sys.argv[1]), Path(sys.argv[2]), resume=True)"
    )
    folder = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(run / "recipe.yaml"), str(folder)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    metrics = folder / "metrics.jsonl"
    while process.poll() is None and not (metrics.is_file() and metrics.read_text().count("\n") >= 4):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "evaluation.json").exists()
    train(recipe, folder, resume=True)
    same_run(run, folder)


@pytest.mark.slow
def test_lora_trains_resumes_and_leaves_a_merged_model(
    random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = shade_recipe(random_policy, GRPO, model={"lora": {"r": 4, "lora_alpha": 8}})
    train(recipe, tmp_path / "whole")
    before = load_file(random_policy / "model.safetensors")
    after = load_file(tmp_path / "whole" / "model" / "model.safetensors")
    assert before.keys() == after.keys()
    assert any((before[name] != after[name]).any() for name in before)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        interrupt(patched, "rewards", 3)
        train(recipe, tmp_path / "cut")
    train(recipe, tmp_path / "cut", resume=True)
    same_run(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.slow
def test_boxes_and_rounds_of_several_steps_resume_exactly(
    random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sft = {**SFT, "task": "spot", "steps": 1}
    trainer = {"num_iterations": 2, "beta": 0.1, "gradient_accumulation_steps": 2, "learning_rate": 0.01}
    rewards = {"format": 0.5, "iou": 1.0, "helpers.shades:spread": 1.0}
    grpo = {**GRPO, "task": "spot", "steps": 4, "save_steps": 1, "rewards": rewards, "trainer": trainer}
    recipe = shade_recipe(random_policy, sft, grpo, evaluation={"task": "spot", "samples": 2})
    train(recipe, tmp_path / "whole")
    steps = [line for line in lines(tmp_path / "whole" / "metrics.jsonl") if line["stage"] == "rewards"]
    assert steps[0]["kl"] == pytest.approx(0, abs=1e-5) and steps[3]["kl"] > 0
    assert [rollout["step"] for rollout in lines(tmp_path / "whole" / "rollouts.jsonl")] == [1] * 8 + [3] * 8
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        interrupt(patched, "rewards", 3)
        train(recipe, tmp_path / "cut")
    train(recipe, tmp_path / "cut", resume=True)
    same_run(tmp_path / "whole", tmp_path / "cut")


def test_an_existing_run_is_refused(run: Path, recipe: Recipe) -> None:
    with pytest.raises(UserError, match="--resume continues it"):
        train(recipe, run)


def test_resuming_a_finished_run_changes_nothing(run: Path, recipe: Recipe) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*.json*") if path.name != "run.json"}
    train(recipe, run, resume=True)
    assert {path: path.read_bytes() for path in before} == before


def test_resuming_with_another_recipe_is_refused(run: Path, random_policy: Path) -> None:
    other = shade_recipe(random_policy, {**SFT, "trainer": {"learning_rate": 0.5}}, GRPO)
    wanted = r"stages\.answers\.trainer\.learning_rate was 0\.01.*now says 0\.5; nothing trained can be kept"
    with pytest.raises(UserError, match=wanted):
        train(other, run, resume=True)


def test_a_folder_that_is_no_run_is_left_alone(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="holds no run"):
        train(recipe, tmp_path, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_mistake_in_a_later_stage_is_found_before_the_first(random_policy: Path, tmp_path: Path) -> None:
    wrong = {**GRPO, "trainer": {"learning_rat": 0.1}}
    with pytest.raises(UserError, match=r"no setting 'learning_rat'; did you mean 'learning_rate'\?"):
        train(shade_recipe(random_policy, SFT, wrong), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_prompt_that_does_not_fit_is_refused(random_policy: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"case shades/train/\d: its prompt takes \d+ tokens"):
        train(shade_recipe(random_policy, {**GRPO, "max_new_tokens": 1000}), tmp_path / "run")


def test_a_run_paid_by_facts_that_nobody_reviewed_says_so_at_its_start_and_on_its_page(
    random_policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bank = tmp_path / "shades.yaml"
    bank.write_text(
        "name: shades\ntitle: Shades\nauthor: a\nreviewed: false\nsources: [x]\n"
        "findings: {grey: [], white: []}\nclasses: {dark: {definition: Dark., typical: [grey]}, "
        "bright: {definition: Bright., typical: [white]}}\n"
    )
    paid = GRPO | {"steps": 1, "rewards": {"consistency": 1.0}}
    task = {"tasks": {"shade": SHADE_TASK | {"knowledge": str(bank)}}}
    train(shade_recipe(random_policy, paid, **task), tmp_path / "run")
    said = " ".join(capsys.readouterr().err.split())
    told = "stage 'rewards' pays consistency by the facts of knowledge bank"
    assert f"WARNING: {told}" in said and ": 4 of 4 are unreviewed." in said
    page = html.unescape((tmp_path / "run" / "report.html").read_text("utf-8"))
    assert f"Unreviewed: {told}" in page
