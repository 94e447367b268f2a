"""Dynamic sampling (DAPO, arXiv 2503.14476): groups whose completions all earn the same teach nothing.

TRL has nothing of the kind (it logs their share as `frac_reward_zero_std`), so two of its trainer's methods
are wrapped for the length of a call, as prefix sharing does, and work with it or without:

- after completions are drawn, other cases take the places of those with a flat group, until every group
  varies or the budget of extra groups is spent; prompts, images and completions are exchanged in place, so
  that all that follows (processing, rewards, advantages) is TRL's own;
- what is flat at the end is masked, and neither counts in the loss nor in what the loss is divided by.

Which cases step in depends on seed and step alone: there is no state, and a resumed run draws the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from vrft_aug.policy.prefix.patching import swapped
from vrft_aug.policy.together import gather_all
from vrft_aug.processes import is_main, process_count, process_index
from vrft_aug.scorer import is_flat
from vrft_aug.training.mixture import RowScorer

# What TRL's `_generate` returns that holds one item a row, by place; the others are for tools alone.
PROMPT_IDS, COMPLETION_IDS, COMPLETIONS, LOG_PROBS, IMAGES = 0, 1, 3, 4, 6
DRAWN = (PROMPT_IDS, COMPLETION_IDS, COMPLETIONS, LOG_PROBS)
BY_ROW = (*DRAWN, IMAGES)


@dataclass(frozen=True)
class _Member:
    """A completion of an extra group: what it earns, and its items of DRAWN."""

    total: float
    fields: dict[int, Any]


@dataclass(frozen=True)
class DynamicSampler:
    """Dynamic sampling of one stage; `install` puts it into a trainer."""

    row_scorer: RowScorer
    row_of: Callable[[int], dict[str, Any]]  # what the data set holds of a row
    generations: int
    budget: int  # extra groups a generation round; 0 only skips
    seed: int
    dropped: frozenset[int] = frozenset()  # rows that a curriculum leaves out

    def install(self, trainer: Any) -> None:
        """Wrap a `trl.GRPOTrainer`; call it last, so that prefix sharing works inside."""
        trainer._generate_and_score_completions = partial(
            self._round, trainer, trainer._generate_and_score_completions
        )

    def _round(self, trainer: Any, stock: Callable[..., Any], inputs: Sequence[dict[str, Any]]) -> Any:
        rows = list(inputs)
        totals: list[float] = []  # of the whole round, in all processes
        generate = partial(self._generate, trainer, trainer._generate, rows, totals)
        with swapped(trainer, "_generate", generate):
            output = stock(rows)
        flat = flat_groups(totals, self.generations)
        if len(flat) < len(totals) // self.generations:  # else there is nothing to divide the loss by
            mask, first = output["completion_mask"], self._first(rows)
            for group in flat:
                if 0 <= group - first < len(rows) // self.generations:
                    mask[self._slice(group - first)] = 0
            output["num_items_in_batch"] = trainer.accelerator.gather(mask.sum()).sum()
        return output

    def _generate(
        self,
        trainer: Any,
        stock: Callable[..., Any],
        rows: list[dict[str, Any]],
        totals: list[float],
        prompts: list[Any],
    ) -> Any:
        """TRL's `_generate`, after which `rows` and `prompts` hold the cases that it was in the end.

        All processes know the totals of the whole round, so that all choose the same cases, whoever has the
        flat groups; each draws as many of the extra groups as the others, and gives them to whom they belong.
        """
        drawn = [list(of) if n in BY_ROW and of is not None else of for n, of in enumerate(stock(prompts))]
        own, seats = [row["row"] for row in rows], self.row_scorer.seated
        scored = [
            (i, self._score(i, c, ids), place in seats)
            for place, (i, c, ids) in enumerate(zip(own, drawn[3], drawn[1], strict=True))
        ]
        whole = gather_all(scored)
        indices = [index for index, _, _ in whole]
        totals += [score.total for _, score, _ in whole]
        self.row_scorer.drawn = [(index, score) for index, score, seated in whole if not seated]
        flat, extra, tokens = flat_groups(totals, self.generations), 0, 0
        figures = {"flat_groups": len(flat) * self.generations / len(totals), "reward": _mean(totals)}
        used = set(indices)
        source = random.Random(f"{self.seed}/{trainer.state.global_step}")
        lengths = {name: list(of) for name, of in trainer._metrics["train"].items() if "completions/" in name}
        while flat and extra < self.budget:
            places = flat[: self.budget - extra]
            chosen = [self._other(indices[group * self.generations], used, source) for group in places]
            new = [(group, index) for group, index in zip(places, chosen, strict=True) if index is not None]
            if not new:
                break
            for group, index in new:
                indices[self._slice(group)] = [index] * self.generations
            tokens += self._replace(trainer, stock, rows, prompts, drawn, totals, new)
            extra += len(new)
            flat = flat_groups(totals, self.generations)
        trainer._metrics["train"].update(lengths)  # of what the policy draws, not of what was chosen from it
        figures |= {
            "flat_groups_left": len(flat) * self.generations / len(totals),
            "extra_rollouts": extra * self.generations,
            "extra_tokens": tokens,
        }
        if is_main():
            for name, value in figures.items():
                trainer._log_metric(f"dynamic_sampling/{name}", float(value))
        return tuple(drawn)

    def _replace(
        self,
        trainer: Any,
        stock: Callable[..., Any],
        rows: list[dict[str, Any]],
        prompts: list[Any],
        drawn: list[Any],
        totals: list[float],
        new: Sequence[tuple[int, int]],
    ) -> int:
        """Draw groups of other cases and put them into their places; the number of tokens drawn."""
        first = self._first(rows)
        found = self._draw(trainer, stock, [index for _, index in new])
        for (group, index), members in zip(new, found, strict=True):
            totals[self._slice(group)] = [member.total for member in members]
            if not 0 <= group - first < len(rows) // self.generations:
                continue  # another process has its place
            row, here = self.row_of(index), self._slice(group - first)
            rows[here], prompts[here] = [row] * self.generations, [_asked(row)] * self.generations
            for place in members[0].fields:
                drawn[place][here] = [member.fields[place] for member in members]
            if drawn[IMAGES] is None and row["images"]:
                drawn[IMAGES] = [None] * len(rows)
            if drawn[IMAGES] is not None:
                drawn[IMAGES][here] = [row["images"] or None] * self.generations
        return sum(len(member.fields[COMPLETION_IDS]) for members in found for member in members)

    def _draw(self, trainer: Any, stock: Callable[..., Any], cases: Sequence[int]) -> list[list[_Member]]:
        """The groups of new cases, in all processes; each process draws a part of them, all equally many.

        Where they cannot be dealt evenly some are drawn twice: sampling and its figures wait for everyone.
        """
        each = -(-len(cases) // process_count())
        own = [cases[(process_index() * each + n) % len(cases)] for n in range(each)]
        asked = [_asked(self.row_of(index)) for index in own]
        repeated = [prompt for prompt in asked for _ in range(self.generations)]
        step = trainer.state.global_step
        keys = [
            (trainer.args.seed, step, index, member) for index in own for member in range(self.generations)
        ]
        with swapped(trainer, "row_keys", keys):
            output = stock(repeated)
        members = []
        for number, index in enumerate(index for index in own for _ in range(self.generations)):
            said, ids = output[COMPLETIONS][number], output[COMPLETION_IDS][number]
            fields = {place: output[place][number] for place in DRAWN if output[place] is not None}
            members.append(_Member(self._score(index, said, ids).total, fields))
        groups = [members[self._slice(number)] for number in range(len(own))]
        return gather_all(groups)[: len(cases)]

    def _first(self, rows: Sequence[Any]) -> int:
        """The number of this process's first group in the round."""
        return process_index() * len(rows) // self.generations

    def _other(self, row: int, used: set[int], source: random.Random) -> int | None:
        """Another case of the same task that this round has not used, so that shares of tasks hold."""
        mixture = self.row_scorer.mixture
        rows = (
            mixture.like(row, other)
            for other in mixture.rows(mixture.place(row)[0])
            if other not in self.dropped
        )
        free = [other for other in rows if other not in used]
        if not free:
            return None
        chosen = source.choice(free)
        used.add(chosen)
        return chosen

    def _score(self, row: int, completion: Any, ids: Sequence[int]) -> Any:
        return self.row_scorer.score(row, completion[0]["content"], ids)[1]

    def _slice(self, group: int) -> slice:
        return slice(group * self.generations, (group + 1) * self.generations)


def _asked(row: dict[str, Any]) -> list[dict[str, Any]]:
    from trl.data_utils import prepare_multimodal_messages

    messages: list[dict[str, Any]] = prepare_multimodal_messages(row["prompt"], images=row["images"])
    return messages


def flat_groups(totals: Sequence[float], generations: int) -> list[int]:
    """The numbers of the groups whose totals are all equal; totals come group by group."""
    groups = [totals[at : at + generations] for at in range(0, len(totals), generations)]
    return [number for number, group in enumerate(groups) if is_flat(group)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
