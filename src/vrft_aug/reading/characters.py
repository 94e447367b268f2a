"""Texts as a reader sees them: one hyphen, one apostrophe, nothing invisible; and when two are one label."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from vrft_aug.labels import normalise

_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63\uff0d"
_SINGLE = "\u2018\u2019\u201a\u201b\u2032\u2035\u00b4\u0060\u02bc\uff07"
_DOUBLE = "\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb\u300a\u300b\u3008\u3009\u300c\u300d\u300e\u300f\uff02"
_OTHERS = {
    "\u3002": ".",
    "\uff61": ".",
    "\u3001": ",",
    "\u3010": "[",
    "\u3011": "]",
    "\u3014": "[",
    "\u3015": "]",
}
# Unicode's format characters (Cf), which have no width: soft hyphen, zero-width spaces and joiners, marks of
# direction, byte order mark, tags; and variation selectors.
_INVISIBLE = (
    (0xAD, 0xAD), (0x61C, 0x61C), (0x180E, 0x180E), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F),
    (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFF9, 0xFFFB), (0xE0000, 0xE007F), (0xE0100, 0xE01EF),
)  # fmt: skip
_TABLE: dict[int, str | None] = {
    **{ord(mark): "-" for mark in _DASHES},
    **{ord(mark): "'" for mark in _SINGLE if mark != "`"},  # a backtick is Markdown
    **{ord(mark): '"' for mark in _DOUBLE},
    **{ord(mark): plain for mark, plain in _OTHERS.items()},
    **{code: None for first, last in _INVISIBLE for code in range(first, last + 1)},
}
_APOSTROPHE = re.compile(r"(?<=\w)'(?=\w)")
_HYPHEN = re.compile(r"(?<=[^\W\d_])-(?=\w)|(?<=\w)-(?=[^\W\d_])")  # beside a letter: "1-2" keeps its own
_ARTICLE = re.compile(r"(?:an?|the) (?=\w)")


def plain(text: str) -> str:
    """NFKC with one kind of dash, apostrophe and quote, CJK punctuation as Latin, nothing invisible.

    A letter of another script that only looks alike stays what it is.
    """
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKC", text.translate(_TABLE)).translate(_TABLE)
    return unicodedata.normalize("NFC", text)


def is_question(text: str) -> bool:
    """Whether a text ends with a question mark, whatever closes after it: who asks has not answered."""
    return "?" in (end := plain(text[-12:])) and end.rstrip(" \t\n\"'*_`)]}$.").endswith("?")


def comparable(text: str) -> str:
    """The text as it is compared: `plain`, then `labels.normalise`, without apostrophes inside words."""
    return _APOSTROPHE.sub("", normalise(plain(text)).replace("_", " "))


@lru_cache(maxsize=65_536)
def forms(text: str) -> tuple[str, ...]:
    """The comparable forms that a text may be written in, its own first.

    A hyphen beside a letter is as good as a space or as nothing ("non-proliferative"); a space is no more
    than a space, for "a typical" is not "atypical". An article before it may be left out.
    """
    own = comparable(text)
    found = [own]
    if "-" in own:
        found += [_HYPHEN.sub(" ", own), _HYPHEN.sub("", own)]
    if _ARTICLE.match(own):
        found += [form[found_article.end() :] for form in found if (found_article := _ARTICLE.match(form))]
    return tuple(dict.fromkeys(found))
