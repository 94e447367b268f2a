"""Stages 2 and 3 of the tiny model: looking definitions up in text, then answering about pictures."""

from __future__ import annotations

import logging
import re
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vrft_aug.data.procedural.pool import Modality, Pool
from vrft_aug.tiny.architecture import MATCHING
from vrft_aug.tiny.branch_packing import IGNORED, Branch, Packed, Row, pack
from vrft_aug.tiny.lessons import Lesson, picture_lessons, text_lessons
from vrft_aug.tiny.optimise import optimise
from vrft_aug.tiny.systems import CITES
from vrft_aug.tiny.vision import Heads, grid, patches, sample_batch, see, vision_loss

CITED = re.compile(rf"(?<={CITES.rstrip()}) [^,.]+")  # the label after a finding
DEFINED = re.compile(r"^- ([^:\n]+):(.*)$", re.MULTILINE)  # a line of the knowledge in a prompt
NOTED_AFTER = (2, 4)  # layers: a definition knows its label, then a finding knows its definition's label
IMAGE_PAD = "<|image_pad|>"
VISION_END = "<|vision_end|>"
LOG = logging.getLogger(__name__)


class Tutor:
    """Turns lessons into packed token batches for one model and processor."""

    def __init__(self, model: Any, processor: Any):
        self.model, self.processor, self.tokenizer = model, processor, processor.tokenizer
        self.chat = processor.apply_chat_template
        self.pad = self.tokenizer.pad_token_id
        model.model.language_model.set_attn_implementation("eager")  # which tells where it looks

    def ids(self, text: str) -> list[int]:
        """Token ids of a piece of a chat."""
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)

    def spelled(self, text: str) -> tuple[list[int], list[int]]:
        """Token ids, and the character that each begins with."""
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        return list(encoded.input_ids), [start for start, _ in encoded.offset_mapping]

    def _noted(self, prompt: str) -> tuple[list[int], list[int]]:
        """A prompt's token ids, and for each token of a definition the last token of its label."""
        ids, starts = self.spelled(prompt)
        notes = [IGNORED] * len(ids)
        for line in DEFINED.finditer(prompt):
            label = self.ids(f" {line[1]}")[-1]
            for at in range(bisect_left(starts, line.start(2)), bisect_left(starts, line.end(2))):
                notes[at] = label
        return ids, notes

    def _recalled(self, lesson: Lesson) -> Branch:
        """A completion; learned is what follows from the findings: the labels cited and the answer.

        Noted is the label where the finding ends that leads to it, right before it is cited.
        """
        ids, starts = self.spelled(lesson.reason + lesson.answer + "<|im_end|>")
        cited = list(CITED.finditer(lesson.reason))
        spans = [*(match.span() for match in cited), (len(lesson.reason), starts[-1] + 1)]
        notes = [IGNORED] * len(ids)
        for match in cited:
            notes[bisect_left(starts, match.start()) - 2] = self.ids(match[0])[-1]
        return Branch(ids, [any(a <= start < b for a, b in spans) for start in starts], notes)

    def text_batch(self, rows: int, branches: int, rng: np.random.Generator) -> Packed:
        """Class systems, each with many findings to look up.

        The findings are given; learned are the labels that they lead to. `notes` holds for every token of a
        definition the label that it defines.
        """
        packed: list[Row] = []
        for _ in range(rows):
            modality: Modality = "fundus" if rng.random() < 0.6 else "chest"
            lessons = text_lessons(modality, branches, rng)
            prefix, notes = self._noted(self.prompt(lessons[0]))
            places = torch.arange(len(prefix)).expand(3, -1)
            packed.append(Row(prefix, places, [self._recalled(lesson) for lesson in lessons], notes))
        return pack(packed, self.pad)

    def picture_batch(
        self, pool: Pool, rows: int, branches: int, rng: np.random.Generator
    ) -> tuple[Packed, Tensor, Tensor]:
        """Pictures with several questions each; also the patches and the grid of the pictures."""
        pixels, found = sample_batch(pool, rows, rng)
        frames = grid(rows, pool.size)
        tokens = int(frames[0].prod()) // 4
        packed: list[Row] = []
        places: Tensor | None = None
        for findings in found:
            lessons = picture_lessons(pool.modality, findings, pool.size, branches, rng)
            whole = [self.prompt(lesson).replace(IMAGE_PAD, IMAGE_PAD * tokens) for lesson in lessons]
            head = whole[0][: whole[0].index(VISION_END) + len(VISION_END)]
            prefix = self.ids(head)
            if places is None:
                places = self.picture_positions(prefix, frames[:1])
            learned = []
            for lesson, text in zip(lessons, whole, strict=True):
                given = self.ids(text[len(head) :])
                answer = self.ids(lesson.reason + lesson.answer + "<|im_end|>")
                learned.append(Branch(given + answer, [False] * len(given) + [True] * len(answer)))
            packed.append(Row(prefix, places, learned))
        return pack(packed, self.pad), patches(pixels), frames

    def prompt(self, lesson: Lesson) -> str:
        """The chat up to where the completion begins."""
        return str(self.chat(list(lesson.messages), tokenize=False, add_generation_prompt=True))

    def picture_positions(self, prefix: list[int], frame: Tensor) -> Tensor:
        """(3, length of the prefix): the positions of a chat's beginning with its picture."""
        ids = torch.tensor([prefix])
        kinds = (ids == self.tokenizer.convert_tokens_to_ids(IMAGE_PAD)).long()
        positions, _ = self.model.model.get_rope_index(ids, mm_token_type_ids=kinds, image_grid_thw=frame)
        first: Tensor = positions[:, 0]
        return first

    def loss(
        self, batch: Packed, pixels: Tensor | None = None, frames: Tensor | None = None
    ) -> tuple[Tensor, float]:
        """Mean cross-entropy of the learned tokens, and the share of them that come out right.

        Where a batch has notes, what looking up takes is supervised on the way, each at half the weight, as
        no part of it pays without the others: notes are to be read off the lower layers, and where a finding
        ends the matching heads are to look at the definition of the class that it leads to.
        """
        pictures = {} if pixels is None else {"pixel_values": pixels, "image_grid_thw": frames}
        noted = bool((batch.noted[1] != IGNORED).any())
        seen = self.model.model(
            input_ids=batch.ids,
            attention_mask=batch.mask,
            position_ids=batch.positions,
            use_cache=False,
            output_hidden_states=noted,
            output_attentions=noted,
            **pictures,
        )
        learned = batch.labels != IGNORED
        logits = self.model.lm_head(seen.last_hidden_state[learned])
        loss = F.cross_entropy(logits, batch.labels[learned])
        if noted:
            for layers, notes in zip(NOTED_AFTER, batch.noted, strict=True):
                there = notes != IGNORED
                lower = self.model.model.language_model.norm(seen.hidden_states[layers][there])
                loss = loss + 0.5 * F.cross_entropy(self.model.lm_head(lower), notes[there])
            loss = loss + 0.5 * _elsewhere(seen.attentions[NOTED_AFTER[0]][:, MATCHING], *batch.noted)
        return loss, (logits.argmax(-1) == batch.labels[learned]).float().mean().item()


