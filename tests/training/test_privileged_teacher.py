"""The teacher that is told more: gradients against plain code, who is pulled, leaks, and a resumed run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from rich.console import Console
from transformers import Qwen2_5_VLForConditionalGeneration, TrainerCallback

from helpers.random_policy import save_random_policy
from helpers.run_checks import interrupt, lines, same_run
from helpers.shades import GRPO, SHADE_TASK, SPOT_TASK, Shade, read, shade_recipe
from vrft_aug.data.altered_pictures import GREEN, Outlined
from vrft_aug.errors import UserError
from vrft_aug.experiments.run import train
from vrft_aug.nouns import Box, Case, Target, Task
from vrft_aug.perception.spaces import BoxSpace
from vrft_aug.policy.chat import chat_with_images, encode_chats
from vrft_aug.policy.load import load_policy
from vrft_aug.preview.check import check_recipe
from vrft_aug.recipe.schema import Recipe
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.tasks.taskset import load_taskset
from vrft_aug.tasks.teacher_boxes import teacher_boxes
from vrft_aug.training.augmentations import privileged_teacher
from vrft_aug.training.grpo import build_grpo
from vrft_aug.training.job import StageJob

WEIGHT, BOUND = 5.0, 1.5
TOLD = {"style": "definitions", "dropout": 0.5}
STAGE: dict[str, Any] = {
    **GRPO, "steps": 4, "prompts_per_step": 4, "injection": TOLD, "teacher": {"weight": 0.5},
}  # fmt: skip
BANK = (
    "name: shades\ntitle: Shades\nauthor: a\nreviewed: false\nsources: [x]\n"
    "classes: {dark: {definition: Black all over.}, bright: {definition: White all over.}}\n"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random policy with large weights: its outputs depend on every word of the prompt."""
    folder = save_random_policy(tmp_path_factory.mktemp("policy"))
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4 if parameter.dim() > 1 else 1)
    model.save_pretrained(folder)
    (folder / "shades.yaml").write_text(BANK)
    return folder


def recipe(folder: Path, model: dict[str, Any] | None = None, **changed: Any) -> Recipe:
    tasks = {"shade": SHADE_TASK | {"knowledge": str(folder / "shades.yaml")}}
    return shade_recipe(folder, {**STAGE, **changed}, tasks=tasks, model=model or {})


def one_step(found: Recipe, room: Path) -> tuple[Any, torch.Tensor, list[tuple[int, list[int]]]]:
    """A trainer after a step, the gradient of it, and the rows with their completions."""
    policy = load_policy(found.model, training=True)
    (stage,) = found.stages
    taskset = load_taskset(found, "shade", "train", stage.injection, policy.space)
    shown = teacher_boxes(found, stage, [taskset])
    job = StageJob(stage, found.model, (taskset,), room, room, 6, Console(quiet=True), shown=shown)
    torch.manual_seed(0)  # of an adapter's weights
    trainer = build_grpo(policy, job).trainer
    seen: list[torch.Tensor] = []
    drawn: list[tuple[int, list[int]]] = []

    class Keep(TrainerCallback):  # type: ignore[misc]
        def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
            seen.append(gradient(trainer.model))

    stock = trainer._calculate_rewards

    def told(inputs: Any, prompts: Any, completions: Any, ids: Any) -> Any:
        drawn.extend((one["row"], list(own)) for one, own in zip(inputs, ids, strict=True))
        return stock(inputs, prompts, completions, ids)

    trainer._calculate_rewards = told
    trainer.add_callback(Keep())
    trainer.train()
    trainer.taskset, trainer.policy = taskset, policy
    return trainer, seen[0], drawn


def gradient(model: Any) -> torch.Tensor:
    return torch.cat([p.grad.flatten().clone() for p in model.parameters() if p.grad is not None])


