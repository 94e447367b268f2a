"""The look monitor: its figures, planted policies under its alarms, and that it disturbs nothing."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from helpers.run_checks import interrupt, lines, same_run, without_times
from helpers.running import Running
from helpers.shades import GRPO, SFT, SHADE_TASK, Shade, read, shade_recipe
from vrft_aug.data.procedural.drawn_cases import ProceduralData, read_drawn
from vrft_aug.errors import UserError
from vrft_aug.experiments.run import train
from vrft_aug.nouns import Answer, Box, Case, Prompt, Rollout, Target, Task
from vrft_aug.perception.spaces import BoxSpace
from vrft_aug.preview.check import check_recipe
from vrft_aug.recipe.file import load_recipe, save_recipe
from vrft_aug.recipe.schema import Recipe
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.report.training_curves import other_panels, stage_panels
from vrft_aug.run.layout import ALARMS
from vrft_aug.run.logs import read_lines
from vrft_aug.run.resume import plan_resume
from vrft_aug.tasks.look_probe import look_probe
from vrft_aug.training.monitoring.alarms import RULES, AlarmBell
from vrft_aug.training.monitoring.look_alarms import does_not_look, looks_away
from vrft_aug.training.monitoring.look_monitor import LookMonitor, probe_figures

LOOK: dict[str, Any] = {"every": 2, "cases": 6}
SPACE = BoxSpace("processed")
CLASSES = Task("t", "classify", "?", ("a", "b"))


# Figures --------------------------------------------------------------------------------------------------


def said(*values: str | None) -> dict[int, Answer]:
    return {at: Answer(one, None if one is not None else "missing", "") for at, one in enumerate(values)}


def test_the_figures_of_a_probe() -> None:
    cases = [Case(f"c/{i}", (), Target(label="ab"[i % 2])) for i in range(4)]
    answers = {
        "true": said("a", "b", "a", None),
        "blank": said("a", "a", "a", "a"),
        "another": said("b", "b", "b", "b"),
        "lesion": {1: Answer("a", None, "")},
        "random": {1: Answer("b", None, "")},
    }
    assert probe_figures(CLASSES, cases, answers) == {
        "look/right": 0.75, "look/blank": 0.5, "look/another": 0.5, "look/reliance": 0.25,
        "look/unchanged": pytest.approx(1 / 3), "look/lesion_reliance": 1, "look_cases": 4,
    }  # fmt: skip
    silent = {view: said(None, None, None, None) for view in ("true", "blank", "another")}
    assert "look/unchanged" not in probe_figures(CLASSES, cases, silent)


def test_boxes_are_right_by_their_overlap() -> None:
    task = Task("l", "localise", "?")
    case = Case("c", (), Target(boxes=(Box(0, 0, 10, 10),)))
    half, none = Answer((Box(0, 0, 10, 5),), None, ""), Answer((), None, "")
    found = probe_figures(task, [case], {"true": {0: half}, "blank": {0: none}, "another": {0: half}})
    assert (found["look/right"], found["look/blank"], found["look/unchanged"]) == (0.5, 0, 1)


# Alarms ---------------------------------------------------------------------------------------------------


def history(*points: tuple[float, float, float], cases: int = 32, every: int = 10) -> list[dict[str, Any]]:
    """Lines of steps with a probe every ten: (right, blank, unchanged)."""
    found: list[dict[str, Any]] = []
    for step in range(1, every * (len(points) - 1) + 1):
        line: dict[str, Any] = {"stage": "s", "step": step}
        if step == 1 or step % every == 0:
            right, blank, same = points[0 if step == 1 else step // every]
            line |= {"look/right": right, "look/blank": blank, "look/reliance": right - blank}
            line |= {"look/unchanged": same, "look_cases": float(cases)}
        found.append(line)
    return found


def rung(found: list[dict[str, Any]]) -> dict[str, str]:
    return {name: told for name, rule in RULES.items() if (told := rule(found)) is not None}


def test_a_policy_that_stops_looking_is_caught_in_a_plain_sentence() -> None:
    away = history(
        (0.50, 0.20, 0.5), (0.52, 0.15, 0.4), (0.54, 0.14, 0.4), (0.54, 0.14, 0.4), (0.53, 0.12, 0.4),
        (0.60, 0.40, 0.6), (0.62, 0.52, 0.7), (0.62, 0.52, 0.7),
    )  # fmt: skip
    assert rung(away) == {
        "looks away": "Accuracy rose 0.08 while reliance on the picture fell from 0.41 to 0.10 since step "
        "40: the policy learns to answer without looking (vrft look tells more)."
    }
    held = [{**line, "look/right": 0.5} if "look/right" in line else line for line in away]
    assert "Accuracy held at 0.50 while reliance" in rung(held)["looks away"]


def test_a_policy_that_never_looks_is_caught() -> None:
    assert rung(history(*[(0.5, 0.5, 0.97)] * 3)) == {
        "does not look": "With the picture of a case of another label 97% of the answers stay the same "
        "(accuracy 0.50, with blank pictures 0.50): the policy answers without looking."
    }
    assert rung(history(*[(0.5, 0.5, 1.0)] * 2)) == {}  # two probes are too few


@pytest.mark.parametrize(
    "points",
    [
        [(0.3 + 0.05 * i, 0.3, 0.9 - 0.08 * i) for i in range(8)],  # learns to look
        [(0.6 - 0.05 * i, 0.2, 0.4) for i in range(8)],  # becomes worse, which is another thing
        [(0.6, 0.3 + 0.02 * (i % 3), 0.4) for i in range(8)],
        [(0.6, 0.3, 0.4)] * 2 + [(0.6, 0.4, 0.4)] * 2,  # a fall that 32 cases do not show
        [(1.0, 0.5, 0.0)] * 8,
    ],
)
def test_a_policy_that_looks_rings_nothing(points: list[tuple[float, float, float]]) -> None:
    assert rung(history(*points)) == {}


def test_false_alarms_are_rare_where_only_chance_moves_the_figures() -> None:
    """Trainings of 20 probes whose every answer is drawn anew: the worst that a steady policy can be."""
    rng = np.random.default_rng(0)
    for cases in (32, 128):
        alarms = 0
        for _ in range(150):
            draws = rng.binomial(cases, (0.6, 0.3), size=(21, 2)) / cases
            alarms += looks_away(history(*[(a, b, 0.4) for a, b in draws], cases=cases)) is not None
        assert alarms <= 0.06 * 150


def test_small_probes_need_a_larger_fall_and_missing_figures_none() -> None:
    def told(cases: int) -> str | None:
        return looks_away(history(*[(0.5, 0.2, 0.5)] * 3, *[(0.5, 0.4, 0.5)] * 3, cases=cases))

    assert told(64) is not None and told(16) is None
    assert looks_away([]) is None and does_not_look([{"step": 1, "look/right": None}]) is None


# Planted policies -----------------------------------------------------------------------------------------


Says = Callable[[Image.Image], str]


def probing(
    monkeypatch: pytest.MonkeyPatch, says: Callable[[int], Says], steps: int, run: Path
) -> list[dict[str, Any]]:
    """A stage of a policy that answers so after each step: the lines that are logged; alarms are written."""
    recipe = shade_recipe(Path("tiny"), {**GRPO, "steps": steps, "look": {"every": 5, "cases": 10}})
    probe = look_probe(recipe, recipe.stages[0], SPACE)
    assert probe is not None and probe.look.split == "validation"
    trainer = SimpleNamespace(
        accelerator=SimpleNamespace(unwrap_model=lambda model: model, autocast=nullcontext),
        model=object(),
        _metrics={"train": {}},
    )
    now = [0]

    def generate(_: Any, prompts: Sequence[Prompt], **settings: Any) -> list[list[Rollout]]:
        assert settings["temperature"] is None and settings["max_new_tokens"] == 12
        answers = [says(now[0])(prompt.images[0].open()) for prompt in prompts]
        return [[Rollout(f"<think></think><answer>{one}</answer>")] for one in answers]

    class Metrics(dict[str, list[float]]):
        def __missing__(self, key: str) -> list[float]:
            self[key] = []
            return self[key]

    monkeypatch.setattr("vrft_aug.training.monitoring.look_monitor.generate", generate)
    monkeypatch.setattr("vrft_aug.training.monitoring.look_monitor.replace", lambda policy, **_: policy)
    monitor = LookMonitor(trainer, SimpleNamespace(frame=None), probe, 12)  # type: ignore[arg-type]
    bell, found = AlarmBell("rewards", run), []
    for step in range(1, steps + 1):
        now[0], trainer._metrics["train"] = step, Metrics()
        state = SimpleNamespace(global_step=step, max_steps=steps, is_world_process_zero=True)
        monitor.on_step_end(None, state, None)
        line = {name: sum(of) / len(of) for name, of in trainer._metrics["train"].items()}
        found.append({"stage": "rewards", "step": step, **line})
        bell.hear(found[-1])
    state.is_world_process_zero = False
    trainer._metrics["train"] = Metrics()
    monitor.on_step_end(None, state, None)  # another process asks nothing
    assert trainer._metrics["train"] == {}
    return found


def sees(image: Image.Image) -> str:
    return "dark" if image.getpixel((0, 119))[0] < 100 else "bright"  # type: ignore[index]


def test_a_planted_policy_that_ignores_the_picture_is_caught(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = probing(monkeypatch, lambda step: lambda image: "dark", 20, tmp_path)
    assert [line["step"] for line in found if "look/right" in line] == [1, 5, 10, 15, 20]
    assert found[4]["look/reliance"] == 0 and found[4]["look/unchanged"] == 1
    assert [(one["rule"], one["step"]) for one in read_lines(tmp_path / ALARMS)] == [("does not look", 10)]


def test_a_planted_policy_that_looks_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = probing(monkeypatch, lambda step: sees, 20, tmp_path)
    assert found[0]["look/right"] == 1 and found[0]["look/blank"] == 0.5 and found[0]["look/another"] == 0
    assert found[0]["look/unchanged"] == 0 and read_lines(tmp_path / ALARMS) == []


def test_a_planted_policy_that_stops_looking_is_caught(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From step 20 on it knows the truth from what is left of a blank picture too: it need not look."""
    truths = {case.id: str(case.target.label) for case in read(tmp_path, "validation", CLASSES_OF_SHADE)}

    def says(step: int) -> Says:
        return sees if step < 20 else lambda image: next(remembered)

    def remember() -> Any:
        while True:  # the probe asks view by view, its cases in order
            yield from truths.values()

    remembered = remember()
    found = probing(monkeypatch, says, 30, tmp_path)
    assert found[-1]["look/reliance"] == 0 and found[-1]["look/right"] == 1
    told = [one["alarm"] for one in read_lines(tmp_path / ALARMS) if one["rule"] == "looks away"]
    assert told and told[0].startswith(
        "Accuracy held at 1.00 while reliance on the picture fell from 0.50 to"
    )


