"""A stage's cases by their pass rates: which are left out, what comes first, and how that is renewed.

All of it is a function of the recipe, the file of pass rates and, where rates are renewed, of what the groups
of the run have come to, which every process knows of all: a resumed run, and one of several processes, trains
on the same cases at the same steps. Free of torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, overload

from vrft_aug.data.notes import some
from vrft_aug.errors import UserError
from vrft_aug.recipe.curriculum_config import Curriculum
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.run.logs import read_lines
from vrft_aug.tasks.pass_rates import PassRates, TaskRates, load_pass_rates, same_prompts, shares
from vrft_aug.tasks.taskset import TaskSet
from vrft_aug.training.order import Plan, case_order, mixed_order, stage_seed

MIDDLE = 0.5  # where a case of unknown rate stands in an order by difficulty
# How many rounds before a case is trained on its place must be known: a loader asks for the next round while
# one is generated, and pictures are prepared a round further ahead.
LAG = 3


@dataclass(frozen=True)
class PartRates:
    """What is known of the cases of one part of a stage, by their number; others are unknown."""

    cases: int
    rates: Mapping[int, float]

    def kept(self, wanted: Curriculum) -> list[int]:
        """The numbers of the cases that are trained on."""
        left_out = {rate for rate, name in ((1.0, "always"), (0.0, "never")) if name in wanted.drop}
        return [
            number
            for number in range(self.cases)
            if (self.rates[number] not in left_out if number in self.rates else wanted.unknown == "keep")
        ]

    def plan(self, wanted: Curriculum) -> Plan:
        """The order of so many rows, given a seed: as without a curriculum of the kept cases, then sorted.

        Which cases come, and how often, does not depend on the order; of equally hard ones the order is that
        of the shuffle.
        """
        kept = self.kept(wanted) or list(range(self.cases))  # where renewed rates would leave none: all

        def of(rows: int, seed: int) -> list[int]:
            chosen = [kept[i] for i in case_order(len(kept), rows, seed)] if rows else []
            if wanted.order == "shuffled":
                return chosen
            sign = -1 if wanted.order == "easy-to-hard" else 1
            return sorted(chosen, key=lambda number: sign * self.rates.get(number, MIDDLE))

        return of


def stage_rates(stage: StageConfig, tasksets: Sequence[TaskSet]) -> list[PartRates]:
    """The rates of every part of a stage from its file.

    Raises UserError where the file is none, where it lacks a task of the stage or all of its cases, where
    cases are unknown that must not be, and where none is left to train on.
    """
    wanted = _wanted(stage)
    if wanted.pass_rates is None:
        return [PartRates(len(taskset.cases), {}) for taskset in tasksets]
    found = load_pass_rates(Path(wanted.pass_rates))
    return [_part(stage, wanted, found, taskset)[0] for taskset in tasksets]


def curriculum_notes(stage: StageConfig, tasksets: Sequence[TaskSet]) -> list[str]:
    """What the curriculum makes of each part, in sentences; raises UserError as `stage_rates` does."""
    wanted = _wanted(stage)
    if wanted.pass_rates is None:
        return [
            f"curriculum: no pass rate is known at first; those of the run's own groups count from step "
            f"{wanted.re_estimate} on, {wanted.order}"
        ]
    found = load_pass_rates(Path(wanted.pass_rates))
    said = []
    for taskset in tasksets:
        part, task = _part(stage, wanted, found, taskset)
        always, never = (sum(rate == end for rate in part.rates.values()) for end in (1.0, 0.0))
        unknown = part.cases - len(part.rates)
        kept = len(part.kept(wanted))
        told = f"curriculum: {kept:,} of {part.cases:,} cases of {taskset.task.name} are trained on"
        told += (
            f" ({always:,} were always right, {never:,} never, {unknown:,} have no pass rate), {wanted.order}"
        )
        said.append(f"{told}; rates of {found.model} ({found.model_hash or 'no hash'})")
        ids = {case.id for case in taskset.cases}
        if gone := [id for id in task.cases if id not in ids]:
            said.append(f"curriculum: {len(gone):,} cases of the file are not trained on here: {some(gone)}")
        if same_prompts(taskset, task) is False:
            said.append(
                f"curriculum: the rates of {taskset.task.name} were measured with another prompt than this "
                "stage's"
            )
    return said


def _part(
    stage: StageConfig, wanted: Curriculum, found: PassRates, taskset: TaskSet
) -> tuple[PartRates, TaskRates]:
    name, where = taskset.task.name, f"{stage.place}.curriculum"
    if name not in found.tasks:
        raise UserError(
            f"{where}: {wanted.pass_rates} has no pass rates of task {name!r}; it has "
            f"{', '.join(found.tasks)}"
        )
    known = shares(found.tasks[name].cases)
    rates = {i: known[case.id] for i, case in enumerate(taskset.cases) if case.id in known}
    if not rates:
        raise UserError(
            f"{where}: {wanted.pass_rates} knows none of the {len(taskset.cases)} training cases of task "
            f"{name!r}, such as {taskset.cases[0].id}; probe this recipe's data"
        )
    if wanted.unknown == "refuse" and len(rates) < len(taskset.cases):
        missing = [case.id for i, case in enumerate(taskset.cases) if i not in rates]
        raise UserError(
            f"{where}: {len(missing)} training cases of task {name!r} have no pass rate: {some(missing)}; "
            "probe with --limit 0, or set unknown: keep"
        )
    part = PartRates(len(taskset.cases), rates)
    if not part.kept(wanted):
        raise UserError(
            f"{where} leaves no case of task {name!r}: all {len(rates)} are dropped "
            f"({', '.join(wanted.drop)}); drop less, or take other cases"
        )
    return part, found.tasks[name]


def _wanted(stage: StageConfig) -> Curriculum:
    if stage.curriculum is None:
        raise ValueError(f"{stage.place} has no curriculum")
    return stage.curriculum


@dataclass(frozen=True)
class Logged:
    """A group of the run's log: its case, and what share of it was right."""

    part: int
    number: int
    share: float


