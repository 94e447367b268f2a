"""Stages 2 and 3 of the tiny model: looking definitions up in text, then answering about pictures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vrft_aug.tiny.lessons import Lesson, picture_lessons, text_lessons
from vrft_aug.tiny.packing import IGNORED, Packed, Row, pack
from vrft_aug.tiny.pool import Modality, Pool
from vrft_aug.tiny.vision import Heads, grid, learning_rate, patches, sample_batch, see, vision_loss

IMAGE_PAD = "<|image_pad|>"
VISION_END = "<|vision_end|>"
LOG = logging.getLogger(__name__)


class Tutor:
    """Turns lessons into packed token batches for one model and processor."""

    def __init__(self, model: Any, processor: Any):
        self.model, self.processor, self.tokenizer = model, processor, processor.tokenizer
        self.chat = processor.apply_chat_template
        self.pad = self.tokenizer.pad_token_id

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)

    def text_batch(self, rows: int, branches: int, rng: np.random.Generator) -> Packed:
        """Class systems, each with many findings to look up; the findings are given, the label is learned."""
        packed: list[Row] = []
        for _ in range(rows):
            modality: Modality = "fundus" if rng.random() < 0.6 else "chest"
            lessons = text_lessons(modality, branches, rng)
            prefix = self._ids(self._prompt(lessons[0]))
            places = torch.arange(len(prefix)).expand(3, -1)
            learned = []
            for lesson in lessons:
                given = self._ids(lesson.reason)
                learned.append((given + self._ids(lesson.answer + "<|im_end|>"), len(given)))
            packed.append(Row(prefix, places, learned))
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
            whole = [self._prompt(lesson).replace(IMAGE_PAD, IMAGE_PAD * tokens) for lesson in lessons]
            head = whole[0][: whole[0].index(VISION_END) + len(VISION_END)]
            prefix = self._ids(head)
            if places is None:
                places = self._picture_positions(prefix, frames[:1])
            learned = []
            for lesson, text in zip(lessons, whole, strict=True):
                given = self._ids(text[len(head) :])
                answer = self._ids(lesson.reason + lesson.answer + "<|im_end|>")
                learned.append((given + answer, len(given)))
            packed.append(Row(prefix, places, learned))
        return pack(packed, self.pad), patches(pixels), frames

    def _prompt(self, lesson: Lesson) -> str:
        return str(self.chat(list(lesson.messages), tokenize=False, add_generation_prompt=True))

    def _picture_positions(self, prefix: list[int], frame: Tensor) -> Tensor:
        ids = torch.tensor([prefix])
        kinds = (ids == self.tokenizer.convert_tokens_to_ids(IMAGE_PAD)).long()
        positions, _ = self.model.model.get_rope_index(ids, mm_token_type_ids=kinds, image_grid_thw=frame)
        first: Tensor = positions[:, 0]
        return first

    def loss(
        self, batch: Packed, pixels: Tensor | None = None, frames: Tensor | None = None
    ) -> tuple[Tensor, float]:
        """Mean cross-entropy of the learned tokens, and the share of them that come out right."""
        pictures = {} if pixels is None else {"pixel_values": pixels, "image_grid_thw": frames}
        hidden = self.model.model(
            input_ids=batch.ids,
            attention_mask=batch.mask,
            position_ids=batch.positions,
            use_cache=False,
            **pictures,
        ).last_hidden_state
        learned = batch.labels != IGNORED
        logits = self.model.lm_head(hidden[learned])
        loss = F.cross_entropy(logits, batch.labels[learned])
        return loss, (logits.argmax(-1) == batch.labels[learned]).float().mean().item()


def train_text(tutor: Tutor, steps: int, rows: int, branches: int, seed: int) -> None:
    """Stage 2: the language model alone, on text."""
    rng = np.random.default_rng([seed, 2])
    groups = [(list(tutor.model.model.language_model.parameters()), 2e-3)]
    _optimise(groups, steps, "text", lambda: tutor.loss(tutor.text_batch(rows, branches, rng)))


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

    _optimise(groups, steps, "pictures", turn)


def _optimise(
    groups: list[tuple[list[nn.Parameter], float]],
    steps: int,
    name: str,
    turn: Callable[[], tuple[Tensor, float]],
) -> None:
    """AdamW over groups of (weights, peak learning rate)."""
    optimiser = torch.optim.AdamW(
        [{"params": weights, "lr": peak, "peak": peak} for weights, peak in groups],
        weight_decay=0.02,
        betas=(0.9, 0.98),
    )
    seen: list[tuple[float, float]] = []
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * learning_rate(step, steps)
        loss, right = turn()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for weights, _ in groups:
            nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        seen.append((loss.item(), right))
        if step % 25 == 24 or step == steps - 1:
            mean_loss, mean_right = np.mean(seen, axis=0)
            LOG.info("%s %d/%d loss %.3f right %.3f", name, step + 1, steps, mean_loss, mean_right)
            seen.clear()
