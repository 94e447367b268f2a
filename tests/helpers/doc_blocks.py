"""The code blocks of the documents: what they hold, and by what it is held to the code.

    PYTHONPATH=src:tests python -m helpers.doc_blocks     # counts those run, checked and skipped, and why

A block that is neither run nor checked has a comment above it that says why: `<!-- not run: REASON -->`.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import textwrap
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typer
import yaml

from helpers.documents import DOCS, ROOT, read, relative
from vrft_aug.cli import app
from vrft_aug.data.settings import DataConfig, reader_config
from vrft_aug.experiments.study.study_file import load_study
from vrft_aug.knowledge.bank import bank_path, parse_bank, read_bank_file
from vrft_aug.reader_study.protocol import load_protocol
from vrft_aug.recipe.file import load_recipe, parse_yaml, shipped_recipes
from vrft_aug.recipe.schema import Recipe
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.recipe.task_config import Injection, TaskConfig

FENCE = re.compile(
    r"(?:<!-- not run: (?P<reason>[^>]+) -->\n\s*)?"
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```",
    re.DOTALL | re.MULTILINE,
)
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
LANGUAGES = ("sh", "yaml", "json", "python", "toml", "text")
# What else a line of a shell block may begin with; `bash -n` is all that it is held by.
OTHERS = (
    "export ",
    ". .venv/bin/activate",
    "cd ",
    "git clone ",
    "docker ",
    "kubectl ",
    "sky ",
    "python ",
    "mkdir ",
)
LAUNCHERS = ("torchrun ", "accelerate launch ", "srun ")
# Commands of ours that tests/test_doc_commands.py only parses, by what they begin with or hold.
PARSED = {
    "vrft demo": "takes minutes; tests/experiments run it short",
    "vrft view": "serves until it is stopped",
    "vrft ui": "serves until it is stopped",
    "vrft readers": "needs what people answered; tests/report run it",
    "vrft traces": "asks a server",
    "--push": "asks a server",
    "vrft judge": "asks a server",
    "vrft knowledge draft": "asks a server",
    "vrft knowledge review": "asks a person",
    "vrft bench": "takes minutes; tests/bench run it short",
    "vrft selftest": "takes a minute; tests/selftest run it",
    "vrft tiny build": "takes an hour",
    "vrft tiny photo": "takes minutes, and public data; tests/tiny run it short",
    "photo-idrid": "needs public data",
    "--endpoint": "asks a server",
    "--processes": "several processes; tests/training run them",
    "--jobs": "trains for hours; tests/experiments run a short study",
    "slake": "needs public data",
    "vqa-rad": "needs public data",
    "idrid-full": "needs public data",
}
BASE = "fundus-demo"  # what pieces of recipes are set into


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, the line on which its text begins, its language and text without indent."""

    page: Path
    line: int
    language: str
    text: str
    reason: str  # why it is neither run nor checked, or ""

    @property
    def name(self) -> str:
        return f"{relative(self.page)}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """The lines of a shell block without comments, those that end in a backslash joined."""
        joined = re.sub(r"\\\n\s*", " ", self.text)
        lines = (re.sub(r"(^|\s)#\s.*$", "", line).strip() for line in joined.splitlines())
        return [line for line in lines if line]


def blocks(page: Path) -> Iterator[Block]:
    text = read(page)
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start("text")) + 1
        body = textwrap.dedent(found["text"])
        yield Block(page, line, found["language"], body, (found["reason"] or "").strip())


def all_blocks() -> list[Block]:
    return [block for page in DOCUMENTS for block in blocks(page)]


# Whether a block is right ----------------------------------------------------------------------------------


def check(block: Block) -> str:
    """What a block was held against; AssertionError or the code's own error where it is wrong."""
    assert block.language in LANGUAGES, f"a block in {block.language or 'no language'}; expected {LANGUAGES}"
    if block.reason:
        return f"skipped: {block.reason}"
    if block.language == "sh":
        return check_shell(block)
    if block.language == "yaml":
        return check_yaml(block.text)
    if block.language == "python":
        ast.parse(block.text)
        return "run"
    if block.language == "json":
        json.loads(block.text)
    if block.language == "toml":
        tomllib.loads(block.text)
    assert block.language != "text", "output that nothing is held against: say why, <!-- not run: REASON -->"
    return "checked"


def check_shell(block: Block) -> str:
    """Bash reads it, and our parser every command of ours: its options, arguments and their types."""
    done = subprocess.run(["bash", "-n"], input=block.text, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    for line in block.commands:
        check_line(line)
    return "checked" if any(map(why_not_run, lines_of(block))) or not lines_of(block) else "run"


def lines_of(block: Block) -> list[str]:
    """The commands of ours in a shell block that stand there to be run; figures are measured by hand."""
    if DOCS / "measured" in block.page.parents:
        return []
    return [line for line in block.commands if line.startswith("vrft ")]


def why_not_run(line: str) -> str | None:
    """Why tests/test_doc_commands.py does not run a command of ours, or None."""
    words = line.split()
    told = (why for key, why in PARSED.items() if line.startswith(f"{key} ") or line == key or key in words)
    return next(told, None)


def check_line(line: str) -> None:
    """A line of a shell block; an error where it is wrong."""
    if line.startswith("vrft "):
        parse_command(ours(line))
    elif line.startswith(LAUNCHERS):
        words = shlex.split(line)
        start = words.index("vrft_aug") if "vrft_aug" in words else words.index("vrft")
        parse_command(words[start + 1 :])
    elif line.startswith("sbatch "):
        script = next(word for word in shlex.split(line)[1:] if not word.startswith("-"))
        assert (ROOT / script).is_file(), script
    elif line.startswith("make "):
        targets = re.findall(r"^([a-z-]+):", read(ROOT / "Makefile"), flags=re.MULTILINE)
        assert line.split()[1] in targets, line
    elif line.startswith("pip install "):
        known = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]["optional-dependencies"]
        for extras in re.findall(r"\[([\w,.-]+)\]", line):
            assert set(extras.split(",")) <= set(known), line
    else:
        assert line.startswith(OTHERS), f"{line}: what is this held against?"


