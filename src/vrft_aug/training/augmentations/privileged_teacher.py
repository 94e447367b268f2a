"""A teacher that sees more: the same model with its knowledge in the prompt, for completions drawn without.

On-policy self-distillation (arXiv 2606.05718, 2606.07000): prompts that `injection.dropout` leaves without
knowledge are the student's. Once a round, without gradients, the same weights score the student's completions
as if the knowledge had been there, and the student is pulled towards these scores token by token:
KL(student || teacher), estimated on the student's own tokens as TRL estimates its KL to the reference.

With `boxes` the teacher also sees the lesions' boxes drawn on the picture, of every case of which they are
known, whether or not its prompt had the knowledge.

A teacher that has read the definitions likes completions that quote them, and a student that learns to quote
what it does not see makes things up. So a completion that cites the withheld knowledge, or speaks of boxes
that only the teacher sees, is not pulled, and the share of these is told; the reward keeps the direction of
all others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from vrft_aug.data.altered_pictures import Outlined
from vrft_aug.imitation.diversity import copied_share
from vrft_aug.nouns import Box, Prompt
from vrft_aug.policy.chat import chat_on_demand, encode_chats
from vrft_aug.policy.load import Policy
from vrft_aug.policy.prefix.families import family_of
from vrft_aug.policy.prefix.grouping import join_rows
from vrft_aug.policy.prefix.patching import swapped
from vrft_aug.recipe.teacher_config import Teacher
from vrft_aug.tasks.teacher_boxes import Shown
from vrft_aug.training.augmentations.perception_loss import visual_dependence
from vrft_aug.training.augmentations.visual_terms import ROW, as_the_loss, loss_mask
from vrft_aug.training.mixture import Mixture
from vrft_aug.training.prefix_sharing import ROW_GROUPS

# What is said of what was drawn, and of nothing that a picture has.
DRAWN = re.compile(
    r"\b(?:box(?:es|ed)?|rectangles?|bounding|outlin(?:e|es|ed)|annotat(?:ed|ion|ions)|drawn)\b", re.I
)
SCORES, TAUGHT = "teacher_per_token_logps", "taught"  # fields of a batch: (B, C), and (B,) 1 or 0


@dataclass
class PrivilegedTeacher:
    """The teacher of one stage, with what is summed up of a step for its log."""

    settings: Teacher
    policy: Policy  # words its prompts
    mixture: Mixture
    shown: Shown = ()  # boxes that are drawn, of every part; () for none
    _sums: list[torch.Tensor] = field(default_factory=list)

    def listen(self, trainer: Any, inputs: Sequence[Mapping[str, Any]], output: dict[str, Any]) -> None:
        """Put the teacher's log-probabilities of a round's completions into its batch."""
        rows, mask = [int(one[ROW]) for one in inputs], output["completion_mask"]
        places = [place for place, row in enumerate(rows) if not self.mixture.told(row) or self._boxes(row)]
        scores = torch.zeros(mask.shape, device=mask.device)
        taught = torch.zeros(len(rows), device=mask.device)
        leaked = torch.zeros(2, device=mask.device)
        if places:
            own = [rows[place] for place in places]
            scores[places] = self._scores(trainer, own, output["completion_ids"][places], mask[places])
            cites = [self._cites(trainer, rows[place], output, place) for place in places]
            taught[places] = torch.tensor([float(not one) for one in cites], device=mask.device)
            leaked = torch.tensor([float(sum(cites)), float(len(cites))], device=mask.device)
        output[SCORES], output[TAUGHT] = scores, taught
        of, count = trainer.accelerator.reduce(leaked, reduction="sum").tolist()
        if count:
            trainer._metrics["train"].setdefault("teacher/leaked", []).append(of / count)

    def term(self, trainer: Any, student: torch.Tensor, inputs: Mapping[str, Any]) -> torch.Tensor:
        """What the loss of a micro-batch gains; `student` (B, C) its log-probabilities, with gradients."""
        divergence = visual_dependence(student, inputs[SCORES])
        mask = loss_mask(inputs) * inputs[TAUGHT][:, None]
        self._sums.append(torch.stack([(divergence.detach() * mask).sum(), mask.sum().float()]))
        pull = self.settings.weight * divergence.clamp(max=self.settings.bound) * inputs[TAUGHT][:, None]
        return as_the_loss(trainer, pull, loss_mask(inputs), inputs)

    def figures(self, trainer: Any) -> dict[str, float]:
        """`teacher/kl`: the mean divergence of the tokens that are pulled, of all processes, where any is."""
        sums = trainer.accelerator.reduce(torch.stack(self._sums).sum(dim=0), reduction="sum").tolist()
        self._sums = []
        return {"teacher/kl": sums[0] / sums[1]} if sums[1] else {}

    def _cites(self, trainer: Any, row: int, output: Mapping[str, Any], place: int) -> bool:
        ids = output["completion_ids"][place][output["completion_mask"][place].bool()]
        text = trainer.processing_class.batch_decode([ids.tolist()], skip_special_tokens=True)[0]
        if self._boxes(row) and self.settings.leak < 1 and DRAWN.search(text):
            return True
        withheld = "" if self.mixture.told(row) else self.mixture.told_prompt(row).knowledge
        return (copied_share(text, withheld) or 0.0) > self.settings.leak

    def _boxes(self, row: int) -> tuple[Box, ...]:
        """What is drawn for a row; () for nothing."""
        part, number = self.mixture.place(row)
        return self.shown[part].get(self.mixture.tasksets[part].cases[number].id, ()) if self.shown else ()

    def _prompt(self, row: int) -> Prompt:
        """What the teacher is asked: the row's case with knowledge, and with boxes where they are shown."""
        prompt, boxes = self.mixture.told_prompt(row), self._boxes(row)
        if not boxes:
            return prompt
        first, *others = prompt.images
        return replace(prompt, images=(Outlined(first, boxes), *others))

    def _scores(
        self, trainer: Any, rows: Sequence[int], ids: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """Log-probabilities (B, C) of the completions of `rows` (B,) after what the teacher is asked."""
        causal = self.policy.model
        causal = causal.get_base_model() if hasattr(causal, "get_base_model") else causal
        family, known = family_of(causal), list(dict.fromkeys(rows))
        prompts = [self._prompt(row) for row in known]
        encoded = encode_chats(self.policy, [chat_on_demand(prompt) for prompt in prompts])
        each = family.split(
            {name: value.to(ids.device) for name, value in encoded.items()},
            [len(prompt.images) for prompt in prompts],
        )
        groups = [known.index(row) for row in rows]
        batch = join_rows([each[group] for group in groups])
        whole = {"input_ids": ids, "attention_mask": mask}
        for name in family.token_fields & batch.keys():
            batch[name] = torch.cat([batch[name], whole.get(name, torch.zeros_like(ids))], dim=1)
        images = [len(prompts[group].images) for group in groups]
        with torch.no_grad(), swapped(trainer, ROW_GROUPS, groups):
            scores: torch.Tensor = trainer._get_per_token_logps_and_entropies(
                trainer.model,
                batch.pop("input_ids"),
                batch.pop("attention_mask"),
                ids.shape[1],
                batch_size=trainer.args.per_device_train_batch_size,
                num_images=images,
                **batch,
            )[0]
        return scores
