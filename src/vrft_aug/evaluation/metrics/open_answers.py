"""What a free answer shares with its reference, as metrics: the functions of the reward terms, one truth."""

from __future__ import annotations

from vrft_aug.evaluation.metrics.case_metrics import case_metric
from vrft_aug.nouns import Answer, Case, Task
from vrft_aug.shaping import overlap


@case_metric("Recall", "words of the reference that the answer has", kinds=("answer",))
def recall(answer: Answer, case: Case, task: Task) -> float | None:
    """See `shaping.overlap.recall`."""
    return overlap.recall(answer, case, task)


@case_metric("BLEU", "sentence BLEU with the reference, mean over cases", kinds=("answer",))
def bleu(answer: Answer, case: Case, task: Task) -> float | None:
    """See `shaping.overlap.bleu`."""
    return overlap.bleu(answer, case, task)


@case_metric("ROUGE-L", "longest common subsequence with the reference", kinds=("answer",))
def rouge_l(answer: Answer, case: Case, task: Task) -> float | None:
    """See `shaping.overlap.rouge_l`."""
    return overlap.rouge_l(answer, case, task)


@case_metric("Number right", "where the reference is a number, in any unit", kinds=("answer",))
def number(answer: Answer, case: Case, task: Task) -> float | None:
    """See `shaping.overlap.number`."""
    return overlap.number(answer, case, task)


@case_metric("Yes or no right", "where the reference is yes or no", kinds=("answer",))
def yes_no(answer: Answer, case: Case, task: Task) -> float | None:
    """See `shaping.overlap.yes_no`."""
    return overlap.yes_no(answer, case, task)
