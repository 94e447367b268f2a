"""Pictures are decoded and resized once in a stage, and those of the next round while the model computes.

The processor's image processor is stood in for while a trainer makes its batches. What it gives is kept by
the references of the pictures, so that a picture that was processed before is not even opened. Every row is
processed alone: what it gives must not depend on its neighbours, which are others after a resume. An image
processor whose rows depend on each other is found out on made-up pictures, and works as ever.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import get_worker_info

from vrft_aug.data.picture_on_demand import PictureOnDemand
from vrft_aug.nouns import ImageRef
from vrft_aug.policy.prefix.patching import swapped
from vrft_aug.processes import processes
from vrft_aug.training.job import StageJob
from vrft_aug.training.pictures.picture_store import Fields, PictureStore

logger = logging.getLogger(__name__)
THREADS = 4  # at most; half of the cores otherwise
TRIAL = (((72, 40),), ((56, 56),), ((72, 40), (64, 120)), ((30, 150),))  # sizes of made-up pictures, by row
Refs = tuple[ImageRef, ...]  # of the pictures of a row
Key = tuple[str, Refs]


class PictureServer:
    """Stands in for an image processor: rows of pictures on demand are processed once, all else as ever.

    Args:
        image_processor: one of transformers.
        store: where what it gives is kept.
    """

    def __init__(self, image_processor: Any, store: PictureStore) -> None:
        self._image_processor, self._store = image_processor, store
        self._settings: dict[str, Any] | None = None  # of the last call
        self._reasons: dict[str, str | None] = {}  # why rows are not processed alone, by settings
        self._wanted: tuple[Refs, ...] = ()
        self._before: tuple[Refs, ...] = ()  # what was wanted before that
        self._last: set[Key] = set()  # what the last call asked for
        self._coming: dict[Key, Future[Fields]] = {}
        self._threads: ThreadPoolExecutor | None = None

    def __getattr__(self, name: str) -> Any:
        if name == "_image_processor":  # while it is copied, before it has any
            raise AttributeError(name)
        return getattr(self._image_processor, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return _itself, (self._image_processor,)  # a loader's workers process as ever

    def __call__(self, images: Any, **settings: Any) -> Any:
        """As the image processor, to the bit."""
        from transformers.image_processing_base import BatchFeature

        rows = _rows(images)
        if rows is None or settings.get("return_tensors") != "pt" or get_worker_info() is not None:
            return self._image_processor(images, **settings)
        said = _said(settings)
        if said not in self._reasons:
            self._reasons[said] = reason = _why_not_alone(self._image_processor, settings)
            if reason is not None:
                logger.warning("pictures are processed anew in every round: %s", reason)
        if self._reasons[said] is not None:
            return self._image_processor(images, **settings)
        self._settings = settings
        keys = [(said, row) for row in rows]
        parts = [self._processed(key, settings) for key in keys]
        self._last = set(keys)
        self._prepare()
        return BatchFeature(join_fields(parts))

    def fetch_images(self, images: Any) -> Any:
        """Pictures are there already; some image processors would decode them here."""
        return images if _rows(images) is not None else self._image_processor.fetch_images(images)

    def ahead(self, rows: Iterable[Refs]) -> None:
        """Prepare these rows while other things are computed.

        What was wanted before stays a while: a loader tells of a batch before the last one is processed.
        """
        wanted = tuple(rows)
        if wanted != self._wanted:
            self._before, self._wanted = self._wanted, wanted
            self._prepare()

    def _processed(self, key: Key, settings: dict[str, Any]) -> Fields:
        fields = self._store.get(key)
        if fields is None:
            coming = self._coming.pop(key, None)
            # One that no thread has begun is done here and now: others may stand before it.
            waits = coming is not None and not coming.cancel()
            fields = coming.result() if waits and coming else self._process(key[1], settings)
            self._store.put(key, fields)
        return fields

    def _process(self, refs: Refs, settings: dict[str, Any]) -> Fields:
        with torch.no_grad():
            return dict(self._image_processor([[ref.open() for ref in refs]], **settings))

    def _prepare(self) -> None:
        if self._settings is None:
            return  # how they are processed shows in the first round
        said = _said(self._settings)
        keys, before = ([(said, refs) for refs in rows] for rows in (self._wanted, self._before))
        for key in self._coming.keys() - {*keys, *before}:
            self._coming.pop(key).cancel()
        for key in keys:
            if key not in self._store and key not in self._coming and key not in self._last:
                if self._threads is None:
                    workers = max(1, min(THREADS, (os.cpu_count() or 1) // 2))
                    self._threads = ThreadPoolExecutor(workers, thread_name_prefix="vrft-pictures")
                self._coming[key] = self._threads.submit(self._process, key[1], self._settings)


class NextPictures:
    """Told which places of the order a batch is of, has its pictures prepared and those of the batch after.

    A loader asks for a batch before the one before it is trained on.

    Args:
        order: the rows of a stage, by place.
        pictures: gives the references of a row.
        server: prepares them.
        processes: that share the order; each takes a batch in turn.
    """

    def __init__(
        self, order: Sequence[int], pictures: Callable[[int], Refs], server: PictureServer, processes: int
    ) -> None:
        self.order, self.pictures, self.server, self.processes = order, pictures, server, processes

    def __call__(self, places: Iterable[int]) -> None:
        """Places may repeat."""
        own = dict.fromkeys(places)
        both = [*own, *(place + len(own) * self.processes for place in own)]
        rows = dict.fromkeys(self.order[place] for place in both if place < len(self.order))
        self.server.ahead(refs for refs in map(self.pictures, rows) if _hashable(refs))

    def __reduce__(self) -> tuple[Any, ...]:
        return _nobody, ()  # a loader's workers prepare nothing


def serve_pictures(trainer: Any, method: str, job: StageJob, pictures: Callable[[int], Refs]) -> None:
    """Let what a trainer makes batches by take its pictures from a server, as `model.pictures` says.

    Args:
        trainer: of TRL, on a `CaseDataset`; for GRPO prefix sharing is in it already.
        method: the attribute that makes a batch of rows.
        job: its stage.
        pictures: the references of a row.
    """
    config, place = job.model.pictures, processes()
    if not (config.memory_gb or config.disk_gb or config.ahead):
        return
    memory, disk = (round(size * 1e9) for size in (config.memory_gb, config.disk_gb))
    store = PictureStore(memory, disk, job.folder / f"pictures-{place.rank}")
    processor, data = trainer.processing_class, trainer.train_dataset
    server = PictureServer(processor.image_processor, store)
    setattr(trainer, method, partial(_served, getattr(trainer, method), processor, server))
    if config.ahead:
        data.asked = NextPictures(data.order, pictures, server, place.count)


def join_fields(parts: Sequence[Fields]) -> dict[str, Any]:
    """What an image processor gives for rows, from what it gives for each.

    Lines follow each other; where rows differ in size (tiles of an image), zeros follow in the smaller.
    """
    return {name: _joined([part[name] for part in parts]) for name in parts[0]}


def _joined(values: list[Any]) -> Any:
    if not isinstance(values[0], torch.Tensor):
        return [item for value in values for item in value]
    sizes = [max(lengths) for lengths in zip(*(value.shape[1:] for value in values), strict=True)]
    return torch.cat([_padded(value, sizes) for value in values])


def _padded(value: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    if list(value.shape[1:]) == list(sizes):
        return value
    missing = [size - own for size, own in zip(sizes, value.shape[1:], strict=True)]
    return torch.nn.functional.pad(value, [n for size in reversed(missing) for n in (0, size)])


def _served(stock: Callable[[Any], Any], processor: Any, server: PictureServer, batch: Any) -> Any:
    with swapped(processor, "image_processor", server):
        return stock(batch)


def _rows(images: Any) -> list[Refs] | None:
    """The references of a batch of rows of pictures on demand; None for anything else."""
    if not (isinstance(images, list | tuple) and images and all(isinstance(r, list | tuple) for r in images)):
        return None
    if not all(row and all(isinstance(picture, PictureOnDemand) for picture in row) for row in images):
        return None
    rows = [tuple(picture.ref for picture in row) for row in images]
    return rows if all(map(_hashable, rows)) else None


def _hashable(refs: Refs) -> bool:
    try:
        hash(refs)
    except TypeError:
        return False
    return True


def _said(settings: dict[str, Any]) -> str:
    return repr(sorted(settings.items()))


def _why_not_alone(image_processor: Any, settings: dict[str, Any]) -> str | None:
    """Why rows cannot be processed one by one, or None where that gives the same to the bit."""
    source, name = np.random.default_rng(0), type(image_processor).__name__
    rows = [
        [Image.fromarray(source.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in row]
        for row in TRIAL
    ]
    try:
        whole = dict(image_processor(rows, **settings))
        joined = join_fields([dict(image_processor([row], **settings)) for row in rows])
    except Exception as error:  # of whatever make: all that counts is that it does not work
        return f"a trial of {name} failed ({type(error).__name__})"
    same = whole.keys() == joined.keys() and all(_equal(whole[field], joined[field]) for field in whole)
    return None if same else f"what {name} makes of a picture depends on the pictures beside it"


def _equal(one: Any, two: Any) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(two, torch.Tensor):
        return one.dtype == two.dtype and torch.equal(one, two)
    return bool(one == two)


def _itself(image_processor: Any) -> Any:
    return image_processor


def _nobody() -> None:
    return None