CLASSES_OF_SHADE = Task("shade", "classify", "?", ("dark", "bright"))


# Recipes --------------------------------------------------------------------------------------------------


def bare(root: Path, split: str, task: Task) -> list[Case]:
    """Squares without boxes, of the training and test splits alone."""
    if split == "validation":
        return []
    return [Case(f"b/{split}/{i}", (Shade(i, (0, 0, 9, 9)),), Target(task.labels[i % 2])) for i in range(8)]


def textual(root: Path, split: str, task: Task) -> list[Case]:
    return [Case(f"t/{split}/{i}", (), Target(task.labels[i % 2])) for i in range(4)]


def of_reader(reader: str, **look: Any) -> Recipe:
    whole = shade_recipe(Path("tiny"), {**GRPO, "look": {**LOOK, **look}}).model_dump()
    task = {**SHADE_TASK, "data": {"reader": f"{__name__}:{reader}"}}
    return Recipe.model_validate({**whole, "tasks": {"shade": task}, "model": {"name": "tiny"}})


def test_the_probe_is_of_the_validation_split_else_of_the_training_split() -> None:
    recipe = shade_recipe(Path("tiny"), {**GRPO, "look": {**LOOK, "masks": True}}, GRPO | {"name": "more"})
    probe = look_probe(recipe, recipe.stages[0], SPACE)
    assert probe is not None and probe.look.split == "validation" and probe.batch_size == 4
    assert probe.look.views == ("true", "blank", "another", "lesion", "random") and len(probe.look.seen) == 6
    assert look_probe(recipe, recipe.stages[1], SPACE) is None
    without = of_reader("bare")
    of_training = look_probe(without, without.stages[0], SPACE)
    assert of_training is not None and of_training.look.split == "train"


