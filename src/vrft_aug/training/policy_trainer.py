"""TRL's GRPOTrainer where the policy needs it to differ: one subclass, and what it changes.

- Sampling computes as the loss does, under the same autocast; TRL leaves it to the model, and an adapter in
  float32 over a bfloat16 base would sample from another distribution than it is trained on.
- The sampler's log-probabilities are kept, as TRL does for vLLM, and every step logs how far the trainer's
  are from them (`sampler_monitor`).
- vLLM gets prompts and seeds from `vllm_rollouts`, where the recipe asks for it.
- A completion is drawn by random numbers of its own, known by stage, step, case and member of its group; so
  it is the same in any batch and with any number of processes.
- The optimiser steps of a round have whole groups each, the same with any number of processes.
- The losses of micro-batches and processes add up to that of one batch, whatever the type of loss.
- Prompts and completions, with their pictures, stay in their processes: TRL sends them all to all.
- The reference of the KL term is a copy of the policy as it was loaded, with all its settings; TRL would load
  it by name, with settings of its own. With an adapter there is none: TRL switches the adapter off, or back
  to where it began.
- Demonstrations among the completions are weighted (`seats`).
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
from vrft_aug.policy.row_noise import Key, RowNoise
from vrft_aug.policy.sampled_log_probs import generate_and_tell
from vrft_aug.policy.sharded import whole_weights
from vrft_aug.policy.together import gather_all
from vrft_aug.processes import process_index
from vrft_aug.training.augmentations.privileged_teacher import PrivilegedTeacher
from vrft_aug.training.augmentations.seats import SeatTaker
from vrft_aug.training.augmentations.visual_terms import MEMBERS, ROW, VisualTerms, loss_mask
from vrft_aug.training.micro_batches import deal_groups, loss_share
from vrft_aug.training.monitoring.sampler_monitor import row_differences, step_figures
from vrft_aug.training.order import round_keys
from vrft_aug.training.rollouts.vllm_rollouts import VllmRollouts


class PolicyTrainer(GRPOTrainer):  # type: ignore[misc]
    """A `trl.GRPOTrainer` of an instance of a model, which is also its reference.

    With `visual` or `teacher` the rows of the data have a field `row`, by which their masked pictures are
    drawn and their prompts with knowledge found; with `vllm` that draws the completions.
    """

    adds_up = True  # tells prefix sharing that the losses do

    def __init__(
        self,
        model: Any,
        visual: VisualTerms | None = None,
        vllm: VllmRollouts | None = None,
        teacher: PrivilegedTeacher | None = None,
        **settings: Any,
    ) -> None:
        def reference(*_: Any, **__: Any) -> Any:
            return copy.deepcopy(model)

        self.vllm, kwargs = vllm, settings["args"].generation_kwargs
        making = nullcontext() if vllm is None else vllm.making(kwargs)
        with swapped(grpo_trainer, "create_model_from_path", reference), making:
            super().__init__(model=model, **settings)
        self._differences: list[torch.Tensor] = []  # of the micro-batches of the step that runs
        self._visual, self._teacher = visual, teacher
        self.seats: SeatTaker | None = None
        self.row_keys: list[Key] | None = None  # of the completions that are drawn next

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        self.row_keys = None
        if all(ROW in one for one in inputs):
            rows, first = [int(one[ROW]) for one in inputs], process_index() * len(inputs)
            keys = round_keys(self.args.seed, self.state.global_step, gather_all(rows))
            self.row_keys = list(keys[first : first + len(inputs)])
        lean = (
            nullcontext() if self.log_completions else swapped(grpo_trainer, "gather_object", _gather_texts)
        )
        with lean:
            output = super()._generate_and_score_completions(inputs)
        if self._visual is not None:
            output[ROW] = torch.tensor([row[ROW] for row in inputs])
            output[MEMBERS] = torch.arange(len(inputs)) // self.num_generations
        if self._teacher is not None:
            self._teacher.listen(self, inputs, output)
        return output

    def close(self) -> None:
        """Let go what draws the completions, where it is more than the model."""
        if self.vllm is not None:
            self.vllm.close()
            self.vllm_generation = None

    def _tokenize_prompts(self, prompts: Any) -> Any:
        if self.vllm is not None:
            self.vllm.write(self.processing_class, prompts, chat_template=self.chat_template)
        return super()._tokenize_prompts(prompts)

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        steps, rest = divmod(self.args.steps_per_generation, self.args.gradient_accumulation_steps)
        weighed = self._visual is not None and self._visual.weights.completions < 1  # within whole groups
        if not self.model.training or rest or (steps <= 1 and not weighed):
            return super()._prepare_inputs(generation_batch)
        deal = partial(deal_groups, generations=self.num_generations, steps=steps)
        with swapped(grpo_trainer, "shuffle_sequence_dict", deal):
            return super()._prepare_inputs(generation_batch)

    def _generate_single_turn(self, *arguments: Any, **settings: Any) -> Any:
        if self.vllm is not None:
            self.vllm.keys = self.row_keys
        if self.use_vllm:  # computes by itself, and tells the log-probabilities
            return super()._generate_single_turn(*arguments, **settings)
        model = self.accelerator.unwrap_model(self.model)
        model = model.get_base_model() if hasattr(model, "get_base_model") else model
        drawn: list[torch.Tensor] = []
        noise = None
        if self.row_keys is not None:
            most = self.generation_config.max_new_tokens
            noise = RowNoise(self.row_keys, most, self.accelerator.device)
        telling = partial(generate_and_tell, model.generate, drawn, noise)
        whole = whole_weights(self.model_wrapped)  # processes decode for unequally long
        with whole, self.accelerator.autocast(), swapped(model, "generate", telling):
            ids, log_probs = super()._generate_single_turn(*arguments, **settings)
        if log_probs is None and drawn:
            log_probs = [row[: len(own)] for row, own in zip(drawn[0].tolist(), ids, strict=True)]
        return ids, log_probs

    def _compute_loss(self, model: Any, inputs: Any) -> Any:
        return self._watched_loss(model, inputs) * loss_share(self, inputs)

    def _watched_loss(self, model: Any, inputs: Any) -> Any:
        sampled, seats = inputs.get("sampling_per_token_logps"), self.seats
        visual, teacher = self._visual, self._teacher
        plain = sampled is None and visual is None and teacher is None and seats is None
        if plain or not self.model.training:
            return super()._compute_loss(model, inputs)
        inputs = dict(inputs)  # advantages may be weighted
        score, scored, gained = self._get_per_token_logps_and_entropies, [], []

        def kept(*arguments: Any, **fields: Any) -> Any:
            result = score(*arguments, **fields)
            scored.append(result[0])
            if visual is not None:
                gained.append(visual.look(self, result, inputs, partial(score, *arguments, **fields)))
            if teacher is not None:
                gained.append(teacher.term(self, result[0], inputs))
            if seats is not None:
                seats.weighted(result[0], inputs)
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
        if self._teacher is not None:
            figures |= self._teacher.figures(self)
        if self.seats is not None:
            figures |= self.seats.figures()
        for name, value in figures.items():
            self._metrics["train"].setdefault(name, []).append(value)


def _gather_texts(objects: Any) -> Any:
    """TRL's `gather_object` for the names of figures alone; the rest it would only keep for its tables."""
    return gather_all(objects) if all(isinstance(one, str) for one in objects) else objects
