"""How the photo base learns to read its tower: the projector first, by itself, then with the words.

The tower stays as it is and in evaluation mode, as its batch norms must, so each picture goes through once.
Stage 1 asks of each visual token which findings lie in it and where in the picture it is (a convolution knows
its place by the borders alone, and a plain language model counts badly), and has it rebuild what the tower
said: what photographs differ by must come through also where nobody has said what they show. Stage 2 answers
questions about the pictures; text lessons in between keep what the words have learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vrft_aug.data.procedural.pool import Modality
from vrft_aug.tiny.branch_packing import IGNORED, Branch, Packed, Row, pack
from vrft_aug.tiny.lessons import Lesson, text_lessons
from vrft_aug.tiny.optimise import optimise
from vrft_aug.tiny.photo_lessons import kinds_of, lessons_of
from vrft_aug.tiny.photo_pictures import Pictures, Seen, cells

REBUILT = 128  # principal components of what the tower says
IMAGE_PAD, VISION_END = "<|image_pad|>", "<|vision_end|>"


class Aligner:
    """A photo base that learns from pictures whose features are at hand."""

    def __init__(self, model: Any, processor: Any, pictures: Pictures) -> None:
        self.model, self.tokenizer, self.pictures = model, processor.tokenizer, pictures
        self.chat, self.pad = processor.apply_chat_template, processor.tokenizer.pad_token_id
        self.image = model.config.image_token_id
        self.tokens = pictures.features.shape[1]
        model.requires_grad_(False)
        model.model.multi_modal_projector.requires_grad_(True)
        model.model.language_model.requires_grad_(True)

    def visual(self, rows: Sequence[int]) -> Tensor:
        """(B, T, hidden) what the language model reads of pictures."""
        features = self.pictures.features[list(rows)].float()
        tokens: Tensor = self.model.model.multi_modal_projector(features)
        return tokens

    def loss(self, batch: Packed, visual: Tensor | None = None) -> tuple[Tensor, float]:
        """Mean cross-entropy of the learned tokens, and the share of them that come out right."""
        embedded = self.model.get_input_embeddings()(batch.ids)
        if visual is not None:
            place = (batch.ids == self.image)[..., None].expand_as(embedded)
            embedded = embedded.masked_scatter(place, visual)
        states = self.model.model.language_model(
            inputs_embeds=embedded,
            attention_mask=batch.mask,
            position_ids=batch.positions[0],
            use_cache=False,
        ).last_hidden_state
        learned = batch.labels != IGNORED
        logits = self.model.lm_head(states[learned])
        right = (logits.argmax(-1) == batch.labels[learned]).float().mean().item()
        return F.cross_entropy(logits, batch.labels[learned]), right

    def picture_batch(self, seen: Sequence[Seen], branches: int, rng: np.random.Generator) -> Packed:
        """Pictures with several questions each, which share the picture's tokens."""
        rows = []
        for one in seen:
            lessons = lessons_of(one, branches, rng)
            whole = [self._prompt(lesson).replace(IMAGE_PAD, IMAGE_PAD * self.tokens) for lesson in lessons]
            head = whole[0][: whole[0].index(VISION_END) + len(VISION_END)]
            learned = []
            for lesson, text in zip(lessons, whole, strict=True):
                given = self._ids(text[len(head) :])
                answer = self._ids(lesson.reason + lesson.answer + "<|im_end|>")
                learned.append(Branch(given + answer, [False] * len(given) + [True] * len(answer)))
            rows.append(_row(self._ids(head), learned))
        return pack(rows, self.pad)

    def text_batch(self, rows: int, branches: int, rng: np.random.Generator) -> Packed:
        """Class systems with made-up findings to look up, without pictures."""
        packed = []
        for _ in range(rows):
            modality: Modality = "fundus" if rng.random() < 0.6 else "chest"
            lessons = text_lessons(modality, branches, rng)
            answers = [(self._ids(one.reason), self._ids(one.answer + "<|im_end|>")) for one in lessons]
            learned = [Branch(a + b, [False] * len(a) + [True] * len(b)) for a, b in answers]
            packed.append(_row(self._ids(self._prompt(lessons[0])), learned))
        return pack(packed, self.pad)

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)

    def _prompt(self, lesson: Lesson) -> str:
        return str(self.chat(list(lesson.messages), tokenize=False, add_generation_prompt=True))


def _row(prefix: list[int], branches: list[Branch]) -> Row:
    return Row(prefix, torch.arange(len(prefix)).expand(3, -1), branches)


