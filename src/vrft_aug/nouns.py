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
OptionNames = Literal["letter", "text"]
BoxFormat = Literal["json", "plain"]
SpaceName = Literal["original", "processed", "thousandths", "unit"]  # see perception/spaces.py
FailureReason = Literal["missing", "malformed", "truncated", "ambiguous", "unknown label"]
Message = dict[str, Any]  # a chat message as transformers' processors take it: {"role", "content"}


@dataclass(frozen=True)
class Box:
    """A box with its top left corner inside and its bottom right corner outside: x1 <= x < x2.

    The pixels are those of whatever carries it: of the original image in a `Case`, also in an `Answer`
    (the parser has already converted from the space that the model speaks).
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
        """The picture as RGB, turned upright, at its original size."""
        ...


@dataclass(frozen=True)
class Target:
    """What is true of a case. Several may be known (a grade and boxes); a task asks for one of them."""

    label: str | None = None  # one of the task's labels (classify, grade) or of the case's options (choice)
    labels: frozenset[str] | None = None  # all that are true (multilabel); empty = known to have none
    boxes: tuple[Box, ...] | None = None  # original pixels; () = known to have none, None = not annotated
    text: str | None = None  # a free-text answer
    present: frozenset[str] = frozenset()  # findings known to be in the picture, as the bank names them
    absent: frozenset[str] = frozenset()  # findings known not to be in it; all others are unknown


@dataclass(frozen=True)
class Case:
    """One question about one patient: its pictures and what is true of them."""

    id: str  # stable and readable: "retinamnist/test/17"
    images: tuple[ImageRef, ...]
    target: Target
    patient: str | None = None
    question: str | None = None  # overrides the task's wording where the data brings its own questions
    options: tuple[str, ...] = ()  # of a choice, in the order in which they are shown; target.label is one
    facets: tuple[
        tuple[str, str], ...
    ] = ()  # what results are told apart by: ("type", "closed"), ("language", "en")


@dataclass(frozen=True)
class Task:
    """What is asked of every case."""

    name: str
    kind: TaskKind
    question: str
    # The closed set, in clinical order; what boxes may be called (localise); the options of cases that bring
    # none of their own (choice).
    labels: tuple[str, ...] = ()
    modality: str = "medical image"
    box_format: BoxFormat = "json"  # how boxes are asked for and taught (localise); either is read
    synonyms: tuple[tuple[str, str], ...] = ()  # (another name, label or answer), read as what they stand for
    answer_mode: AnswerMode = "lenient"
    answer_format: AnswerFormat = "think-answer"  # what the prompt asks for and the format term pays for
    option_names: OptionNames = "letter"  # how options are told and answered (choice)
    option_seed: int | None = 0  # of their order, drawn for every case; None: as the data has them


@dataclass(frozen=True)
class Prompt:
    """What the model is given for one case."""

    messages: tuple[Message, ...]
    images: tuple[ImageRef, ...]
    knowledge: str = ""  # exactly the injected text in these messages, for the recitation reward


@dataclass(frozen=True)
class Rollout:
    """What the model wrote."""

    completion: str
    tokens: int | None = None
    finished: bool = True  # False: cut at the token limit


# A label or a free text; the set of labels (multilabel); boxes in original pixels.
AnswerValue = str | frozenset[str] | tuple[Box, ...] | None


@dataclass(frozen=True)
class Answer:
    """The parsed value, or the reason there is none (exactly one of the two is None)."""

    value: AnswerValue
    reason: FailureReason | None
    reasoning: str  # the text between <think> and </think>, "" where there is none


@dataclass(frozen=True)
class Score:
    """The weighted sum of all reward terms that apply, each term before weighting, and what was judged."""

    total: float
    terms: Mapping[str, float | None]  # None: does not apply to this case
    answer: Answer
    weights: Mapping[str, float] = field(default_factory=dict)