def plain_gradient(
    trainer: Any, drawn: list[tuple[int, list[int]]], start: dict[str, Any], boxes: bool = False
) -> torch.Tensor:
    """Of the teacher's term alone: row by row, full logits, one sum over all tokens of the step."""
    model, cases = trainer.model, len(trainer.taskset.cases)
    model.load_state_dict(start)
    model.train()
    model.zero_grad()
    terms, tokens = [], sum(len(ids) for _, ids in drawn)
    for row, ids in drawn:
        if row < cases and not boxes:
            continue
        told = trainer.taskset.prompts[row % cases]
        if boxes:
            (image,), case = told.images, trainer.taskset.cases[row % cases]
            told = replace(told, images=(Outlined(image, case.target.boxes),))
        student_sees = trainer.taskset.prompts[row] if row < cases else trainer.taskset.untold[row - cases]
        asked = student_sees, told
        student = plain_scores(trainer, asked[0], ids)
        with torch.no_grad():
            teacher = plain_scores(trainer, asked[1], ids)
        ratio = (teacher - student).exp()
        terms.append(torch.minimum(ratio - ratio.log() - 1, torch.tensor(BOUND)))
    (WEIGHT * torch.cat(terms).sum() / tokens).backward()  # type: ignore[no-untyped-call]
    return gradient(model)


def plain_scores(trainer: Any, prompt: Any, completion: list[int]) -> torch.Tensor:
    inputs = dict(encode_chats(trainer.policy, [chat_with_images(prompt)]))
    written = torch.tensor([completion])
    ids = torch.cat([inputs.pop("input_ids"), written], dim=1)
    types = torch.cat([inputs.pop("mm_token_type_ids"), torch.zeros_like(written)], dim=1)
    inputs["attention_mask"] = torch.ones_like(ids)
    logits = trainer.model(input_ids=ids, mm_token_type_ids=types, **inputs).logits
    spread = logits[0, -len(completion) - 1 : -1].log_softmax(dim=-1)
    scores: torch.Tensor = spread.gather(1, written.T)[:, 0]
    return scores


WAYS: list[Any] = [
    pytest.param(True, 2, False, False, id="shared"),
    pytest.param(True, 2, False, True, id="boxes"),
    pytest.param(False, 2, False, True, id="boxes, stock", marks=pytest.mark.slow),
    pytest.param(True, 8, True, True, id="boxes, adapter", marks=pytest.mark.slow),
    pytest.param(False, 1, False, False, id="stock", marks=pytest.mark.slow),
    pytest.param(False, 2, False, False, id="stock, accumulated", marks=pytest.mark.slow),
    pytest.param(True, 8, False, False, id="shared, eight", marks=pytest.mark.slow),
    pytest.param(True, 2, True, False, id="adapter", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("sharing", "accumulation", "lora", "boxes"), WAYS)
def test_the_term_equals_plain_code(
    folder: Path, tmp_path: Path, sharing: bool, accumulation: int, lora: bool, boxes: bool
) -> None:
    """The gradient with the teacher, less that without, is that of the formula."""
    settings: dict[str, Any] = {
        "steps": 1, "prefix_sharing": sharing, "prompts_per_step": 4,
        "trainer": {"gradient_accumulation_steps": accumulation, "learning_rate": 1e-12, "max_grad_norm": 0},
    }  # fmt: skip
    model = {"lora": {"r": 4, "init_lora_weights": False}} if lora else {}
    pull = {"weight": WEIGHT, "bound": BOUND, "leak": 1, "boxes": boxes}
    on, with_teacher, drawn = one_step(recipe(folder, model, teacher=pull, **settings), tmp_path / "on")
    _, without, same = one_step(recipe(folder, model, teacher={}, **settings), tmp_path / "off")
    assert drawn == same and {row >= 10 for row, _ in drawn} == {True, False}
    plain = plain_gradient(on, drawn, on.model.state_dict(), boxes)
    assert plain.norm() > 0.1 * without.norm()
    assert (with_teacher - without - plain).norm() < 1e-5 * max(with_teacher.norm(), plain.norm())


def test_what_cites_the_withheld_knowledge_is_not_pulled(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def copied(text: str, knowledge: str) -> float:
        asked.append((text, knowledge))
        return 0.5

    monkeypatch.setattr(privileged_teacher, "copied_share", copied)
    gradients = []
    for teacher in ({"weight": WEIGHT, "leak": 0.4}, {"weight": WEIGHT, "leak": 0.6}, {}):
        trainer, found, drawn = one_step(recipe(folder, teacher=teacher, steps=1), tmp_path / str(teacher))
        gradients.append(found)
        logged = trainer.state.log_history[0]
        if teacher:
            assert logged["teacher/leaked"] == float(teacher["leak"] == 0.4)
            assert ("teacher/kl" in logged) == (teacher["leak"] == 0.6)
        else:
            assert not any(name.startswith("teacher/") for name in logged)
    assert torch.equal(gradients[0], gradients[2])  # nothing is pulled
    assert not torch.allclose(gradients[1], gradients[2])
    assert len(asked) == 2 * sum(row >= 10 for row, _ in drawn)
    assert all("Black all over." in knowledge for _, knowledge in asked)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"injection": {"style": "definitions"}}, "set injection.dropout, the share of them"),
        ({"method": "sft"}, "teacher is what grpo alone can"),
        ({"teacher": {"weight": -1}}, "greater than or equal to 0"),
        ({"teacher": {"weight": 1, "leak": 2}}, "less than or equal to 1"),
    ],
)
def test_wrong_settings_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        StageConfig.model_validate({**STAGE, **changed})


