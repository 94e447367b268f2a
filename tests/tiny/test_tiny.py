"""The procedural pictures, the lessons and the packing of the embedded tiny model."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Qwen2VLImageProcessor

from vrft_aug.answer import parse
from vrft_aug.data.procedural.drawn_cases import ProceduralData, read_drawn
from vrft_aug.data.procedural.fundus import DISC, GRADES, draw_fundus, grade_of, haemorrhage_quadrants
from vrft_aug.data.procedural.phrases import FOUR_QUADRANTS, facts
from vrft_aug.data.procedural.pool import KINDS, Modality, mirrored, render_pool, scene
from vrft_aug.data.procedural.scene import Finding
from vrft_aug.errors import UserError
from vrft_aug.nouns import Rollout, Task
from vrft_aug.perception.spaces import Frame
from vrft_aug.tiny.architecture import new_model
from vrft_aug.tiny.branch_packing import IGNORED
from vrft_aug.tiny.language import CITED, Tutor
from vrft_aug.tiny.lessons import SPACE, class_lesson, corpus, picture_lessons, text_lessons
from vrft_aug.tiny.processor import SPECIAL, new_processor
from vrft_aug.tiny.systems import random_facts, random_system, suits
from vrft_aug.tiny.vision import CELL, cell_targets, grid, patches

SQUARE = (112, 112)
NOWHERE = Path()  # drawn pictures come from no folder
GRADE = Task("grade", "grade", "Grade this.", GRADES, "fundus photograph")


@pytest.mark.parametrize(
    ("lesions", "four", "grade"),
    [
        ((), False, 0),
        (("microaneurysms",), False, 1),
        (("microaneurysms", "hard exudates"), False, 2),
        (("haemorrhages",), False, 2),
        (("haemorrhages",), True, 3),
        (("haemorrhages", "new vessels"), True, 4),
    ],
)
def test_grade_follows_from_the_lesions_drawn(lesions: tuple[str, ...], four: bool, grade: int) -> None:
    for seed in range(20):
        drawn = draw_fundus(np.random.default_rng(seed), lesions, four)
        assert grade_of(drawn.findings) == grade
        assert {f.kind for f in drawn.findings} == {DISC, *lesions}
        if "haemorrhages" in lesions:
            assert (haemorrhage_quadrants(drawn.findings) == 4) == four


@pytest.mark.parametrize("modality", ["fundus", "chest"])
@pytest.mark.parametrize("size", [SQUARE, (128, 80)])
def test_boxes_lie_inside_the_picture_and_hold_what_was_drawn(
    modality: Modality, size: tuple[int, int]
) -> None:
    for index in range(15):
        made = scene(modality, "card", 5, index, size)
        assert made.image.size == size and made.image.mode == "RGB"
        for _, (x1, y1, x2, y2) in made.findings:
            assert 0 <= x1 < x2 <= size[0] and 0 <= y1 < y2 <= size[1]


def test_the_box_of_exudates_is_brighter_than_what_is_around_it() -> None:
    for seed in range(10):
        drawn = draw_fundus(np.random.default_rng(seed), ["hard exudates"])
        green = np.asarray(drawn.image, dtype=float)[..., 1]
        for kind, (x1, y1, x2, y2) in drawn.findings:
            if kind == "hard exudates":
                inside = green[int(y1) : int(y2) + 1, int(x1) : int(x2) + 1]
                assert np.percentile(inside, 90) > np.median(green) + 25


def test_pictures_repeat_and_splits_differ() -> None:
    first, again = (np.asarray(scene("fundus", "test", 0, 3, SQUARE).image) for _ in range(2))
    other = np.asarray(scene("fundus", "train", 0, 3, SQUARE).image)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_cases_carry_grades_and_boxes_and_pickle() -> None:
    data = ProceduralData(reader="procedural", train=40, validation=5, test=5)
    cases = read_drawn(data, GRADE, NOWHERE, "train")
    assert len({case.id for case in cases}) == 40
    assert cases[3].id == "fundus/train/3"
    assert {case.target.label for case in cases} == set(GRADES)
    copy = pickle.loads(pickle.dumps(cases[3]))
    assert np.array_equal(np.asarray(copy.images[0].open()), np.asarray(cases[3].images[0].open()))
    discs = read_drawn(data, Task("d", "localise", "Where?", (DISC,)), NOWHERE, "test")
    assert all(len(case.target.boxes or ()) == 1 for case in discs)


def test_another_camera_takes_the_same_scenes_darker_and_noisier() -> None:
    task = Task("g", "grade", "?", GRADES)
    clinic, handheld = (
        read_drawn(ProceduralData(reader="procedural", train=20, camera=camera), task, NOWHERE, "train")
        for camera in ("clinic", "handheld")
    )
    assert [case.target for case in clinic] == [case.target for case in handheld]
    first = np.asarray(handheld[0].images[0].open())
    np.testing.assert_array_equal(first, np.asarray(handheld[0].images[0].open()))
    for bright, dim in zip(clinic, handheld, strict=True):
        before, after = (np.asarray(case.images[0].open(), float) for case in (bright, dim))
        assert after.shape == before.shape and after.mean() < 0.95 * before.mean()
        rough = [np.abs(np.diff(pixels, axis=1)).mean() / pixels.mean() for pixels in (before, after)]
        assert rough[1] > rough[0]


def test_chest_cases_leave_out_pictures_without_a_right_answer() -> None:
    data = ProceduralData(reader="procedural", modality="chest", train=30, validation=1, test=1)
    task = Task("c", "classify", "What?", ("normal", "nodule", "effusion"))
    labels = [case.target.label for case in read_drawn(data, task, NOWHERE, "train")]
    assert len(labels) == 30 and set(labels) == {"normal", "nodule", "effusion"}


@pytest.mark.parametrize(
    "task",
    [
        Task("g", "grade", "?", ("a", "b")),
        Task("c", "classify", "?", ("normal", "fracture")),
        Task("t", "answer", "?", ("nodule",)),
    ],
)
def test_labels_the_pictures_cannot_have_are_refused(task: Task) -> None:
    with pytest.raises(UserError, match="procedural"):
        read_drawn(ProceduralData(reader="procedural", modality="chest"), task, NOWHERE, "test")


def test_mirroring_twice_is_nothing_and_boxes_follow() -> None:
    made = scene("fundus", "card", 1, 0, SQUARE)
    pixels = np.asarray(made.image)
    once = mirrored(pixels, made.findings, across=True, down=True)
    twice = mirrored(*once, across=True, down=True)
    assert np.array_equal(twice[0], pixels)
    assert np.allclose([f.box for f in twice[1]], [f.box for f in made.findings])
    x1, y1, x2, y2 = (round(v) for v in made.findings[0].box)
    assert np.array_equal(once[0][112 - y2 : 112 - y1, 112 - x2 : 112 - x1], pixels[y1:y2, x1:x2][::-1, ::-1])


def test_cell_targets_mark_the_tokens_under_a_box() -> None:
    kinds, bins = cell_targets([Finding(DISC, (16.0, 32.0, 40.0, 48.0))], SQUARE)
    marked = kinds.reshape(7, 7, len(KINDS))[..., KINDS.index(DISC)]
    assert np.argwhere(marked).tolist() == [[2, 1], [2, 2]]
    assert bins.reshape(7, 7, 4)[2, 1].tolist() == [4, 8, 10, 12]
    assert (bins >= 0).all(axis=1).sum() == 2


def test_patches_equal_the_image_processor() -> None:
    made = [scene("fundus", "card", 0, index, (128, 80)).image for index in range(2)]
    processor = Qwen2VLImageProcessor(
        patch_size=CELL // 2, merge_size=2, temporal_patch_size=2, min_pixels=1, max_pixels=112 * 112,
        image_mean=[0.5] * 3, image_std=[0.5] * 3,
    )  # fmt: skip
    theirs = processor(images=made, return_tensors="pt")
    ours = patches(np.stack([np.asarray(image) for image in made]))
    assert torch.allclose(theirs["pixel_values"], ours, atol=1e-6)
    assert theirs["image_grid_thw"].tolist() == grid(2, (128, 80)).tolist()


def test_every_label_of_a_class_system_is_reached_and_right() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        system = random_system("fundus", rng)
        reached = {system.label(random_facts(system, rng)) for _ in range(200)}
        assert reached == set(system.task.labels)
        found = random_facts(system, rng)
        rung = system.rungs[system.task.labels.index(system.label(found))]
        assert not rung or rung & found
        if suits(system, found) and not rung:
            assert not any(other & found for other in system.rungs)


def test_right_completions_parse_to_an_answer() -> None:
    rng = np.random.default_rng(1)
    for index in range(40):
        made = scene("fundus" if index % 2 else "chest", "card", 0, index, SQUARE)
        for lesson in picture_lessons("fundus" if index % 2 else "chest", made.findings, SQUARE, 4, rng):
            answer = parse(Rollout(lesson.reason + lesson.answer), lesson.task, Frame(SQUARE, SQUARE, SPACE))
            assert answer.reason is None, lesson


def test_four_quadrants_are_a_fact_of_their_own() -> None:
    drawn = draw_fundus(np.random.default_rng(0), ["haemorrhages"], four_quadrants=True)
    assert facts(drawn.findings, SQUARE) == {"haemorrhages", FOUR_QUADRANTS}


@pytest.fixture(scope="module")
def tutor() -> Tutor:
    processor = new_processor(corpus(np.random.default_rng(0), 200))
    ids = {token: processor.tokenizer.convert_tokens_to_ids(token) for token in SPECIAL}
    return Tutor(new_model(len(processor.tokenizer), ids, 0).eval(), processor)


def test_tokenizer_keeps_text_and_whole_tokens(tutor: Tutor) -> None:
    box = '[{"bbox_2d":[4,108,12,112],"label":"μ naïve"}]'
    text = f"<think>Findings: cotton wool spots.</think><answer>{box}</answer>"
    ids = tutor.tokenizer(text).input_ids
    assert tutor.tokenizer.decode(ids) == text
    pieces = [tutor.tokenizer.decode([i]) for i in ids]
    assert {"<think>", "</think>", "<answer>", "</answer>", "bbox_2d", "108", "112"} <= set(pieces)


def test_a_packed_branch_gives_what_it_gives_alone(tutor: Tutor) -> None:
    pool = render_pool("fundus", "card", 3, 4, SQUARE)
    batch, pixels, frames = tutor.picture_batch(pool, 2, 3, np.random.default_rng(0))
    with torch.no_grad():
        packed = tutor.model.model(
            input_ids=batch.ids, attention_mask=batch.mask, position_ids=batch.positions,
            pixel_values=pixels, image_grid_thw=frames,
        ).last_hidden_state  # fmt: skip
        ids = batch.ids[0].tolist()
        start_of_branches = ids.index(tutor.tokenizer.convert_tokens_to_ids("<|vision_end|>")) + 1
        ends = [i + 1 for i, token in enumerate(ids) if token == tutor.tokenizer.eos_token_id]
        first, last = ends[2], ends[4]  # the second branch: after the system message and the first branch
        alone = torch.tensor([ids[:start_of_branches] + ids[first:last]])
        image = alone == tutor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
        plain = tutor.model.model(
            input_ids=alone, attention_mask=torch.ones_like(alone), mm_token_type_ids=image.long(),
            pixel_values=pixels[: len(pixels) // 2], image_grid_thw=frames[:1],
        ).last_hidden_state  # fmt: skip
    assert torch.allclose(packed[0, first:last], plain[0, start_of_branches:], atol=1e-5)


def test_text_rows_learn_the_labels_and_the_answer(tutor: Tutor) -> None:
    batch = tutor.text_batch(3, 5, np.random.default_rng(4))
    for labels in batch.labels:
        learned = tutor.tokenizer.decode(labels[labels != IGNORED])
        assert "<think>" not in learned and "->" not in learned and learned.count("<answer>") == 5


def test_notes_name_the_class_that_a_token_helps_to_define(tutor: Tutor) -> None:
    rng = np.random.default_rng(5)
    system = random_system("chest", rng)
    prompt = tutor.prompt(class_lesson(system, (), rng, told=True, images=0))
    ids, notes = tutor._noted(prompt)
    for label in system.task.labels:
        noted = tutor.tokenizer(f" {label}", add_special_tokens=False).input_ids[-1]
        marked = tutor.tokenizer.decode([i for i, n in zip(ids, notes, strict=True) if n == noted])
        assert system.bank.classes[label].definition in marked


def test_a_reasoning_cites_the_class_that_each_finding_leads_to() -> None:
    rng = np.random.default_rng(6)
    for _ in range(40):
        system = random_system("fundus", rng)
        lesson = class_lesson(system, random_facts(system, rng), rng, told=True, images=0)
        cited = [match[0].strip() for match in CITED.finditer(lesson.reason)]
        assert cited and set(cited) <= set(system.task.labels)
        answer = lesson.answer.removeprefix("<answer>").removesuffix("</answer>")
        if system.task.kind == "grade" and not system.rungs[0]:  # a ladder: the worst finding decides
            assert answer == max(cited, key=system.task.labels.index)


def test_a_new_model_looks_back_a_token_and_at_its_like(tutor: Tutor) -> None:
    ids = torch.tensor(
        [tutor.tokenizer("new vessels, hard exudates, nodule, opacity, new vessels").input_ids]
    )
    model = copy.deepcopy(tutor.model.model.language_model)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        seen = model(input_ids=ids, output_attentions=True).attentions
    last = ids.shape[1] - 1
    like = int((ids[0, :-1] == ids[0, -1]).nonzero()[0])
    for layer in seen[1:3]:
        assert layer[0, 1, last].argmax() == last - 1
        others = layer[0, 0, last, :last]
        assert others.argmax() == like


def test_text_lessons_share_one_prompt() -> None:
    lessons = text_lessons("fundus", 6, np.random.default_rng(2))
    assert len({str(lesson.messages) for lesson in lessons}) == 1
