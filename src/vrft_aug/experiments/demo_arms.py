"""What `vrft demo` trains: the arms of its two modalities, with equal data, model, seeds and budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from vrft_aug.experiments.baselines import rft, rft_with_boxes, sft, untold, untrained
from vrft_aug.recipe.file import load_recipe
from vrft_aug.recipe.schema import Recipe

OURS = "VRFT-Aug"  # the arm that the others are held against


@dataclass(frozen=True)
class Modality:
    """One of the demo's kinds of pictures: a shipped recipe, and the metric that its sentences speak of."""

    name: str
    recipe: str
    metric: str


@dataclass(frozen=True)
class Arm:
    """One row of the demo's tables: what becomes of the recipe, and whether that is trained."""

    name: str
    parts: str  # what it is made of, in words
    derive: Callable[[Recipe], Recipe]
    trained: bool = True

    def recipe(self, modality: Modality, seed: int) -> Recipe:
        """The arm's recipe for a training seed."""
        whole = load_recipe(modality.recipe, [f"seed={seed}", "evaluation.base=false"])
        return self.derive(whole)


MODALITIES = (Modality("fundus", "fundus-demo", "kappa"), Modality("chest", "chest-demo", "macro_f1"))

# Of those tried on the validation split what was best for supervised training; the others have the recipe's.
SFT_RATE: Mapping[str, object] = {"learning_rate": 3e-4}

ARMS = (
    Arm("Base", "the start model", untold, trained=False),
    Arm("Base with knowledge", "the start model, told the class definitions", untrained, trained=False),
    Arm("SFT", "supervised on the answers", partial(sft, trainer=dict(SFT_RATE))),
    Arm(
        "SFT with knowledge",
        "supervised on the answers, told the class definitions",
        partial(sft, trainer=dict(SFT_RATE), told=True),
    ),
    Arm("RFT", "GRPO on format and the right answer", rft),
    Arm("RFT with boxes", "GRPO on the box task, then as RFT", rft_with_boxes),
    Arm(
        OURS,
        "GRPO on the box task, then told the class definitions, paid for near misses and its own words",
        lambda recipe: recipe,
    ),
)
