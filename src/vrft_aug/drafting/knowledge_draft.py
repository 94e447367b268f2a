"""Drafts a bank with a model behind an OpenAI-compatible endpoint; what comes out is marked unreviewed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from vrft_aug.errors import UserError, first_fault
from vrft_aug.knowledge.bank_schema import REVIEW, KnowledgeBank
from vrft_aug.knowledge.validate import check_bank
from vrft_aug.labels import label_keys, normalise
from vrft_aug.nouns import ImageRef, Message, Task
from vrft_aug.policy.endpoint import Endpoint, Reply, RequestRefused

TRIES = 3  # of a reply that is no draft, or has faults; each is told what was wrong
OBJECTS = 10  # at most so many JSON objects of a reply are looked at
MAX_TOKENS = 8192  # of one reply, by default
SYSTEM = (
    "You write short reference notes on classes of medical images, for a model that has to tell them apart "
    "by eye. State only what is established in the field; leave out what you are not sure of. Describe what "
    "can be seen: what, size, shape, colour, texture, where; leave an aspect empty if it says nothing. A "
    "definition has at most 25 words, a class at most 4 attributes of at most 12 words. `findings` is the "
    "vocabulary: canonical names with their exact synonyms; a class lists findings that are `typical` of it, "
    "that `may` be there and say nothing, and that are `unlikely`; leave out what you are not sure of. "
    "Put every pair of classes that is easily confused under one of the two. Answer with one JSON object."
)


class _Strict(BaseModel):
    """Part of a draft; every field is required, as servers want it of a schema."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _Finding(_Strict):
    name: str
    synonyms: list[str]


class _Attribute(_Strict):
    what: str
    size: str
    shape: str
    colour: str
    texture: str
    where: str


class _Confusion(_Strict):
    label: str
    tell: str


class _Class(_Strict):
    label: str
    definition: str
    synonyms: list[str]
    attributes: list[_Attribute]
    confused_with: list[_Confusion]
    typical: list[str]
    may: list[str]
    unlikely: list[str]


class _Reply(_Strict):
    title: str
    findings: list[_Finding]
    classes: list[_Class]


@dataclass(frozen=True)
class Example:
    """A picture whose label is known."""

    label: str
    image: ImageRef


@dataclass(frozen=True)
class Draft:
    """A bank as a model drafted it, what is still wrong with it, and what it cost."""

    bank: KnowledgeBank
    problems: tuple[str, ...]
    replies: int  # those from the cache cost nothing now
    prompt_tokens: int | None  # None where the server does not tell
    completion_tokens: int | None


def draft_bank(
    endpoint: Endpoint,
    name: str,
    task: Task,
    examples: Sequence[Example] = (),
    max_tokens: int = MAX_TOKENS,
) -> Draft:
    """Ask for a bank of the task's labels, with a JSON schema where the server takes one, else in the text.

    A reply that cannot be read, or with faults that `check_bank` finds, is sent back with what is wrong,
    up to three replies. Every fact is marked for review: a model's sources are not to be believed. Raises
    UserError where no reply could be read.
    """
    messages, images = _request(task, examples), [example.image for example in examples]
    schema: dict[str, Any] | None = _Reply.model_json_schema()
    replies: list[Reply] = []
    best: tuple[KnowledgeBank, list[str]] | None = None
    wrong = ""
    for _ in range(TRIES):
        try:
            reply = endpoint.chat(messages, images, temperature=0, max_tokens=max_tokens, schema=schema)
        except RequestRefused:  # perhaps for the schema; without it a refusal counts
            if schema is None:
                raise
            schema = None
            reply = endpoint.chat(messages, images, temperature=0, max_tokens=max_tokens)
        replies.append(reply)
        try:
            bank = _bank(name, endpoint.model, task, _read(reply.text))
            problems = check_bank(bank, task.labels)
            if best is None or len(problems) < len(best[1]):
                best = bank, problems
        except ValueError as error:
            problems = [str(error) if reply.finished else f"the reply was cut at the token limit; {error}"]
        if not problems:
            break
        wrong = "; ".join(problems[:10])
        told = f"This cannot be used: {wrong}. Answer with the whole JSON object again, mended."
        messages = [
            *messages,
            {"role": "assistant", "content": reply.text},
            {"role": "user", "content": told},
        ]
    if best is None:
        raise UserError(
            f"model {endpoint.model!r} wrote no knowledge bank in {TRIES} replies: {wrong}; "
            "try a larger model"
        )
    return Draft(
        bank=best[0],
        problems=tuple(best[1]),
        replies=len(replies),
        prompt_tokens=_total([reply.prompt_tokens for reply in replies]),
        completion_tokens=_total([reply.completion_tokens for reply in replies]),
    )


