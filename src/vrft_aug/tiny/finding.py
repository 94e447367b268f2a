"""Stages 5 to 8 of the tiny model: boxes, kind by kind, with what was learned before kept in practice.

Coordinates are classes to a language model, and no class is near another. Here they are taught as spread
over their neighbours by the true, unrounded place, and the heads in `gaze` are shown the picture tokens that
a box lies in. The vision tower stays as stage 4 left it until stage 7, from which on some of the pictures are
another camera's.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count, takewhile

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vrft_aug.data.procedural.phrases import facts
from vrft_aug.data.procedural.pool import Modality, Pool
from vrft_aug.data.procedural.scene import Finding
from vrft_aug.tiny.branch_packing import IGNORED, Branch, Packed, Row, pack
from vrft_aug.tiny.gaze import Gaze, astray, watched
from vrft_aug.tiny.language import IMAGE_PAD, VISION_END, Tutor
from vrft_aug.tiny.lessons import (
    GRID,
    Lesson,
    class_lesson,
    finding_lesson,
    list_lesson,
    yes_no_lesson,
)
from vrft_aug.tiny.optimise import optimise
from vrft_aug.tiny.places import PlaceHeads, cells, place_loss, spread
from vrft_aug.tiny.systems import random_system, suits
from vrft_aug.tiny.vision import Heads, grid, patches, sample_batch, vision_loss

KNOWN = 0.5  # of the pictures are also asked what stage 3 asks
CORNERS = re.compile(r"\[(\d+),(\d+),(\d+),(\d+)\]")
LARGEST = 144  # pixels: the greatest coordinate that is one token


@dataclass(frozen=True)
class Found:
    """A batch of pictures with questions, and of its coordinates: row, place, pixels (N,), and the goals."""

    packed: Packed
    patches: Tensor
    frames: Tensor
    findings: Sequence[Sequence[Finding]]
    size: tuple[int, int]
    places: Tensor  # (N, 2): row, and the place of the token before the coordinate
    pixels: Tensor  # (N,): the coordinate, unrounded
    goal: Tensor  # (N, T): True at the picture tokens that the box lies in


def find_batch(
    tutor: Tutor, pool: Pool, rows: int, asked: int, rng: np.random.Generator, known: int | None = None
) -> Found:
    """Pictures with `asked` questions where things are; to some also one of what was learned before.

    With `known` all of the clinic's are asked so many of these, and one where things are.
    Of another camera than the clinic's only boxes are learned: what it shows stays to be learned there.
    """
    shown, found = sample_batch(pool, rows, rng)
    frames = grid(rows, pool.size)
    tokens = int(frames[0].prod()) // 4
    packed: list[Row] = []
    coordinates: list[tuple[int, int, float, Finding]] = []
    positions: Tensor | None = None
    first = 0
    for row, findings in enumerate(found):
        before, boxes = 0, asked
        if pool.camera == "clinic":
            before, boxes = (int(rng.random() < KNOWN), asked) if known is None else (known, 1)
        lessons = [_known(pool.modality, findings, pool.size, rng) for _ in range(before)]
        lessons += [_asked(pool.modality, findings, pool.size, rng) for _ in range(boxes)]
        whole = [tutor.prompt(lesson).replace(IMAGE_PAD, IMAGE_PAD * tokens) for lesson in lessons]
        head = whole[0][: whole[0].index(VISION_END) + len(VISION_END)]
        prefix = tutor.ids(head)
        if positions is None:
            positions = tutor.picture_positions(prefix, frames[:1])
            first = prefix.index(tutor.tokenizer.convert_tokens_to_ids(IMAGE_PAD))
        at, branches = len(prefix), []
        for lesson, text in zip(lessons, whole, strict=True):
            given = tutor.ids(text[len(head) :])
            answer, places = _written(tutor, lesson)
            reasons = len(tutor.ids(lesson.reason)) if pool.camera != "clinic" else 0
            given_too = len(given) + reasons
            branches.append(Branch(given + answer, [False] * given_too + [True] * (len(answer) - reasons)))
            coordinates += [(row, at + len(given) + place - 1, v, box) for place, v, box in places]
            at += len(given) + len(answer)
        packed.append(Row(prefix, positions, branches))
    batch = pack(packed, tutor.pad)
    goal = torch.zeros((len(coordinates), batch.ids.shape[1]), dtype=torch.bool)
    for number, (_, _, _, box) in enumerate(coordinates):
        goal[number, [first + cell for cell in cells(box, pool.size)]] = True
    return Found(
        batch,
        patches(shown),
        frames,
        found,
        pool.size,
        torch.tensor([[row, place] for row, place, _, _ in coordinates], dtype=torch.long).view(-1, 2),
        torch.tensor([v for _, _, v, _ in coordinates]),
        goal,
    )


def _asked(
    modality: Modality, findings: Sequence[Finding], size: tuple[int, int], rng: np.random.Generator
) -> Lesson:
    while (lesson := finding_lesson(modality, findings, size, rng)) is None:
        pass
    return lesson


def _known(
    modality: Modality, findings: Sequence[Finding], size: tuple[int, int], rng: np.random.Generator
) -> Lesson:
    """A question of stage 3 that asks for no boxes."""
    found = facts(findings, size)
    draw = rng.random()
    if draw < 0.15:
        return list_lesson(modality, found, rng, 1)
    if draw < 0.3:
        return yes_no_lesson(modality, found, rng, 1)
    while not suits(system := random_system(modality, rng), found):
        pass
    return class_lesson(system, found, rng, told=rng.random() < 0.85, images=1)


def _written(tutor: Tutor, lesson: Lesson) -> tuple[list[int], list[tuple[int, float, Finding]]]:
    """A completion's token ids, and of each coordinate its place in them, its pixels and its box."""
    text = lesson.reason + lesson.answer + "<|im_end|>"
    ids, starts = tutor.spelled(text)
    places = [
        (bisect_left(starts, match.start(corner + 1)), box.box[corner], box)
        for match, box in zip(CORNERS.finditer(text), lesson.boxes, strict=True)
        for corner in range(4)
    ]
    return ids, places


