"""What an audit of data can find: every kind by name, how bad it is, and what to do about it.

The names are also what a recipe accepts (`data.accept`); nothing heavy is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["wrong", "warning", "note"]  # wrong: `vrft check` fails unless the recipe accepts it


@dataclass(frozen=True)
class FindingKind:
    """How bad a kind of finding is, and what to do."""

    level: Level
    advice: str
    acceptable: bool = True  # what cannot be read cannot be accepted either


FINDING_KINDS: dict[str, FindingKind] = {
    "unreadable": FindingKind(
        "wrong", "Get these files again, or take their rows out: training stops at them.", False
    ),
    "bad-rows": FindingKind(
        "wrong", "Mend these rows or take them out: a training stops at the first.", False
    ),
    "blank": FindingKind("wrong", "Take these pictures out: nothing can be learned from one flat colour."),
    "near-constant": FindingKind("warning", "Look at them: an empty scan, a lens cap, a wrong window?"),
    "copies-across-splits": FindingKind(
        "wrong", "Keep one of each, or put all copies into one split: the test is on pictures trained on."
    ),
    "altered-copies-across-splits": FindingKind(
        "wrong",
        "Put a picture and everything made of it into one split: split first, augment afterwards, and only "
        "the training pictures.",
    ),
    "copies-across-tasks": FindingKind(
        "wrong",
        "Give the tasks the same splits: a stage would train on pictures that another task is tested on.",
    ),
    "look-alikes-across-splits": FindingKind(
        "warning", "Look at the pairs: neighbouring frames or a second film of one patient belong together."
    ),
    "copies": FindingKind("warning", "Keep one of each; copies weigh double."),
    "altered-copies": FindingKind("note", "Count them as one picture where you count cases."),
    "patients-across-splits": FindingKind(
        "wrong", "Put all pictures of a patient into one split (a random split does), or mend the ids."
    ),
    "series-across-splits": FindingKind(
        "warning",
        "Name what belongs together with data.patient_pattern or a patient column, and split anew.",
    ),
    "contradicting-labels": FindingKind(
        "wrong", "Find out which label is right, or take all of them out; no model can learn both."
    ),
    "contradicting-answers": FindingKind(
        "warning", "Look whether both texts are right; a model that says the one is charged for the other."
    ),
    "copies-disagree": FindingKind(
        "warning", "Look at the pairs: the same picture, altered, has another label."
    ),
    "boxes-outside": FindingKind("wrong", "Mend these boxes: are they of another size of the picture?"),
    "boxes-tiny": FindingKind("warning", "Look whether these are slips of the mouse, and take such out."),
    "boxes-covering": FindingKind(
        "warning", "Look whether a frame or a mask of the background became a box."
    ),
    "boxes-doubled": FindingKind(
        "warning", "Keep one: a model that finds the lesion once is charged for the other."
    ),
    "shortcut": FindingKind(
        "warning",
        "A model can earn its reward from this without looking at the lesion. Make it alike over the labels "
        "(crop, resize, save alike), or balance it, and test on data of another source.",
    ),
    "label-absent": FindingKind("warning", "Add cases, or leave the label out of the task."),
    "rare-label": FindingKind(
        "warning", "Balance the labels (balance: inverse), add cases, or join it with a neighbour."
    ),
    "imbalance": FindingKind("note", "Balance the labels (balance: inverse) and read metrics by class."),
    "uneven-splits": FindingKind("note", "Deal the splits by patient and label (data.random_split)."),
    "unknown-patients": FindingKind(
        "note",
        "Name patients where you have them (a column, data.patient_pattern): two pictures of one patient in "
        "two splits cannot be found without, and intervals are too narrow.",
    ),
    "mixed-kinds": FindingKind(
        "note", "Look whether formats and colour modes go along with labels or splits."
    ),
    "burned-in-text": FindingKind(
        "note", "Look whether it names patients or sides; crop it, or cover it, alike in all pictures."
    ),
    "shrunk": FindingKind(
        "note", "Raise model.max_pixels, or crop, where the finding is smaller than what is lost."
    ),
    "small-lesions": FindingKind(
        "warning",
        "Raise model.max_pixels, or cut the pictures into tiles: such a lesion is less than one "
        "visual token.",
    ),
}
