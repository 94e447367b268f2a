"""Property tests draw the same examples each time and never fail for being slow. A policy to train."""

from pathlib import Path

import pytest
from hypothesis import settings

from random_policy import save_random_policy

settings.register_profile("vrft", derandomize=True, deadline=None, database=None)
settings.load_profile("vrft")


@pytest.fixture(scope="session")
def random_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformers folder with a very small random Qwen2.5-VL."""
    return save_random_policy(tmp_path_factory.mktemp("policy"))
