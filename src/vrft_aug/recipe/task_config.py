"""What is asked, and what the prompt tells of it: `tasks` and `injection` in the recipe."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, SerializeAsAny, field_validator, model_validator

from vrft_aug.data.settings import DataConfig, Strict, reader_config
from vrft_aug.errors import UserError
from vrft_aug.labels import LABEL_SEPARATORS, NO_LABEL
from vrft_aug.nouns import AnswerFormat, AnswerMode, BoxFormat, OptionNames, Reasoning

# What answer_format was called when it also said where the reasoning stands: still read.
OLD_FORMATS: dict[str, Reasoning] = {
    "think-answer": "before",
    "answer-first": "after",
    "answer-alone": "none",
}


class TaskConfig(Strict):
    """What is asked, of which data."""

    model_config = ConfigDict(coerce_numbers_to_str=True)  # labels may be written [0, 1]
    kind: Literal["classify", "grade", "multilabel", "localise", "choice", "answer"]
    question: str
    labels: tuple[str, ...] = ()
    modality: str = "medical image"
    box_format: BoxFormat = "json"  # for localise: how boxes are asked for; either is read
    data: SerializeAsAny[DataConfig]  # of the class that its reader takes
    knowledge: str | None = None  # a bank: a shipped name or a YAML file
    # Also read an answer by the other names that the bank has for it: exact (true), or narrower too.
    synonyms: bool | Literal["exact", "narrower"] = False
    answer_mode: AnswerMode = (
        "lenient"  # how answers are read, docs/reference/answers.md; strict: as version 0.1.0
    )
    # Where the prompt asks for reasoning and the format term pays for it; none: for the answer alone.
    reasoning: Reasoning = "before"
    answer_format: Literal["tags", "free"] = "tags"  # free: no tags, the last line is "Answer: .."
    confidence: bool = (
        False  # ask how sure the answer is, 0 to 1, after it; for the rewards brier, ranked_probability
    )
    abstain: str | None = None  # an answer that is offered for what cannot be told, such as "cannot tell"
    option_names: OptionNames = "letter"  # for choice: how options are told and answered
    option_seed: int | None = 0  # for choice: of their order, drawn for each case; null: as the data has them

    @model_validator(mode="before")
    @classmethod
    def _old_format_names(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not isinstance(named := value.get("answer_format"), str):
            return value
        if (place := OLD_FORMATS.get(named)) is None:
            return value
        if value.get("reasoning", place) != place:
            raise ValueError(
                f"answer_format {named} is the older name of reasoning: {place}, but reasoning is "
                f"{value['reasoning']}; set reasoning alone"
            )
        return {**value, "answer_format": "tags", "reasoning": place}

    @field_validator("data", mode="before")
    @classmethod
    def _pick_reader(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        try:
            settings = reader_config(str(value.get("reader")))
        except UserError as error:
            raise ValueError(str(error)) from None  # so that the recipe and the key are named as well
        return settings.model_validate(value)

    @model_validator(mode="after")
    def _labels_fit_kind(self) -> TaskConfig:
        if self.kind in ("classify", "grade") and len(self.labels) < 2:
            raise ValueError(f"a {self.kind} task needs at least two labels, got {list(self.labels)}")
        folded = [label.casefold().strip() for label in self.labels]
        if len(set(folded)) < len(folded):
            raise ValueError(f"labels must differ, got {list(self.labels)}")
        if self.kind == "multilabel":
            if not self.labels:
                raise ValueError("a multilabel task needs labels, got none")
            for label in self.labels:
                if label.casefold().strip() == NO_LABEL or set(label) & set(LABEL_SEPARATORS):
                    raise ValueError(
                        f"label {label!r} cannot stand in a list of labels; a multilabel task keeps "
                        f"{NO_LABEL!r} and {LABEL_SEPARATORS!r} for itself"
                    )
        if self.kind == "choice" and len(self.labels) == 1:
            raise ValueError(f"a choice needs two options or more; labels has one, {self.labels[0]!r}")
        if self.synonyms and self.knowledge is None:
            raise ValueError("synonyms come from a knowledge bank, but the task names no knowledge")
        self._check_doubt(folded)
        if self.answer_format == "free" and self.reasoning != "before":
            raise ValueError(
                f"answer_format free ends with the answer, so the reasoning cannot be {self.reasoning!r}; "
                "set answer_format: tags, or reasoning: before"
            )
        return self

    def _check_doubt(self, labels: list[str]) -> None:
        if self.kind == "localise" and (self.confidence or self.abstain is not None):
            setting = "confidence" if self.confidence else "abstain"
            raise ValueError(f"{setting} is of answers that are right or wrong; boxes (localise) have none")
        if self.confidence and self.answer_format == "free":
            raise ValueError("confidence stands in tags after the answer; set answer_format: tags")
        if self.abstain is not None and self.abstain.casefold().strip() in ("", NO_LABEL, *labels):
            raise ValueError(
                f"abstain is {self.abstain!r}; expected words that are no label, such as 'cannot tell'"
            )

    @property
    def form(self) -> AnswerFormat:
        """What `reasoning` and `answer_format` ask for together."""
        if self.answer_format == "free":
            return "free"
        forms: dict[Reasoning, AnswerFormat] = {"after": "answer-first", "none": "answer-alone"}
        return forms.get(self.reasoning, "think-answer")


class Injection(Strict):
    """How the knowledge of a task enters the prompt; `vrft_aug.knowledge.inject` says what the styles are."""

    style: Literal["none", "definitions", "attributes", "contrastive", "shuffled", "irrelevant"] = "none"
    of: Literal["definitions", "attributes"] = "definitions"  # what shuffled, irrelevant are controls of
    place: Literal["system", "user"] = "user"
    budget: int | None = Field(default=None, ge=1)  # at most so much text, cut by whole facts
    unit: Literal["words", "tokens"] = "words"  # of the budget and of a control's length; tokens: the model's
    order: Literal["fixed", "random"] = "fixed"  # random: of the lines, drawn for every case
    seed: int = 0  # of the order and of the controls
    only_reviewed: bool = False  # leave out what nobody has agreed to, see knowledge/review.py
    dropout: float = Field(default=0.0, ge=0, lt=1)  # of a stage: the share of its prompts without knowledge

    @model_validator(mode="after")
    def _something_to_drop(self) -> Injection:
        if self.dropout and self.style == "none":
            raise ValueError(f"dropout {self.dropout:g} leaves knowledge out, but style none injects none")
        return self
