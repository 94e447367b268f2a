"""Work of several processes: every piece once, all results on all of them in order, and a failure of one."""

import json
import time

import pytest

from helpers.launched import launch
from vrft_aug.errors import UserError
from vrft_aug.policy.work_sharing import from_main, over_processes
from vrft_aug.processes import processes

PIECES = 9


def work(number: int) -> dict[str, int]:
    time.sleep(0.02 * number)  # unequal
    return {"number": number, "by": processes().rank}


def failing(number: int) -> int:
    if number == 2:
        raise UserError("picture 2 is broken")
    time.sleep(0.05)
    return number


def main() -> None:
    """What a process of the test below does."""
    first = list(over_processes(work, range(PIECES)))
    second = list(over_processes(work, range(1)))  # fewer than processes
    told = from_main(lambda: processes().rank)
    try:
        failed = str(list(over_processes(failing, range(100))))
    except UserError as error:
        failed = str(error)
    print(json.dumps({"first": first, "second": second, "told": told, "failed": failed}))


def test_two_processes_share_pieces_and_all_have_the_results() -> None:
    said = launch([__file__])
    assert [one.code for one in said] == [0, 0], said
    one, two = (json.loads(process.out) for process in said)
    assert one == two  # also who did what
    assert [piece["number"] for piece in one["first"]] == list(range(PIECES))
    assert {piece["by"] for piece in one["first"]} == {0, 1}
    assert [piece["number"] for piece in one["second"]] == [0] and one["told"] == 0
    assert one["failed"] == "picture 2 is broken"  # on the process that saw it, and on the other


def test_one_process_does_all_itself() -> None:
    assert list(over_processes(lambda n: n + 1, range(3))) == [1, 2, 3]
    assert from_main(lambda: "said") == "said"
    with pytest.raises(UserError, match="picture 2"):
        list(over_processes(failing, range(4)))


if __name__ == "__main__":
    main()
