"""Imports go down: the rooms in their order, who may import which library, no cycles, and names told once.

Imports inside functions count like all others. A failure is a sentence that says where the thing should live.
"""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "vrft_aug"
# From the ground up: a file imports from its own room and from those above it in this list, never from below.
ROOMS = (
    "nouns", "errors", "processes", "files", "labels", "reading", "plugins", "page_templates",
    "data", "recipe", "perception", "answer", "knowledge", "shaping", "imitation", "prompt", "scorer",
    "run", "tasks", "policy", "training", "evaluation", "drafting", "preview",
    "bench", "tiny", "reader_study", "report", "export", "view", "experiments", "selftest", "cli",
)  # fmt: skip
SIBLINGS = {frozenset({"training", "evaluation"})}  # never import each other
ENTRANCES = ("__init__", "__main__")  # the public face and the command: they may import everything
# Libraries that are slow to import, or whose private parts we lean on: who may.
LIBRARIES = {
    "torch": {"policy", "training", "bench", "tiny", "selftest"},
    "torchvision": {"policy", "tiny"},
    "transformers": {"policy", "training", "bench", "tiny", "selftest"},
    "trl": {"training", "bench"},
    "peft": {"policy", "training", "selftest"},
    "accelerate": {"policy", "training"},
    "datasets": {"data", "policy", "training", "bench"},
    "timm": {"tiny"},
    "openai": {"policy"},
    "vllm": {"training"},
    "matplotlib": {"report"},
    "starlette": {"view"},
    "uvicorn": {"view"},
    "gradio": {"view"},
    "typer": {"cli"},
}
EXCEPTIONS: set[tuple[str, str]] = set()  # (file, what it imports) against the rules; empty, and to stay so
TOP_LEVEL_FILES = 12
SHARED_STEMS = {"__init__", "settings"}  # by convention


@dataclass(frozen=True)
class Import:
    """One import statement: a file of ours, what it names, and where."""

    file: Path  # below PACKAGE
    target: str  # dotted
    line: int

    @property
    def room(self) -> str:
        return room_of(self.file)

    def __str__(self) -> str:
        return f"src/vrft_aug/{self.file.as_posix()}:{self.line} imports {self.target}"


def room_of(file: Path) -> str:
    """The first folder, or the file itself at the top level."""
    return file.parts[0] if len(file.parts) > 1 else file.stem


def modules() -> dict[str, Path]:
    """Dotted name -> file below PACKAGE."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        file = path.relative_to(PACKAGE)
        parts = ("vrft_aug", *file.with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


MODULES = modules()


def imports_of(file: Path, source: str) -> Iterator[Import]:
    """Every import of a file, wherever in it; `from package import module` names the module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Import(file, alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} imports relatively; write the whole name"
            assert node.module is not None
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield Import(file, whole if whole in MODULES else node.module, node.lineno)


ALL = [one for file in MODULES.values() for one in imports_of(file, (PACKAGE / file).read_text("utf-8"))]


def wrong_direction(one: Import) -> str | None:
    """Why an import of ours goes against the order, or None."""
    if not one.target.startswith("vrft_aug.") or one.room in ENTRANCES:
        return None
    theirs = one.target.split(".")[1]
    for room in (one.room, theirs):
        if room not in ROOMS:
            return f"{one}: room {room!r} is not in ROOMS; give it a place in the order"
    if frozenset({one.room, theirs}) in SIBLINGS and one.room != theirs:
        return f"{one}: {one.room} and {theirs} are siblings; what both need lives below, in policy or tasks"
    if ROOMS.index(theirs) > ROOMS.index(one.room):
        return (
            f"{one}: {theirs} lies above {one.room}; move what is needed down into {one.room} or lower, or "
            f"move the caller up into {theirs}"
        )
    return None


def wrong_library(one: Import) -> str | None:
    """Why a library may not be imported here, or None."""
    library = one.target.split(".")[0]
    allowed = LIBRARIES.get(library)
    if allowed is None or one.room in allowed:
        return None
    return f"{one}: only {', '.join(sorted(allowed))} may import {library}; ask one of them for it"


