"""What the completions of a step look like, besides what they earn: signs of learning, and of hacking."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import fmean

from vrft_aug.imitation.diversity import copied_share, distinct_share, self_bleu
from vrft_aug.imitation.recitation import recited_share
from vrft_aug.labels import normalise
from vrft_aug.nouns import ABSTAINED, Case, Prompt, Rollout, Score, Task
from vrft_aug.perception.reward import iou
from vrft_aug.scorer import is_flat
from vrft_aug.shaping.format import strict_format
from vrft_aug.shaping.label import accuracy
from vrft_aug.shaping.text import words


@dataclass(frozen=True)
class Judged:
    """One completion of a step with all that was known when it was judged."""

    row: int  # which prompt of the stage; completions of one row are a group
    task: Task
    case: Case
    prompt: Prompt
    rollout: Rollout
    score: Score

    @property
    def reasoning(self) -> str:
        """What stands in the think block."""
        return self.score.answer.reasoning


def monitor(step: Sequence[Judged]) -> dict[str, float]:
    """Figures of a step by their names in metrics.jsonl, 0..1 but for the words; what is undefined is absent.

    Tasks with `reasoning: none` leave out what is about the reasoning.

    | `monitor/...` | mean over the completions, or the groups, of |
    |---|---|
    | `right` | the answer being right (of boxes: their matched IoU), whatever is rewarded |
    | `format` | the strict format |
    | `words` | words of reasoning |
    | `recitation` | BLEU with the knowledge in the prompt |
    | `copied_5grams` | share of the 5-grams that stand in the knowledge |
    | `distinct_2` | distinct bigrams over all, by group |
    | `self_bleu` | BLEU of each reasoning against the others of its group |
    | `flat_groups` | groups whose completions all earn the same |
    | `confidence` | the confidence stated, of tasks that ask for it |
    | `abstained` | abstentions, of tasks that have such |
    | `one_answer` | the share that the commonest answer has, of a task's readable ones |
    | `one_truth` | the share that the commonest truth has, of the same task |
    """
    groups: dict[int, list[Judged]] = {}
    for one in step:
        groups.setdefault(one.row, []).append(one)
    # Where none is asked for, less and less of it is obedience and no sign.
    reasoned = [one for one in step if one.task.reasoning != "none"]
    texts = [
        [one.reasoning for one in group] for group in groups.values() if group[0].task.reasoning != "none"
    ]
    told = [one for one in reasoned if one.prompt.knowledge and one.reasoning]
    figures: dict[str, list[float | None]] = {
        "right": [right(one) for one in step],
        "format": [strict_format(one.rollout, one.task.answer_format, one.task.confidence) for one in step],
        "words": [float(len(words(one.reasoning))) for one in reasoned],
        "recitation": [recited_share(one.reasoning, one.prompt.knowledge, "none", "bleu") for one in told],
        "copied_5grams": [copied_share(one.reasoning, one.prompt.knowledge) for one in told],
        "distinct_2": [distinct_share(group) for group in texts],
        "self_bleu": [self_bleu(group) for group in texts],
        "flat_groups": [float(is_flat([one.score.total for one in group])) for group in groups.values()],
    }
    figures["confidence"] = [one.score.answer.confidence for one in step if one.task.confidence]
    figures["abstained"] = [
        float(one.score.answer.reason == ABSTAINED) for one in step if one.task.abstain is not None
    ]
    figures |= {name: [share] for name, share in _commonest(step).items()}
    means = {name: [value for value in values if value is not None] for name, values in figures.items()}
    return {f"monitor/{name}": fmean(values) for name, values in means.items() if values}


def by_knowledge(step: Sequence[Judged]) -> dict[str, float]:
    """`knowledge/right_told`, `knowledge/right_untold`: shares right, with knowledge in the prompt or not."""
    found: dict[str, list[float]] = {}
    for one in step:
        if (value := right(one)) is not None:
            name = "knowledge/right_told" if one.prompt.knowledge else "knowledge/right_untold"
            found.setdefault(name, []).append(value)
    return {name: fmean(values) for name, values in found.items()}


def right(one: Judged) -> float | None:
    """Whether the answer is right, for boxes how far; None where the case's truth is not known."""
    value = accuracy(one.score.answer, one.case, one.task)
    return value if value is not None else iou(one.score.answer, one.case, one.task)


def _commonest(step: Sequence[Judged]) -> dict[str, float]:
    """Of the task whose answers are the most alike beside its truths."""
    found = []
    for name in dict.fromkeys(one.task.name for one in step):
        of_task = [one for one in step if one.task.name == name]
        answers = [_key(one.score.answer.value) for one in of_task if one.score.answer.value is not None]
        truths = [_truth(one) for one in of_task]
        if answers:
            found.append((_top_share(answers), _top_share(truths)))
    if not found:
        return {}
    answer, truth = max(found, key=lambda shares: shares[0] - shares[1])
    return {"one_answer": answer, "one_truth": truth}


def _truth(one: Judged) -> Hashable:
    target = one.case.target
    return {"multilabel": target.labels, "localise": target.boxes, "answer": _key(target.text)}.get(
        one.task.kind, target.label
    )


def _key(value: Hashable) -> Hashable:
    return normalise(value) if isinstance(value, str) else value


def _top_share(values: Sequence[Hashable]) -> float:
    return Counter(values).most_common(1)[0][1] / len(values)
