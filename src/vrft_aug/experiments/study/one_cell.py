"""The process that trains and evaluates one cell of a study, or one arm of the demo.

python -m vrft_aug.experiments.study.one_cell RECIPE RUN
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

from vrft_aug.errors import UserError, told_by_system
from vrft_aug.experiments.arm_run import run_arm
from vrft_aug.recipe.file import load_recipe

WHO = "vrft study or vrft demo"  # that holds the folder of a cell's run


def main() -> int:
    """Run the cell that the command line names; 0, or 2 with one line, as the command does."""
    if (parent := os.environ.get("VRFT_STUDY_PROCESS")) is not None:
        threading.Thread(target=_end_with, args=(int(parent),), daemon=True).start()
    try:
        run_arm(load_recipe(sys.argv[1]), Path(sys.argv[2]), WHO)
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except Exception as error:
        if (line := told_by_system(error)) is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        return 2
    return 0


def _end_with(parent: int) -> None:
    """A study that was killed leaves no training behind, which would hold the run's folder."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
