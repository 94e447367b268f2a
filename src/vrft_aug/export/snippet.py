"""What others type to ask the model: with plain transformers, and to a server."""

from __future__ import annotations

import json
from typing import Any

from vrft_aug.export.example_prompt import ExamplePrompt

SNIPPET = """\
import re

from transformers import pipeline

MODEL = "."  # this folder, or the name of this repository
ask = pipeline("image-text-to-text", model=MODEL, dtype={dtype})
messages = {messages}
(said,) = ask(text=messages, return_full_text=False)
print(said["generated_text"])
found = re.search({answer}, said["generated_text"], re.DOTALL)
print("answer:", found[1] if found else None)"""


def python_snippet(prompt: ExamplePrompt, dtype: str) -> str:
    """A script that answers about picture.png in the working folder, by plain transformers."""
    answer = "r" + json.dumps(prompt.answer) if "\\" not in json.dumps(prompt.answer) else _raw(prompt.answer)
    return SNIPPET.format(dtype=json.dumps(dtype), messages=_literal(prompt.messages()), answer=answer)


def prompt_file(prompt: ExamplePrompt) -> dict[str, Any]:
    """The same for programs: prompt.json."""
    return {
        "messages": prompt.messages(),
        "answer_pattern": prompt.answer,
        "labels": list(prompt.labels),
        "boxes": prompt.space or None,
        "max_new_tokens": prompt.max_new_tokens,
    }


def _raw(pattern: str) -> str:
    """A raw string of Python; no pattern of ours holds a quote."""
    return f'r"{pattern}"'


def _literal(value: Any, indent: str = "") -> str:
    """Lists, dictionaries and texts as Python writes them, one part of a message a line."""
    inner = indent + "    "
    if isinstance(value, list):
        parts = "".join(f"{inner}{_literal(one, inner)},\n" for one in value)
        return f"[\n{parts}{indent}]"
    if isinstance(value, dict) and any(isinstance(one, list) for one in value.values()):
        parts = "".join(f"{inner}{_text(key)}: {_literal(one, inner)},\n" for key, one in value.items())
        return f"{{\n{parts}{indent}}}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(key)}: {_literal(one)}" for key, one in value.items()) + "}"
    return _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
