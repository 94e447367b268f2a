"""Demonstrations inside the group (LUFFY, arXiv 2504.14945; EditGRPO, 2509.22812).

A group whose completions all earn the same teaches nothing; where a right one is known, it takes the place of
the group's last member, before rewards and advantages are computed over all of them. The policy did not draw
it: its tokens are weighted (`seat_weights`), as importance sampling asks. TRL's trainer is wrapped for the
length of a call, as dynamic sampling does, which then finds the group varied. Only training has seats.

Which trace of a case comes depends on seed, step and case alone: there is no state to resume.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from vrft_aug.errors import UserError
from vrft_aug.policy.prefix.patching import swapped
from vrft_aug.policy.together import gather_all
from vrft_aug.processes import is_main
from vrft_aug.recipe.seats_config import Seats
from vrft_aug.scorer import FLAT, is_flat
from vrft_aug.tasks.targets import formatted, target_answer
from vrft_aug.training.mixture import RowScorer
from vrft_aug.training.rollouts.dynamic import COMPLETION_IDS, COMPLETIONS, LOG_PROBS

SEATED = "seated"  # the field of a batch that says which completions are demonstrations
UNTOLD = float("nan")  # no sampler drew a seat's tokens, so none tells how likely they were


@dataclass
class SeatTaker:
    """The seats of one stage; `install` puts it into a trainer, after dynamic sampling."""

    wanted: Seats
    row_scorer: RowScorer
    traces: Mapping[int, Sequence[str]]  # by the number of the case, whole completions; where there are any
    encode: Callable[[str], list[int]]  # a completion's tokens with its end
    generations: int
    longest: int  # tokens of a completion
    seed: int
    _weights: list[torch.Tensor] = field(default_factory=list)  # of the step's seats, for its log

    def install(self, trainer: Any) -> None:
        """Wrap a `PolicyTrainer`."""
        trainer.seats = self
        trainer._generate_and_score_completions = partial(
            self._round, trainer, trainer._generate_and_score_completions
        )

    def weighted(self, log_probs: torch.Tensor, inputs: dict[str, Any]) -> None:
        """Weigh the advantages of a micro-batch's seats in place; `log_probs` (B, C) are the policy's."""
        seated = inputs[SEATED].to(log_probs.device)
        if not seated.any():
            return  # the others are to be what they were, to the bit
        weights = seat_weights(log_probs.detach(), self.wanted)
        own = torch.where(seated[:, None], weights, 1.0)
        advantages = inputs["advantages"]
        inputs["advantages"] = (advantages[:, None] if advantages.dim() == 1 else advantages) * own
        self._weights.append(weights[seated][inputs["completion_mask"][seated].bool()])

    def figures(self) -> dict[str, float]:
        """Of the step, in all processes: the mean weight of a seat's tokens, where there was one."""
        own, self._weights = self._weights, []
        told = gather_all([(float(sum(one.sum() for one in own)), sum(one.numel() for one in own))])
        total, count = (sum(of) for of in zip(*told, strict=True))
        return {"seats/weight": total / count} if count else {}

    def _round(self, trainer: Any, stock: Callable[..., Any], inputs: Sequence[dict[str, Any]]) -> Any:
        if not trainer.model.training:
            return stock(inputs)
        waiting = [[int(row["row"]) for row in inputs]]
        generate = partial(self._generate, trainer, trainer._generate, waiting)
        with swapped(trainer, "_generate", generate):
            output = stock(inputs)
        output[SEATED] = torch.tensor([place in self.row_scorer.seated for place in range(len(inputs))])
        self.row_scorer.seated.clear()
        return output

    def _generate(
        self, trainer: Any, stock: Callable[..., Any], waiting: list[list[int]], prompts: list[Any]
    ) -> Any:
        """TRL's `_generate`, after which flat groups have their seats.

        `waiting` has the round's rows, until they are drawn: what dynamic sampling draws in the place of some
        is left to it.
        """
        drawn = list(stock(prompts))
        if not waiting:
            return tuple(drawn)
        rows = waiting.pop()
        for part in (COMPLETION_IDS, COMPLETIONS, LOG_PROBS):
            drawn[part] = list(drawn[part]) if drawn[part] is not None else None
        totals = [
            self._total(row, said[0]["content"], ids)
            for row, said, ids in zip(rows, drawn[COMPLETIONS], drawn[COMPLETION_IDS], strict=True)
        ]
        flat = 0
        for first in range(0, len(rows), self.generations):
            own = totals[first : first + self.generations]
            if is_flat(own):
                flat += 1
                last = first + self.generations - 1
                self._take(drawn, last, rows[first], own[0], trainer.state.global_step)
        told = gather_all([(len(self.row_scorer.seated), flat, len(rows) // self.generations)])
        taken, flat, groups = (sum(of) for of in zip(*told, strict=True))
        if is_main():
            trainer._log_metric("seats/taken", taken / groups)
            trainer._log_metric("seats/flat_groups", flat / groups)
        return tuple(drawn)

    def _take(self, drawn: list[Any], place: int, row: int, earned: float, step: int) -> None:
        """Seat a demonstration at a place, where there is one that fits and earns more than the others."""
        said = drawn[COMPLETIONS][place]
        text = self._demonstration(row, said[0]["content"], drawn[COMPLETION_IDS][place], step)
        if text is None or len(ids := self.encode(text)) > self.longest:
            return
        if self._total(row, text, ids) - earned <= FLAT:
            return
        drawn[COMPLETIONS][place] = [{**said[0], "content": text}]
        drawn[COMPLETION_IDS][place] = ids
        if drawn[LOG_PROBS] is not None:
            drawn[LOG_PROBS][place] = [UNTOLD] * len(ids)
        self.row_scorer.seated.add(place)

    def _demonstration(self, row: int, completion: str, ids: Sequence[int], step: int) -> str | None:
        """What a case is shown, as the model would write it behind its prompt."""
        part, number = self.row_scorer.mixture.place(row)
        if part:
            return None  # of a mix only the stage's own task has demonstrations
        opened, case = self.row_scorer.opened, self.row_scorer.mixture.case(row)
        if self.wanted.demonstrations is not None:
            if not (known := self.traces.get(number)):
                return None
            text = random.Random(f"{self.seed}/{step}/{case.id}").choice(list(known))
        else:
            task = self.row_scorer.scorers[0].task
            _, score = self.row_scorer.score(row, completion, ids)
            said = target_answer(case, task, self.row_scorer.frame_of(row))
            sure = score.answer.confidence
            sure = 1.0 if sure is None and task.confidence else sure
            text = formatted(said, score.answer.reasoning, task.answer_format, sure)
        return text.removeprefix("<think>") if opened else text

    def _total(self, row: int, completion: str, ids: Sequence[int]) -> float:
        return self.row_scorer.score(row, completion, ids)[1].total


def seat_weights(log_probs: torch.Tensor, wanted: Seats) -> torch.Tensor:
    """What the gradient of each of a seat's tokens is multiplied by (B, C), from the policy's log_probs.

    With f(p) the surrogate and p the policy's probability, the gradient of f(p) is f'(p) p times that of
    log p. LUFFY takes the teacher for sure, so that p is the importance ratio, and shapes it: f(p) =
    p / (p + gamma), which gives gamma p / (p + gamma)**2, most where p is gamma. `ratio` is f(p) = p, `one`
    f(p) = log p: the policy's own ratio, 1 at the first update (EditGRPO).
    """
    p = log_probs.exp()
    if wanted.weight == "one":
        return torch.ones_like(p)
    return p if wanted.weight == "ratio" else wanted.gamma * p / (p + wanted.gamma) ** 2


def refuse_long_traces(
    place: str, traces: Mapping[int, Sequence[str]], encode: Callable[[str], list[int]], longest: int
) -> None:
    """UserError where a trace has more tokens than a completion of the stage may have."""
    for texts in traces.values():
        for text in texts:
            if (tokens := len(encode(text))) > longest:
                raise UserError(
                    f"{place}.seats: the demonstration {text[:60]!r}... has {tokens} tokens, but completions "
                    f"of the stage at most {longest}; raise max_new_tokens, or shorten it"
                )
