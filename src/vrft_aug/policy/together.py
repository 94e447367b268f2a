"""The processes of a run together: how they join, do a thing once for all, and end when one of them fails.

With one process every function here does the plain thing and costs nothing.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed

from vrft_aug.errors import UserError
from vrft_aug.policy.hardware import choose_device, refuse_idle_gpus, take_gpu
from vrft_aug.policy.work_sharing import job_store
from vrft_aug.processes import is_main, process_count, refuse_accelerate_alone
from vrft_aug.recipe.model_config import ModelConfig

T = TypeVar("T")
TOLD = "vrft/line"  # in the store that all processes share: whether one has printed why the run ends
LONGEST_WAIT = timedelta(minutes=30)  # for another process, before the run is given up
GONE = re.compile(
    r"[Cc]onnection (closed|reset|refused|was)|Broken pipe|Socket Timeout|Timed out|Connection .*closed|"
    r"NCCL error|remote process|failed to (recv|send)|recvValue failed|sendBytes failed|gloo",
)


class Elsewhere(UserError):
    """Another process of the run went wrong, and says why."""


def join(config: ModelConfig, timeout: timedelta = LONGEST_WAIT) -> None:
    """Meet the other processes, and take the device of this one; nothing where it is the only one.

    To be called before anything that could go wrong in one process alone. All but the main process say only
    what is an error.
    """
    if process_count() == 1:
        refuse_accelerate_alone(os.environ)
        refuse_idle_gpus(config)
        return
    device = choose_device(config)
    if device == "cuda":
        take_gpu()
    from accelerate import PartialState

    if "OMP_NUM_THREADS" not in os.environ:  # as torchrun; a launcher that knows better has set it
        torch.set_num_threads(1)
        os.environ["OMP_NUM_THREADS"] = "1"
    job_store()  # the evaluation speaks through it, and whoever must say why the run ends
    # The state of accelerate, so that the trainers find what they would have made themselves.
    PartialState(cpu=device == "cpu", timeout=timeout)
    if not is_main():
        logging.disable(logging.WARNING)
        warnings.simplefilter("ignore")


def leave() -> None:
    """Part from the other processes, at the end of what they do together."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def wait_for_all() -> None:
    """Go on when all processes are here."""
    if process_count() > 1:
        gather_all([None])


def gather_all(own: Sequence[T]) -> list[T]:
    """The items of all processes, those of the first process first; to be called by all of them."""
    if process_count() == 1:
        return list(own)
    parts: list[Any] = [None] * process_count()
    distributed.all_gather_object(parts, list(own))
    return [item for part in parts for item in part]


def once_for_all(work: Callable[[], T]) -> T:
    """What `work` gives in the main process, in all of them; a UserError of it ends them all."""
    if process_count() == 1:
        return work()
    told: list[Any] = [None, None]
    failed: UserError | None = None
    if is_main():
        try:
            told[0] = work()
        except UserError as error:
            failed, told[1] = error, str(error)
    distributed.broadcast_object_list(told, src=0)
    if failed is not None:
        raise failed
    if told[1] is not None:
        raise Elsewhere(told[1])
    return told[0]  # type: ignore[no-any-return]


def in_each(work: Callable[[], T]) -> T:
    """What `work` gives in this process, once it has gone well in all of them.

    `work` must not wait for other processes. A UserError in any of them ends them all.
    """
    if process_count() == 1:
        return work()
    given: Any = None
    failed: UserError | None = None
    try:
        given = work()
    except UserError as error:
        failed = error
    said = [text for text in gather_all([None if failed is None else str(failed)]) if text is not None]
    if failed is not None:
        raise failed
    if said:
        raise Elsewhere(said[0])
    return given  # type: ignore[no-any-return]


def claim_to_tell(error: BaseException) -> bool:
    """Whether this process is the one to print an error that ends the run; only one of them is."""
    if process_count() == 1 or not distributed.is_initialized():
        return is_main()
    if isinstance(error, Elsewhere):
        return False
    try:
        return bool(job_store().add(TOLD, 1) == 1)
    except RuntimeError:  # the process that kept the store has ended
        return not is_gone(error)


def is_gone(error: BaseException) -> bool:
    """Whether an error says that another process of the run does not answer any more."""
    if process_count() == 1 or not distributed.is_initialized():
        return False
    errors = (distributed.DistError, RuntimeError, ConnectionError)
    return isinstance(error, errors) and bool(GONE.search(str(error)))
