"""The command line: it starts fast, prints plainly, and ends mistakes in one line with exit code 2."""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from helpers.data_files import CSV, recipe_mapping, save_recipe_mapping, save_table
from helpers.random_policy import save_random_policy
from vrft_aug import __version__
from vrft_aug.cli import app
from vrft_aug.cli.runs import next_commands
from vrft_aug.knowledge.bank import SHIPPED

COMMANDS = (
    "demo",
    "init",
    "check",
    "prompt",
    "score",
    "train",
    "evaluate",
    "predict",
    "report",
    "tiny",
    "knowledge",
)


def vrft(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    save_table(tmp_path)
    mapping = recipe_mapping(tmp_path, "classify", ["dark", "bright"], CSV)
    return save_recipe_mapping(tmp_path / "mine.yaml", mapping)


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    heavy = ["torch", "transformers", "trl", "peft", "sklearn", "scipy", "numpy", "PIL", "pydantic"]
    code = (
        "import sys\nfrom vrft_aug.cli import app\n"
        "try: app(['--help'])\nexcept SystemExit as end: assert not end.code\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *text, loaded = done.stdout.splitlines()
    assert loaded == "[]"
    for command in COMMANDS:
        assert any(line.startswith(f"  {command} ") for line in text)


def test_every_command_has_a_help_page_and_no_decoration() -> None:
    for command in COMMANDS:
        result = vrft(command, "--help")
        assert result.exit_code == 0
        assert result.stdout.isascii()


def test_version() -> None:
    assert vrft("--version").stdout.startswith(f"vrft-aug {__version__}\npython ")


def test_the_next_commands_can_be_typed(tmp_path: Path) -> None:
    title, *lines = next_commands(tmp_path / "my run")
    assert title == "next:" and len(lines) == 3
    for line in lines:
        name, command, run, *_ = shlex.split(line, comments=True)
        assert (name, Path(run)) == ("vrft", tmp_path / "my run")
        assert vrft(command, "--help").exit_code == 0


def test_check_counts_what_is_there(recipe: Path) -> None:
    result = vrft("check", recipe)
    assert result.exit_code == 0
    assert "evaluation: look (classify), test, 3 cases; dark 0, bright 3" in result.stdout
    assert result.stdout.endswith("recipe test: ok\n")
    parts = json.loads(vrft("check", recipe, "--json").stdout)["parts"]
    assert [part["name"] for part in parts] == ["one", "evaluation"]
    assert parts[0]["rollouts"] == 2 * 8 * 8


def test_check_takes_overrides(recipe: Path) -> None:
    parts = json.loads(vrft("check", recipe, "stages.one.steps=5", "--json").stdout)["parts"]
    assert parts[0]["rollouts"] == 5 * 8 * 8


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("stages.one.rewards={acuracy: 1}", "did you mean 'accuracy'"),
        ("stages.one.rewards={fuzzy_grade: 1}", "'fuzzy_grade' judges grade"),
        ("tasks.look.knowledge=busi", "knowledge bank 'busi' has no class 'dark'"),
        ("tasks.look.knowledge=bussi", "'bussi' not found"),
        ("tasks.look.labels=[bright, blue]", "label 'dark' is not one of task 'look'"),
    ],
)
def test_check_finds_what_training_would_trip_over(recipe: Path, override: str, part: str) -> None:
    result = vrft("check", recipe, override)
    assert result.exit_code == 2
    assert part in result.stderr


def test_init_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert vrft("init", "busi").stdout == "wrote busi.yaml\n"
    assert "name: busi" in (tmp_path / "busi.yaml").read_text()
    again = vrft("init", "busi")
    assert again.exit_code == 2
    assert again.stderr == "error: busi.yaml exists already; name another destination\n"
    assert "did you mean 'busi'" in vrft("init", "bussi").stderr


def test_prompt_shows_the_chat_as_the_model_spells_it(recipe: Path, tmp_path: Path) -> None:
    folder = save_random_policy(tmp_path / "model")
    result = vrft("prompt", recipe, f"model.name={folder}", "--case", "set/test/i7")
    assert result.exit_code == 0
    case, image, _, *chat = result.stdout.splitlines()
    assert (case, image) == ("case set/test/i7, task look", "image 40 x 30, seen as 144 x 112, 63 tokens")
    assert "<|vision_start|><|image_pad|> x 63<|vision_end|>What is it?" in chat
    shown = json.loads(vrft("prompt", recipe, f"model.name={folder}", "--json").stdout)
    assert shown["tokens"] > shown["images"][0]["tokens"] == 63


