"""`vrft export`: what is in the folder, what is refused, and that it is whole or not there."""

import hashlib
import json
import re
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from typer.testing import CliRunner

from helpers.finished_run import finished_run, judge_again
from helpers.synthetic_run import GRADES, grade_report
from vrft_aug.cli import app
from vrft_aug.errors import UserError
from vrft_aug.evaluation.report_data import load_report
from vrft_aug.export.write_export import export_run
from vrft_aug.recipe.file import load_recipe


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run and its export."""
    root = tmp_path_factory.mktemp("export")
    run = finished_run(root / "run", grade_report(samples=8))
    export_run(run, root / "out")
    return run, root / "out"


def test_it_holds_all_that_is_needed_and_nothing_else(made: tuple[Path, Path]) -> None:
    run, out = made
    assert {path.name for path in out.iterdir()} == {
        "README.md", "Dockerfile", "request.py", "prompt.json", "recipe.yaml", "evaluation.json",
        "SHA256SUMS", *(path.name for path in (run / "model").iterdir()),
    }  # fmt: skip
    assert (out / "model.safetensors").read_bytes() == (run / "model" / "model.safetensors").read_bytes()
    lines = [line.split("  ") for line in (out / "SHA256SUMS").read_text().splitlines()]
    assert {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for _, name in lines} == {
        name: digits for digits, name in lines
    }
    assert len(lines) == len(list(out.iterdir())) - 1


def test_generation_is_greedy_as_it_was_judged(made: tuple[Path, Path]) -> None:
    settings = json.loads((made[1] / "generation_config.json").read_text())
    assert (settings["do_sample"], settings["max_new_tokens"]) == (False, 256)
    config = json.loads((made[1] / "config.json").read_text())
    assert settings["suppress_tokens"] == [config["image_token_id"]]
    assert settings["repetition_penalty"] == 1.0 and settings["eos_token_id"]


def test_the_figures_are_there_and_the_cases_are_not(made: tuple[Path, Path]) -> None:
    judged, told = load_report(made[0] / "evaluation.json"), load_report(made[1] / "evaluation.json")
    assert (told.metrics, told.per_class, told.confusion) == (
        judged.metrics,
        judged.per_class,
        judged.confusion,
    )
    assert judged.rows and told.rows == ()


def test_the_card_follows_the_conventions(made: tuple[Path, Path]) -> None:
    text = (made[1] / "README.md").read_text("utf-8")
    card: Any = ModelCard(text)
    assert (card.data.license, card.data.pipeline_tag) == ("apache-2.0", "image-text-to-text")
    report = load_report(made[0] / "evaluation.json")
    told = {one.metric_type: one.metric_value for one in card.data.eval_results or []}
    assert told["accuracy"] == pytest.approx(report.metrics["accuracy"].value, abs=1e-4)
    for heading in (
        "What it must not be used for", "Data", "Knowledge in the prompt", "Results", "Subgroups", "Limits",
        "Is it sure when it is right?", "Does it look?", "How it was trained", "To serve it",
    ):  # fmt: skip
        assert f"# {heading}\n" in text
    accuracy = report.metrics["accuracy"]
    assert f"| Accuracy | {accuracy.value_text} \\{accuracy.interval_text[:-1]}\\] | 40 |" in text
    assert "| Calibration error |" in text and "By 8 sampled answers a case." in text
    assert "40 cases of 20 patients" in text and "Not measured: whether its answers come" in text
    assert all(f"| {label} |" in text for label in GRADES)


def test_the_recipe_is_one(made: tuple[Path, Path]) -> None:
    copied, own = load_recipe(str(made[1] / "recipe.yaml")), load_recipe(str(made[0] / "recipe.yaml"))
    assert (copied.stages, copied.evaluation) == (own.stages, own.evaluation)


@pytest.mark.parametrize("adapter", [False, True])
def test_the_dockerfile_names_what_it_serves(adapter: bool, made: tuple[Path, Path], tmp_path: Path) -> None:
    text = (made[1] / "Dockerfile").read_text()
    if adapter:
        export_run(adapter_run(tmp_path / "run"), tmp_path / "out", base="my-lab/base")
        text = (tmp_path / "out" / "Dockerfile").read_text()
    entries = [
        json.loads(line.removeprefix("ENTRYPOINT ")) for line in text.splitlines() if "ENTRYPOINT" in line
    ]
    assert [entry[:3] for entry in entries] == [
        ["transformers", "serve", "/model"],
        ["vllm", "serve", "my-lab/base" if adapter else "/model"],
    ]
    assert ("/model=/model" in entries[1]) is adapter
    assert all({"--port", "8000"} <= set(entry) for entry in entries)


# What is no markup stays none ------------------------------------------------------------------------------


def test_what_files_say_is_no_markup(tmp_path: Path) -> None:
    hostile = "no <script>alert(1)</script> | [x](javascript:y) `z` ![p](q) $m$"
    recipe = yaml.safe_load((finished_run(tmp_path / "run") / "recipe.yaml").read_text("utf-8"))
    recipe["tasks"]["grade"]["question"] = "Which?\n```\n# Safe for patients\n<img src=x>"
    recipe["tasks"]["grade"]["modality"] = hostile
    (tmp_path / "run" / "recipe.yaml").write_text(yaml.safe_dump(recipe), "utf-8")
    export_run(tmp_path / "run", tmp_path / "out", name="<b>n</b>")
    text = (tmp_path / "out" / "README.md").read_text("utf-8")
    prose, fence = [], ""
    for line in ModelCard(text).text.splitlines():  # without the head, which is YAML
        ticks = line[: len(line) - len(line.lstrip("`"))]
        if len(ticks) >= 3 and (not fence or line == fence):
            fence = "" if fence else ticks
        elif not fence:
            prose.append(line)
    assert not fence
    page = "\n".join(prose)
    assert "<script" not in page and "<img" not in page and "<b>" not in page
    assert "# Safe for patients" not in page.splitlines() and "# Safe for patients" in text.splitlines()
    assert not re.search(
        r"(?<!\\)\]\(|(?<!\\)[`$].*m|^\s*# Safe", "\n".join(x for x in prose if "javascript" in x)
    )
    assert "no &lt;script&gt;alert(1)&lt;/script&gt; \\| \\[x\\](javascript:y)" in page


# Whole models and adapters ---------------------------------------------------------------------------------


def adapter_run(folder: Path) -> Path:
    """A run whose model is an adapter alone, as model.merge: false leaves it."""
    run = finished_run(folder)
    for name in ("config.json", "model.safetensors", "generation_config.json"):
        (run / "model" / name).unlink()
    adapter = run / "model" / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": str(folder / "secret-base")})
    )
    (adapter / "adapter_model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")
    (adapter / "README.md").write_text(f"base_model: {folder}")
    judge_again(run, grade_report())
    return run


def test_an_adapter_names_its_base_by_the_hub(tmp_path: Path) -> None:
    run = adapter_run(tmp_path / "run")
    export_run(run, tmp_path / "out", base="my-lab/base")
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert config == {"peft_type": "LORA", "base_model_name_or_path": "my-lab/base"}
    assert not (tmp_path / "out" / "config.json").exists()
    card = (tmp_path / "out" / "README.md").read_text()
    assert "an adapter (PEFT) to my-lab/base" in card and "base_model: my-lab/base" in card
    assert "merge the adapter" in card


def test_all_shards_are_copied(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run")
    shard(run / "model")
    judge_again(run, grade_report())
    export_run(run, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").glob("model*")) == [
        "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    ]  # fmt: skip


def shard(model: Path) -> None:
    from safetensors.numpy import load_file, save_file

    weights = load_file(model / "model.safetensors")
    names = sorted(weights)
    halves = (names[::2], names[1::2])
    placed: dict[str, str] = {}
    for number, half in enumerate(halves, start=1):
        file = f"model-{number:05d}-of-00002.safetensors"
        save_file({name: weights[name] for name in half}, model / file)
        placed |= dict.fromkeys(half, file)
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": placed}))
    (model / "model.safetensors").unlink()


# What is refused -------------------------------------------------------------------------------------------


def no_run(run: Path) -> None:
    (run / "recipe.yaml").unlink()


def no_model(run: Path) -> None:
    shutil.rmtree(run / "model")


def unfinished(run: Path) -> None:
    (run / "run.json").write_text(json.dumps({"started": "2026-01-01T00:00:00+00:00", "finished": None}))


def not_judged(run: Path) -> None:
    (run / "evaluation.json").unlink()


def changed(run: Path) -> None:
    (run / "model" / "config.json").write_text((run / "model" / "config.json").read_text() + "\n")


def shard_lost(run: Path) -> None:
    shard(run / "model")
    (run / "model" / "model-00002-of-00002.safetensors").unlink()


def cut(run: Path) -> None:
    file = run / "model" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])


def tells_a_case(run: Path) -> None:
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    recipe["tasks"]["grade"]["question"] = "As in discs/test/7, which grade?"
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))


@pytest.mark.parametrize(
    ("spoil", "settings", "words"),
    [
        (no_run, {}, "holds no recipe.yaml"),
        (no_model, {}, "is not finished"),
        (unfinished, {}, "--resume"),
        (not_judged, {}, "has no evaluation"),
        (changed, {}, "has changed since it was evaluated"),
        (shard_lost, {}, "lacks model-00002-of-00002.safetensors"),
        (cut, {}, "no whole safetensors file"),
        (tells_a_case, {}, "would tell 'discs/test/7'"),
        (None, {"adapter": True}, "trained in full: export it without --adapter"),
        (None, {"base": "just-a-name"}, "is no name on the hub"),
    ],
)
def test_what_is_wrong_is_one_line(spoil: Any, settings: dict[str, Any], words: str, tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run")
    if spoil is not None:
        spoil(run)
    with pytest.raises(UserError) as caught:
        export_run(run, tmp_path / "sub" / "out", **settings)
    line = str(caught.value)
    assert words in line and "\n" not in line and len(line) < 500
    assert not (tmp_path / "sub").exists() or not list((tmp_path / "sub").iterdir())


def test_an_adapter_without_a_known_base_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the embedded model, which others do not have; say .* --base"):
        export_run(adapter_run(tmp_path / "run"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_there_stays(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    done = CliRunner().invoke(app, ["export", str(run), "--to", str(tmp_path / "out")])
    assert done.exit_code == 2 and done.stderr.count("\n") == 1 and "exists already" in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = finished_run(tmp_path / "run")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device", "model.safetensors")

    monkeypatch.setattr("vrft_aug.export.handed_model.shutil.copyfile", full)
    done = CliRunner().invoke(app, ["export", str(run), "--to", str(tmp_path / "out")])
    assert done.exit_code == 2 and "No space left" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_the_default_folder_is_named_after_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finished_run(tmp_path / "grader")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["export", "grader"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "exports" / "grader" / "README.md").is_file()