def _elsewhere(attention: Tensor, defined: Tensor, found: Tensor) -> Tensor:
    """How little attention (B, heads, T, T) findings pay to their definitions: mean -log of the share."""
    row, finding = (found != IGNORED).nonzero(as_tuple=True)
    definition = defined[row] == found[row, finding][:, None]  # (N, T)
    share = (attention[row, :, finding] * definition[:, None]).sum(-1)  # (N, heads)
    return -share[definition.any(-1)].clamp_min(1e-6).log().mean()


def train_text(tutor: Tutor, steps: int, rows: int, branches: int, seed: int) -> None:
    """Stage 2: the language model alone, on text."""
    rng = np.random.default_rng([seed, 2])
    groups = [(list(tutor.model.model.language_model.parameters()), 1.5e-3)]
    optimise(groups, steps, "text", lambda: tutor.loss(tutor.text_batch(rows, branches, rng)))


def train_pictures(
    tutor: Tutor, pools: Sequence[tuple[Pool, float]], steps: int, rows: int, branches: int, seed: int
) -> None:
    """Stage 3: everything together; questions about pictures, text lessons and stage 1's lessons in turns."""
    rng = np.random.default_rng([seed, 3])
    torch.manual_seed(seed)
    heads, tower = Heads(), tutor.model.model.visual
    groups = [
        (list(tutor.model.model.language_model.parameters()), 1e-3),
        (list(tower.parameters()), 5e-4),
        (list(heads.parameters()), 2e-3),
    ]
    shares = [share for _, share in pools]

    def turn() -> tuple[Tensor, float]:
        kind = rng.random()
        if kind < 0.2:
            return tutor.loss(tutor.text_batch(rows, 12, rng))
        pool = pools[int(rng.choice(len(pools), p=shares))][0]
        if kind < 0.4:
            loss, parts = vision_loss(heads, *see(tower, pool, 2 * rows, rng), pool.size)
            return loss, parts["exact set"]
        return tutor.loss(*tutor.picture_batch(pool, rows, branches, rng))

    optimise(groups, steps, "pictures", turn)
