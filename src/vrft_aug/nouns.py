"""The nouns everything is said in: Case, Task, Prompt, Rollout, Answer, Score.

Frozen, typed and free of torch. `Report`, the ninth noun, lives in `evaluation.report_data`, beside the
code that fills it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image

TaskKind = Literal["classify", "grade", "multilabel", "localise", "choice", "answer"]
AnswerMode = Literal["lenient", "strict"]  # how answers are read; strict is version 0.1.0's, to the bit
AnswerFormat = Literal["think-answer", "answer-first", "answer-alone", "free"]  # see shaping/format.py
Reasoning = Literal["before", "after", "none"]  # where it stands, beside the answer
OptionNames = Literal["letter", "text"]
BoxFormat = Literal["json", "plain"]
SpaceName = Literal["original", "processed", "thousandths", "unit"]  # see perception/spaces.py
FailureReason = Literal["missing", "malformed", "truncated", "ambiguous", "unknown label", "abstained"]
ABSTAINED: FailureReason = "abstained"  # no failure to be read: the answer that a task calls an abstention
Message = dict[str, Any]  # a chat message as transformers' processors take it: {"role", "content"}


@dataclass(frozen=True)
class Box:
    """A box with its top left corner inside and its bottom right corner outside: x1 <= x < x2.

    The pixels are those of whatever carries it: of the original image in a `Case`, also in an `Answer`
    (the parser has already converted from the space that the model speaks).

    Args:
        x1: left, in pixels from the left border of the image.
        y1: top, in pixels from its upper border.
        x2: right, `y2` bottom; neither is checked to lie beyond the other, `area` is 0 then.
        y2: see `x2`.
        label: what is in it, one of the task's labels or a finding; None where boxes have no names.
    """

    x1: float
    y1: float
    x2: float
    y2: float
    label: str | None = None

    @property
    def area(self) -> float:
        """Area in square pixels; 0 for an inverted box."""
        return max(0.0, self.x2 - self.x1) * max(0.0, self.y2 - self.y1)


class ImageRef(Protocol):
    """A picture that is opened when it is needed; implementations are picklable and cheap to copy."""

    def open(self) -> Image:
        """The picture as RGB, turned upright, at its original size; UserError where it cannot be decoded."""
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """What is true of a case. Several may be known (a grade and boxes); a task asks for one of them.

    Args:
        label: one of the task's labels (classify, grade) or of the case's options (choice).
        labels: all that are true (multilabel); empty: known to have none; None: not annotated.
        boxes: in pixels of the original image; (): known to have none; None: not annotated.
        text: a free-text answer.
        present: findings known to be in the picture, as the knowledge bank names them.
        absent: findings known not to be in it; all others are unknown.
    """

    label: str | None = None
    labels: frozenset[str] | None = None
    boxes: tuple[Box, ...] | None = None
    text: str | None = None
    present: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Case:
    """One question about one patient: its pictures and what is true of them.

    Args:
        id: stable, readable and unique in its data: "retinamnist/test/17".
        images: the pictures in the order in which the model is shown them; boxes lie in the first.
        target: what is true; what the task asks for has to be there.
        patient: an id; cases of a patient stay in one split, and intervals draw patients. None: unknown.
        question: overrides the task's wording where the data brings its own questions.
        options: of a choice, in the order in which they are shown; target.label is one of them.
        facets: what results are told apart by: ("type", "closed"), ("language", "en").
        picture: what tells its picture from those of other cases. Questions about one picture are not
            independent: intervals draw them together. None: no other case has it.
    """

    id: str
    images: tuple[ImageRef, ...]
    target: Target
    patient: str | None = None
    question: str | None = None
    options: tuple[str, ...] = ()
    facets: tuple[tuple[str, str], ...] = ()
    picture: str | None = None


@dataclass(frozen=True)
class Task:
    """What is asked of every case.

    Args:
        name: its key under `tasks` in the recipe.
        kind: classify, grade (labels in clinical order), multilabel, localise, choice or answer (free text).
        question: the wording, for cases that bring none.
        labels: the closed set, in clinical order; what boxes may be called (localise); the options of cases
            that bring none of their own (choice).
        modality: what the pictures are, as the prompt and pages call them.
        box_format: how boxes are asked for and taught (localise); either is read.
        synonyms: (another name, label or answer), read as what they stand for.
        answer_mode: how answers are read; strict is version 0.1.0's.
        answer_format: what the prompt asks for and the format term pays for; a recipe says it by `reasoning`
            and by whether there are tags.
        confidence: whether the prompt asks how sure the answer is, see reading/stated_confidence.py.
        abstain: the answer that says that it cannot be told; None: no such is offered or read.
        option_names: how options are told and answered (choice).
        option_seed: of the order of the options, drawn for every case; None: as the data has them.
    """

    name: str
    kind: TaskKind
    question: str
    labels: tuple[str, ...] = ()
    modality: str = "medical image"
    box_format: BoxFormat = "json"
    synonyms: tuple[tuple[str, str], ...] = ()
    answer_mode: AnswerMode = "lenient"
    answer_format: AnswerFormat = "think-answer"
    confidence: bool = False
    abstain: str | None = None
    option_names: OptionNames = "letter"
    option_seed: int | None = 0

    @property
    def reasoning(self) -> Reasoning:
        """Where the prompt asks for the reasoning: before the answer, after it, or none at all."""
        places: dict[AnswerFormat, Reasoning] = {"answer-first": "after", "answer-alone": "none"}
        return places.get(self.answer_format, "before")


@dataclass(frozen=True)
class Prompt:
    """What the model is given for one case.

    Args:
        messages: the chat as transformers' processors take it; an image is a part {"type": "image"}.
        images: the pictures of these parts, in their order.
        knowledge: exactly the injected text in these messages, "" for none.
    """

    messages: tuple[Message, ...]
    images: tuple[ImageRef, ...]
    knowledge: str = ""


@dataclass(frozen=True)
class Rollout:
    """What the model wrote.

    Args:
        completion: the text as decoded, without what ends it; with the `<think>` that a chat template has
            opened for it.
        tokens: its length in tokens of the model; None where a server does not tell.
        finished: whether it ended by itself; False: cut at the token limit.
    """

    completion: str
    tokens: int | None = None
    finished: bool = True


# A label or a free text; the set of labels (multilabel); boxes in original pixels.
AnswerValue = str | frozenset[str] | tuple[Box, ...] | None


@dataclass(frozen=True)
class Answer:
    """The parsed value, or the reason there is none (exactly one of the two is None).

    Args:
        value: a label, an option or a text; the set of labels (multilabel); boxes in pixels of the original
            image (localise).
        reason: missing, malformed, truncated, ambiguous, unknown label; or abstained.
        reasoning: the text between `<think>` and `</think>`, "" where there is none.
        confidence: how sure it says to be, 0 to 1; None where none is asked, or none can be read.
    """

    value: AnswerValue
    reason: FailureReason | None
    reasoning: str
    confidence: float | None = None


@dataclass(frozen=True)
class Score:
    """What a rollout earned.

    Args:
        total: the weighted sum of all terms that apply; 0 where none does.
        terms: each term before weighting; None: it does not apply to this case.
        answer: what was judged.
        weights: of the terms, by their names.
    """

    total: float
    terms: Mapping[str, float | None]
    answer: Answer
    weights: Mapping[str, float] = field(default_factory=dict)
