"""The readers by name: each is one file that says what its settings are, and is imported when it is named."""

import subprocess
import sys

import pytest

from vrft_aug.data.settings import READERS, CustomData, DataConfig, reader_config
from vrft_aug.errors import UserError


@pytest.mark.parametrize("name", READERS)
def test_every_reader_says_its_settings_in_its_own_file(name: str) -> None:
    settings = reader_config(name)
    assert issubclass(settings, DataConfig) and settings is not DataConfig
    assert READERS[name].startswith("vrft_aug.data.") and settings.__module__ == READERS[name].split(":")[0]
    assert settings.__doc__


def test_the_settings_import_no_reader_and_nothing_heavy() -> None:
    code = (
        "import sys, vrft_aug.recipe.file\n"
        "heavy = ('numpy', 'PIL', 'torch', 'vrft_aug.data.readers')\n"
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_an_unknown_reader_is_told_what_there_is() -> None:
    with pytest.raises(
        UserError, match=r"reader 'cvs' is unknown; expected medmnist, csv.*did you mean 'csv'"
    ):
        reader_config("cvs")
    assert reader_config("mine:read") is CustomData
