"""Evaluation and prediction from policy to report and pictures; a fake model decides what is written."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from helpers.data_files import save_image
from helpers.run_checks import lines
from helpers.shades import GRPO, SHADE_TASK, shade_recipe
from vrft_aug.errors import UserError
from vrft_aug.evaluation.evaluate import evaluate, evaluate_path
from vrft_aug.evaluation.predict import Question, load_predictor, predict_images, task_injection
from vrft_aug.evaluation.prediction_files import check_table, write_table
from vrft_aug.evaluation.report_data import load_report
from vrft_aug.nouns import Answer, Box, Case, Prompt, Rollout, Target
from vrft_aug.perception.annotate import annotate, draw_boxes
from vrft_aug.policy.load import Policy, load_policy
from vrft_aug.recipe.file import save_recipe
from vrft_aug.tasks.taskset import draw
from vrft_aug.view.ui import answer_image, make_page

DARK = "<think>It is so.</think><answer>dark</answer>"
SPOT = '<think></think><answer>[{"bbox_2d":[14,28,56,56],"label":"spot"}]</answer>'
Says = Callable[[str], list[Prompt]]


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Says:
    """Make the model write one text to every prompt; returns the setter and sees the prompts."""

    def set_text(text: str) -> list[Prompt]:
        seen: list[Prompt] = []

        def generate(
            policy: Policy, prompts: Sequence[Prompt], *, samples: int, **_: Any
        ) -> list[list[Rollout]]:
            seen.extend(prompts)
            return [[Rollout(text, tokens=9)] * samples for _ in prompts]

        monkeypatch.setattr("vrft_aug.evaluation.evaluate.generate", generate)
        monkeypatch.setattr("vrft_aug.evaluation.predict.generate", generate)
        return seen

    return set_text


def test_a_report_counts_what_the_model_wrote(random_policy: Path, says: Says) -> None:
    says(DARK)
    recipe = shade_recipe(random_policy, evaluation={"limit": None, "samples": 3})
    report = evaluate(load_policy(recipe.model), recipe)
    assert len(report.rows) == 10 and report.split == "test"
    assert report.metrics["accuracy"].value == pytest.approx(0.5)
    assert report.rows[0].votes == {"dark": 3} and report.rows[0].reasoning == "It is so."
    assert report.provenance.recipe and report.provenance.data and report.provenance.model


def test_the_limit_takes_the_same_cases_whatever_the_seed(random_policy: Path, says: Says) -> None:
    says(DARK)
    recipe = shade_recipe(random_policy)
    policy = load_policy(recipe.model)
    first = [row.case for row in evaluate(policy, recipe).rows]
    other = [row.case for row in evaluate(policy, recipe.model_copy(update={"seed": 77})).rows]
    assert first == other and len(first) == 4


def test_a_smaller_limit_takes_some_of_the_cases_of_a_larger_one() -> None:
    cases = [Case(f"set/test/{i}", (), Target()) for i in range(50)]
    few, more = draw(cases, 5), draw(cases, 20)
    assert len(few) == 5 and set(few) < set(more) and draw(cases, None) == tuple(cases)
    assert [case.id for case in more] == [case.id for case in cases if case in more]
    assert draw(cases[::-1], 5) == few[::-1]


def test_boxes_are_judged_in_pixels_of_the_original(random_policy: Path, says: Says) -> None:
    says(SPOT)
    recipe = shade_recipe(random_policy, evaluation={"task": "spot", "limit": None})
    report = evaluate(load_policy(recipe.model), recipe)
    boxes = report.rows[0].boxes
    assert boxes is not None
    # 112 processed pixels are 120 original ones.
    assert (boxes[0].x1, boxes[0].y1, boxes[0].x2, boxes[0].y2) == pytest.approx((15, 30, 60, 60))


def test_a_run_is_evaluated_by_its_own_recipe(random_policy: Path, tmp_path: Path, says: Says) -> None:
    says(DARK)
    run = tmp_path / "run"
    save_recipe(shade_recipe(random_policy, GRPO), run / "recipe.yaml")
    with pytest.raises(UserError, match="has no model yet"):
        evaluate_path(str(run))
    (run / "model").symlink_to(random_policy)
    report = evaluate_path(str(run))
    assert load_report(run / "evaluation.json") == report
    with pytest.raises(UserError, match="a model needs a recipe"):
        evaluate_path(str(random_policy))
    evaluate_path(str(random_policy), shade_recipe(random_policy), tmp_path / "out.json")
    assert load_report(tmp_path / "out.json").task == "shade"


def test_an_evaluation_that_does_not_fit_is_refused(random_policy: Path) -> None:
    recipe = shade_recipe(random_policy, evaluation={"max_new_tokens": 2000})
    with pytest.raises(UserError, match="evaluation, case shades/test/"):
        evaluate(load_policy(recipe.model), recipe)


@pytest.fixture
def run(random_policy: Path, tmp_path: Path) -> Path:
    """A folder that looks like a finished run."""
    save_recipe(shade_recipe(random_policy, GRPO), tmp_path / "run" / "recipe.yaml")
    (tmp_path / "run" / "model").symlink_to(random_policy)
    return tmp_path / "run"


def test_predict_draws_boxes_on_copies(run: Path, tmp_path: Path, says: Says) -> None:
    says(SPOT)
    picture = tmp_path / "eye.jpg"
    Image.new("RGB", (240, 240), (90, 90, 90)).save(picture)
    before = picture.read_bytes()
    first, second = predict_images(run, [picture, picture], tmp_path / "out", Question("spot"))
    assert first["answer"] == [{"bbox": [30.0, 60.0, 120.0, 120.0], "label": "spot"}]
    assert first["reason"] is None and first["picture"] != second["picture"]
    drawn = Image.open(first["picture"])
    assert drawn.width == 480 and drawn.height > 480  # twice as large, with a caption
    assert drawn.getpixel((150, 120)) != (90, 90, 90)
    assert drawn.getpixel((400, 400)) == (90, 90, 90) and picture.read_bytes() == before


def test_predict_answers_the_evaluated_task_by_default(run: Path, tmp_path: Path, says: Says) -> None:
    seen = says(DARK)
    Image.new("RGB", (64, 64)).save(tmp_path / "eye.png")
    (result,) = predict_images(run, [tmp_path / "eye.png"], tmp_path / "out")
    assert result["answer"] == "dark" and result["reasoning"] == "It is so."
    with Image.open(result["picture"]) as picture:
        assert picture.height > 448 and "dark or bright" in str(seen[0].messages)


def test_predict_takes_folders_and_goes_on_where_it_stood(
    run: Path, tmp_path: Path, says: Says, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is asked twice; what cannot be read is a line; another question is asked anew."""
    seen = says(DARK)
    folder, output = tmp_path / "Meine Bilder", tmp_path / "Meine Bilder" / "out"
    for name in ("b.png", "a.jpg", "a.png", "links/ä ö.png"):
        save_image(folder / name)
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "notes.txt").write_text("no picture")
    (folder / "kaputt.png").write_text("no picture")
    first = predict_images(run, [folder], output)
    assert [Path(one["image"]).relative_to(folder).as_posix() for one in first] == [
        "a.jpg", "a.png", "b.png", "kaputt.png", "links/ä ö.png"
    ]  # fmt: skip
    assert [one["answer"] for one in first] == ["dark", "dark", "dark", None, "dark"]
    assert first[3]["reason"].startswith("unreadable: ") and first[3]["picture"] is None
    drawn = [Path(one["picture"]) for one in first if one["picture"]]
    assert len(set(drawn)) == 4 and all(path.is_file() for path in drawn)
    assert len(lines(output / "predictions.jsonl")) == 5 and len(seen) == 4
    (output / "predictions.jsonl").write_text(  # as a kill in the middle of a line leaves it
        "".join(f"{json.dumps(line)}\n" for line in lines(output / "predictions.jsonl")[:2]) + '{"image": "x'
    )
    capsys.readouterr()
    assert predict_images(run, [folder], output) == first and len(seen) == 6
    assert "2 of 5 are answered" in capsys.readouterr().err
    assert predict_images(run, [folder], output) == first and len(seen) == 6
    asked = predict_images(run, [folder], output, Question(text="Is it dark?"))
    assert asked[0]["question"] == "Is it dark?" and "Is it dark?" in str(seen[-1].messages)
    save_image(folder / "b.png", seed=9)  # another picture under the same name
    assert len(seen) == 10 and predict_images(run, [folder], output) and len(seen) == 11