def test_what_speaks_of_boxes_that_it_cannot_see_is_not_pulled() -> None:
    for leak in ("The boxes are bright.", "an OUTLINED spot", "see the annotation", "Bounding lines"):
        assert privileged_teacher.DRAWN.search(leak)
    for fair in ("a marked opacity", "the outer ring", "inbox", "a dark square"):
        assert not privileged_teacher.DRAWN.search(fair)


def test_boxes_are_drawn_around_what_is_in_them() -> None:
    shade = Shade(40, (20, 30, 60, 70))
    drawn = Outlined(shade, (Box(20, 30, 60, 70), Box(100.5, 100.5, 119.5, 119.5))).open()
    true = shade.open()
    assert drawn.size == true.size and drawn.mode == "RGB"
    assert drawn.crop((20, 30, 60, 70)).tobytes() == true.crop((20, 30, 60, 70)).tobytes()
    assert {drawn.getpixel(at) for at in ((18, 40), (60, 40), (40, 28), (40, 71), (110, 99))} == {GREEN}
    assert drawn.getpixel((17, 40)) == drawn.getpixel((62, 40)) == (40, 40, 40)
    assert true.tobytes() == shade.open().tobytes()


def unboxed(root: Path, split: str, task: Task) -> list[Case]:
    return [replace(case, target=Target(label=case.target.label)) for case in read(root, split, task)]


def test_boxes_that_are_not_known_or_are_the_answer_are_one_line_at_check(folder: Path) -> None:
    told = {"teacher": {"weight": 0.1, "boxes": True}, "injection": {}}
    found = recipe(folder, **told)
    space = BoxSpace("processed")
    (stage,) = found.stages
    taskset = load_taskset(found, "shade", "train", stage.injection, space)
    (shown,) = teacher_boxes(found, stage, [taskset])
    assert shown["shades/train/3"] == (Box(13, 20, 53, 60, label="spot"),)
    assert (
        teacher_boxes(
            recipe(folder, teacher={"weight": 0.1}),
            stage.model_copy(update={"teacher": stage.teacher.model_copy(update={"boxes": False})}),
            [taskset],
        )
        == ()
    )
    bare = {**SHADE_TASK, "data": {"reader": f"{__name__}:unboxed"}}
    alone = Recipe.model_validate({**found.model_dump(), "tasks": {"shade": bare}})
    with pytest.raises(UserError, match="no boxes are known of the 10 training cases of 'shade'") as refused:
        check_recipe(alone)
    assert "stages.rewards.teacher.boxes" in str(refused.value) and "\n" not in str(refused.value)
    spots = {**told, "task": "spot", "rewards": {"iou": 1.0}}
    with pytest.raises(UserError, match="would show the teacher the answers of 'spot'"):
        check_recipe(shade_recipe(folder, {**STAGE, **spots}, tasks={"spot": SPOT_TASK}))


def test_pictures_that_were_processed_are_not_opened_again_for_the_teacher(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Shade] = []
    stock = Shade.open

    def counted(self: Shade) -> Image.Image:
        opened.append(self)
        return stock(self)

    monkeypatch.setattr(Shade, "open", counted)
    one_step(recipe(folder, teacher={"weight": 0.1}, steps=4), tmp_path / "on")
    assert opened and len(opened) == len(set(opened))


@pytest.mark.slow
def test_a_run_resumes_exactly(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = recipe(folder)
    train(found, tmp_path / "whole")
    assert any("teacher/kl" in line for line in lines(tmp_path / "whole" / "metrics.jsonl"))
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        interrupt(patched, "rewards", 3)
        train(found, tmp_path / "run")
    train(found, tmp_path / "run", resume=True)
    same_run(tmp_path / "whole", tmp_path / "run")