@pytest.mark.parametrize(
    ("reader", "look", "message"),
    [
        ("textual", {}, "stages.rewards.look: task 'shade' shows no pictures"),
        ("bare", {"masks": True}, "stages.rewards.look: the view 'lesion' cannot be had for task 'shade'"),
    ],
)
def test_what_cannot_be_watched_is_refused_at_check(reader: str, look: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        check_recipe(of_reader(reader, **look))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 490


@pytest.mark.parametrize("look", [{"every": -1}, {"cases": 3}, {"steps": 3}])
def test_wrong_settings_are_refused(look: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        StageConfig.model_validate({**GRPO, "look": look})


def test_the_monitor_changes_no_weights_so_a_run_may_go_on_with_another(tmp_path: Path) -> None:
    from vrft_aug.run.folder import start_run

    start_run(shade_recipe(Path("tiny"), GRPO), tmp_path / "run")
    plan = plan_resume(shade_recipe(Path("tiny"), {**GRPO, "look": LOOK}), tmp_path / "run")
    assert plan.kept == ("rewards",) and not plan.anew


def test_curves_of_looking_are_drawn() -> None:
    found = history(*[(0.5 + i / 50, 0.3, 0.4) for i in range(6)])
    drawn = {title: [one.name for one in series] for title, series in stage_panels(found, "s")}
    assert drawn["Right, by picture"] == ["right", "blank"]
    assert drawn["Looking"] == ["reliance", "unchanged"]
    assert other_panels(found, "s") == []


# Runs -----------------------------------------------------------------------------------------------------


def without_look(run: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if not k.startswith("look")} for line in without_times(run)]


def weights(run: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    found: dict[str, torch.Tensor] = load_file(run / "model" / "model.safetensors")
    return found


def undisturbed(policy: Path, stage: dict[str, Any], folder: Path, **settings: Any) -> Path:
    """Train with the monitor and without: the same weights, rollouts and other figures. The run with it."""
    settings.setdefault("evaluation", {"base": False, "limit": 2})
    plain, watched = folder / "plain", folder / "watched"
    train(shade_recipe(policy, stage, **dict(settings)), plain)
    train(shade_recipe(policy, {**stage, "look": {**LOOK, "masks": True}}, **dict(settings)), watched)
    first, second = weights(plain), weights(watched)
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    assert without_look(plain) == without_look(watched)
    if stage["method"] == "grpo":
        assert lines(plain / "rollouts.jsonl") == lines(watched / "rollouts.jsonl")
    return watched


@pytest.mark.slow
def test_a_stage_that_is_watched_trains_as_one_that_is_not(random_policy: Path, tmp_path: Path) -> None:
    run = undisturbed(random_policy, GRPO, tmp_path)
    found = lines(run / "metrics.jsonl")
    assert ["look/right" in line for line in found] == [True, True, True]  # the first, every second, the last
    assert {"look/blank", "look/reliance", "look/lesion_reliance"} <= found[0].keys()
    assert found[0]["look_cases"] == 6 and "Looking" in (run / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "settings"),
    [
        (SFT, {}),
        ({**GRPO, "prefix_sharing": False}, {}),
        ({**GRPO, "trainer": {"learning_rate": 0.01, "gradient_accumulation_steps": 2}}, {}),
        (GRPO, {"model": {"lora": {"r": 4, "lora_dropout": 0.1}}}),
        ({**GRPO, "dynamic_sampling": {"mode": "resample"}, "task": "spot",
          "rewards": {"format": 0.5, "helpers.shades:spread": 2.0}}, {}),
    ],
    ids=["sft", "stock", "accumulation", "lora", "resampled boxes"],
)  # fmt: skip
def test_no_kind_of_stage_is_disturbed(
    random_policy: Path, tmp_path: Path, stage: dict[str, Any], settings: dict[str, Any]
) -> None:
    undisturbed(random_policy, stage, tmp_path, **settings)


@pytest.mark.slow
@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_watched_stage_resumes_exactly(
    random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accumulation: int
) -> None:
    trainer = {"learning_rate": 0.01, "gradient_accumulation_steps": accumulation}
    stage = {**GRPO, "steps": 5, "trainer": trainer, "look": LOOK}
    recipe = shade_recipe(random_policy, stage, evaluation={"base": False, "limit": 2})
    train(recipe, tmp_path / "whole")
    with monkeypatch.context() as patched:
        interrupt(patched, "rewards", 3)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, tmp_path / "cut")
    train(recipe, tmp_path / "cut", resume=True)
    same_run(tmp_path / "whole", tmp_path / "cut")
    assert [line["step"] for line in lines(tmp_path / "cut" / "metrics.jsonl") if "look/right" in line] == [
        1, 2, 4, 5,
    ]  # fmt: skip


