"""What `import vrft_aug` offers: exactly these names, each explained, and none imported before it is used."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

import vrft_aug

MEMBERS = [
    "Answer", "Box", "Case", "DataConfig", "Family", "FileImage", "ImageRef", "KnowledgeBank", "Prompt",
    "Report", "Rollout", "Score", "Target", "Task", "Tightening", "UserError", "case_metric",
]  # fmt: skip
# Words without which a docstring has not said which pixels, shapes, ranges or errors it means.
SAYS = {
    "Answer": ["original", "exactly one of the two is None"],
    "Box": ["pixels", "x1 <= x < x2"],
    "Case": ["unique", "patient"],
    "Family": ["(axes, U, P)", "ValueError"],
    "ImageRef": ["picklable"],
    "Report": ["(classes, classes + 1)"],
    "Rollout": ["tokens"],
    "Score": ["None: it does not apply"],
    "Target": ["pixels of the original image", "not annotated"],
    "Tightening": ["above 0 and at most 1"],
    "UserError": ["exits with 2"],
    "case_metric": ["between 0 and 1"],
}


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout.strip()


def test_these_are_the_members() -> None:
    assert vrft_aug.__all__ == MEMBERS
    assert set(MEMBERS) <= set(dir(vrft_aug))
    assert not hasattr(vrft_aug, "Caes")


def test_type_checkers_see_what_is_imported() -> None:
    tree = ast.parse(Path(vrft_aug.__file__).read_text(encoding="utf-8"))
    seen = {
        node.module: tuple(alias.name for alias in node.names)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("vrft_aug.")
    }
    assert seen == vars(vrft_aug)["_HOMES"]
    assert sorted(name for names in seen.values() for name in names) == MEMBERS


@pytest.mark.parametrize("name", MEMBERS)
def test_every_member_and_its_fields_are_explained(name: str) -> None:
    member = getattr(vrft_aug, name)
    text = inspect.getdoc(member) or ""
    fields: list[str] = []
    if dataclasses.is_dataclass(member):
        fields = [field.name for field in dataclasses.fields(member)]
    elif inspect.isclass(member) and issubclass(member, BaseModel):
        fields = list(member.model_fields)
    elif inspect.isfunction(member):
        fields = list(inspect.signature(member).parameters)
    assert text.splitlines()[0].endswith((".", ":", ";")), "the first line is a sentence"
    assert [field for field in fields if not re.search(rf"^    {field}: ", text, re.MULTILINE)] == []
    assert [words for words in SAYS.get(name, []) if words not in " ".join(text.split())] == []
    for public, method in inspect.getmembers(member, inspect.isfunction):
        if not public.startswith("_") and method.__module__.startswith("vrft_aug"):
            assert method.__doc__, f"{name}.{public}"


def test_importing_it_imports_nothing_else() -> None:
    loaded = "import sys; before = set(sys.modules); import vrft_aug; print(set(sys.modules) - before)"
    new = {name.split(".")[0] for name in ast.literal_eval(run(loaded))}
    assert new - sys.stdlib_module_names == {"vrft_aug"}


def test_what_needs_no_model_needs_no_torch() -> None:
    names = [name for name in MEMBERS if name != "Family"]
    code = (
        f"import sys, vrft_aug\nfor name in {names!r}: getattr(vrft_aug, name)\nprint('torch' in sys.modules)"
    )
    assert run(code) == "False"


def test_python_m_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vrft_aug", "--version"], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, f"vrft-aug {vrft_aug.__version__}")
