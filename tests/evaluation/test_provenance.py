"""The hash of the cases judged: equal for equal cases, another for any change that a model meets."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from vrft_aug.data.images import FileImage
from vrft_aug.evaluation.provenance import hash_cases
from vrft_aug.nouns import Case, Target

CHANGES: dict[str, dict[str, Any]] = {
    "id": {"id": "set/test/1"},
    "patient": {"patient": "another"},
    "question": {"question": "Which side?"},
    "options": {"options": ("right", "left")},
    "facets": {"facets": (("type", "open"),)},
    "target": {"target": Target(text="right")},
    "pictures": {"images": ()},
}


def case(picture: Path) -> Case:
    return Case(
        id="set/test/0",
        images=(FileImage(picture),),
        target=Target(text="left"),
        patient="one",
        question="Where?",
        options=("left", "right"),
        facets=(("type", "closed"),),
    )


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_of_a_case_changes_the_hash(tmp_path: Path, change: str) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    before = case(tmp_path / "a.png")
    assert hash_cases([before]) == hash_cases([case(tmp_path / "a.png")])
    assert hash_cases([replace(before, **CHANGES[change])]) != hash_cases([before])


def test_another_picture_in_the_same_file_changes_the_hash(tmp_path: Path) -> None:
    hashes = set()
    for colour in ("red", "blue"):
        Image.new("RGB", (4, 4), colour).save(tmp_path / "a.png")
        hashes.add(hash_cases([case(tmp_path / "a.png")]))
    assert len(hashes) == 2
