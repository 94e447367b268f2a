"""Text from files inside a Markdown page: it stays text, whatever it says."""

from __future__ import annotations

import re

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

_SPECIAL = re.compile(r"([\\`*_\[\]|~$])")
_AT_START = re.compile(r"^(\d*)([#+=.)-])(?=\s|#|-|=|$)")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_LINKS = (
    (re.compile(r"://"), "&#58;//"),
    (re.compile(r"\bwww\.", re.I), "www&#46;"),
    (re.compile("@"), "&#64;"),
)


def as_text(value: object) -> str:
    """A value as one line of Markdown that shows it literally: no markup, HTML, link, mention or formula."""
    if isinstance(value, Markup):
        return str(value)
    text = " ".join(str(value).split())
    text = re.sub("[&<>]", lambda found: _ENTITIES[found[0]], text)
    for pattern, entity in _LINKS:
        text = pattern.sub(entity, text)
    text = _SPECIAL.sub(r"\\\1", text)
    return _AT_START.sub(r"\1\\\2", text)  # no heading, rule or list


def code_block(text: str, language: str = "") -> Markup:
    """A fenced block; the fence is longer than any that the text has."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Markup(f"{fence}{language}\n{text.rstrip()}\n{fence}")


def markdown_templates(folder: str) -> Environment:
    """The Markdown templates of a folder of this package: every value is put through `as_text`."""
    return Environment(
        loader=PackageLoader("vrft_aug", folder),
        autoescape=False,
        finalize=as_text,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
