"""When an answer is a label: whole normalised strings against the closed set, never parts of strings."""

from __future__ import annotations

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


def normalise(text: str) -> str:
    """The text as it is compared: NFKC, casefolded, spaces collapsed, punctuation around it stripped.

    Full-width and other compatibility forms of a letter become the letter (NFKC); a letter of another
    script that only looks alike stays what it is, and so do invisible characters. A text of nothing but
    punctuation is left as it is. Idempotent.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    text = " ".join(folded.split())
    while (shorter := text.strip(_EDGES).removeprefix(_BULLET)) not in ("", text):
        text = shorter
    return text


@lru_cache(maxsize=256)
def label_keys(labels: tuple[str, ...]) -> Mapping[str, str]:
    """Normalised form -> label, in the order of the labels.

    Raises UserError where two labels have the same normalised form, or one has none.
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
    return MappingProxyType(keys)


def match_label(text: str, labels: tuple[str, ...]) -> tuple[str | None, FailureReason | None]:
    """The label that the text is, or why it is none: exactly one of the two is None.

    Two or more labels as whole words are "ambiguous"; anything else that is not a label, also a sentence
    around one label ("not mild", "the answer is mild"), is "unknown label".
    """
    text = normalise(text)
    if text in label_keys(labels):
        return label_keys(labels)[text], None
    return None, "ambiguous" if len(set(_label_words(labels).findall(text))) > 1 else "unknown label"


@lru_cache(maxsize=256)
def _label_words(labels: tuple[str, ...]) -> re.Pattern[str]:
    # Longest first, so that "no retinopathy" is not found as "retinopathy" too.
    keys = sorted(label_keys(labels), key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, keys))})(?!\w)")
