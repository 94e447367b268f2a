"""Checkpoints on disk: which can be resumed, and models that appear whole or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vrft_aug.files import write_text
from vrft_aug.policy.adapters import Merge, merge_adapter, save_adapter
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.model_folder import ADAPTER, with_base
from vrft_aug.run.layout import MERGE

PREFIX = re.compile(r"^checkpoint-(\d+)$")
MARK = "complete.json"  # {"step", "processes"}; written last, see checkpoint_mark.py
# What the trainer needs to go on exactly, where a version without marks has written it in one process;
# trainer_state.json is written last.
NEEDED = ("optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json")


def last_checkpoint(folder: Path) -> tuple[Path, int] | None:
    """The newest complete checkpoint of a stage and its step; all others are removed.

    A run killed while it wrote or deleted a checkpoint leaves a part of one, which must not be resumed.
    """
    found = numbered(folder)
    complete = [step for step, path in found.items() if _is_complete(path)]
    for step, path in found.items():
        if not complete or step != max(complete):
            shutil.rmtree(path)
    return (found[max(complete)], max(complete)) if complete else None


def newest_step(folder: Path) -> int | None:
    """The step of the newest complete checkpoint of a stage, None without one; nothing is removed."""
    return max((step for step, path in numbered(folder).items() if _is_complete(path)), default=None)


def numbered(folder: Path) -> dict[int, Path]:
    """Step -> checkpoint of a stage, complete or not."""
    return {int(match[1]): path for path in _entries(folder) if (match := PREFIX.match(path.name))}


def publish_model(model: Any, processor: Any, folder: Path, config: ModelConfig, last: bool) -> Merge | None:
    """Save model and processor as a transformers folder, under its name only once it is whole.

    Of an adapted model the adapter is kept, in ADAPTER; after the `last` stage the merged model lies beside
    it if `config` asks for it, and what merging has cost is returned and written into MERGE.
    """
    partial, merge = _partial(folder), None
    if hasattr(model, "peft_config"):
        name = with_base(config).name
        save_adapter(model, partial / ADAPTER, name if name == "tiny" else model.config._name_or_path)
        if config.merge and last:
            model, merge = merge_adapter(model)
            write_text(partial / MERGE, json.dumps(asdict(merge)) + "\n")
    if not hasattr(model, "peft_config"):
        model.save_pretrained(partial)
    processor.save_pretrained(partial)
    partial.replace(folder)
    return merge


def publish_copy(source: Path, folder: Path) -> None:
    """The same files under a second name: linked where the file system can, else copied."""
    partial = _partial(folder)
    shutil.copytree(source, partial, copy_function=_link_or_copy)
    partial.replace(folder)


def keep_only(folder: Path, name: str) -> None:
    """Remove everything in a stage's folder but one entry: optimiser states are of no use once it is done."""
    for path in _entries(folder):
        if path.name == name:
            continue
        if path.is_dir():
            try:
                shutil.rmtree(path)
            except FileNotFoundError:  # another process was removing its pictures
                shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _partial(folder: Path) -> Path:
    partial = folder.with_name(f".{folder.name}.partial")
    if partial.exists():
        shutil.rmtree(partial)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return partial


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _is_complete(checkpoint: Path) -> bool:
    if (checkpoint / MARK).is_file():
        return True
    weights = any(checkpoint.glob("*.safetensors"))
    if not weights or not all((checkpoint / name).is_file() for name in NEEDED):
        return False
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except ValueError:
        return False
    return True
