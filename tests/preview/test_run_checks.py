"""What training would refuse is found by `vrft check`, without weights and mostly without torch."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vrft_aug.cli import app
from vrft_aug.perception.spaces import BoxSpace
from vrft_aug.policy.chat import chat_with_images, encode_chats
from vrft_aug.policy.load import load_policy
from vrft_aug.preview.prompt_tokens import PromptTokens
from vrft_aug.recipe.file import load_recipe
from vrft_aug.recipe.model_files import model_files
from vrft_aug.tasks.taskset import evaluation_taskset


def check(*overrides: str, output: str = "runs/none") -> tuple[int, str]:
    done = CliRunner().invoke(app, ["check", "fundus-demo", *overrides, "-o", output])
    return done.exit_code, done.output


@pytest.mark.parametrize("pixels", [None, 64 * 64])
def test_tokens_are_counted_as_the_processor_does(pixels: int | None) -> None:
    recipe = load_recipe("fundus-demo", [f"model.max_pixels={pixels}"] if pixels else [])
    files = model_files(recipe.model)
    assert files is not None
    prompts = evaluation_taskset(recipe, BoxSpace("processed")).prompts[:3]
    tokens, policy = PromptTokens(recipe.model, files), load_policy(recipe.model)
    for prompt in prompts:
        assert tokens.of(prompt) == encode_chats(policy, [chat_with_images(prompt)])["input_ids"].shape[1]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed=-1", "seed is -1; expected greater than or equal to 0"),
        ("model.name=tinny", "did you mean 'tiny'"),
        ("model.max_pixels=300", "leaves one visual token of case fundus/train/"),
        ("model.max_pixels=0", "model.max_pixels is 0"),
        ("stages.grade.max_new_tokens=5000", "but tiny was made for 4096"),
        ("stages.grade.injection.budget=3", "injection.budget 3 does not hold the definitions"),
        ("stages.localise.trainer.learning_rat=1", "did you mean 'learning_rate'"),
        ("stages.grade.trainer.learning_rate=abc", "stages.grade.trainer.learning_rate is 'abc'"),
        ("stages.grade.trainer.learning_rate=-1", "stages.grade.trainer.learning_rate is -1"),
        ("model.dtype=float16", "its gradients underflow"),
        ("model.lora={rank: 3}", "peft.LoraConfig has no setting 'rank'"),
    ],
)
def test_wrong_settings_are_one_line(override: str, message: str) -> None:
    code, said = check(override)
    assert code == 2 and message in said and said.count("\n") == 1 and len(said) < 500


def test_a_recipe_for_another_machine_is_checked_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    code, said = check("model.device=cuda")
    (line,) = [line for line in said.splitlines() if line.startswith("model tiny")]
    assert code == 0 and "cannot run on this machine, as model.device is cuda" in line and len(line) < 500
    assert "cannot run" not in check()[1]
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert "cannot run" not in check("model.device=cuda")[1]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, said = check(output=str(tmp_path / "file" / "run"))
    assert code == 2 and "is a file" in said and said.count("\n") == 1


def test_what_is_right_says_model_prompt_and_room() -> None:
    code, said = check()
    assert code == 0
    assert "model tiny: 3.7 M parameters, context 4,096 tokens, longest prompt 193; a run takes about" in said


def test_settings_that_tables_cannot_judge_are_tried() -> None:
    code, said = check("stages.grade.trainer.num_iterations=3")
    assert code == 2 and "no whole number of generation rounds" in said
    code, said = check("model.lora={target_modules: [q_prj]}")
    assert code == 2 and "model.lora does not fit model 'tiny'" in said and "q_prj" in said
    code, said = check("stages.grade.trainer.lr_scheduler_type=cosine_with_min_lr")
    assert code == 2 and "stages.grade cannot be built with" in said and "min_lr" in said
    code, said = check("stages.grade.trainer.num_iterations=2")
    assert code == 0, said


def test_usual_settings_load_no_torch() -> None:
    code = (
        "import sys; from vrft_aug.recipe.file import load_recipe;"
        "from vrft_aug.preview.check import check_recipe;"
        "check_recipe(load_recipe('fundus-demo', ['model.lora={r: 4}'])); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
