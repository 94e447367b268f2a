"""Which of several processes this one is, as whoever launched them says in the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass

from vrft_aug.errors import UserError

# Rank, rank on this machine, and their number: torchrun and accelerate; then srun. SLURM_PROCID alone is
# also set in a batch script that starts one process by itself, so that the step's own number is asked for.
LAUNCHERS = (
    ("RANK", "LOCAL_RANK", "WORLD_SIZE"),
    ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NUM_TASKS"),
)


@dataclass(frozen=True)
class Processes:
    """The place of this process among `count`.

    Args:
        rank: 0 <= rank < count, over all machines.
        local_rank: the same on this machine alone; its GPU.
        count: how many processes work on the same command.
    """

    rank: int = 0
    local_rank: int = 0
    count: int = 1

    @property
    def main(self) -> bool:
        """Whether this is the process that writes files, prints and shows progress."""
        return self.rank == 0

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.count > 1


def processes() -> Processes:
    """This process among those that were launched together; the only one where none of LAUNCHERS is known.

    Raises UserError where the variables of a launcher are no such numbers.
    """
    for names in LAUNCHERS:
        if all(name in os.environ for name in names):
            rank, local_rank, count = (_number(name) for name in names)
            if not (rank < count and local_rank < count):
                raise UserError(
                    f"{names[0]}={rank} and {names[1]}={local_rank} do not fit {names[2]}={count}; start the "
                    "processes with one launcher (torchrun, accelerate or srun), or unset these variables"
                )
            return Processes(rank, local_rank, count)
    return Processes()


def _number(name: str) -> int:
    text = os.environ[name]
    if not text.isdecimal():
        raise UserError(f"{name} is {text!r}; expected a number, as torchrun, accelerate or srun set it")
    return int(text)