def test_predict_asks_a_choice_with_options_of_ones_own(
    random_policy: Path, tmp_path: Path, says: Says
) -> None:
    """In the order given; in the question or beside it; without them the task's."""
    choice = {"kind": "choice", "question": "Which?", "labels": ["x", "y"], "data": SHADE_TASK["data"]}
    save_recipe(
        shade_recipe(random_policy, tasks={"shade": choice}, evaluation={"task": "shade"}),
        tmp_path / "run" / "recipe.yaml",
    )
    (tmp_path / "run" / "model").symlink_to(random_policy)
    seen, picture = says("<think></think><answer>B</answer>"), [save_image(tmp_path / "eye.png")]
    for question, answer in (
        (Question(text="How?", options=("bright", "dark")), "dark"),
        (Question(text="How? A. cold B. warm"), "warm"),
        (Question(), "y"),
    ):
        assert predict_images(tmp_path / "run", picture, tmp_path / "out", question)[0]["answer"] == answer
    assert "A. bright\nB. dark" in str(seen[0].messages[1]["content"][-1]["text"])


@pytest.mark.parametrize("suffix", [".csv", ".json", ".jsonl"])
def test_answers_are_written_as_tables(tmp_path: Path, suffix: str) -> None:
    given: list[dict[str, Any]] = [
        {"image": "ä, b.png", "task": "t", "question": 'say "x"', "answer": "dark", "reason": None,
         "reasoning": "one\ntwo", "completion": "c", "picture": "p.png"},
        {"image": "c.png", "task": "t", "question": "?", "answer": ["a", "b"], "reason": None,
         "reasoning": "", "completion": "", "picture": None},
        {"image": "d.png", "task": "t", "question": "?", "answer": [{"bbox": [1, 2, 3, 4], "label": None}],
         "reason": None, "reasoning": "", "completion": "", "picture": None},
    ]  # fmt: skip
    write_table(path := tmp_path / f"out{suffix}", given)
    text = path.read_text("utf-8")
    if suffix == ".csv":
        rows = list(csv.DictReader(text.splitlines(keepends=True)))
        assert [row["answer"] for row in rows] == ["dark", "a|b", '[{"bbox": [1, 2, 3, 4], "label": null}]']
        assert rows[0]["reasoning"] == "one\ntwo" and rows[0]["question"] == 'say "x"'
    else:
        read = json.loads(text) if suffix == ".json" else [json.loads(line) for line in text.splitlines()]
        assert read == given
    with pytest.raises(UserError, match=r"expected \.csv, \.json, \.jsonl"):
        check_table(tmp_path / "out.xls")


