"""What a probe has asked so far, beside the file that it will write, for an interrupted one to go on from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vrft_aug.errors import UserError
from vrft_aug.nouns import Rollout
from vrft_aug.run.logs import append_lines, read_lines

SUFFIX = ".part"  # beside the file of pass rates


class ProbeProgress:
    """The completions of a probe that has not ended, in a file of JSON lines.

    Args:
        output: the file of pass rates that the probe will write.
        header: all that the completions hang on; another probe's are not taken.
        anew: forget what is there.

    Raises UserError where what is there is of another probe.
    """

    def __init__(self, output: Path, header: Mapping[str, Any], anew: bool = False) -> None:
        self.path = self.path_of(output)
        if anew:
            self.path.unlink(missing_ok=True)
        self._kept: dict[tuple[str, str], list[Rollout]] = {}
        lines = read_lines(self.path)
        if lines and lines[0] != header:
            raise UserError(
                f"{self.path} is what another probe has left: {_difference(lines[0], header)}; go on with "
                "that one, or add --overwrite"
            )
        self.path.unlink(missing_ok=True)
        # Whole lines alone: a probe that was killed may have left half of one.
        append_lines(self.path, lines or [dict(header)])
        for line in lines[1:]:
            self._kept[line["task"], line["case"]] = [Rollout(**one) for one in line["rollouts"]]

    def kept(self, task: str, case: str) -> list[Rollout] | None:
        """The completions of a case; None where it has not been asked."""
        return self._kept.get((task, case))

    def keep(self, task: str, asked: Sequence[tuple[str, Sequence[Rollout]]]) -> None:
        """Write down the completions of cases."""
        append_lines(
            self.path,
            [{"task": task, "case": case, "rollouts": list(map(asdict, own))} for case, own in asked],
        )

    @staticmethod
    def path_of(output: Path) -> Path:
        """Where it lies; to be removed once the pass rates are written."""
        return output.with_name(output.name + SUFFIX)


def _difference(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    for key, value in now.items():
        if then.get(key) != value:
            return f"its {key} is {then.get(key)!r}, now {value!r}"
    return "it cannot be read"