def ours(line: str) -> list[str]:
    """The words after `vrft`, without what the shell takes for itself."""
    return shlex.split(re.split(r"\s[>|&]|;", line)[0])[1:]


def parse_command(words: list[str]) -> str:
    """The name of the command that our parser takes these words for; click's error where it does not."""
    command: Any = typer.main.get_command(app)
    names: list[str] = []
    while hasattr(command, "commands"):
        while words and words[0] == "--debug":
            words = words[1:]
        if words[:1] == ["--version"]:
            return ""
        assert words and words[0] in command.commands, f"no command {' '.join([*names, *words[:1]])}"
        names.append(words[0])
        command, words = command.commands[words[0]], words[1:]
    if "--help" not in words:
        command.make_context(" ".join(names), list(words))
    return " ".join(names)


def check_yaml(text: str) -> str:
    """A recipe or a piece of one, a study, a bank or a piece of one: read by what reads it in use."""
    content = parse_yaml(text, "a block")
    if isinstance(content, list):
        content = {"stages": content}
    assert isinstance(content, dict), "neither a mapping nor a list"
    keys = set(content)
    if "factors" in keys:
        return _in_a_file(text, load_study)
    if "readers" in keys:
        return _in_a_file(text, load_protocol)
    if "findings" in keys or "classes" in keys:
        parse_bank(Path("a block"), content)
    elif "reader" in keys:
        reader_config(content["reader"]).model_validate(content)
    elif "kind" in keys:
        TaskConfig.model_validate(content)
    elif keys == {"injection"}:
        Injection.model_validate(content["injection"])
    elif keys <= set(Recipe.model_fields) | set(StageConfig.model_fields):
        check_recipe(content)
    elif keys == {"data"}:
        check_recipe({"tasks": {"grade": {"data": content["data"]}}}) if "table" in content["data"] else (
            check_data_piece(content["data"])
        )
    elif all(isinstance(value, dict) and "definition" in value for value in content.values()):
        check_bank_piece(content)
    else:
        raise AssertionError(f"no file of ours has {sorted(map(str, keys))}")
    return "checked"


def check_data_piece(content: dict[str, Any]) -> None:
    """Settings of a reader without those that it needs."""
    config: type[DataConfig] = reader_config(content["reader"])
    unknown = set(content) - set(config.model_fields)
    assert unknown == set(), f"reader {content['reader']} has no {unknown}"


def check_bank_piece(content: dict[str, Any]) -> None:
    """Classes of a bank, beside the findings of the shipped bank that has most of theirs."""
    bank = read_bank_file(bank_path("idrid"))
    parse_bank(Path("a block"), {**bank, "reviewed": False, "classes": {**bank["classes"], **content}})


def check_recipe(piece: dict[str, Any]) -> None:
    """A recipe, or a piece set into the shipped BASE: loaded as a file by what loads recipes."""
    whole = yaml.safe_load(shipped_recipes()[BASE].read_text("utf-8"))
    in_stage = {
        key: value for key, value in piece.items() if key in set(StageConfig.model_fields) - {"model"}
    }
    on_top = {key: value for key, value in piece.items() if key not in in_stage}
    if in_stage:
        on_top["stages"] = [*on_top.get("stages", ()), {"name": "grade", **in_stage}]
    if {"tasks", "stages", "evaluation"} <= set(on_top):
        whole = {"name": "whole"}
    elif "tasks" in on_top and "stages" not in on_top:  # a recipe of other tasks: without the stages of these
        first = next(iter(on_top["tasks"]))
        whole = {"name": "piece", "model": whole["model"], "evaluation": {"task": first}}
    stages = {stage["name"]: stage for stage in whole.get("stages", ())}
    for stage in on_top.pop("stages", ()):
        stages[stage["name"]] = {**stages.get(stage["name"], {}), **stage}
    for key, value in on_top.items():
        both = isinstance(value, dict) and isinstance(whole.get(key), dict)
        whole[key] = {**whole[key], **value} if both else value
    whole["stages"] = list(stages.values())
    _in_a_file(yaml.safe_dump(whole, allow_unicode=True), load_recipe)


def _in_a_file(text: str, load: Any) -> str:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "block.yaml"
        path.write_text(text, "utf-8")
        load(str(path))
    return "checked"


if __name__ == "__main__":
    held = [(block, check(block)) for block in all_blocks()]
    for (language, how), number in sorted(
        Counter((b.language, h.partition(":")[0]) for b, h in held).items()
    ):
        print(f"{number:4d} {language:6s} {how}")
    lines = [line for block, _ in held if block.language == "sh" for line in lines_of(block)]
    print(f"{len(lines)} commands: {sum(why_not_run(line) is None for line in lines)} run; parsed alone:")
    for why, number in Counter(filter(None, map(why_not_run, lines))).most_common():
        print(f"{number:4d} {why}")
    for block, how in held:
        if how.startswith("skipped"):
            print(f"{block.name}: {how}")
