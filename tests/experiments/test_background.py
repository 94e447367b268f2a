"""Work beside the training."""

from __future__ import annotations

import threading

import pytest

from vrft_aug.experiments.background import Background


def test_it_runs_beside_and_its_value_is_waited_for() -> None:
    go = threading.Event()

    def work() -> int:
        assert go.wait(60)
        return 7

    job = Background(work)  # returns at once: `work` waits for what comes after it
    go.set()
    assert job.result() == 7


def test_its_error_is_raised_where_the_value_is_asked_for() -> None:
    def work() -> int:
        raise ValueError("a picture has gone")

    job = Background(work)
    with pytest.raises(ValueError, match="a picture has gone"):
        job.result()
