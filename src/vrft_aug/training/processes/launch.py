"""`vrft train --processes N`: the processes of one machine, started and watched by torchrun's own agent."""

from __future__ import annotations

import logging
import os
import signal
import sys
import uuid
from collections.abc import Sequence

from vrft_aug.errors import UserError
from vrft_aug.policy.hardware import choose_device
from vrft_aug.recipe.model_config import ModelConfig

GRACE = 600  # seconds that the processes have to save and end, once the launcher is told to


def how_many(wanted: str, config: ModelConfig) -> int:
    """What `--processes` asks for: a number, or for `auto` one process for each GPU, and one without any.

    Raises UserError for what is neither, and for more processes than GPUs where the model goes to GPUs.
    """
    import torch

    gpus = torch.cuda.device_count() if choose_device(config) == "cuda" else 0
    if wanted == "auto":
        return max(1, gpus)
    if not wanted.isdigit() or int(wanted) < 1:
        raise UserError(f"--processes is {wanted!r}; expected a number from 1, or auto (one for each GPU)")
    if gpus and int(wanted) > gpus:
        raise UserError(
            f"--processes is {wanted}, but there are {gpus} GPUs, and each process needs one; take auto"
        )
    return int(wanted)


def start_processes(count: int, arguments: Sequence[str]) -> int:
    """Run `vrft` with these arguments in `count` processes; the exit code that stands for all of them.

    They print for themselves. Where one ends, however that is, the others are ended.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # we say ourselves what failed
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=str(uuid.uuid4()),
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        local_addr="127.0.0.1",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(),
        shutdown_timeout=GRACE,
    )
    command = [sys.executable, "-m", "vrft_aug", *arguments]
    try:
        elastic_launch(config, command[0])(*command[1:])
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:
            print(
                f"error: process {rank} of {count} was killed by {signal.Signals(-failure.exitcode).name}, "
                "so the others were stopped; finished checkpoints are kept: go on with --resume",
                file=sys.stderr,
            )
            return 128 - failure.exitcode
        return failure.exitcode
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0
