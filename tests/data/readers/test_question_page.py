"""docs/how-to/questions.md: every YAML block reads a file of the layout that it names, as it stands there."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from helpers.data_files import save_image
from helpers.question_files import COUNT, WHAT, layout_records, write_records
from vrft_aug.data.cases import EmptySplit, load_cases
from vrft_aug.data.readers.record_layouts import ORDER
from vrft_aug.data.settings import reader_config
from vrft_aug.data.splits import SPLITS
from vrft_aug.nouns import Case
from vrft_aug.recipe.task_config import TaskConfig
from vrft_aug.tasks.task import make_task

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "questions.md"
BLOCKS: list[dict[str, Any]] = [
    yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
]
PRESETS = {block["data"]["layout"]: block for block in BLOCKS if "layout" in block["data"]}


def read(block: dict[str, Any], root: Path) -> dict[str, list[Case]]:
    """The cases of every split that the task of a block has."""
    config = TaskConfig.model_validate(block)
    found: dict[str, list[Case]] = {}
    for split in SPLITS:
        try:
            found[split] = load_cases(config.data, make_task("t", config), root, split)
        except EmptySplit:
            continue
    return found


def test_every_layout_has_a_preset_on_the_page() -> None:
    assert set(PRESETS) == set(ORDER)
    assert len(BLOCKS) == len(ORDER) + 2  # a file of one's own, drawn pictures


@pytest.mark.parametrize("layout", ORDER)
def test_a_preset_reads_a_file_of_its_layout(layout: str, tmp_path: Path) -> None:
    data = PRESETS[layout]["data"]
    _, records = layout_records(layout, tmp_path, data.get("images", "imgs"))
    tables = data["table"] if isinstance(data["table"], dict) else {None: data["table"]}
    for table in tables.values():
        write_records(tmp_path / table, records)
    found = read(PRESETS[layout], tmp_path)
    assert sum(map(len, found.values())) == COUNT * len(tables)
    if isinstance(data["table"], dict):  # without a file for it, validation is dealt out of training
        assert len(found["test"]) == COUNT and len(found["train"]) + len(found["validation"]) == (
            COUNT * (len(tables) - 1)
        )
    for case in (case for cases in found.values() for case in cases):
        assert case.question == WHAT and case.images[0].open().size == (40, 30) and case.picture
        answer = case.target.label if PRESETS[layout]["kind"] == "choice" else case.target.text
        assert answer in ("MRI", "yes")


def test_the_block_of_ones_own_file_reads_what_it_describes(tmp_path: Path) -> None:
    (block,) = (one for one in BLOCKS if one["data"].get("image"))
    assert set(block["data"]) <= set(reader_config("json").model_fields)
    for i in range(6):
        save_image(tmp_path / "mine" / "pictures" / f"s{i}.png", seed=i)
    lines = [
        {"study": {"images": [f"s{i}.png"], "patient": f"p{i}"}, "subset": ("train", "dev", "test")[i % 3],
         "qa": {"id": i, "question": "Which?", "answer": "B", "options": {"A": "CT", "B": "MRI"},
                "kind": "Modality", "language": ("en", "de", "fr")[i // 2]}}
        for i in range(6)
    ]  # fmt: skip
    (tmp_path / "mine" / "questions.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = read(block, tmp_path)
    assert {split: len(cases) for split, cases in found.items()} == {"train": 2, "validation": 1, "test": 1}
    (case,) = found["validation"]
    assert (case.id, case.patient, case.target.label) == ("mine/validation/1", "p1", "MRI")
    assert case.facets == (("type", "modality"), ("language", "en"))


def test_the_block_of_drawn_pictures_asks() -> None:
    (block,) = (one for one in BLOCKS if one["data"]["reader"] == "procedural")
    found = read(block, Path())
    assert {dict(case.facets)["topic"] for case in found["train"]} == set(block["data"]["questions"])
    assert len({case.picture for case in found["test"]}) == 20
