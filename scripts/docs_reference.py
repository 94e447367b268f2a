"""The pages of the site that are made of the code alone: commands, reward terms, metrics, the public names.

`scripts/docs_site.py` puts them beside the pages of docs/; they are nowhere committed, so that they cannot
be behind the code. Docstrings are set in place by mkdocstrings where a line begins with `:::`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import typer

import vrft_aug
from vrft_aug.cli import app
from vrft_aug.evaluation.meanings import MEANINGS
from vrft_aug.evaluation.metrics.case_metrics import METRICS
from vrft_aug.plugins import load_function
from vrft_aug.scorer import SUPPLIED, TERMS

BARE = "    options: {show_root_heading: false, show_root_toc_entry: false, heading_level: 3}\n"


def commands_page() -> str:
    """Every command with its arguments and options, in the words of its `--help`."""
    head = "# Every command\n\nWhat `vrft COMMAND --help` says, made of it.\n"
    command: Any = typer.main.get_command(app)
    return "\n".join([head, *_command(command, ["vrft"])])


def _command(command: Any, path: list[str]) -> list[str]:
    context = command.make_context(path[-1], [], resilient_parsing=True)
    context.info_name = " ".join(path)
    usage = " ".join([context.info_name, *command.collect_usage_pieces(context)])
    lines = [f"## {context.info_name}\n", f"{_paragraphs(command.help)}\n", f"```text\n{usage}\n```\n"]
    rows = [row for one in command.get_params(context) if (row := _row(one, context))]
    if rows:
        lines += ["| argument or option | meaning |", "|---|---|", *rows, ""]
    for name, inner in getattr(command, "commands", {}).items():
        lines += _command(inner, [*path, name])
    return lines


def _row(one: Any, context: Any) -> str | None:
    if "--help" in one.opts or getattr(one, "hidden", False):
        return None
    record = one.get_help_record(context)
    name, told = record or (one.make_metavar(context), getattr(one, "help", "") or "")
    return f"| `{_cell(name)}` | {_text(_cell(told))} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _text(text: str) -> str:
    """Help is plain text: what Markdown would take for its own is told to stay as it is."""
    return re.sub(r"([*_`])", r"\\\1", text.replace("<", "&lt;"))


def _paragraphs(text: str | None) -> str:
    """Help as click shows it: a block after a line with \\b alone keeps its lines."""
    parts = []
    for part in inspect.cleandoc(text or "").split("\n\n"):
        if part.startswith("\b\n"):
            parts.append(f"```text\n{part.removeprefix(chr(8) + chr(10))}\n```")
        else:
            parts.append(_text(" ".join(part.split())))
    return "\n\n".join(parts)


def terms_page() -> str:
    """Every reward term by its docstring."""
    lines = [
        "# Reward terms, from the code\n",
        "Each is a function of the package; its settings are the arguments that are not supplied. What they",
        "are for, side by side, is in [rewards](rewards.md).\n",
    ]
    for name, term in TERMS.items():
        kinds = ", ".join(term.kinds) if term.kinds else "all"
        lines += [f"## {name}\n", f"Tasks: {kinds}. {_settings(term.function)}\n", _docstring(term.function)]
    return "\n".join(lines)


def _settings(function: Callable[..., Any]) -> str:
    names = [f"`{name}`" for name in inspect.signature(function).parameters if name not in SUPPLIED]
    return f"Settings: {', '.join(names)}." if names else "It has no settings."


def _docstring(function: Callable[..., Any]) -> str:
    return f"::: {function.__module__}.{function.__qualname__}\n{BARE}"


def metrics_page() -> str:
    """Every figure of an evaluation with how it is read, and the metrics that a recipe may name."""
    lines = ["# Figures of an evaluation, from the code\n"]
    lines += ["When each is undefined, and what it was tested against, is in [metrics](metrics.md).\n"]
    lines += ["| name | called | is | better |", "|---|---|---|---|"]
    better = {1: "higher", -1: "lower", 0: "neither"}
    lines += [
        f"| `{name}` | {_cell(meaning.title)} | {_cell(meaning.note)} | {better[meaning.better]} |"
        for name, meaning in MEANINGS.items()
    ]
    lines.append("\nA recipe may name further ones, `evaluation.metrics: [NAME]`:\n")
    for name, place in METRICS.items():
        lines += [f"## {name}\n", _docstring(load_function(place))]
    return "\n".join(lines)


def public_page() -> str:
    """What `import vrft_aug` offers, by its docstrings."""
    lines = ["# Python: what other packages build on\n", f"{inspect.cleandoc(vrft_aug.__doc__ or '')}\n"]
    for name in vrft_aug.__all__:
        home = getattr(vrft_aug, name).__module__
        lines.append(f"::: {home}.{name}\n    options: {{heading_level: 2}}\n")
    return "\n".join(lines)


PAGES = {
    "Every command": ("reference/commands.md", commands_page),
    "Reward terms, from the code": ("reference/terms.md", terms_page),
    "Figures, from the code": ("reference/figures.md", metrics_page),
    "Python": ("reference/python.md", public_page),
}