class Heads(nn.Module):
    """What stage 1 asks of visual tokens; thrown away after it."""

    def __init__(self, hidden: int, kinds: int, side: int) -> None:
        super().__init__()
        self.kinds, self.present = nn.Linear(hidden, kinds), nn.Linear(hidden, kinds)
        self.place, self.rebuilt = nn.Linear(hidden, 2 * side), nn.Linear(hidden, REBUILT)
        nn.init.constant_(self.kinds.bias, -4.0)  # nearly everywhere lies nothing


def train_projector(aligner: Aligner, steps: int, batch: int, seed: int) -> None:
    """Stage 1, on all pictures; the scale of its tokens begins at that of the words' embeddings."""
    rng = np.random.default_rng([seed, 11])
    torch.manual_seed(seed)
    pictures, projector = aligner.pictures, aligner.model.model.multi_modal_projector
    middle, directions = _components(pictures.features, rng)
    scale = float(aligner.model.get_input_embeddings().weight.detach().std())
    side, kinds = round(aligner.tokens**0.5), kinds_of(pictures.all)
    heads = Heads(projector.linear_2.out_features, len(kinds), side)
    where = torch.stack([torch.arange(aligner.tokens) // side, torch.arange(aligner.tokens) % side], dim=-1)
    everything = pictures.all

    def turn() -> tuple[Tensor, float]:
        seen = [everything[i] for i in rng.integers(len(everything), size=batch)]
        tokens = aligner.visual([one.row for one in seen])
        there = [i for i, one in enumerate(seen) if one.boxes is not None]
        said = (pictures.features[[one.row for one in seen]].float() - middle) @ directions
        place = heads.place(tokens / scale).view(-1, side)
        loss = F.mse_loss(heads.rebuilt(tokens / scale), said)
        loss = loss + 0.3 * F.cross_entropy(place, where.expand(len(seen), -1, -1).reshape(-1))
        loss = loss + 0.01 * (tokens.std() / scale - 1) ** 2
        right = 0.0
        if there:
            known = np.stack([cells(seen[i].boxes or (), seen[i].size, side, kinds) for i in there])
            asked = torch.from_numpy(np.stack([_asked(seen[i], kinds) for i in there]))[:, None]
            wanted, given = torch.from_numpy(known), heads.kinds(tokens[there] / scale)
            each = F.binary_cross_entropy_with_logits(given, wanted, reduction="none") * asked
            present = heads.present(tokens[there].mean(dim=1) / scale)
            whole = F.binary_cross_entropy_with_logits(present, wanted.amax(dim=1), reduction="none")
            loss = loss + each.sum() / len(there) / 10 + 0.5 * (whole * asked[:, 0]).sum() / len(there)
            right = float(((given > 0) == (wanted > 0.5))[wanted > 0.5].float().mean())
        return loss, right

    optimise(
        [(list(projector.parameters()), 2e-3), (list(heads.parameters()), 2e-3)], steps, "projector", turn
    )


def _asked(seen: Seen, kinds: Sequence[str]) -> np.ndarray:
    """(kinds,) 1 for those that would have a box if they were in the picture."""
    if seen.task is None:
        return np.ones(len(kinds), dtype=np.float32)
    return np.array([kind in seen.task.labels or not seen.task.labels for kind in kinds], dtype=np.float32)


def _components(features: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """The mean (channels,) of visual tokens; (channels, REBUILT) their main directions, to unit variance."""
    chosen = torch.from_numpy(rng.integers(features.shape[0] * features.shape[1], size=20_000))
    tokens = features.flatten(0, 1)[chosen].float()
    middle = tokens.mean(dim=0)
    values, vectors = torch.linalg.eigh((tokens - middle).T @ (tokens - middle) / len(tokens))
    strongest = values[-REBUILT:].clamp_min(1e-6)
    return middle, vectors[:, -REBUILT:] / strongest.sqrt()


def train_words(aligner: Aligner, steps: int, rows: int, branches: int, seed: int) -> None:
    """Stage 2: projector and language model; drawn pictures, photographs with boxes and text in turns."""
    rng = np.random.default_rng([seed, 12])
    torch.manual_seed(seed)
    pictures = aligner.pictures
    groups = [
        (list(aligner.model.model.language_model.parameters()), 7e-4),
        (list(aligner.model.model.multi_modal_projector.parameters()), 7e-4),
    ]

    def turn() -> tuple[Tensor, float]:
        kind = rng.random()
        if kind < 0.1:
            return aligner.loss(aligner.text_batch(rows, branches, rng))
        pool = pictures.boxed if kind < 0.45 and pictures.boxed else pictures.drawn
        seen = [pool[i] for i in rng.integers(len(pool), size=rows)]
        batch = aligner.picture_batch(seen, branches, rng)
        return aligner.loss(batch, aligner.visual([one.row for one in seen]))

    optimise(groups, steps, "words", turn)
