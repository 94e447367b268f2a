"""Recipes from files: names, overrides, saving, and the one line that a mistake gets."""

from pathlib import Path

import pytest
import yaml

from helpers.data_files import CSV, recipe_mapping, save_recipe_mapping
from vrft_aug.data.readers.table import CsvData
from vrft_aug.errors import UserError
from vrft_aug.nouns import Task
from vrft_aug.recipe.file import copy_recipe, load_recipe, save_recipe, shipped_recipes
from vrft_aug.tasks.taskset import TaskSet, stage_scorer


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    mapping = recipe_mapping(tmp_path, "classify", ["dark", "bright"], CSV)
    return str(save_recipe_mapping(tmp_path / "mine.yaml", mapping))


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_load_under_their_own_name_and_survive_saving(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    save_recipe(recipe, tmp_path / "recipe.yaml")
    assert load_recipe(str(tmp_path / "recipe.yaml")) == recipe
    assert load_recipe(str(tmp_path)) == recipe  # a run folder
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]  # nothing temporary is left


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("stages.one.steps=10", 10),
        ("stages.0.steps=11", 11),
        ("stages.one.steps = 12", 12),
    ],
)
def test_items_of_lists_are_named_by_name_or_number(recipe: str, override: str, value: int) -> None:
    assert load_recipe(recipe, [override]).stages[0].steps == value


def test_overrides_make_what_is_not_there_and_come_in_order(recipe: str) -> None:
    overrides = ["model.lora.r=8", "model.lora.r=16", "stages.one.trainer.learning_rate=1e-5", "seed=3"]
    loaded = load_recipe(recipe, overrides)
    assert loaded.model.lora == {"r": 16}
    assert loaded.stages[0].trainer == {"learning_rate": 1e-5}  # a number, although YAML 1.1 says text
    assert loaded.seed == 3


def test_a_bare_reward_weight_can_be_overridden_with_and_without_its_key(recipe: str) -> None:
    for override in ("stages.one.rewards.format=0.5", "stages.one.rewards.format.weight=0.5"):
        assert load_recipe(recipe, [override]).stages[0].rewards["format"].weight == 0.5
    kept = load_recipe(recipe, ["stages.one.rewards.format.strictness=2"]).stages[0].rewards["format"]
    assert (kept.weight, kept.settings) == (0.2, {"strictness": 2})


def test_label_names_and_labels_may_be_written_as_numbers(recipe: str) -> None:
    loaded = load_recipe(
        recipe, ["tasks.look.data.label_names={0: dark, 1: bright}", "tasks.look.labels=[0, 1]"]
    )
    data = loaded.tasks["look"].data
    assert isinstance(data, CsvData) and data.label_names == {"0": "dark", "1": "bright"}
    assert loaded.tasks["look"].labels == ("0", "1")


@pytest.mark.parametrize("words", [("no", "yes"), ("No", "Yes"), ("OFF", "on")])
def test_unquoted_yes_and_no_are_words_where_labels_are_meant(
    tmp_path: Path, recipe: str, words: tuple[str, str]
) -> None:
    """YAML 1.1 reads them as booleans; keys of mappings too. In a file and in an override alike."""
    low, high = words
    names = f"{{0: {low}, 1: {high}}}"
    balance = f"{{weight: 1, balance: {{{low}: 1, {high}: 2}}}}"
    loaded = load_recipe(
        recipe,
        [f"tasks.look.labels=[{low}, {high}]", f"tasks.look.data.label_names={names}",
         f"stages.one.rewards.accuracy={balance}"],
    )  # fmt: skip
    assert loaded.tasks["look"].labels == words
    assert isinstance(data := loaded.tasks["look"].data, CsvData) and data.label_names == {
        "0": low,
        "1": high,
    }
    assert loaded.stages[0].rewards["accuracy"].settings["balance"] == {low: 1, high: 2}
    text = Path(recipe).read_text("utf-8").replace("- dark", f"- {low}").replace("- bright", f"- {high}")
    (tmp_path / "words.yaml").write_text(text, "utf-8")
    assert load_recipe(str(tmp_path / "words.yaml")).tasks["look"].labels == words
    save_recipe(loaded, tmp_path / "saved.yaml")
    assert load_recipe(str(tmp_path / "saved.yaml")) == loaded