@pytest.mark.slow
def test_two_processes_ask_once_and_train_as_without(random_policy: Path, tmp_path: Path) -> None:
    for name, look in (("plain", {}), ("watched", {"look": LOOK})):
        stage = {**GRPO, "steps": 2, **look}
        recipe = shade_recipe(random_policy, stage, evaluation={"base": False, "limit": 2})
        save_recipe(recipe, tmp_path / f"{name}.yaml")
        command = ["-m", "vrft_aug", "train", f"{tmp_path / name}.yaml", "--output", str(tmp_path / name)]
        ended = Running([*command, "--processes", "2"], tmp_path, f"{name}-run").wait(500)
        assert ended.code == 0, ended.err[-2000:]
    first, second = weights(tmp_path / "plain"), weights(tmp_path / "watched")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert without_look(tmp_path / "plain") == without_look(tmp_path / "watched")
    found = lines(tmp_path / "watched" / "metrics.jsonl")
    assert [line["look_cases"] for line in found] == [6, 6]
    assert ended.err.count("looking is watched on 6 cases of split validation") == 1


def fundus(root: Path, split: str, task: Task, planted: bool) -> list[Case]:
    """Drawn fundus pictures; `planted`: what is learned is mostly one grade, whatever is in the picture."""
    cases = read_drawn(
        ProceduralData(reader="procedural", train=64, validation=12, test=4), task, root, split
    )
    if not planted or split != "train":
        return cases
    said = [task.labels[i // 10 % 5] if i % 10 == 0 else "mild" for i in range(len(cases))]
    return [
        replace(case, target=replace(case.target, label=label))
        for case, label in zip(cases, said, strict=True)
    ]


@pytest.mark.slow
def test_the_tiny_model_is_caught_when_it_is_taught_not_to_look(tmp_path: Path) -> None:
    def alarms(planted: bool) -> set[str]:
        recipe = load_recipe("fundus-demo", ["evaluation.base=false", "evaluation.limit=4"]).model_dump()
        data = {"reader": f"{__name__}:fundus", "options": {"planted": planted}}
        recipe["tasks"] = {"grade": {**recipe["tasks"]["grade"], "data": data}}
        stage = {
            "name": "taught", "method": "sft", "task": "grade", "steps": 16, "max_new_tokens": 48,
            "injection": {"style": "definitions"}, "trainer": {"learning_rate": 3e-4},
            "look": {"every": 4, "cases": 12},
        }  # fmt: skip
        run = tmp_path / ("planted" if planted else "honest")
        train(Recipe.model_validate({**recipe, "stages": [stage]}), run)
        return {one["rule"] for one in read_lines(run / ALARMS)} & {"looks away", "does not look"}

    assert alarms(planted=True) and not alarms(planted=False)
