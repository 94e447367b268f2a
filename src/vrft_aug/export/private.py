"""What must not leave this machine with a model: its own paths, and the ids of cases and patients."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vrft_aug.errors import UserError, shown
from vrft_aug.evaluation.metrics.case_rows import Row
from vrft_aug.recipe.schema import Recipe

SHORTEST_ID = 5  # characters; shorter ids, and those without a digit, are words like any others
_WORD = re.compile(r"""[^\s"'`<>()\[\]{},;=\\*]+""")


@dataclass(frozen=True)
class Private:
    """Texts that no file for others may hold."""

    paths: tuple[str, ...]
    ids: frozenset[str]

    def found_in(self, text: str) -> str | None:
        """The first of them that a text tells, or None."""
        for path in self.paths:
            if re.search(rf"(?<![\w.]){re.escape(path)}(?![\w-])", text):
                return path
        told = {word.rstrip(".:") for word in _WORD.findall(text)}
        return min(told & self.ids, default=None)

    def silent(self, sentences: Iterable[str]) -> list[str]:
        """Those of the sentences that tell none of them."""
        return [one for one in sentences if self.found_in(one) is None]

    def refuse(self, text: str, name: str) -> None:
        """Raise UserError where a file that is about to be written tells one of them."""
        if (told := self.found_in(text)) is not None:
            raise UserError(
                f"{name} of the export would tell {shown(told)}, a path of this machine or the id of a case; "
                "it stands in the recipe's questions, labels, names or knowledge: reword these there and in "
                "the run's recipe.yaml"
            )


def private_texts(run: Path, recipe: Recipe, rows: Sequence[Row]) -> Private:
    """Of a run: its folder, its data root, the user's home, and all cases and patients that were judged."""
    places = (run, run.resolve(), recipe.root().absolute(), Path.home(), Path.cwd())
    named = {str(place) for place in places if len(place.parts) > 1}
    ids = {one for row in rows for one in (row.case, row.patient) if one}
    told = frozenset(one for one in ids if len(one) >= SHORTEST_ID and any(map(str.isdigit, one)))
    absolute = sorted((name for name in named if Path(name).is_absolute()), key=len, reverse=True)
    return Private(tuple(absolute), told)
