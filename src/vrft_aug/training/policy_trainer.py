"""TRL's GRPOTrainer where the policy needs it to differ: one subclass, and what it changes.

- Sampling computes as the loss does, under the same autocast; TRL leaves it to the model, and an adapter in
  float32 over a bfloat16 base would sample from another distribution than it is trained on.
- The sampler's log-probabilities are kept, as TRL does for vLLM, and every step logs how far the trainer's
  are from them (`sampler_monitor`).
- vLLM gets prompts and seeds from `vllm_rollouts`, where the recipe asks for it.
- The reference of the KL term is a copy of the policy as it was loaded, with all its settings; TRL would load
  it by name, with settings of its own. With an adapter there is none: TRL switches the adapter off, or back
  to where it began.
- What a stage learns from masked pictures is looked at between a micro-batch's scores and its loss, and added
  to it (`visual_terms`).
"""

from __future__ import annotations

import copy
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from trl import GRPOTrainer
from trl.trainer import grpo_trainer

from vrft_aug.policy.prefix.patching import swapped
from vrft_aug.policy.sampled_log_probs import generate_and_tell
from vrft_aug.training.sampler_monitor import row_differences, step_figures
from vrft_aug.training.visual_terms import ROW, VisualTerms, loss_mask
from vrft_aug.training.vllm_rollouts import VllmRollouts


class PolicyTrainer(GRPOTrainer):  # type: ignore[misc]
    """A `trl.GRPOTrainer` of an instance of a model, which is also its reference.

    With `visual` the rows of the data have a field `row`, by which their masked pictures are drawn; with
    `vllm` that draws the completions.
    """

    def __init__(
        self, model: Any, visual: VisualTerms | None = None, vllm: VllmRollouts | None = None, **settings: Any
    ) -> None:
        def reference(*_: Any, **__: Any) -> Any:
            return copy.deepcopy(model)

        self.vllm, kwargs = vllm, settings["args"].generation_kwargs
        making = nullcontext() if vllm is None else vllm.making(kwargs)
        with swapped(grpo_trainer, "create_model_from_path", reference), making:
            super().__init__(model=model, **settings)
        self._drawn = (-1, 0)  # the step that was drawn for last, and how often
        self._differences: list[torch.Tensor] = []  # of the micro-batches of the step that runs
        self._visual = visual

    def close(self) -> None:
        """Let go what draws the completions, where it is more than the model."""
        if self.vllm is not None:
            self.vllm.close()
            self.vllm_generation = None

    def _tokenize_prompts(self, prompts: Any) -> Any:
        if self.vllm is not None:
            self.vllm.write(self.processing_class, prompts, chat_template=self.chat_template)
        return super()._tokenize_prompts(prompts)

    def _generate_single_turn(self, *arguments: Any, **settings: Any) -> Any:
        if self.vllm is not None:
            self.vllm.keys = self._draw_keys(len(arguments[0]))
        if self.use_vllm:  # computes by itself, and tells the log-probabilities
            return super()._generate_single_turn(*arguments, **settings)
        model = self.accelerator.unwrap_model(self.model)
        model = model.get_base_model() if hasattr(model, "get_base_model") else model
        drawn: list[torch.Tensor] = []
        telling = partial(generate_and_tell, model.generate, drawn)
        with self.accelerator.autocast(), swapped(model, "generate", telling):
            ids, log_probs = super()._generate_single_turn(*arguments, **settings)
        if log_probs is None and drawn:
            log_probs = [row[: len(own)] for row, own in zip(drawn[0].tolist(), ids, strict=True)]
        return ids, log_probs

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        output = super()._generate_and_score_completions(inputs)
        if self._visual is not None:
            output[ROW] = torch.tensor([row[ROW] for row in inputs])
        return output

    def _draw_keys(self, count: int) -> list[tuple[int, ...]]:
        """Of each completion that is drawn next: stage's seed, step, which draw of it, place in it."""
        step, first = self.state.global_step, self.accelerator.process_index * count
        self._drawn = (step, self._drawn[1] + 1 if self._drawn[0] == step else 0)
        return [(self.args.seed, *self._drawn, first + place) for place in range(count)]

    def _compute_loss(self, model: Any, inputs: Any) -> Any:
        sampled, visual = inputs.get("sampling_per_token_logps"), self._visual
        if (sampled is None and visual is None) or not self.model.training:
            return super()._compute_loss(model, inputs)
        inputs = dict(inputs)  # advantages may be weighted
        score, scored, gained = self._get_per_token_logps_and_entropies, [], []

        def kept(*arguments: Any, **fields: Any) -> Any:
            result = score(*arguments, **fields)
            scored.append(result[0])
            if visual is not None:
                gained.append(visual.look(self, result, inputs, partial(score, *arguments, **fields)))
            return result

        with swapped(self, "_get_per_token_logps_and_entropies", kept):
            loss = super()._compute_loss(model, inputs)
        loss = sum((term for term in gained if term is not None), loss)
        if sampled is not None:
            # Where the weights have moved since the completions were drawn, TRL has scored them before.
            trained = inputs.get("old_per_token_logps", scored[0])
            self._differences.append(row_differences(sampled, trained, loss_mask(inputs)))
        if self.accelerator.sync_gradients:
            self._log_step()
        return loss

    def _log_step(self) -> None:
        figures: dict[str, float] = {}
        if self._differences:
            rows, self._differences = torch.cat(self._differences), []
            figures |= step_figures(self.accelerator.gather(rows))
        if self._visual is not None:
            figures |= self._visual.figures(self)
        for name, value in figures.items():
            self._metrics["train"].setdefault(name, []).append(value)
