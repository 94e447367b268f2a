"""When an answer is a label: whole normalised strings against the closed set, never parts of strings."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from vrft_aug.errors import UserError
from vrft_aug.nouns import FailureReason

# Quotes, brackets, markdown and sentence punctuation. Not + and -, which tell labels apart ("HER2-").
_EDGES = " \"'`´“”‘’„«»*_#~.,;:!?()[]{}<>"
_BULLET = "- "
MAX_CHARACTERS = 8_192  # of a list of labels, far above honest answers
LABEL_SEPARATORS = ",;"  # between the labels of a multilabel answer, as a new line is
NO_LABEL = "none"  # what a multilabel answer says where no label is true


def normalise(text: str) -> str:
    """The text as it is compared: NFKC, casefolded, spaces collapsed, punctuation around it stripped.

    Full-width and other compatibility forms of a letter become the letter (NFKC); a letter of another
    script that only looks alike stays what it is, and so do invisible characters. A text of nothing but
    punctuation is left as it is. Idempotent.
    """
    if text.isascii():  # what NFKC leaves as it is
        folded = text.lower()
    else:
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    text = " ".join(folded.split())
    while (shorter := text.strip(_EDGES).removeprefix(_BULLET)) not in ("", text):
        text = shorter
    return text


Synonyms = tuple[tuple[str, str], ...]  # (another name, what it stands for)


@lru_cache(maxsize=256)
def label_keys(labels: tuple[str, ...], synonyms: Synonyms = ()) -> Mapping[str, str]:
    """Normalised form -> label, in the order of the labels, then of the synonyms.

    Raises UserError where two labels have the same normalised form, or one has none, and where a synonym
    is another label or stands for two.
    """
    keys: dict[str, str] = {}
    for label in labels:
        key = normalise(label)
        if not key:
            raise UserError(f"label {label!r} of {list(labels)} is blank; expected a word")
        if key in keys:
            raise UserError(
                f"labels {keys[key]!r} and {label!r} cannot be told apart (both are read as {key!r}); "
                "rename one of them"
            )
        keys[key] = label
    for synonym, label in synonyms:
        key = normalise(synonym)
        if keys.get(key, label) != label:
            raise UserError(f"synonym {synonym!r} of {label!r} also means {keys[key]!r}; remove one of them")
        keys[key] = label
    return MappingProxyType(keys)


def match_label(
    text: str, labels: tuple[str, ...], synonyms: Synonyms = ()
) -> tuple[str | None, FailureReason | None]:
    """The label that the text is or is a synonym of, or why it is none: exactly one of the two is None.

    Two or more labels as whole words are "ambiguous"; anything else that is not a label, also a sentence
    around one label ("not mild", "the answer is mild"), is "unknown label".
    """
    text = normalise(text)
    keys = label_keys(labels, synonyms)
    if text in keys:
        return keys[text], None
    named = {keys[key] for key in _label_words(labels, synonyms).findall(text)}
    return None, "ambiguous" if len(named) > 1 else "unknown label"


def match_labels(
    text: str, labels: tuple[str, ...], synonyms: Synonyms = ()
) -> tuple[frozenset[str] | None, FailureReason | None]:
    """The set of labels that a list names, or why it names none: exactly one of the two is None.

    Items stand between commas, semicolons or new lines, or in a JSON list of texts; each must be a label,
    once. The word "none" alone, and the JSON list [], are the empty set. A label named twice, an empty
    item, "none" beside a label, and more items than there are labels are "malformed".
    """
    if len(text) > MAX_CHARACTERS:
        return None, "malformed"
    items = _items(text)
    if items is None or len(items) > len(labels) or (len(items) != 1 and _says_none(items)):
        return None, "malformed"
    if _says_none(items):
        return frozenset(), None
    found: set[str] = set()
    for item in items:
        label, reason = match_label(item, labels, synonyms)
        if label is None:
            return None, reason
        if label in found:
            return None, "malformed"
        found.add(label)
    return frozenset(found), None


def _items(text: str) -> list[str] | None:
    """The items of a list as it is written; None where one is blank or no text."""
    if text.strip().startswith("["):
        try:
            listed = json.loads(text)
        except (ValueError, RecursionError):
            return None
        if not all(isinstance(item, str) for item in listed):
            return None
    else:
        listed = re.split(f"[{LABEL_SEPARATORS}\n]", text.strip())
    return listed if all(map(normalise, listed)) else None


def _says_none(items: list[str]) -> bool:
    return any(normalise(item) == NO_LABEL for item in items)


@lru_cache(maxsize=256)
def _label_words(labels: tuple[str, ...], synonyms: Synonyms = ()) -> re.Pattern[str]:
    # Longest first, so that "no retinopathy" is not found as "retinopathy" too.
    keys = sorted(label_keys(labels, synonyms), key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, keys))})(?!\w)")
