"""Pictures opened to see whether they can be: a sample in this process, all of them on all cores."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from vrft_aug.data.picture_identity import picture_identity
from vrft_aug.errors import UserError
from vrft_aug.nouns import Case, ImageRef

SAMPLE = 64  # pictures that are opened where not all are asked for
FEW = 256  # pictures that are not worth starting processes for
NAMED = 3  # broken pictures that a message names
LINE = 460  # characters of the message at most
Result = TypeVar("Result")


def sampled_pictures(cases: Iterable[Case]) -> list[ImageRef]:
    """At most `SAMPLE` pictures of the cases, spread evenly over their order, each once."""
    seen: dict[Any, ImageRef] = {}
    for image in sample([image for case in cases for image in case.images]):
        seen.setdefault(picture_identity(image), image)
    return list(seen.values())


def sample(images: Sequence[ImageRef], size: int = SAMPLE) -> list[ImageRef]:
    """At most `size` of them, spread evenly over their order: the same at every call."""
    if len(images) <= size:
        return list(images)
    return [images[number * len(images) // size] for number in range(size)]


def check_pictures(
    images: Sequence[ImageRef], opened: Callable[[int], None] | None = None, processes: int | None = None
) -> None:
    """Open all of them; raises UserError that names the first that cannot be, and counts the others.

    `opened` is called with 1 for each one done. More than a few are opened by `processes`: one a core.
    """
    reasons = []
    for reason in on_all_cores(_reason, images, processes):
        reasons.append(reason)
        if opened is not None:
            opened(1)
    refuse_broken(images, reasons)


def refuse_broken(images: Sequence[ImageRef], reasons: Sequence[str | None]) -> None:
    """Raise the UserError of `check_pictures` where a picture has a reason why it cannot be opened."""
    found = [(image, why) for image, why in zip(images, reasons, strict=True) if why is not None]
    if found:
        raise UserError(_line(found, len(images)))


def on_all_cores(
    work: Callable[[ImageRef], Result], images: Sequence[ImageRef], processes: int | None = None
) -> Iterator[Result]:
    """`work` of every picture, in order; of more than a few by `processes`, one a core.

    `work` is a function of a module, and never holds more than its own picture.
    """
    processes = processes or os.cpu_count() or 1
    if len(images) <= FEW or processes == 1:
        yield from map(work, images)
        return
    spawn = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    with ProcessPoolExecutor(processes, mp_context=spawn) as pool:
        yield from pool.map(work, images, chunksize=16)


def _reason(image: ImageRef) -> str | None:
    """Why it cannot be opened, in one line, or None."""
    try:
        image.open()
    except UserError as error:
        return " ".join(str(error).split())
    return None


def _line(found: Sequence[tuple[ImageRef, str]], opened: int) -> str:
    """The first in full, two more by name, the rest by their number."""
    names = [Path(getattr(image, "path", "")).name[-60:] for image, _ in found[1:NAMED]]
    more = f"; also {', '.join(names)}" if any(names) else ""
    more += f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    head = f"{len(found)} of {opened} pictures opened cannot be used: " if opened > 1 else ""
    return head + found[0][1][: LINE - len(head) - len(more)] + more
