"""Who this process is among several: what launchers say, and what they say wrongly."""

import pytest
from typer.testing import CliRunner

from vrft_aug.cli import app
from vrft_aug.errors import UserError
from vrft_aug.processes import (
    LAUNCHERS,
    Processes,
    adopt_slurm,
    first_host,
    processes,
    refuse_accelerate_alone,
)


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {name for names in LAUNCHERS for name in names}:
        monkeypatch.delenv(name, raising=False)


def test_without_a_launcher_it_is_the_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert processes() == Processes(0, 0, 1) and processes().main and not processes().several
    monkeypatch.setenv("SLURM_PROCID", "0")  # of a batch script, in which srun starts nothing
    monkeypatch.setenv("SLURM_LOCALID", "0")
    monkeypatch.setenv("SLURM_NTASKS", "2")
    assert not processes().several


@pytest.mark.parametrize("names", LAUNCHERS)
def test_a_launcher_says_which(names: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(names, ("5", "1", "8"), strict=True):
        monkeypatch.setenv(name, value)
    assert processes() == Processes(rank=5, local_rank=1, count=8)
    assert not processes().main and processes().several


@pytest.mark.parametrize(
    ("values", "told"), [(("2", "0", "2"), "do not fit WORLD_SIZE=2"), (("x", "0", "2"), "RANK is 'x'")]
)
def test_wrong_variables_are_one_line(
    values: tuple[str, str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in zip(LAUNCHERS[0], values, strict=True):
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=told):
        processes()


def test_wrong_variables_end_a_command_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(LAUNCHERS[0], ("x", "0", "2"), strict=True):
        monkeypatch.setenv(name, value)
    ended = CliRunner().invoke(app, ["check", "fundus-demo"])
    assert ended.exit_code == 2 and ended.stderr.startswith("error: RANK is 'x'; expected a number")
    assert ended.stderr.count("\n") == 1


# What accelerate 1.15 gives the one process that `accelerate launch --cpu` starts, for 2 processes.
ACCELERATE = {
    "ACCELERATE_USE_CPU": "True",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29500",
    "ACCELERATE_MIXED_PRECISION": "no",
}


def test_accelerate_on_a_cpu_is_told_that_it_starts_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"starts one process, whatever its num_processes.*--processes N"):
        refuse_accelerate_alone(ACCELERATE)
    refuse_accelerate_alone({})
    refuse_accelerate_alone({"ACCELERATE_USE_CPU": "True"})  # for one process, which is what it starts
    refuse_accelerate_alone({**ACCELERATE, "ACCELERATE_USE_CPU": "False"})
    for name, value in zip(LAUNCHERS[0], ("0", "0", "2"), strict=True):  # from torchrun inside of it
        monkeypatch.setenv(name, value)
    refuse_accelerate_alone(ACCELERATE)


STEP = {
    "SLURM_JOB_ID": "77", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1", "SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_NODELIST": "gpu[03-04]",
}  # fmt: skip


def test_a_task_of_srun_says_which_it_is() -> None:
    env = dict(STEP)
    adopt_slurm(env)
    assert (env["RANK"], env["LOCAL_RANK"], env["WORLD_SIZE"], env["MASTER_ADDR"]) == ("3", "1", "4", "gpu03")
    other = {**STEP, "SLURM_PROCID": "0"}
    adopt_slurm(other)
    assert other["MASTER_PORT"] == env["MASTER_PORT"] and 1024 < int(env["MASTER_PORT"]) < 65536


def test_tasks_on_one_machine_meet_there() -> None:
    env = {**STEP, "SLURM_STEP_NUM_NODES": "1"}
    adopt_slurm(env)
    assert env["MASTER_ADDR"] == "127.0.0.1"


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"SLURM_JOB_ID": "77", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"},  # a batch script, before srun
        {**STEP, "SLURM_STEP_NUM_TASKS": "1"},
        {**STEP, "WORLD_SIZE": "2", "RANK": "0"},  # torchrun inside a task
    ],
)
def test_nothing_else_is_a_task_among_others(given: dict[str, str]) -> None:
    env = dict(given)
    adopt_slurm(env)
    assert env == given


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("n1", "n1"), ("n1,n2", "n1"), ("gpu[03-04,7],x", "gpu03"), ("a[1,3]b", "a1b"), ("x-y[10]", "x-y10"),
    ],
)  # fmt: skip
def test_first_host(nodes: str, first: str) -> None:
    assert first_host(nodes) == first