def test_prompt_does_not_load_a_model_from_the_hub_unasked(recipe: Path) -> None:
    result = vrft("prompt", recipe, "model.name=Qwen/Qwen2.5-VL-3B-Instruct", "--stage", "one")
    assert result.exit_code == 0
    assert "not counted" in result.stdout
    assert "user: <image>\nWhat is it?\nAnswer with one of: dark, bright." in result.stdout
    wrong = vrft("prompt", recipe, "model.name=Qwen/Qwen2.5-VL-3B-Instruct", "--stage", "two")
    assert "no stage 'two'; it has one" in wrong.stderr
    absent = vrft("prompt", recipe, "model.name=Qwen/Qwen2.5-VL-3B-Instruct", "--case", "set/test/i99")
    assert "no case 'set/test/i99'; expected an id like set/test/i3" in absent.stderr


def test_score_writes_json_lines_or_nothing(recipe: Path, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    good = {"case": "set/test/i3", "completion": "<think>a</think><answer>bright</answer>"}
    path.write_text(json.dumps(good) + "\n")
    result = vrft("score", recipe, path)
    assert [json.loads(line)["total"] for line in result.stdout.splitlines()] == [1.2]
    path.write_text(json.dumps(good) + "\n" + json.dumps(good | {"case": "nobody"}) + "\n")
    result = vrft("score", recipe, path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{path} line 2" in result.stderr


def test_knowledge_commands() -> None:
    listed = vrft("knowledge", "list").stdout.splitlines()
    assert len(listed) == len(list(SHIPPED.glob("*.yaml")))
    assert "proliferative:" in vrft("knowledge", "show", "fundus").stdout
    assert vrft("knowledge", "check", "busi", "normal", "benign").exit_code == 0
    wrong = vrft("knowledge", "check", "busi", "benine")
    assert (wrong.exit_code, "did you mean 'benign'" in wrong.stderr) == (2, True)


def test_contradicting_options_are_refused(recipe: Path) -> None:
    result = vrft("train", recipe, "--resume", "--overwrite")
    assert (result.exit_code, "contradict" in result.stderr) == (2, True)


def test_usage_errors_exit_with_2() -> None:
    for arguments in (["bogus"], ["check"], ["check", "a", "--bogus"], ["demo", "--seeds", "0"]):
        assert vrft(*arguments).exit_code == 2


def failing(error: BaseException) -> Any:
    def load_recipe(*_: object) -> None:
        raise error

    return load_recipe


def test_an_interrupt_is_one_line_and_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vrft_aug.recipe.file.load_recipe", failing(KeyboardInterrupt()))
    result = vrft("check", "busi")
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")
    monkeypatch.setattr("vrft_aug.recipe.file.load_recipe", failing(ZeroDivisionError("ours")))
    result = vrft("check", "busi")
    assert isinstance(result.exception, ZeroDivisionError)


def test_a_reward_in_the_working_folder_is_found(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "own_rewards.py").write_text(
        "def length(rollout):\n    return float(len(rollout.completion))\n"
    )
    command = ["-c", "from vrft_aug.cli import main; main()", "check", "mine.yaml"]
    done = subprocess.run(
        [sys.executable, *command, "stages.one.rewards={own_rewards:length: 1}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_init_looks_at_data_says_what_it_guessed_and_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = save_table(tmp_path, count=40)
    result = vrft("init", "--from", table, "my.yaml")
    assert result.exit_code == 0, result.output
    assert "guessed: labels are in column 'label'" in result.output
    assert "wrote my.yaml" in result.output and "vrft check my.yaml: ok" in result.output
    assert vrft("check", "my.yaml").exit_code == 0
    assert "data_root: set #" in (tmp_path / "my.yaml").read_text()


def test_init_without_a_name_or_data_says_what_it_wants() -> None:
    result = vrft("init")
    assert result.exit_code == 2 and "expected the name of a shipped recipe, or --from" in result.stderr