def _request(task: Task, examples: Sequence[Example]) -> list[Message]:
    order = ", in clinical order from least to most severe" if task.kind == "grade" else ""
    lines = [
        f"Pictures: {task.modality}.",
        f"Task: {task.question}",
        f"Classes{order}: {json.dumps(list(task.labels), ensure_ascii=False)}.",
        "Write every class once, under exactly that label.",
        f"JSON schema of the answer: {json.dumps(_Reply.model_json_schema())}",
    ]
    content: list[Message] = [{"type": "text", "text": "\n".join(lines)}]
    for example in examples:
        content += [{"type": "text", "text": f"An example of {example.label!r}:"}, {"type": "image"}]
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": content}]


def _read(text: str) -> _Reply:
    """The first JSON object in a text that is a draft; ValueError that says what is wrong."""
    text = text.rsplit("</think>", 1)[-1]
    wrong, start = "the reply holds no JSON object", text.find("{")
    for _ in range(OBJECTS):
        if start < 0:
            break
        try:
            value, end = json.JSONDecoder().raw_decode(text, start)
            return _Reply.model_validate(value)
        except ValidationError as error:
            wrong = str(first_fault(error, "the object"))
        except (ValueError, RecursionError):
            wrong, end = "the JSON object is broken", start + 1
        start = text.find("{", end)
    raise ValueError(wrong)


def _bank(name: str, model: str, task: Task, reply: _Reply) -> KnowledgeBank:
    """The reply as a bank in the order of the task's labels; ValueError where its classes are not the labels.

    Small slips are mended: a word that two findings or classes claim stays with the first, findings that only
    a class names are listed, a pair told apart twice keeps the first.
    """
    labels = label_keys(task.labels)
    given = {labels.get(normalise(one.label), one.label): one for one in reply.classes}
    if missing := [label for label in task.labels if label not in given]:
        raise ValueError(f"class {missing[0]!r} is missing")
    if foreign := [label for label in given if label not in task.labels]:
        raise ValueError(f"class {foreign[0]!r} is none of the labels")
    named = [finding for one in reply.classes for finding in (*one.typical, *one.may, *one.unlikely)]
    listed = {finding.name: finding.synonyms for finding in reply.findings}
    findings = _distinct({**{finding: [] for finding in named}, **listed})
    synonyms = _distinct({label: given[label].synonyms for label in task.labels})
    told: set[frozenset[str]] = set()
    classes: dict[str, Any] = {}
    for label in task.labels:
        one = given[label]
        confused: dict[str, Any] = {}
        for other in one.confused_with:
            of = labels.get(normalise(other.label), label)
            pair = frozenset((label, of))
            if len(pair) == 2 and pair not in told:
                told.add(pair)
                confused[of] = {"tell": other.tell.strip(), "source": REVIEW}
        classes[label] = {
            "definition": one.definition.strip(),
            "source": REVIEW,
            "synonyms": synonyms[label],
            "attributes": [
                {**fact.model_dump(), "source": REVIEW} for fact in one.attributes if fact.what.strip()
            ],
            "confused_with": confused,
            **_lists(one, findings),
        }
    return KnowledgeBank.model_validate(
        {
            "name": name,
            "title": reply.title.strip() or name,
            "author": f"Drafted by the AI language model {model}; no clinician has checked it",
            "reviewed": False,
            "sources": {
                "draft": f"None: what the model {model} wrote; replace by references while reviewing"
            },
            "findings": findings,
            "classes": classes,
        }
    )


def _lists(one: _Class, findings: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """The lists of a class, each finding in the first that names it, all marked for review."""
    taken: set[str] = set()
    lists = {}
    for relation, names in (("typical", one.typical), ("may", one.may), ("unlikely", one.unlikely)):
        kept = [name for name in dict.fromkeys(names) if name in findings and name not in taken]
        taken.update(kept)
        if kept:
            lists[relation] = {REVIEW: kept}
    return lists


def _distinct(words: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Names with their synonyms, no word twice: names go first, then synonyms in their order."""
    taken: set[str] = set()
    names: dict[str, list[str]] = {}
    for name in words:
        if (key := normalise(name)) and key not in taken:
            taken.add(key)
            names[name] = []
    for name in names:
        for synonym in words[name]:
            if (key := normalise(synonym)) and key not in taken:
                taken.add(key)
                names[name].append(synonym)
    return names


def _total(counts: Sequence[int | None]) -> int | None:
    return None if None in counts else sum(count for count in counts if count is not None)
