"""Reasoning traces of a model behind an OpenAI-compatible server, for a warm start: right ones are kept."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vrft_aug.errors import UserError
from vrft_aug.files import write_text
from vrft_aug.nouns import Prompt
from vrft_aug.perception.limited_pictures import with_limits
from vrft_aug.perception.model_view import model_view
from vrft_aug.policy.ask_all import ask_all
from vrft_aug.policy.endpoint import Endpoint, Reply
from vrft_aug.recipe.schema import Recipe
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.tasks.demonstrations import fault
from vrft_aug.tasks.frames import frames_without_model
from vrft_aug.tasks.taskset import load_taskset


@dataclass(frozen=True)
class Drafted:
    """What came of asking."""

    asked: int
    kept: int
    refused: Mapping[str, int]  # why, how often


def draft_traces(
    endpoint: Endpoint, recipe: Recipe, stage: StageConfig, output: Path, limit: int | None = None
) -> Drafted:
    """Ask about training cases as a stage's prompt does; write the traces that may be demonstrations.

    A reply is kept where it is finished, in the strict format and right, as `with_demonstrations` asks; lines
    are {"case", "completion"}. At most `limit` cases, spread over the split. Greedy, one reply a case. Raises
    UserError where the server fails for good, and where no reply can be kept; then nothing is written.
    """
    model = recipe.model.model_copy(update={"name": endpoint.model})
    view = model_view(model)
    taskset = load_taskset(recipe, stage.task, "train", stage.injection, view.space, limit)
    frame_of = frames_without_model(taskset.task, model)

    def ask(prompt: Prompt) -> Reply:
        return endpoint.chat(prompt.messages, prompt.images, temperature=0.0, max_tokens=stage.max_new_tokens)

    prompts = with_limits(taskset.prompts, recipe.model, view)
    lines, refused = [], Counter[str]()
    for case, reply in zip(taskset.cases, ask_all("asking", ask, prompts), strict=True):
        wrong = "was cut at the token limit" if not reply.finished else None
        wrong = wrong or fault(reply.text.strip(), case, taskset.task, frame_of(case))
        if wrong is None:
            lines.append({"case": case.id, "completion": reply.text.strip()})
        else:
            refused[wrong.split(",")[0].split(" '")[0]] += 1  # without what was said of this case
    if not lines:
        reasons = "; ".join(f"{count} {why}" for why, count in refused.most_common())
        raise UserError(f"none of {len(taskset.cases)} replies of {endpoint.model} can be kept: {reasons}")
    write_text(output, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return Drafted(len(taskset.cases), len(lines), dict(refused))
