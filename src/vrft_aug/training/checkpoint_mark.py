"""A checkpoint counts once a mark in it says that every process has written its part; old ones then go."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from vrft_aug.files import write_text
from vrft_aug.policy.together import wait_for_all
from vrft_aug.processes import is_main, process_count
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.run.place import KEPT
from vrft_aug.training.checkpoints import MARK, numbered


class CheckpointMark(TrainerCallback):  # type: ignore[misc]
    """Marks each checkpoint when it is whole, then removes those beyond the recipe's `save_total_limit`.

    The trainer itself would remove an old one before the new one is known to be whole.
    """

    def __init__(self, stage: StageConfig, folder: Path) -> None:
        limit = stage.trainer.get("save_total_limit", KEPT)
        self.folder, self.limit = folder, limit

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called in every process, after its part of the checkpoint is written."""
        wait_for_all()
        if not is_main():
            return
        found = numbered(self.folder)
        mark = {"step": state.global_step, "processes": process_count()}
        write_text(found[state.global_step] / MARK, json.dumps(mark) + "\n")
        if self.limit is not None:
            for step in sorted(found)[: -self.limit]:
                shutil.rmtree(found[step])
