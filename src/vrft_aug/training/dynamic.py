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
from vrft_aug.scorer import is_flat
from vrft_aug.training.mixture import RowScorer

# What TRL's `_generate` returns that holds one item a row, by place; the others are for tools alone.
PROMPT_IDS, COMPLETION_IDS, COMPLETIONS, LOG_PROBS, IMAGES = 0, 1, 3, 4, 6
BY_ROW = (PROMPT_IDS, COMPLETION_IDS, COMPLETIONS, LOG_PROBS, IMAGES)


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
        totals: list[float] = []
        generate = partial(self._generate, trainer, trainer._generate, rows, totals)
        with swapped(trainer, "_generate", generate):
            output = stock(rows)
        flat = flat_groups(totals, self.generations)
        if len(flat) < len(totals) // self.generations:  # else there is nothing to divide the loss by
            mask = output["completion_mask"]
            for group in flat:
                mask[self._slice(group)] = 0
            output["num_items_in_batch"] = mask.sum()
        return output

    def _generate(
        self,
        trainer: Any,
        stock: Callable[..., Any],
        rows: list[dict[str, Any]],
        totals: list[float],
        prompts: list[Any],
    ) -> Any:
        """TRL's `_generate`, after which `rows` and `prompts` hold the cases that it was in the end."""
        drawn = [list(of) if n in BY_ROW and of is not None else of for n, of in enumerate(stock(prompts))]
        indices = [row["row"] for row in rows]
        scores = [self._score(i, c, ids) for i, c, ids in zip(indices, drawn[3], drawn[1], strict=True)]
        totals += [score.total for score in scores]
        self.row_scorer.drawn = list(zip(indices, scores, strict=True))
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
            tokens += self._replace(stock, rows, indices, prompts, drawn, totals, new)
            extra += len(new)
            flat = flat_groups(totals, self.generations)
        trainer._metrics["train"].update(lengths)  # of what the policy draws, not of what was chosen from it
        figures |= {
            "flat_groups_left": len(flat) * self.generations / len(totals),
            "extra_rollouts": extra * self.generations,
            "extra_tokens": tokens,
        }
        for name, value in figures.items():
            trainer._log_metric(f"dynamic_sampling/{name}", float(value))
        return tuple(drawn)

    def _replace(
        self,
        stock: Callable[..., Any],
        rows: list[dict[str, Any]],
        indices: list[int],
        prompts: list[Any],
        drawn: list[Any],
        totals: list[float],
        new: Sequence[tuple[int, int]],
    ) -> int:
        """Draw groups of other cases and put them into their places; the number of tokens drawn."""
        from trl.data_utils import prepare_multimodal_messages

        made = [self.row_of(index) for _, index in new]
        asked = [prepare_multimodal_messages(row["prompt"], images=row["images"]) for row in made]
        repeated = [prompt for prompt in asked for _ in range(self.generations)]
        output = stock(repeated)
        for number, (group, index) in enumerate(new):
            here, there = self._slice(group), self._slice(number)
            rows[here], prompts[here] = [made[number]] * self.generations, repeated[there]
            indices[here] = [index] * self.generations
            for place in BY_ROW:
                if drawn[place] is not None:
                    drawn[place][here] = output[place][there]
            said = zip(output[COMPLETIONS][there], output[COMPLETION_IDS][there], strict=True)
            totals[here] = [self._score(index, completion, ids).total for completion, ids in said]
        return sum(map(len, output[COMPLETION_IDS]))

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


def flat_groups(totals: Sequence[float], generations: int) -> list[int]:
    """The numbers of the groups whose totals are all equal; totals come group by group."""
    groups = [totals[at : at + generations] for at in range(0, len(totals), generations)]
    return [number for number, group in enumerate(groups) if is_flat(group)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
