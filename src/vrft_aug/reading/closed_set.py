"""One label or a set of them, read leniently: whole labels only, never one of two, never a negated one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache

from vrft_aug.labels import LABEL_SEPARATORS, MAX_CHARACTERS, NO_LABEL, Synonyms, label_keys
from vrft_aug.nouns import FailureReason
from vrft_aug.reading.characters import comparable, forms, is_question
from vrft_aug.reading.wrappers import layers

NONE_OF_THEM = (NO_LABEL, "none of these", "none of them", "none of the above")
_BULLET = re.compile(r"^\s*(?:[-*+•]|\d{1,2}[.)])\s+", re.MULTILINE)
_AND = re.compile(r"\s+(?:and|&)\s+|\s*及\s*|\s*和\s*", re.IGNORECASE)
_CJK_SEPARATORS = str.maketrans({"、": ",", "，": ",", "；": ";"})


@lru_cache(maxsize=65_536)
def read_label(
    text: str, labels: tuple[str, ...], synonyms: Synonyms = ()
) -> tuple[str | None, FailureReason | None]:
    """The label that the text is, without its wrappers, or why it is none: exactly one of the two is None.

    Two labels as whole words are "ambiguous"; all else that is not one label, also a negated or a hedged
    one, is "unknown label".
    """
    names = label_names(labels, synonyms)
    if is_question(text) and not any("?" in label for label in labels):
        return None, "unknown label"
    for layer in layers(text):
        for form in forms(layer):
            if form in names:
                return names[form], None
    named = {label for form in forms(text) for label in _named(form, names)}
    return None, "ambiguous" if len(named) > 1 else "unknown label"


@lru_cache(maxsize=4_096)
def label_names(labels: tuple[str, ...], synonyms: Synonyms = ()) -> Mapping[str, str]:
    """Every form of a label or synonym -> the label; a form that two labels share is neither's.

    Raises UserError as `label_keys` does.
    """
    exact = label_keys(labels, synonyms)
    names: dict[str, str] = {}
    shared: set[str] = set()
    for written, label in ((form, label) for name, label in exact.items() for form in forms(name)):
        if names.setdefault(written, label) != label:
            shared.add(written)
    return {form: label for form, label in names.items() if form not in shared} | dict(exact)


def read_labels(
    text: str, labels: tuple[str, ...], synonyms: Synonyms = ()
) -> tuple[frozenset[str] | None, FailureReason | None]:
    """The set of labels that a list names, or why it names none: exactly one of the two is None.

    Items stand between commas, semicolons, "and", or on lines of their own, with bullets or numbers, in any
    brackets or in JSON; "none" alone is the empty set. What spoils a list is as in `labels.match_labels`.
    """
    if len(text) > MAX_CHARACTERS:
        return None, "malformed"
    reason: FailureReason | None = None
    for layer in layers(text.translate(_CJK_SEPARATORS)):
        found, why = _set_of(layer, labels, synonyms)
        if found is not None:
            return found, None
        reason = reason or why
    return None, reason


def _set_of(
    text: str, labels: tuple[str, ...], synonyms: Synonyms
) -> tuple[frozenset[str] | None, FailureReason | None]:
    items = _items(text, labels, synonyms)
    if items is None or len(items) > len(labels):
        return None, "malformed"
    if items == [] or (len(items) == 1 and comparable(items[0]) in NONE_OF_THEM):
        return frozenset(), None
    found: set[str] = set()
    for item in items:
        label, reason = read_label(item, labels, synonyms)
        if label is None:
            return None, "malformed" if comparable(item) in NONE_OF_THEM else reason
        if label in found:
            return None, "malformed"
        found.add(label)
    return frozenset(found), None


def _items(text: str, labels: tuple[str, ...], synonyms: Synonyms) -> list[str] | None:
    """The items of a list as it is written; None where one is blank or no text."""
    text = text.strip()
    if text.startswith("[") or (text[:1] in "({" and text[-1:] in ")}"):
        try:
            listed = json.loads(text)
        except (ValueError, RecursionError):
            listed = None
        if listed is not None:
            texts = isinstance(listed, list) and all(isinstance(item, str) for item in listed)
            return listed if texts and all(map(comparable, listed)) else None
        if any(mark in text[1:-1] for mark in "[]{}"):
            return None  # lists in lists, or beside each other
        if text[-1] in "])}":
            text = text[1:-1]
            if not text.strip():
                return []
    if read_label(text, labels, synonyms)[0] is not None:
        return [text]
    lines = _BULLET.sub("", text)
    items: list[str] = []
    for item in re.split(f"[{LABEL_SEPARATORS}\n]", lines):
        item = re.sub(r"^\s*(?:and|&)\s+", "", item, flags=re.IGNORECASE)
        whole = read_label(item, labels, synonyms)[0] is not None
        items += [item] if whole else _AND.split(item)
    return items if all(map(comparable, items)) else None


def _named(text: str, names: Mapping[str, str]) -> set[str]:
    """The labels whose names stand in a comparable text as whole words; of a longer name no part counts."""
    found = set()
    for name in sorted((name for name in names if name in text), key=len, reverse=True):
        start = 0
        while (at := text.find(name, start)) >= 0:
            end = at + len(name)
            if not (at and _is_word(text[at - 1])) and not (end < len(text) and _is_word(text[end])):
                found.add(names[name])
                text = f"{text[:at]}\n{text[end:]}"
                end = at + 1
            start = end
    return found


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"
