"""Two processes together: what they gather, do once for all, and say when something goes wrong in one."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from helpers.launched import launch
from vrft_aug.errors import UserError
from vrft_aug.policy import together
from vrft_aug.processes import is_main, process_count, process_index
from vrft_aug.recipe.model_config import ModelConfig


def refused(work: Any) -> list[str]:
    try:
        work()
    except UserError as error:
        return [type(error).__name__, str(error)]
    return ["nothing"]


def fail(rank: int) -> str:
    if process_index() == rank:
        raise UserError(f"wrong in {rank}")
    return f"fine in {process_index()}"


def checks() -> dict[str, Any]:
    """What one of two processes sees; all of them do the same."""
    together.join(ModelConfig(device="cpu"))
    found: dict[str, Any] = {"main": is_main(), "count": process_count()}
    found["unequal"] = together.gather_all([process_index()] * (process_index() + 1))
    found["once"] = together.once_for_all(lambda: f"from {process_index()}")
    found["each"] = together.in_each(lambda: process_index())
    found["once wrong"] = refused(lambda: together.once_for_all(lambda: fail(0)))
    found["each wrong"] = refused(lambda: together.in_each(lambda: fail(1)))
    tells = [together.claim_to_tell(UserError("x")), together.claim_to_tell(together.Elsewhere("x"))]
    found["tells"] = together.gather_all(tells)
    found["gone"] = [
        together.is_gone(RuntimeError("[gloo/transport/tcp/pair.cc:1] Connection closed by peer [::1]:80")),
        together.is_gone(RuntimeError("a tensor of 3 and one of 4")),
    ]
    together.wait_for_all()
    together.leave()
    return found


def test_two_processes() -> None:
    ended = launch([__file__], limit=60)
    assert [one.code for one in ended] == [0, 0], ended
    first, second = (json.loads(one.out.splitlines()[-1]) for one in ended)
    assert (first["main"], second["main"]) == (True, False)
    for found, other in ((first, "UserError"), (second, "Elsewhere")):
        assert found["count"] == 2
        assert found["unequal"] == [0, 1, 1]
        assert found["once"] == "from 0"
        assert found["once wrong"] == [other, "wrong in 0"]
        assert found["gone"] == [True, False]
    assert (first["each"], second["each"]) == (0, 1)
    assert first["each wrong"] == ["Elsewhere", "wrong in 1"]
    assert second["each wrong"] == ["UserError", "wrong in 1"]
    assert sum(first["tells"]) == 1 and not any(first["tells"][1::2])


def test_one_process_is_on_its_own() -> None:
    assert together.gather_all([1, 2]) == [1, 2]
    assert together.once_for_all(lambda: 3) == together.in_each(lambda: 3) == 3
    with pytest.raises(UserError, match="wrong in 0"):
        together.once_for_all(lambda: fail(0))
    assert together.claim_to_tell(UserError("x"))
    assert not together.is_gone(RuntimeError("Connection closed by peer"))


if __name__ == "__main__":
    json.dump(checks(), sys.stdout)
