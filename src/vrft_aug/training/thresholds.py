"""Tightening thresholds in training: the loop owns their state, the scorers are told where they stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState

from vrft_aug.perception.tightening import Tightening, TighteningState, start_of, state_from
from vrft_aug.training.mixture import RowScorer

Key = tuple[int, str, str]  # part, term, setting


class Thresholds(TrainerCallback, ExportableState):  # type: ignore[misc]
    """All tightening settings of a stage, and how far they have come.

    The trainer writes the state into every checkpoint (trainer_state.json), and a resumed run takes it from
    there before its first step.
    """

    def __init__(self, row_scorer: RowScorer) -> None:
        self.row_scorer = row_scorer
        self.settings: dict[Key, Tightening] = {
            (part, term, setting): value
            for part, scorer in enumerate(row_scorer.scorers)
            for term, settings in scorer.settings.items()
            for setting, value in settings.items()
            if isinstance(value, Tightening)
        }
        self.states: dict[Key, TighteningState] = {key: start_of(s) for key, s in self.settings.items()}
        for key in self.states:
            self._tell(key)

    def after_round(self, means: Mapping[tuple[int, str], float]) -> None:
        """Take in the mean of every term, by part and name, over the policy's own completions of a round."""
        for (part, term, setting), settings in self.settings.items():
            if (part, term) in means:
                key = (part, term, setting)
                self.states[key] = self.states[key].after(means[part, term], settings)
                self._tell(key)

    def figures(self) -> dict[str, float]:
        """Where every threshold stands, for the log; the task is named where the stage has several."""
        scorers = self.row_scorer.scorers
        several = len(scorers) > 1
        return {
            f"thresholds/{scorers[part].task.name + '/' if several else ''}{term}": state.threshold
            for (part, term, _), state in self.states.items()
        }

    def state(self) -> dict[str, Any]:
        """What the checkpoint keeps."""
        return {"args": {}, "attributes": {_name(key): asdict(state) for key, state in self.states.items()}}

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Go on where the checkpoint stood; a new run finds here the state that it has."""
        saved = (state.stateful_callbacks or {}).get(type(self).__name__, {}).get("attributes", {})
        for key in self.states:
            if _name(key) in saved:
                self.states[key] = state_from(saved[_name(key)])
                self._tell(key)

    def _tell(self, key: Key) -> None:
        part, term, setting = key
        scorers = self.row_scorer.scorers
        scorers[part] = scorers[part].adjusted(term, {setting: self.states[key].threshold})


def _name(key: Key) -> str:
    return "/".join(map(str, key))