Finish = Callable[[list[int], int], list[int]]  # what else becomes of an order, by a seed
Seen = Callable[[int], Sequence[Logged]]  # the groups that were logged up to and including a step, in order


def stage_order(
    stage: StageConfig,
    tasksets: Sequence[TaskSet],
    rows: int,
    seed: int,
    prompts: int,
    steps: int,
    seen: Seen,
    finish: Finish = lambda order, seed: order,
) -> Sequence[int]:
    """Row numbers in training order, with the stage's curriculum where it has one.

    `prompts` rows are one round of generation, of `steps` optimiser steps; `seen` is asked where rates are
    renewed, `finish` is given what is planned, and a seed. Raises UserError as `stage_rates` does.
    """
    sizes, shares_ = [len(taskset.cases) for taskset in tasksets], stage.shares()
    if (wanted := stage.curriculum) is None:
        return finish(mixed_order(sizes, shares_, rows, seed), seed)
    known = stage_rates(stage, tasksets)
    planned = partial(_planned, wanted, sizes, shares_)
    if wanted.re_estimate is None:
        return finish(planned(known, rows, seed), seed)
    rounds = -(-wanted.re_estimate // steps)
    return RenewedOrder(known, planned, rows, seed, rounds * prompts, rounds, steps, seen, finish)


def _planned(
    wanted: Curriculum,
    sizes: Sequence[int],
    shares_: Sequence[float],
    known: Sequence[PartRates],
    rows: int,
    seed: int,
) -> list[int]:
    return mixed_order(sizes, shares_, rows, seed, [part.plan(wanted) for part in known])


class RenewedOrder(Sequence[int]):
    """An order that is planned block by block, each when it is first asked for.

    A block's plan is that of all rows that are left, by the rates known then: those of the file, and for a
    case that has been trained on since, of its newest group. Only rounds that were over when any loader may
    first ask for the block count. A case that is dropped stays so: nothing more is learned of it.
    """

    def __init__(
        self,
        known: Sequence[PartRates],
        planned: Callable[[Sequence[PartRates], int, int], list[int]],
        rows: int,
        seed: int,
        block: int,
        rounds: int,
        steps: int,
        seen: Seen,
        finish: Finish,
    ) -> None:
        self.known, self.planned, self.rows, self.seed = known, planned, rows, seed
        self.block, self.rounds, self.steps, self.seen, self.finish = block, rounds, steps, seen, finish
        self.blocks: dict[int, list[int]] = {}

    def __len__(self) -> int:
        """How many rows the whole stage has."""
        return self.rows

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[int]: ...
    def __getitem__(self, place: int | slice) -> int | Sequence[int]:
        """The row at a place."""
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(self.rows))]
        if not -self.rows <= place < self.rows:
            raise IndexError(place)
        number, within = divmod(place % self.rows, self.block)
        if number not in self.blocks:
            self.blocks[number] = self._plan(number)
        return self.blocks[number][within]

    def __iter__(self) -> Iterator[int]:
        return (self[place] for place in range(self.rows))

    def _plan(self, number: int) -> list[int]:
        left = self.rows - number * self.block
        last_step = (number * self.rounds - LAG + 1) * self.steps
        logged = self.seen(last_step) if last_step > 0 else ()
        known = [dict(part.rates) for part in self.known]
        for one in logged:
            known[one.part][one.number] = one.share
        renewed = [PartRates(part.cases, rates) for part, rates in zip(self.known, known, strict=True)]
        seed = self.seed if number == 0 else stage_seed(self.seed, number)
        return self.finish(self.planned(renewed, left, seed)[: self.block], seed)


Noted = tuple[int, int, int, float]  # step, part, number of the case, and whether one completion was right


class GroupsSeen:
    """What the groups of a stage have come to: `seen` of `stage_order`.

    Begun with what an interrupted run has logged, it is told of every completion since.
    """

    def __init__(self, noted: Iterable[Noted] = ()) -> None:
        self._noted = list(noted)

    def note(self, noted: Noted) -> None:
        """Add a completion."""
        self._noted.append(noted)

    def __call__(self, last_step: int) -> list[Logged]:
        """The groups up to and including a step, in the order in which they were drawn."""
        groups: dict[tuple[int, int, int], list[float]] = {}
        for step, part, number, right in self._noted:
            if step <= last_step:
                groups.setdefault((step, part, number), []).append(right)
        return [Logged(part, number, sum(of) / len(of)) for (_, part, number), of in groups.items()]


def noted_in(
    lines: Path,
    stage: str,
    place_of: Callable[[str, str], tuple[int, int] | None],
    right: Callable[[Any], float],
) -> list[Noted]:
    """The completions of a stage in a run's rollouts.jsonl, demonstrations apart.

    `place_of` gives part and number of a task's case, `right` how right the completion of a line is, 0 to 1.
    """
    return [
        (line["step"], *place, right(line))
        for line in read_lines(lines)
        if line.get("stage") == stage
        and not line.get("demonstration")
        and (place := place_of(line["task"], line["case"])) is not None
    ]