def test_predict_says_what_is_wrong(run: Path, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no picture")
    with pytest.raises(UserError, match=r"notes\.txt.*cannot be decoded"):
        predict_images(run, [text], tmp_path)
    with pytest.raises(UserError, match="has no task 'shad'; did you mean 'shade'"):
        predict_images(run, [text], tmp_path, Question("shad"))
    with pytest.raises(UserError, match="is no finished run"):
        predict_images(tmp_path, [text], tmp_path)
    with pytest.raises(UserError, match=r"nothing\.png does not exist; expected a picture or a folder"):
        predict_images(run, [tmp_path / "nothing.png"], tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty has no picture in it; expected files that end in \.png"):
        predict_images(run, [tmp_path / "empty"], tmp_path)
    picture = save_image(tmp_path / "eye.png")
    with pytest.raises(UserError, match="'shade' is of kind classify; only a choice has options"):
        predict_images(run, [picture], tmp_path, Question(options=("a", "b")))


def test_a_task_is_asked_with_the_knowledge_it_was_trained_with(random_policy: Path) -> None:
    recipe = shade_recipe(random_policy)
    assert task_injection(recipe, "spot").style == "none"


def test_a_dropped_picture_is_answered_with_boxes_and_votes(run: Path, says: Says) -> None:
    says(SPOT)
    predictor = load_predictor(run, "spot")
    drawn, said, reasoning, votes = answer_image(predictor, Image.new("RGB", (240, 240), (90, 90, 90)), 4)
    assert said == "1 box" and votes == {"1 box": 1.0} and isinstance(reasoning, str)
    assert drawn.size == (240, 240) and drawn.getpixel((75, 60)) != (90, 90, 90)
    pytest.importorskip("gradio", reason="needs Gradio (extra `ui`)")
    assert make_page(predictor, 4).title == "VRFT-Aug"


def test_a_long_reasoning_stays_on_the_picture() -> None:
    answer = Answer(None, "ambiguous", "word " * 2000)
    drawn = annotate(Image.new("RGB", (28, 28)), answer, [])
    assert drawn.width == 448 and 448 < drawn.height < 900


def test_boxes_at_the_edge_are_drawn(tmp_path: Path) -> None:
    image = Image.new("L", (20, 30))
    drawn = draw_boxes(image, [Box(0, 0, 20, 30, "<b>"), Box(19.9, 29.9, 20, 30)], ["<b>"])
    assert drawn.size == (20, 30) and drawn.mode == "RGB" and drawn.getpixel((19, 29)) != (0, 0, 0)
