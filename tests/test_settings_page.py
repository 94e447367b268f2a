"""The reference of settings is the schema's: the page is what the script makes, which misses nothing."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest
from pydantic import BaseModel, Field

from helpers.documents import DOCS, read
from vrft_aug.data.settings import READERS, reader_config
from vrft_aug.nouns import TaskKind

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    sys.modules.pop("settings_page", None)
    return import_module("settings_page")


def test_the_page_is_what_the_schema_makes(script: ModuleType) -> None:
    page = read(DOCS / "reference" / "settings.md")
    assert page == script.page(), "run python scripts/settings_page.py"
    assert set(script.TOLD) == script.USED, (
        "TOLD has meanings of settings that are told elsewhere or are gone"
    )
    for name in READERS:
        assert f"### Reader `{name}`\n" in page
        for setting in reader_config(name).model_fields:
            assert f"| `{setting}` | " in page
    assert set(script.TRUTHS) == set(get_args(TaskKind))
    assert set(script.KINDS) <= set(reader_config("csv").model_fields)


def test_types_defaults_and_limits_are_told_as_a_recipe_writes_them(script: ModuleType) -> None:
    class Some(BaseModel):
        number: int | None = Field(default=None, ge=1)  # so many
        # First line
        # and second
        names: tuple[str, ...] = ()
        needed: bool
        mapping: dict[str, float] = Field(default_factory=dict)

    told = {
        name: (script.type_of(field), script.default_of(field)) for name, field in Some.model_fields.items()
    }
    assert told == {
        "number": ("whole number or null, ≥ 1", "`null`"),
        "names": ("list of text", "`[]`"),
        "needed": ("true, false", "**needed**"),
        "mapping": ("mapping of text to number", "`{}`"),
    }


def test_a_setting_without_a_meaning_is_refused(script: ModuleType) -> None:
    class Bare(BaseModel):
        nobody_explained_this: int = 0

    with pytest.raises(KeyError, match=r"no comment beside .*Bare\.nobody_explained_this"):
        script.meaning_of(Bare, "nobody_explained_this")
