"""Which of several processes this one is, as whoever launched them says in the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, MutableMapping
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


def process_count() -> int:
    """How many processes work on the same command."""
    return processes().count


def process_index() -> int:
    """The rank of this process."""
    return processes().rank


def is_main() -> bool:
    """Whether this process writes, prints and holds the lock; the only process is."""
    return processes().main


def launched() -> bool:
    """Whether a launcher has started this process, be it alone."""
    return any(all(name in os.environ for name in names) for names in LAUNCHERS)


def prepare_process() -> None:
    """Before torch is imported: `adopt_slurm`, and no notes of torch from each of several processes."""
    adopt_slurm(os.environ)
    if launched():
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def adopt_slurm(env: MutableMapping[str, str]) -> None:
    """Set torch's variables from Slurm's in a task that `srun` has started with others; else nothing.

    SLURM_STEP_NUM_TASKS is what `srun` alone sets: in a batch script SLURM_NTASKS speaks of what is yet to be
    started.
    """
    if "WORLD_SIZE" in env or _whole(env, "SLURM_STEP_NUM_TASKS", 1) < 2 or "SLURM_PROCID" not in env:
        return
    job, step = _whole(env, "SLURM_JOB_ID", 0), _whole(env, "SLURM_STEP_ID", 0)
    one = _whole(env, "SLURM_STEP_NUM_NODES", _whole(env, "SLURM_NNODES", 1)) == 1
    nodes = env.get("SLURM_STEP_NODELIST") or env.get("SLURM_JOB_NODELIST") or ""
    env["RANK"], env["WORLD_SIZE"] = env["SLURM_PROCID"], env["SLURM_STEP_NUM_TASKS"]
    env["LOCAL_RANK"] = env.get("SLURM_LOCALID", "0")
    env.setdefault("MASTER_ADDR", "127.0.0.1" if one else first_host(nodes))
    env.setdefault("MASTER_PORT", str(20_000 + (job * 7 + step) % 40_000))


def refuse_accelerate_alone(env: Mapping[str, str]) -> None:
    """Raise UserError in the one process that `accelerate launch --cpu --num_processes N` starts without MPI.

    It says nothing of that, and would have the whole run done once, or by each of MPI's processes.
    """
    on_cpu = env.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes")
    if on_cpu and "MASTER_PORT" in env and not launched():  # which it sets for more than one process
        raise UserError(
            "accelerate launch --cpu starts one process, whatever its num_processes; on a CPU type `vrft ... "
            "--processes N`, or torchrun --nproc-per-node N -m vrft_aug ..., which share the work"
        )


def first_host(nodes: str) -> str:
    """The first host of a list as Slurm writes it: `node[03-07,12],gpu1` is `node03`."""
    match = re.match(r"([^\[,]*)(?:\[([^\],-]+)[^\]]*\])?([^,]*)", nodes)
    return "".join(part or "" for part in match.groups()) if match else nodes


def _whole(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, "")
    return int(text) if text.isdecimal() else default


def _number(name: str) -> int:
    text = os.environ[name]
    if not text.isdecimal():
        raise UserError(f"{name} is {text!r}; expected a number, as torchrun, accelerate or srun set it")
    return int(text)
