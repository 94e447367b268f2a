"""Libraries that set seeds when they start, and what is drawn after them all the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def same_random_numbers() -> Iterator[None]:
    """What is drawn afterwards by Python, numpy or torch is as if nothing in here had been."""
    own, numpys = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(own)
        np.random.set_state(numpys)  # noqa: NPY002
