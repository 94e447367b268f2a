"""Stages 4 to 7 of the embedded model: places, and boxes kind by kind."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vrft_aug.answer import parse
from vrft_aug.data.procedural.fundus import DISC
from vrft_aug.data.procedural.phrases import PICTURE
from vrft_aug.data.procedural.pool import Modality, render_pool, scene
from vrft_aug.data.procedural.scene import Finding
from vrft_aug.nouns import Rollout
from vrft_aug.perception.spaces import Frame
from vrft_aug.tiny.architecture import HIDDEN, new_model
from vrft_aug.tiny.branch_packing import IGNORED
from vrft_aug.tiny.finding import find_batch, find_loss, number_tokens
from vrft_aug.tiny.gaze import HEADS, LAYERS, Gaze, astray, watched
from vrft_aug.tiny.language import IMAGE_PAD, Tutor
from vrft_aug.tiny.lessons import GRID, MOST_BOXES, SPACE, corpus, finding_lesson
from vrft_aug.tiny.places import PlaceHeads, cells, place_loss, spread
from vrft_aug.tiny.processor import SPECIAL, new_processor

SQUARE = (112, 112)
FRAME = Frame(SQUARE, SQUARE, SPACE)


@pytest.fixture(scope="module")
def tutor() -> Tutor:
    processor = new_processor(corpus(np.random.default_rng(0), 200))
    ids = {token: processor.tokenizer.convert_tokens_to_ids(token) for token in SPECIAL}
    return Tutor(new_model(len(processor.tokenizer), ids, 0).eval(), processor)


@pytest.mark.parametrize("modality", ["fundus", "chest"])
def test_a_finding_lesson_is_right_and_goes_kind_by_kind(modality: Modality) -> None:
    rng, forms, empty = np.random.default_rng(0), set(), 0
    for index in range(60):
        findings = scene(modality, "card", 3, index, SQUARE).findings
        lesson = finding_lesson(modality, findings, SQUARE, rng)
        if lesson is None:
            continue
        forms.add(lesson.task.box_format)
        answer = parse(Rollout(lesson.reason + lesson.answer), lesson.task, FRAME)
        assert answer.reason is None and isinstance(answer.value, tuple), lesson
        asked = lesson.task.labels
        wanted = [f for f in findings if f.kind in asked]
        assert sorted(lesson.boxes) == sorted(wanted) and len(wanted) <= MOST_BOXES
        order = [asked.index(f.kind) for f in lesson.boxes]
        assert order == sorted(order)
        assert [box.label for box in answer.value] == [f.kind for f in lesson.boxes]
        for box, true in zip(answer.value, lesson.boxes, strict=True):
            corners = (box.x1, box.y1, box.x2, box.y2)
            assert np.abs(np.subtract(corners, true.box)).max() <= GRID / 2
        empty += not wanted
        assert PICTURE[modality] == lesson.task.modality
    assert forms == {"json", "plain"} and 5 < empty < 35


def test_the_tokens_of_a_box_lie_under_it() -> None:
    assert cells(Finding(DISC, (16.0, 32.0, 40.0, 48.0)), SQUARE) == [15, 16]
    assert cells(Finding(DISC, (104.0, 100.0, 112.0, 112.0)), SQUARE) == [48]


def test_a_coordinate_is_spread_around_where_it_is() -> None:
    share = spread(torch.tensor([40.0, 41.0, 0.0]), 29)
    assert torch.allclose(share.sum(-1), torch.ones(3)) and share.argmax(-1).tolist() == [10, 10, 0]
    assert share[0, 9] == share[0, 11] and share[1, 11] > share[1, 9]


def test_of_two_findings_in_a_token_the_smaller_tells_its_box() -> None:
    large, small = (
        Finding("new vessels", (0.0, 0.0, 32.0, 32.0)),
        Finding("cotton wool spots", (4.0, 4.0, 12.0, 12.0)),
    )
    heads, tokens = PlaceHeads(), torch.zeros(1, 49, HIDDEN)
    with torch.no_grad():
        heads.lines.weight.zero_()
        heads.boxes.bias.copy_(30 * spread(torch.tensor(small.box), 37).view(-1))
    both, right = place_loss(heads, tokens, [[small, large]], SQUARE)
    alone, all_right = place_loss(heads, tokens, [[small]], SQUARE)
    assert all_right == 1.0 and right == pytest.approx((4 + 3 * 1) / 16, abs=0.2) and both > alone


def test_the_places_of_coordinates_are_where_their_numbers_come_next(tutor: Tutor) -> None:
    pool = render_pool("fundus", "card", 3, 6, SQUARE)
    found = find_batch(tutor, pool, 4, 3, np.random.default_rng(1))
    assert len(found.pixels) > 20 and len(found.pixels) % 4 == 0
    pad = tutor.tokenizer.convert_tokens_to_ids(IMAGE_PAD)
    for (row, place), pixels, goal in zip(
        found.places.tolist(), found.pixels.tolist(), found.goal, strict=True
    ):
        number = int(found.packed.labels[row, place])
        assert number != IGNORED and abs(int(tutor.tokenizer.decode([number])) - pixels) <= GRID / 2
        assert number in number_tokens(tutor).tolist()
        assert goal.any() and (found.packed.ids[row][goal] == pad).all()


def test_how_far_astray_is_what_attention_itself_tells(tutor: Tutor) -> None:
    pool = render_pool("chest", "card", 3, 6, SQUARE)
    found = find_batch(tutor, pool, 2, 3, np.random.default_rng(2))
    language = tutor.model.model.language_model
    rows, places = found.places.T
    assert len(rows) and language.config._attn_implementation == "eager"
    with torch.no_grad(), watched(language) as seen:
        told = tutor.model.model(
            input_ids=found.packed.ids, attention_mask=found.packed.mask, position_ids=found.packed.positions,
            pixel_values=found.patches, image_grid_thw=found.frames, output_attentions=True, use_cache=False,
        ).attentions  # fmt: skip
        ours = astray(seen, Gaze(rows, places, found.goal))
    shares = [
        (told[layer][rows, :, places] * found.goal[:, None]).sum(-1)[:, list(HEADS)] for layer in LAYERS
    ]
    assert torch.allclose(ours, -torch.stack(shares).log().mean(), atol=1e-4)


def test_the_right_numbers_cost_least(tutor: Tutor) -> None:
    pool = render_pool("fundus", "card", 3, 4, SQUARE)
    found = find_batch(tutor, pool, 2, 2, np.random.default_rng(3))
    with torch.no_grad():
        loss, right = find_loss(tutor, found, number_tokens(tutor))
    assert torch.isfinite(loss) and 0 <= right <= 1
    tutor.model.zero_grad()
    find_loss(tutor, found, number_tokens(tutor))[0].backward()  # type: ignore[no-untyped-call]
    weight = tutor.model.model.language_model.layers[LAYERS[0]].self_attn.q_proj.weight
    assert weight.grad is not None and weight.grad.abs().sum() > 0
    tutor.model.zero_grad()
