"""VRFT-Aug: visual reinforcement fine-tuning for medical images, with four augmentations over GRPO.

What is named here is what other packages build on: the nouns, the error of a wrong input, and what a reader,
a reward, a metric or a model family is made of. Each is imported when it is used, so that `import vrft_aug`
costs nothing; all else inside the package may move between versions.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vrft_aug.data.images import FileImage
    from vrft_aug.data.settings import DataConfig
    from vrft_aug.errors import UserError
    from vrft_aug.evaluation.metrics.case_metrics import case_metric
    from vrft_aug.evaluation.report_data import Report
    from vrft_aug.knowledge.bank_schema import KnowledgeBank
    from vrft_aug.nouns import Answer, Box, Case, ImageRef, Prompt, Rollout, Score, Target, Task
    from vrft_aug.perception.tightening import Tightening
    from vrft_aug.policy.prefix.family import Family
else:
    _HOMES = {
        "vrft_aug.data.images": ("FileImage",),
        "vrft_aug.data.settings": ("DataConfig",),
        "vrft_aug.errors": ("UserError",),
        "vrft_aug.evaluation.metrics.case_metrics": ("case_metric",),
        "vrft_aug.evaluation.report_data": ("Report",),
        "vrft_aug.knowledge.bank_schema": ("KnowledgeBank",),
        "vrft_aug.nouns": (
            "Answer", "Box", "Case", "ImageRef", "Prompt", "Rollout", "Score", "Target", "Task",
        ),
        "vrft_aug.perception.tightening": ("Tightening",),
        "vrft_aug.policy.prefix.family": ("Family",),
    }  # fmt: skip

    def __getattr__(name):
        """Import a public name when it is first asked for (PEP 562)."""
        from importlib import import_module

        for home, names in _HOMES.items():
            if name in names:
                return globals().setdefault(name, getattr(import_module(home), name))
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        return sorted({*globals(), *__all__})


__version__ = "0.1.0"
__all__ = [
    "Answer",
    "Box",
    "Case",
    "DataConfig",
    "Family",
    "FileImage",
    "ImageRef",
    "KnowledgeBank",
    "Prompt",
    "Report",
    "Rollout",
    "Score",
    "Target",
    "Task",
    "Tightening",
    "UserError",
    "case_metric",
]
