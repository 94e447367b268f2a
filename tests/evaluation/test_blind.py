"""Questions: blind baselines beside the figures, results by kind of question, several evaluations at once."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import ValidationError

from helpers.shades import Shade
from helpers.synthetic_run import PROVENANCE
from vrft_aug.errors import UserError
from vrft_aug.evaluation.blind import GREY, BlankImage, Blind, blind_baselines, frequent_answers
from vrft_aug.evaluation.cautions import cautions
from vrft_aug.evaluation.evaluate import evaluate
from vrft_aug.evaluation.metrics.catalogue import drawn_units, groups
from vrft_aug.evaluation.report_data import Report, build_report, load_report, save_report
from vrft_aug.evaluation.report_sets import load_reports, save_reports
from vrft_aug.evaluation.several import evaluate_several, evaluations
from vrft_aug.evaluation.slice_table import cell_lines, slice_table
from vrft_aug.nouns import Answer, Case, Prompt, Rollout, Target, Task
from vrft_aug.policy.load import Policy, load_policy
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.schema import Recipe
from vrft_aug.report.evaluations_page import write_evaluations
from vrft_aug.tasks.taskset import evaluation_taskset

ASK = Task("ask", "answer", "?")
SIDES = ("left", "right")


def case(number: int, question: str, truth: str, **settings: Any) -> Case:
    return Case(f"c/{number}", (), Target(text=truth), question=question, **settings)


def chosen(number: int, question: str, truth: str, options: Sequence[str], **settings: Any) -> Case:
    target = Target(label=truth)
    return Case(f"c/{number}", (), target, question=question, options=tuple(options), **settings)


def test_the_frequent_answer_is_that_of_the_same_question_then_of_the_same_facets() -> None:
    side, count = (("topic", "side"),), (("topic", "count"),)
    train = [
        case(0, "Which side?", "left", facets=side),
        case(1, "which side ", "left.", facets=side),
        case(2, "Which side?", "right", facets=side),
        case(3, "How many?", "2", facets=count),
        case(4, "How many now?", "3", facets=count),
        case(5, "How many now?", "3", facets=count),
    ]
    asked = [
        case(6, "WHICH SIDE?", "right"),
        case(7, "How many?", "1", facets=count),
        case(8, "How many more?", "1", facets=count),
        case(9, "Why?", "so"),
    ]
    assert frequent_answers(train, asked, "answer") == ["left", "2", "3", "left"]


def test_of_a_choice_the_frequent_answer_is_one_of_its_options_whatever_the_letters() -> None:
    train = [
        chosen(0, "What?", "naevus", ["naevus", "melanoma"]),
        chosen(1, "What?", "naevus", ["melanoma", "naevus"]),
        chosen(2, "What?", "keratosis", ["keratosis", "naevus"]),
    ]
    asked = [
        chosen(3, "What?", "melanoma", ["melanoma", "Naevus"]),
        chosen(4, "What?", "melanoma", ["melanoma", "keratosis"]),
        chosen(5, "What?", "cyst", ["wart", "cyst"]),
    ]
    assert frequent_answers(train, asked, "choice") == ["Naevus", "keratosis", "wart"]


def report(cases: Sequence[Case], said: Sequence[str | None], blind: Blind | None = None) -> Report:
    """An evaluation of `ask` in which the model said so; None is no answer."""
    answers = [Answer(one, None if one is not None else "missing", "") for one in said]
    rollouts = [Rollout(f"<think></think><answer>{one}</answer>") for one in said]
    return build_report(
        ASK, cases, answers, rollouts, None,
        seed=0, bootstrap=300, split="test", provenance=PROVENANCE, blind=blind,
    )  # fmt: skip


def answers(said: Sequence[str | None]) -> list[Answer]:
    return [Answer(one, None if one is not None else "missing", "") for one in said]


def closed_and_open(n: int = 40) -> list[Case]:
    """Two questions a picture, yes or no in English and open in Chinese; two pictures a patient."""
    forms = ((("type", "closed"), ("language", "en")), (("type", "open"), ("language", "zh")))
    return [
        case(
            i,
            ("Is it?", "Where?")[i % 2],
            (("yes", "no")[i % 4 // 2], "left lung")[i % 2],
            facets=forms[i % 2],
            picture=f"p{i // 2}",
            patient=f"m{i // 4}",
        )
        for i in range(n)
    ]


def test_baselines_stand_beside_the_figures_and_the_gain_is_paired() -> None:
    cases = closed_and_open()
    truths = [one.target.text for one in cases]
    frequent, unseen = ["yes", "Left lung."] * 20, [None, "right lung"] * 20
    blind = Blind({"frequent": answers(frequent), "text_only": answers(unseen)})
    found = report(cases, truths, blind)
    assert found.metrics["accuracy"].value == 1
    assert found.metrics["frequent_accuracy"].value == 0.75  # judged as leniently as the model
    assert found.metrics["text_only_accuracy"].value == 0
    assert found.metrics["text_only_token_f1"].value == pytest.approx(0.25)  # "lung" of "left lung"
    assert found.metrics["gain_on_frequent"].value == 0.25 and found.metrics["gain_by_sight"].value == 1
    assert cautions(found) == []
    worse = report(cases, frequent, blind)
    assert worse.metrics["gain_on_frequent"].value == 0
    assert any("the training split's most frequent answers (0.75)" in said for said in cautions(worse))
    plain = report(cases, truths)
    assert not {name for name in plain.metrics if "frequent" in name or "text_only" in name}


def test_results_are_told_apart_by_form_and_facet() -> None:
    cases = closed_and_open()
    said = [one.target.text if one.facets[0][1] == "closed" else "right lung" for one in cases]
    found = report(cases, said)
    by = {(one.facet, one.value, one.form): one for one in found.slices}
    assert by["", "", "all"].cases == 40 and by["", "", "all"].metrics["accuracy"].value == 0.5
    assert by["", "", "closed"].metrics["accuracy"].value == 1
    assert by["", "", "open"].metrics["accuracy"].value == 0
    assert by["", "", "open"].metrics["token_f1"].value == 0.5
    assert by["language", "en", "all"].metrics["accuracy"].value == 1
    assert by["language", "en", "closed"].cases == 20 and ("language", "en", "open") not in by
    assert ("type", "closed", "all") not in by  # the form says it already
    table = slice_table({"ask": found})
    assert table is not None and table.columns == ("all", "closed", "open")
    assert [name for name, _ in table.rows] == ["all", "language: en", "language: zh"]
    assert cell_lines(table.rows[1][1][1]) == ["1.00 [1.00, 1.00]", "n 20"]
    assert cell_lines(None) == ["–"]
    bare = report([replace(one, facets=()) for one in cases], said)
    assert bare.slices == () and slice_table({"ask": bare}) is None


def test_questions_of_one_picture_and_of_one_patient_are_drawn_together() -> None:
    rows = report(closed_and_open(8), ["x"] * 8).rows
    assert len(set(groups(rows))) == 2 and drawn_units(rows) == "patients"
    pictures = [replace(row, patient=None) for row in rows]
    assert len(set(groups(pictures))) == 4 and drawn_units(pictures) == "pictures"
    bare = [replace(row, picture=None) for row in pictures]
    assert len(set(groups(bare))) == 8 and drawn_units(bare) == "cases"
    # a patient known for one question of a picture holds for all that hang together with it
    mixed = [replace(row, patient="m" if i in (0, 3) else None) for i, row in enumerate(pictures)]
    parts = groups(mixed)
    assert len({parts[i] for i in (0, 1, 2, 3)}) == 1 and len(set(parts)) == 3


def test_the_interval_of_many_questions_a_picture_is_that_of_the_pictures() -> None:
    asked = [case(i, "Is it?", "yes", picture=f"p{i // 10}") for i in range(200)]
    said = ["yes" if i // 10 % 2 else "no" for i in range(200)]  # all of a picture right, or all wrong
    clustered = report(asked, said).metrics["accuracy"]
    alone = report([replace(one, picture=None) for one in asked], said).metrics["accuracy"]
    assert clustered.value == alone.value == 0.5
    assert clustered.low is not None and clustered.high is not None
    assert alone.low is not None and alone.high is not None
    assert clustered.high - clustered.low > 2 * (alone.high - alone.low)


def test_a_report_of_an_older_version_is_read(tmp_path: Path) -> None:
    found = report(closed_and_open(8), ["left lung"] * 8)
    save_report(found, tmp_path / "new.json")
    old = json.loads((tmp_path / "new.json").read_text())
    for key in ("slices", "notes"):
        del old[key]
    for row in old["rows"]:
        del row["facets"], row["picture"]
    (tmp_path / "old.json").write_text(json.dumps(old))
    read = load_report(tmp_path / "old.json")
    assert load_report(tmp_path / "new.json") == found
    assert read.slices == () and read.rows[0].picture is None and read.metrics == found.metrics


def read(root: Path, split: str, task: Task) -> list[Case]:
    """A reader: four questions about two squares."""
    if split == "validation":
        return []
    made = []
    for i in range(4):
        options = {"options": SIDES} if task.kind == "choice" else {}
        truth = SIDES[i % 2] if split == "test" else "left"
        shade = Shade(40 * i, (10, 20, 50, 60))
        made.append(
            Case(
                f"s/{split}/{i}",
                (shade,),
                Target(text=truth, label=truth),
                question="Which side?",
                facets=(("type", "open"),),
                picture=f"{i // 2}",
                **options,  # type: ignore[arg-type]
            )
        )
    return made


def recipe(model: Path, name: str = "sides", **evaluation: Any) -> Recipe:
    data = {"reader": f"{__name__}:read"}
    return Recipe.model_validate(
        {
            "name": name,
            "model": {"name": str(model)},
            "tasks": {
                "ask": {"kind": "answer", "question": "?", "data": data},
                "pick": {"kind": "choice", "question": "?", "data": data},
                "class": {"kind": "classify", "question": "?", "labels": SIDES, "data": data},
                "where": {"kind": "localise", "question": "?", "labels": ["spot"], "data": data},
            },
            "evaluation": {"task": "ask", "bootstrap": 100, "max_new_tokens": 16, **evaluation},
        }
    )


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Prompt]:
    """A model that says left to a picture and right to a blank one; the prompts that it was given."""
    prompts: list[Prompt] = []

    def generate(_: Policy, asked: Sequence[Prompt], *, samples: int, **__: Any) -> list[list[Rollout]]:
        prompts.extend(asked)
        said = ["right" if isinstance(one.images[0], BlankImage) else "left" for one in asked]
        return [[Rollout(f"<think></think><answer>{one}</answer>", tokens=9)] * samples for one in said]

    monkeypatch.setattr("vrft_aug.evaluation.evaluate.generate", generate)
    return prompts


def test_questions_are_asked_again_with_blank_pictures(random_policy: Path, seen: list[Prompt]) -> None:
    wanted = recipe(random_policy)
    policy = load_policy(wanted.model)
    found = evaluate(policy, wanted)
    assert len(seen) == 8
    for shown, blank in zip(seen[:4], seen[4:], strict=True):
        picture = blank.images[0].open()
        assert picture.size == shown.images[0].open().size and picture.getcolors() == [(120 * 120, GREY)]
        assert blank.messages == shown.messages
    assert found.metrics["accuracy"].value == found.metrics["text_only_accuracy"].value == 0.5
    assert found.metrics["frequent_accuracy"].value == 0.5  # the training split says left
    assert found.rows[0].figures["frequent_accuracy"] == 1 and found.rows[0].picture == "0"
    off = evaluate(policy, recipe(random_policy, text_only=False))
    assert len(seen) == 12 and "text_only_accuracy" not in off.metrics
    assert off.metrics["frequent_accuracy"].value == 0.5
    labelled = evaluate(policy, recipe(random_policy, task="class"))
    assert len(seen) == 16 and "frequent_accuracy" not in labelled.metrics
    wanted = recipe(random_policy, task="class", blank=True)
    both = evaluate(policy, wanted)  # labels too where the recipe says so: reliance on the picture
    assert len(seen) == 24 and "frequent_accuracy" not in both.metrics
    accuracy, blind, gain = (
        both.metrics[n].value for n in ("accuracy", "text_only_accuracy", "gain_by_sight")
    )
    assert accuracy is not None and blind is not None and gain == accuracy - blind
    with pytest.raises(ValidationError, match="blank compares answers that are right or wrong"):
        recipe(random_policy, task="where", blank=True)


def test_a_missing_training_split_is_told_and_costs_nothing_else(random_policy: Path) -> None:
    judged_on_train = recipe(random_policy, split="train")
    policy = load_policy(judged_on_train.model)
    found = blind_baselines(judged_on_train, evaluation_taskset(judged_on_train, policy.space))
    assert found.answers == {} and "training split, which is judged here" in found.notes[0]
    gone = judged_on_train.model_copy(update={"tasks": {**judged_on_train.tasks}})
    data = gone.tasks["ask"].data.model_copy(update={"options": {"nothing": 1}})
    tasks = {"ask": gone.tasks["ask"].model_copy(update={"data": data})}
    on_test = recipe(random_policy)
    taskset = evaluation_taskset(on_test, policy.space)
    found = blind_baselines(on_test.model_copy(update={"tasks": tasks}), taskset)
    assert found.answers == {} and "cannot be read: reader" in found.notes[0]
    noted = report(closed_and_open(4), ["yes"] * 4, found)
    assert found.notes[0] in cautions(noted)


def test_several_recipes_and_tasks_in_one_call(
    random_policy: Path, seen: list[Prompt], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []

    def load(config: ModelConfig) -> Policy:
        loaded.append(config.name)
        return load_policy(config)

    monkeypatch.setattr("vrft_aug.evaluation.several.load_policy", load)
    wanted = evaluations([recipe(random_policy), recipe(random_policy, "again")], ["ask", "pick"])
    assert list(wanted) == ["sides/ask", "sides/pick", "again/ask", "again/pick"]
    found = evaluate_several(str(random_policy), wanted)
    assert len(loaded) == 1 and {one.kind for one in found.values()} == {"answer", "choice"}
    table = slice_table(found)
    assert table is not None and "sides/pick: choice" in table.columns
    save_reports(found, tmp_path / "all.json")
    assert load_reports(tmp_path / "all.json") == found
    page = write_evaluations(tmp_path / "all.html", "<b>model</b>", found).read_text()
    assert "<b>model" not in page and "&lt;b&gt;model" in page
    assert all(name in page for name in found) and "blank 0.50" in page
    with pytest.raises(UserError, match=r"all\.html cannot be read"):
        load_reports(tmp_path / "all.html")


def test_what_cannot_be_judged_together_is_refused(random_policy: Path) -> None:
    one = recipe(random_policy)
    with pytest.raises(UserError, match="no recipe has a task 'aks'; did you mean 'ask'"):
        evaluations([one], ["aks"])
    other = one.model_copy(update={"name": "other", "tasks": {"ask": one.tasks["ask"]}})
    with pytest.raises(UserError, match="recipe 'other' has none of the tasks pick"):
        evaluations([one, other], ["pick"])
    with pytest.raises(UserError, match="'sides' is asked for twice"):
        evaluations([one, one])
    metric = recipe(random_policy, metrics=["recall"])
    named = evaluations([metric], ["ask", "pick"])
    assert named["sides/ask"].evaluation.metrics == ("recall",)
    assert named["sides/pick"].evaluation.metrics == ()


def test_a_wrong_second_recipe_is_told_before_the_first_is_judged(
    random_policy: Path, seen: list[Prompt]
) -> None:
    wrong = recipe(random_policy, "wrong", split="validation")
    with pytest.raises(UserError, match="no cases in split 'validation'"):
        evaluate_several(str(random_policy), evaluations([recipe(random_policy), wrong]))
    assert seen == []


def test_a_blank_picture_keeps_its_size() -> None:
    assert BlankImage(Shade(3, (0, 0, 1, 1))).open().size == (120, 120)
    assert isinstance(BlankImage(Shade(3, (0, 0, 1, 1))).open(), Image.Image)
