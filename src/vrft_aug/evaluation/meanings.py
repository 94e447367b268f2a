"""What the metrics are called, how they are read, and which of them a task's headline has."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import get_args

from vrft_aug.nouns import FailureReason, TaskKind

REASONS: tuple[FailureReason, ...] = get_args(FailureReason)


@dataclass(frozen=True)
class Meaning:
    """How a metric is named and read."""

    title: str
    note: str
    better: int = 1  # 1: higher is better, -1: lower, 0: neither
    share: bool = True  # between 0 and 1 (kappa: -1 and 1); False: a count or a distance

    @property
    def direction(self) -> str:
        """`higher is better`, `lower is better`, or "" where it is neither."""
        return {1: "higher is better", -1: "lower is better"}.get(self.better, "")


MEANINGS = {
    "accuracy": Meaning("Accuracy", "answered right; no answer is wrong"),
    "balanced_accuracy": Meaning("Balanced accuracy", "mean sensitivity over the classes"),
    "macro_f1": Meaning("Macro F1", "mean F1 over the classes"),
    "kappa": Meaning("Quadratic kappa", "agreement on the grade; no answer counts as the farthest grade"),
    "grade_error": Meaning(
        "Grade error", "mean distance in grades; no answer as the farthest grade", -1, share=False
    ),
    "far_off": Meaning("Far off", "off by more than one grade; no answer as the farthest grade", -1),
    "referable_sensitivity": Meaning("Referable, sensitivity", "cases of the third grade or above called so"),
    "referable_specificity": Meaning("Referable, specificity", "cases below the third grade called so"),
    "label_accuracy": Meaning("Label accuracy", "labels rightly said or left out; no answer is all wrong"),
    "micro_f1": Meaning("Micro F1", "F1 of all labels of all cases together"),
    "chance": Meaning("Chance", "what guessing among each case's options gets right", 0),
    "token_f1": Meaning("Token F1", "words shared with the reference"),
    "frequent_accuracy": Meaning(
        "Frequent answer", "blind: the training split's most frequent answer to the question is right", 0
    ),
    "frequent_token_f1": Meaning("Frequent answer, F1", "token F1 of that answer", 0),
    "text_only_accuracy": Meaning(
        "Without picture", "blind: accuracy of the same model, the picture blank", 0
    ),
    "text_only_token_f1": Meaning("Without picture, F1", "token F1 of these answers", 0),
    "untold_accuracy": Meaning("Untold", "accuracy of the same model without the knowledge in its prompt"),
    "untold_token_f1": Meaning("Untold, F1", "token F1 of these answers"),
    "gain_by_knowledge": Meaning("Gain by knowledge", "accuracy minus that without it, paired", 0),
    "gain_on_frequent": Meaning("Gain on frequent", "accuracy minus that of the frequent answer, paired"),
    "gain_by_sight": Meaning("Gain by sight", "accuracy minus that without picture, paired"),
    "mean_iou": Meaning("Mean IoU", "matched boxes over the larger number of boxes; none where none is 1"),
    "ap50": Meaning("AP50", "average precision at IoU 0.5, mean over labels"),
    "froc": Meaning("FROC", "mean share of boxes found at 1/8 to 8 false boxes an image"),
    "found": Meaning("Boxes found", "true boxes covered with an IoU of 0.5 or more"),
    "false_boxes": Meaning("False boxes", "boxes per image that find nothing", -1, share=False),
    "auroc": Meaning("AUROC", "ranking by the share of the samples, one class against the rest"),
    "average_precision": Meaning("Average precision", "of the same ranking, one class against the rest"),
    "vote_accuracy": Meaning("Vote accuracy", "majority of the samples; a tie goes to the first label"),
    "vote_kappa": Meaning("Vote kappa", "quadratic kappa of the majority of the samples"),
    "vote_share": Meaning("Vote share", "mean share of the samples that the majority has", 0),
    "calibration_error": Meaning(
        "Calibration error", "distance of the majority's share from the share right, over 10 bins", -1
    ),
    "clear_share": Meaning("Clear votes", "cases in which at least 80 % of the samples agree", 0),
    "clear_accuracy": Meaning("Accuracy if clear", "majority right where at least 80 % of the samples agree"),
    "risk_area": Meaning("Risk area", "error rate among the surest cases, over all coverages (AURC)", -1),
    "confidence_stated": Meaning("Confidence stated", "answers that say how sure they are"),
    "mean_confidence": Meaning("Confidence", "mean confidence stated", 0),
    "confidence_error": Meaning(
        "Confidence error", "distance of the stated confidence from the share right, over 10 bins (ECE)", -1
    ),
    "brier_score": Meaning(
        "Brier score", "squared distance of the stated confidence from right (1) or wrong (0)", -1
    ),
    "ranked_probability_score": Meaning(
        "Ranked probability",
        "the same over the grades in order, the rest of the confidence spread evenly",
        -1,
    ),
    "confidence_auroc": Meaning("Confidence AUROC", "right answers told from wrong ones by their confidence"),
    "confidence_risk_area": Meaning(
        "Confidence risk area", "error rate among the surest answers, over all coverages (AURC)", -1
    ),
    "coverage_at_5": Meaning("Coverage at 5 %", "cases answered, the surest first, with 5 % wrong at most"),
    "coverage_at_10": Meaning("Coverage at 10 %", "the same with 10 % wrong at most"),
    "coverage_at_20": Meaning("Coverage at 20 %", "the same with 20 % wrong at most"),
    "abstained": Meaning("Abstained", "cases of which the answer is that it cannot be told", 0),
    "answered_accuracy": Meaning("Accuracy if answered", "right among the cases that are answered"),
    "sample_accuracy": Meaning("Sample accuracy", "share of single samples that are right"),
    "any_right": Meaning("Any right", "cases with at least one right sample"),
    "medmnist_acc": Meaning("MedMNIST ACC", "as the official evaluator defines it"),
    "medmnist_auc": Meaning("MedMNIST AUC", "as the official evaluator defines it"),
    "answered": Meaning("Answered", "completions with a readable answer"),
    "format": Meaning("Format kept", "exactly the form that the prompt asks for"),
    "tokens": Meaning("Tokens", "mean length of a completion", 0, share=False),
    "reasoning_words": Meaning("Reasoning, words", "mean length of the reasoning", 0, share=False),
    "distinct_1": Meaning("Distinct words", "different words over all words of all reasonings", 0),
    "distinct_2": Meaning("Distinct pairs", "different word pairs over all word pairs of all reasonings", 0),
    "self_bleu": Meaning("Self-BLEU", "likeness of the reasoning of a case's samples", 0),
    "recitation": Meaning("Recitation", "BLEU of the reasoning with the knowledge in the prompt", 0),
    "consistency": Meaning("Consistency", "findings in the reasoning that belong to the class answered"),
    "grounding": Meaning("Grounding", "findings in the reasoning that are in the picture, where known"),
    "sensitivity": Meaning("Sensitivity", "cases of the class called so"),
    "specificity": Meaning("Specificity", "cases of other classes called otherwise"),
    "f1": Meaning("F1", "harmonic mean of sensitivity and precision"),
    "sensitivity_from": Meaning("Sensitivity from", "cases of this grade or above called so"),
    "specificity_from": Meaning("Specificity from", "cases below this grade called so"),
    "auroc_from": Meaning("AUROC from", "this grade or above against those below, by the samples"),
    "pass_at": Meaning("Pass@k", "at least one of k samples right"),
    "failed": Meaning("Failed", "no answer, by reason", -1),
}
HEADLINES: dict[TaskKind, tuple[str, ...]] = {
    "classify": ("accuracy", "balanced_accuracy", "macro_f1", "answered"),
    "grade": ("accuracy", "balanced_accuracy", "kappa", "grade_error", "answered"),
    "localise": ("mean_iou", "ap50", "found", "false_boxes", "answered"),
    "multilabel": ("accuracy", "label_accuracy", "macro_f1", "answered"),
    "choice": ("accuracy", "frequent_accuracy", "text_only_accuracy", "chance", "answered"),
    "answer": ("accuracy", "frequent_accuracy", "text_only_accuracy", "token_f1", "answered"),
}


def headline(kind: TaskKind, metrics: Collection[str]) -> tuple[str, ...]:
    """The metrics to show first, of those that a report has: blind baselines may not have been asked for."""
    return tuple(name for name in HEADLINES[kind] if name in metrics)
