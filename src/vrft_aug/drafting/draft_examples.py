"""What a draft is asked for: a task, by recipe or MedMNIST name, and a few of its training pictures."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vrft_aug.data.cases import load_cases
from vrft_aug.data.readers.medmnist_labels import LABELS, MULTI_LABEL
from vrft_aug.drafting.knowledge_draft import Example
from vrft_aug.errors import UserError, nearest
from vrft_aug.nouns import ImageRef, Task
from vrft_aug.recipe.file import load_recipe, shipped_recipes
from vrft_aug.recipe.schema import Recipe
from vrft_aug.tasks.task import make_task

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 768  # pixels of the longer side at most, so that a photograph does not cost a fortune


@dataclass(frozen=True)
class Smaller:
    """A picture shrunk to `side` pixels where it is larger."""

    image: ImageRef
    side: int

    def open(self) -> Image:
        """The picture, with its aspect ratio."""
        picture = self.image.open()
        picture.thumbnail((self.side, self.side))
        return picture


def find_task(source: str, name: str | None = None) -> tuple[Task, Recipe | None]:
    """The task of a recipe (with the recipe), else of the MedMNIST set that `source` names.

    Raises UserError where it is neither.
    """
    if source in LABELS and source not in shipped_recipes():
        if name is not None:
            raise UserError(f"{source!r} is a MedMNIST set, no recipe: it has no task {name!r}")
        return medmnist_task(source), None
    recipe = load_recipe(source)
    return recipe_task(recipe, name), recipe


def recipe_task(recipe: Recipe, name: str | None) -> Task:
    """The recipe's task of that name, by default the one that is evaluated; UserError without labels."""
    wanted = name or recipe.evaluation.task
    if wanted not in recipe.tasks:
        raise UserError(
            f"recipe {recipe.name!r} has no task {wanted!r}{nearest(wanted, recipe.tasks)}; "
            f"it has {', '.join(recipe.tasks)}"
        )
    task = make_task(wanted, recipe.tasks[wanted])
    if not task.labels:
        raise UserError(f"task {wanted!r} has no labels; expected a closed set to draft knowledge of")
    return task


def medmnist_task(dataset: str) -> Task:
    """The task of a MedMNIST set."""
    question = (
        "Which of these are true of the image?" if dataset in MULTI_LABEL else "Which class is the image?"
    )
    return Task(
        dataset, "classify", question, LABELS[dataset], modality=f"images of the MedMNIST set {dataset}"
    )


def class_examples(recipe: Recipe, task: Task, per_class: int) -> list[Example]:
    """So many training pictures of every label, drawn by the recipe's seed; of cases with several, the first.

    Raises UserError where data is absent, or the task's cases have no labels.
    """
    if task.kind not in ("classify", "grade"):
        raise UserError(f"task {task.name!r} is of kind {task.kind}; examples need one label a case")
    cases = load_cases(recipe.tasks[task.name].data, task, recipe.root(), "train")
    random.Random(recipe.seed).shuffle(cases)
    examples = []
    for label in task.labels:
        images = [case.images[0] for case in cases if case.target.label == label]
        examples += [Example(label, Smaller(image, SIDE)) for image in images[:per_class]]
    return examples
