"""What documents, comments and settings name: links, paths, modules, commands; and whether it exists."""

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import typer

from vrft_aug.cli import app

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "vrft_aug"
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / ".github").rglob("*.md")])
CODE = sorted(path for folder in ("src", "tests", "scripts") for path in (ROOT / folder).rglob("*.py"))
SETTINGS = sorted(  # what else tells of paths and modules
    path
    for path in (
        *PACKAGE.rglob("*.yaml"), *PACKAGE.rglob("*.html"), *(ROOT / ".github").rglob("*.yml"),
        ROOT / "Makefile", ROOT / "pyproject.toml", ROOT / ".ci" / "run", ROOT / ".pre-commit-config.yaml",
    )
    if path.is_file()
)  # fmt: skip
# The first part of what looks like a path of ours and is the reader's own, or none at all.
THEIRS = ("~", ".venv", "site", "runs", "mine", "idrid", "models", "thresholds", "utils.py")
RUN_FOLDER = ("model/", "checkpoints/")
METRICS = ("dynamic_sampling/", "monitor/", "rewards/", "failures/", "look/")  # prefixes of their names
SUFFIXES = (".py", ".md", ".yaml", ".yml", ".html", ".txt", ".toml", ".png")
PATH = re.compile(r"(?<![\w/.:@~${}<>*-])[\w.~-]+(?:/[\w.-]+)*/?(?![\w{}<*])")
BLOCK = re.compile(r"```.*?\n(.*?)```", flags=re.DOTALL)


def relative(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def read(page: Path) -> str:
    return page.read_text("utf-8")


# Links ----------------------------------------------------------------------------------------------------


def headings(page: Path) -> set[str]:
    """The anchors that a forge gives to the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", BLOCK.sub("", read(page)), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page: Path) -> Iterator[str]:
    yield from re.findall(r"\]\(([^()\s]+)\)", read(page))


def broken_link(page: Path, target: str) -> str | None:
    """What is wrong with a link, or None; addresses of the web are not opened."""
    if re.match(r"[a-z]+:", target):
        return None
    name, _, anchor = target.partition("#")
    file = (page.parent / name).resolve() if name else page
    if not file.exists():
        return f"{relative(page)} links to {target}, which does not exist"
    if anchor and anchor not in headings(file):
        return f"{relative(page)} links to {target}; {file.name} has no such heading"
    return None


# Paths ----------------------------------------------------------------------------------------------------


def paths(text: str) -> Iterator[str]:
    """What a text names as a file or folder of ours: with a folder, or a Python file. Links are left out."""
    for found in PATH.findall(re.sub(r"\]\([^()\s]+\)|https?:\S+", " ", text)):
        name = found.rstrip(".")
        if name.split("/")[0] in THEIRS or name in RUN_FOLDER or name.startswith(METRICS):
            continue
        if name.endswith(".py") or ("/" in name and name.endswith((*SUFFIXES, "/"))):
            yield name


@cache
def places() -> tuple[Path, ...]:
    """Where a path may begin: the repository, its documents and tests, the package, any folder in it."""
    return (ROOT, DOCS, ROOT / "tests", PACKAGE, *(path for path in PACKAGE.rglob("*") if path.is_dir()))


@cache
def is_there(name: str) -> bool:
    return any((place / name).exists() for place in places())


def comments(path: Path) -> str:
    """The docstrings and comments of a Python file."""
    source = read(path)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, documented)]
    return "\n".join([*(ast.get_docstring(node) or "" for node in nodes), *re.findall(r"# .*", source)])


# Modules --------------------------------------------------------------------------------------------------


@cache
def module_file(name: str) -> Path | None:
    base = PACKAGE.parent / Path(*name.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@cache
def defined(module: str) -> frozenset[str]:
    """The names at the top level of a module, imported ones included."""
    file = module_file(module)
    assert file is not None
    names: set[str] = set()
    for node in ast.parse(read(file)).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name) for alias in node.names}
        else:
            found = (part for part in ast.walk(node) if isinstance(part, ast.Name))
            names |= {name.id for name in found if isinstance(name.ctx, ast.Store)}
    return frozenset(names)


def unknown_module(name: str) -> str | None:
    """What of a dotted name below `vrft_aug` does not exist, or None; further parts are attributes."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        module = ".".join(parts[:end])
        if module_file(module) is None:
            continue
        if end == len(parts) or parts[end] in defined(module):
            return None
        if end == 1 and hasattr(importlib.import_module(module), parts[1]):  # the public face is lazy
            return None
        return f"{module} has no {parts[end]!r}"
    return f"no module {name!r}"


# Commands -------------------------------------------------------------------------------------------------


def commands(text: str) -> Iterator[str]:
    """Every `vrft ...` in a code span or at the start of a line of a code block; comments are cut off."""
    for block in BLOCK.findall(text):
        yield from re.findall(r"^(vrft .*?)(?:\s+#.*)?$", block, flags=re.MULTILINE)
    yield from (" ".join(span.split()) for span in re.findall(r"`(vrft [^`]*)`", BLOCK.sub("", text)))


def wrong_command(line: str) -> str | None:
    """The command or options of a line that do not exist, or None. Arguments are not looked at."""
    command: Any = typer.main.get_command(app)
    words = line.split()[1:]
    while words and hasattr(command, "commands"):
        if words[0].startswith(("-", "...", "COMMAND")):  # of all commands
            break
        if words[0] not in command.commands:
            return f"{line}: no command {words[0]!r}"
        command = command.commands[words.pop(0)]
    known = {name for option in command.params for name in option.opts + option.secondary_opts} | {"--help"}
    unknown = [word for word in words if re.match(r"--?[a-z]", word) and word.split("=")[0] not in known]
    return f"{line}: no option {', '.join(unknown)}" if unknown else None
