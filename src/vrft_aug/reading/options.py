"""One of the options of a question: by its letter in any bracket, its text, or both where they agree."""

from __future__ import annotations

import re
from functools import lru_cache
from string import ascii_uppercase

from vrft_aug.labels import Synonyms
from vrft_aug.nouns import FailureReason
from vrft_aug.reading.characters import comparable, is_question, plain
from vrft_aug.reading.closed_set import label_names, read_label
from vrft_aug.reading.wrappers import layers

LETTERS = ascii_uppercase
_BRACKETED = r"[\[({<]\s*([a-z])\s*[\])}>]"
_EDGE = r"[\s\[\](){}<>\"'*_`.,:;!#-]*"
_LETTER = re.compile(rf"{_EDGE}(?:{_BRACKETED}|([a-z])){_EDGE}", re.IGNORECASE)
# A letter, what parts it from the text, and the text. A bare "a" and a space is an article.
_BEFORE = re.compile(
    rf"(?:{_BRACKETED}\s*[.:,)-]?|([a-z])\s*[.:,)\]]|([a-z])\s+[-=]|([b-z])(?=\s))\s*(\S.*)",
    re.IGNORECASE | re.DOTALL,
)
_AFTER = re.compile(rf"(.*\S)\s*{_BRACKETED}\W*", re.IGNORECASE | re.DOTALL)
_SINGLES = re.compile(r"(?<![\w'-])([a-z])(?![\w'-])", re.IGNORECASE)
_IN_QUESTION = re.compile(r"(?<![\w(\[])[\[(]?([A-H])\s*[.):\]](?!\w\.)\s*")


@lru_cache(maxsize=65_536)
def read_option(
    text: str, options: tuple[str, ...], synonyms: Synonyms = ()
) -> tuple[str | None, FailureReason | None]:
    """The option that the text names, or why it names none: exactly one of the two is None.

    A letter beside a text must be that option's own: "B) naevus" where B is melanoma is "ambiguous", as is
    every text that names two options or two letters.
    """
    if len(text) == 1 and 0 <= (at := LETTERS.find(text.upper())) < len(options):
        return options[at], None
    if is_question(text) and not any("?" in option for option in options):
        return None, "unknown label"
    for layer in layers(text):
        if (alone := _LETTER.fullmatch(layer)) and (at := _place(alone)) < len(options):
            return options[at], None
        label, _ = read_label(layer, options, synonyms)
        if label is not None:
            return label, None
        for letter, said in _letter_and_text(layer):
            option, _ = read_label(said, options, synonyms)
            if option is not None:
                at = LETTERS.index(letter)
                agree = at < len(options) and options[at] == option
                return (option, None) if agree else (None, "ambiguous")
    if read_label(text, options, synonyms)[1] == "ambiguous":
        return None, "ambiguous"
    known = LETTERS[: len(options)]
    letters = {found.upper() for found in _SINGLES.findall(plain(text)) if found != "a"} & set(known)
    return None, "ambiguous" if len(letters) > 1 else "unknown label"


@lru_cache(maxsize=16_384)
def options_in(question: str) -> tuple[str, ...]:
    """The options that a question lists itself, "A. naevus B. melanoma"; () where it lists none.

    Letters must begin with A and follow each other, at least A and B, and no two options may be read alike.
    """
    question = plain(question)
    marks = _marks(question)
    if len(marks) < 2:
        return ()
    ends = [*(mark.start() for mark in marks[1:]), len(question)]
    texts = [question[mark.end() : end].strip(" ,;\n") for mark, end in zip(marks, ends, strict=True)]
    keys = [comparable(text) for text in texts]
    said = all(re.search(r"\w", key) and key not in ("or", "and", "vs", "versus") for key in keys)
    return tuple(texts) if said and len(set(keys)) == len(keys) else ()


def without_options(question: str) -> str:
    """A question that lists its options up to where they begin, without a lead such as "Answer Choices:"."""
    question = plain(question)
    marks = _marks(question)
    if not marks:
        return question
    asked = question[: marks[0].start()].strip()
    lead = r"(?:\n|\s)*(?:the |answer )?(?:options|choices)(?: are)?:?\s*$"
    return re.sub(lead, "", asked, flags=re.IGNORECASE) or asked


def _marks(question: str) -> list[re.Match[str]]:
    """Where the letters of the options stand."""
    marks: list[re.Match[str]] = []
    for mark in _IN_QUESTION.finditer(question):
        if mark[1] == LETTERS[len(marks)]:
            marks.append(mark)
    return marks


def same_option(given: str, truth: str, options: tuple[str, ...]) -> bool:
    """Whether a free text and the truth name the same option, each by letter, text or both."""
    option = read_option(given, options)[0]
    return option is not None and option == read_option(truth, options)[0]


def clashing_option(options: tuple[str, ...]) -> str | None:
    """An option that is the letter of another one ("B" at the place of A), so that neither can be told."""
    names = label_names(options)
    for place, option in enumerate(options):
        for letter in LETTERS[: len(options)]:
            if names.get(letter.casefold()) == option and letter != LETTERS[place]:
                return option
    return None


def _place(letter: re.Match[str]) -> int:
    return LETTERS.index(next(group for group in letter.groups() if group).upper())


def _letter_and_text(text: str) -> list[tuple[str, str]]:
    """(letter, text) as "B) text" or "text (B)" has them."""
    found = []
    if before := _BEFORE.fullmatch(text):
        *letters, said = before.groups()
        found.append((next(group for group in letters if group).upper(), said))
    if after := _AFTER.fullmatch(text):
        found.append((after[2].upper(), after[1]))
    return found
