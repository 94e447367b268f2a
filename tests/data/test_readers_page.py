"""The page of readers: every snippet is a setting that a recipe takes, every reader and setting is on it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from helpers.documents import DOCS, read
from vrft_aug.data.settings import READERS, DataConfig, reader_config
from vrft_aug.data.split_settings import SplitSettings
from vrft_aug.recipe.file import parse_yaml
from vrft_aug.recipe.task_config import TaskConfig

PAGE = DOCS / "reference" / "readers.md"
PAGES = (PAGE, DOCS / "how-to" / "dicom.md", DOCS / "how-to" / "volumes.md")
YAML = re.compile(r"```yaml\n(.*?)```", flags=re.DOTALL)


def snippets() -> list[tuple[str, dict[str, Any]]]:
    """(page and place, content) of every YAML block."""
    found = []
    for page in PAGES:
        for number, block in enumerate(YAML.findall(read(page))):
            found.append((f"{page.stem} {number}", parse_yaml(block, page.name)))
    return found


SNIPPETS = snippets()


def settings_of(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The data settings of a snippet, bare or within tasks, which are checked along the way."""
    if "tasks" not in content:
        return [content]
    for task in content["tasks"].values():
        TaskConfig.model_validate(task)
    return [task["data"] for task in content["tasks"].values()]


@pytest.mark.parametrize(("where", "content"), SNIPPETS, ids=[where for where, _ in SNIPPETS])
def test_every_snippet_is_taken(where: str, content: dict[str, Any]) -> None:
    for data in settings_of(content):
        read_back = reader_config(data["reader"]).model_validate(data)
        assert read_back.reader == data["reader"]
        with pytest.raises(ValueError, match="colour"):
            reader_config(data["reader"]).model_validate(data | {"colour": 1})


def test_every_reader_has_a_snippet_and_every_setting_a_place() -> None:
    shown = {data["reader"] for _, content in SNIPPETS for data in settings_of(content)}
    assert shown == set(READERS)
    page = read(PAGE)
    shared = set(SplitSettings.model_fields) | set(DataConfig.model_fields)
    missing = {
        f"{reader}: {setting}"
        for reader in READERS
        for setting in set(reader_config(reader).model_fields) - shared
        if not re.search(rf"\b{setting}\b", page)
    }
    assert not missing
    assert [setting for setting in shared - {"reader"} if f"| `{setting}` |" not in page] == []