def find_loss(
    tutor: Tutor,
    found: Found,
    numbers: Tensor,
    heads: PlaceHeads | None = None,
    kinds: Heads | None = None,
) -> tuple[Tensor, float]:
    """The loss of a batch, and the share of coordinates that come out within one step of the grid.

    `numbers` (K,) are the tokens of 0, GRID, 2 GRID, ... pixels. With `heads` the tower goes on with stage 4.
    """
    batch, (rows, places) = found.packed, found.places.T
    visual: list[Tensor] = []
    hook = tutor.model.model.visual.register_forward_hook(lambda *seen: visual.append(seen[2].pooler_output))
    with watched(tutor.model.model.language_model) as seen:
        hidden = tutor.model.model(
            input_ids=batch.ids,
            attention_mask=batch.mask,
            position_ids=batch.positions,
            use_cache=False,
            pixel_values=found.patches,
            image_grid_thw=found.frames,
        ).last_hidden_state
    hook.remove()
    labels = batch.labels.clone()
    labels[rows, places] = IGNORED
    learned = labels != IGNORED
    words = F.cross_entropy(tutor.model.lm_head(hidden[learned]), labels[learned], reduction="sum")
    said = tutor.model.lm_head(hidden[rows, places]).log_softmax(-1)[:, numbers]
    boxes = -(spread(found.pixels, len(numbers)) * said).sum()
    loss = (words + boxes) / (len(rows) + int(learned.sum()))
    if len(rows):
        loss = loss + 0.25 * astray(seen, Gaze(rows, places, found.goal))
    if heads is not None:
        tokens = visual[0].view(len(found.findings), -1, visual[0].shape[-1])
        loss = loss + 0.5 * place_loss(heads, tokens, found.findings, found.size, even=True)[0]
    if kinds is not None:
        tokens = visual[0].view(len(found.findings), -1, visual[0].shape[-1])
        loss = loss + 0.4 * vision_loss(kinds, tokens, found.findings, found.size)[0]
    near = (GRID * said.argmax(-1) - found.pixels).abs() <= GRID
    return loss, near.float().mean().item() if len(rows) else 1.0


def number_tokens(tutor: Tutor) -> Tensor:
    """The tokens of the coordinates that boxes are taught in.

    The tokenizer of a full build has one for each; where a short one spells a number, its first piece counts.
    """
    marks = takewhile(lambda v: v <= LARGEST, count(0, GRID))
    return torch.tensor([tutor.ids(str(mark))[0] for mark in marks])


def train_finding(
    tutor: Tutor,
    pools: Sequence[tuple[Pool, float]],
    steps: int,
    rows: int,
    seed: int,
    stage: int = 5,
    tower: bool = False,
) -> None:
    """Stages 5 to 7: the language model, in the last with the tower, on pictures mostly and on text."""
    rng = np.random.default_rng([seed, stage])
    torch.manual_seed(seed)
    tutor.model.model.language_model.set_attn_implementation("sdpa")  # nothing here asks where it looks
    numbers, visual = number_tokens(tutor), tutor.model.model.visual
    visual.requires_grad_(tower)
    groups = [(list(tutor.model.model.language_model.parameters()), 8e-4)]
    heads = PlaceHeads() if tower else None
    if heads is not None:
        groups += [(list(visual.parameters()), 4e-4), (list(heads.parameters()), 4e-3)]
    shares = [share for _, share in pools]

    def turn() -> tuple[Tensor, float]:
        if rng.random() < 0.1:
            return tutor.loss(_without_notes(tutor.text_batch(rows // 2, 12, rng)))
        pool = pools[int(rng.choice(len(pools), p=shares))][0]
        return find_loss(tutor, find_batch(tutor, pool, rows, 3, rng), numbers, heads)

    optimise(groups, steps, "finding", turn, warm=20)


def train_keeping(
    tutor: Tutor, pools: Sequence[tuple[Pool, float]], steps: int, rows: int, seed: int, stage: int
) -> None:
    """Stage 8: all together, mostly what the stages before finding taught, so that none of it is lost."""
    rng = np.random.default_rng([seed, stage])
    torch.manual_seed(seed)
    tutor.model.model.language_model.set_attn_implementation("sdpa")
    numbers, visual, heads, kinds = number_tokens(tutor), tutor.model.model.visual, PlaceHeads(), Heads()
    visual.requires_grad_(True)
    groups = [
        (list(tutor.model.model.language_model.parameters()), 5e-4),
        (list(visual.parameters()), 3e-4),
        ([*heads.parameters(), *kinds.parameters()], 4e-3),
    ]
    shares = [share for _, share in pools]

    def turn() -> tuple[Tensor, float]:
        if rng.random() < 0.1:
            return tutor.loss(_without_notes(tutor.text_batch(rows // 2, 12, rng)))
        pool = pools[int(rng.choice(len(pools), p=shares))][0]
        batch = find_batch(tutor, pool, rows, 3, rng, known=2)
        return find_loss(tutor, batch, numbers, heads, kinds if pool.camera == "clinic" else None)

    optimise(groups, steps, "keeping", turn, warm=20)


def _without_notes(batch: Packed) -> Packed:
    nothing = torch.full_like(batch.labels, IGNORED)
    return replace(batch, noted=(nothing, nothing))
