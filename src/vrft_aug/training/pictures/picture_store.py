"""Processed pictures in main memory, and on disk where they do not fit.

A stage goes through its cases in whole shuffled passes (`order`). What was just used is needed again last of
all, so that dropping the least recently used would drop what comes next: where half of the pictures fit, one
look-up in six would find its own. So what is there stays, first in memory, then on disk, and where half of
the pictures fit, half of them are found.
"""

from __future__ import annotations

import logging
import shutil
import weakref
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

logger = logging.getLogger(__name__)
Fields = Mapping[str, Any]  # what an image processor gives: tensors, and lists of whatever


class PictureStore:
    """Fields by key, for one thread.

    Args:
        memory: bytes of tensors in main memory.
        disk: bytes of them in `folder`, at most half of what is free there.
        folder: made when it is first needed, removed with the store; only this process writes there.
    """

    def __init__(self, memory: int, disk: int, folder: Path) -> None:
        self._memory, self._disk, self._folder = memory, disk, folder
        self._kept: dict[Hashable, Fields] = {}  # of what is on disk, all but the tensors
        self._files: dict[Hashable, Path] = {}
        self._ready = False  # the folder

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    def get(self, key: Hashable) -> Fields | None:
        """What was put there, equal to the bit; None where it was not kept."""
        kept = self._kept.get(key)
        if kept is None or key not in self._files:
            return kept
        return {**kept, **load_file(self._files[key])}

    def put(self, key: Hashable, fields: Fields) -> None:
        """Keep it where there is room."""
        if key in self._kept:
            return
        tensors = {name: value for name, value in fields.items() if isinstance(value, torch.Tensor)}
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        if size <= self._memory:
            self._memory -= size
            self._kept[key] = fields
        elif size <= self._room_on_disk():
            path = self._folder / f"{len(self._files)}.safetensors"
            try:
                save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
            except (OSError, SafetensorError) as error:
                self._disk = 0
                path.unlink(missing_ok=True)
                logger.warning("no more processed pictures are kept on disk: %s", error)
                return
            self._disk -= size
            self._files[key] = path
            self._kept[key] = {name: value for name, value in fields.items() if name not in tensors}

    def _room_on_disk(self) -> int:
        if self._disk and not self._ready:
            self._ready = True
            shutil.rmtree(self._folder, ignore_errors=True)  # what a killed run has left
            try:
                self._folder.mkdir(parents=True)
                self._disk = min(self._disk, shutil.disk_usage(self._folder).free // 2)
            except OSError as error:
                self._disk = 0
                logger.warning("no processed pictures are kept on disk: %s", error)
                return 0
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._disk