def test_yes_and_no_are_booleans_where_settings_of_others_pass_through(recipe: str) -> None:
    """TRL takes `save_strategy: "no"` and `bf16: no`, which mean two things, as they did before."""
    overrides = [
        "stages.one.trainer.bf16=no", "stages.one.trainer={log_completions: yes, save_strategy: 'no'}",
        "model.load={low_cpu_mem_usage: on}", "stages.one.prefix_sharing=off",
    ]  # fmt: skip
    loaded = load_recipe(recipe, overrides)
    assert loaded.stages[0].trainer == {"log_completions": True, "save_strategy": "no"}
    assert load_recipe(recipe, overrides[:1]).stages[0].trainer == {"bf16": False}
    assert loaded.model.load == {"low_cpu_mem_usage": True} and loaded.stages[0].prefix_sharing is False


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("stages.one.stpes=3", ["stages.one.stpes", "did you mean 'steps'"]),
        ("modle.name=x", ["modle", "did you mean 'model'"]),
        ("model.nmae=x", ["model.nmae", "did you mean 'name'"]),
        ("tasks.look.data.lable_column=x", ["tasks.look.data.lable_column", "did you mean 'label_column'"]),
        ("tasks.look.data.size=64", ["tasks.look.data.size", "label_column"]),  # another reader's setting
        ("stages.one.injection.stile=none", ["stages.one.injection.stile", "did you mean 'style'"]),
        ("evaluation.splt=test", ["evaluation.splt", "did you mean 'split'"]),
        ("stages.on.steps=3", ["stages has no item 'on'", "did you mean 'one'"]),
        ("stages.4.steps=3", ["stages has no item '4'"]),
        ("stages.one.steps=ten", ["stages.one.steps", "'ten'", "integer"]),
        ("stages.one.steps=0", ["stages.one.steps", "0", "greater than or equal to 1"]),
        ("evaluation.split=val", ["evaluation.split", "'val'", "'validation'"]),
        ("tasks.look.labels=[dark, true]", ["tasks.look.labels: number 2 is true", "in quotes"]),
        ("tasks.look.labels=[dark, ~]", ["tasks.look.labels: number 2 is empty", "expected text"]),
        ("tasks.look.labels=[dark, Dark]", ["tasks.look", "labels must differ"]),
        ("tasks.look.data.reader=cvs", ["tasks.look.data", "'cvs'", "medmnist, csv, coco"]),
        ("tasks.look.data.table=", ["tasks.look.data.table", "empty"]),
        ("seed.more=1", ["seed", "integer"]),
        ("name.more=1", ["name is 'test'", "no keys inside"]),
        ("seed", ["'seed'", "key.sub=value"]),
        ("seed=[1", ["seed=[1", "not valid YAML"]),
        ("stages.one.trainer.max_steps=4", ["stages.one.trainer", "max_steps is set by stages[].steps"]),
        ("evaluation.task=other", ["evaluation names task 'other'", "look"]),
        (
            "evaluation.injection.style=definitions",
            ["evaluation injects knowledge", "names no knowledge bank"],
        ),
    ],
)
def test_mistakes_are_one_line_that_names_key_value_and_what_was_expected(
    recipe: str, override: str, parts: list[str]
) -> None:
    with pytest.raises(UserError) as caught:
        load_recipe(recipe, [override])
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["holds empty"]),
        ("- a\n- b\n", ["holds a list"]),
        ("name: x\nname: y\n", ["line 2", "'name' twice"]),
        ("name: [x\n", ["not valid YAML"]),
        ("name: !!python/object/apply:os.system [ls]\n", ["not valid YAML"]),
        ("name: x\ntasks: {}\n", ["tasks", "at least 1 item", "1 more"]),
    ],
)
def test_files_that_are_no_recipe_are_one_line_that_names_the_file(
    tmp_path: Path, text: str, parts: list[str]
) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_recipe(str(path))
    for part in ["broken.yaml", *parts]:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "image.yaml").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(UserError, match=r"image\.yaml"):
        load_recipe(str(tmp_path / "image.yaml"))


def test_unknown_names_and_absent_files_say_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'retinamnist'"):
        load_recipe("retinamist")
    with pytest.raises(UserError, match=r"absent\.yaml does not exist"):
        load_recipe(str(tmp_path / "absent.yaml"))


def test_a_copied_recipe_keeps_its_comments_and_overwrites_nothing(tmp_path: Path) -> None:
    target = copy_recipe("retinamnist", tmp_path / "mine.yaml")
    assert target.read_text() == shipped_recipes()["retinamnist"].read_text()
    with pytest.raises(UserError, match="exists already"):
        copy_recipe("retinamnist", target)
    assert copy_recipe("busi", tmp_path) == tmp_path / "busi.yaml"


def test_a_run_of_0_1_0_is_read_strictly_and_a_new_recipe_leniently(tmp_path: Path) -> None:
    recipe = load_recipe("retinamnist")
    assert {task.answer_mode for task in recipe.tasks.values()} == {"lenient"}
    save_recipe(recipe, tmp_path / "recipe.yaml")
    assert load_recipe(str(tmp_path)) == recipe
    old = yaml.safe_load((tmp_path / "recipe.yaml").read_text())
    for task in old["tasks"].values():
        for key in ("answer_mode", "answer_format", "reasoning", "option_names", "option_seed"):
            del task[key]
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(old))
    for source in (tmp_path, tmp_path / "recipe.yaml"):
        assert {task.answer_mode for task in load_recipe(str(source)).tasks.values()} == {"strict"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(old))
    assert {task.answer_mode for task in load_recipe(str(tmp_path / "mine.yaml")).tasks.values()} == {
        "lenient"
    }


def test_errors_name_stages_and_their_parts_as_overrides_do(tmp_path: Path) -> None:
    """What the line names can be typed as an override; of a mixed stage the part too."""
    mapping = recipe_mapping(tmp_path, "classify", ["dark", "bright"], CSV)
    mapping["tasks"]["other"] = mapping["tasks"]["look"]
    rewards = {"format": 0.2, "fuzzy_grade": 1.0}
    mapping["stages"][0]["mix"] = {"other": {"share": 0.5, "rewards": rewards}}
    own, mixed = load_recipe(str(save_recipe_mapping(tmp_path / "m.yaml", mapping))).stages[0].parts()
    assert (own.place, mixed.place) == ("stages.one", "stages.one.mix.other")
    task = Task("other", "classify", "?", ("dark", "bright"))
    with pytest.raises(
        UserError, match=r"^stages\.one\.mix\.other\.rewards: reward 'fuzzy_grade' judges grade"
    ):
        stage_scorer(mixed, TaskSet(task, (), ()))
    assert stage_scorer(own, TaskSet(task, (), ())).task == task
