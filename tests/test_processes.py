"""Who this process is among several: what launchers say, and what they say wrongly."""

import pytest

from vrft_aug.errors import UserError
from vrft_aug.processes import LAUNCHERS, Processes, processes


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