@pytest.mark.parametrize("rule", [wrong_direction, wrong_library])
def test_imports_keep_the_rules(rule: Callable[[Import], str | None]) -> None:
    broken = {(one.file.as_posix(), one.target): sentence for one in ALL if (sentence := rule(one))}
    assert not [sentence for key, sentence in broken.items() if key not in EXCEPTIONS]


def test_there_are_no_exceptions_and_no_idle_rooms() -> None:
    assert not EXCEPTIONS
    assert set(ROOMS) == {room_of(file) for file in MODULES.values()} - set(ENTRANCES)


def test_no_imports_in_a_circle() -> None:
    graph: dict[str, set[str]] = {name: set() for name in MODULES}
    names = {file: name for name, file in MODULES.items()}
    for one in ALL:
        if one.target in MODULES and names[one.file] != one.target:
            graph[names[one.file]].add(one.target)
    graph["vrft_aug"].clear()  # the public face imports lazily, by name
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(
            f"these import each other in a circle: {' -> '.join(error.args[1])}; move the shared part down"
        )


def test_the_rules_can_fail() -> None:
    """An import against each rule is found, also inside a function, and the sentence says what to do."""
    source = "def late():\n    from vrft_aug.training import stage\n    import torch\n"
    bad = list(imports_of(Path("data/cases.py"), source))
    assert [wrong_direction(one) is None for one in bad] == [False, True]
    assert "training lies above data" in str(wrong_direction(bad[0]))
    assert wrong_library(bad[1]) == (
        "src/vrft_aug/data/cases.py:3 imports torch: only bench, policy, selftest, tiny, training may import "
        "torch; ask one of them for it"
    )
    (sibling,) = imports_of(Path("training/grpo.py"), "from vrft_aug.evaluation.tables import format_table\n")
    assert "siblings" in str(wrong_direction(sibling))


def test_few_files_at_the_top_and_no_name_twice() -> None:
    top = [path.name for path in PACKAGE.glob("*.py")]
    assert len(top) <= TOP_LEVEL_FILES, f"{len(top)} files at the top level: {top}; give one a room"
    stems = Counter(file.stem for file in MODULES.values() if file.stem not in SHARED_STEMS)
    twice = {stem: [str(f) for f in MODULES.values() if f.stem == stem] for stem, n in stems.items() if n > 1}
    assert not twice, f"a file is found by its name alone; rename one of each: {twice}"


def test_what_needs_no_model_loads_no_torch() -> None:
    """`vrft check`, `score` and `data` start fast because nothing below `policy` pulls torch in."""
    free = [
        name
        for name, file in MODULES.items()
        if room_of(file) in ROOMS[: ROOMS.index("policy")] or room_of(file) in ("preview", "report")
    ]
    code = f"import sys\nfor name in {free!r}: __import__(name)\nprint('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "False"


def test_the_tree_is_the_first_line_of_each_rooms_docstring() -> None:
    """One truth for what a room holds: the page of the tree says what the rooms say of themselves."""
    page = (ROOT / "docs" / "concepts" / "tree.md").read_text("utf-8")
    block = page.split("```text\nsrc/vrft_aug/\n")[1].split("```")[0]
    listed: dict[str, str] = {}
    for line in block.splitlines():
        if match := re.match(r"  (\S+)\s{2,}(.*)", line):
            listed[last := match[1]] = match[2]
        elif line.strip():
            listed[last] += f" {line.strip()}"
    said = {}
    for room in sorted({room_of(file) for file in MODULES.values()} - set(ENTRANCES)):
        path = PACKAGE / room / "__init__.py"
        name = f"{room}/" if path.is_file() else f"{room}.py"
        doc = ast.get_docstring(ast.parse((path if path.is_file() else PACKAGE / name).read_text("utf-8")))
        assert doc, f"src/vrft_aug/{name} does not say what it holds"
        said[name] = " ".join(doc.split("\n\n")[0].split()).rstrip(".")
    assert listed == said


def test_every_file_says_what_it_holds_and_none_is_too_long() -> None:
    for file in MODULES.values():
        source = (PACKAGE / file).read_text("utf-8")
        assert ast.get_docstring(ast.parse(source)), f"{file} has no docstring"
        lines = source.count("\n")
        assert lines <= 400, f"{file} has {lines} lines; past 400 a file is split"
