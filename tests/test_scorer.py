from pathlib import Path
from typing import Any, get_args

import pytest

from vrft_aug.errors import OwnCodeError, UserError
from vrft_aug.nouns import Box, Case, Prompt, Rollout, Target, Task, TaskKind
from vrft_aug.perception.spaces import BoxSpace, Frame
from vrft_aug.recipe.stage_config import RewardConfig
from vrft_aug.scorer import TERMS, Scorer

GRADE = Task("g", "grade", "?", ("none", "mild", "severe"))
CASE = Case("data/test/7", (), Target(label="mild"))
PROMPT = Prompt((), (), "What is known:\n- mild: small dark red dots and nothing else.")
GOOD = Rollout("<think>dots are seen</think><answer>mild</answer>", tokens=9)

OWN = """
from vrft_aug.nouns import Answer
def short(rollout, limit: int = 5): return float(rollout.tokens <= limit)
def needs(answer: Answer, threshold: float): return threshold
def anything(case, **settings): return len(settings)
def everything(rollout, prompt, task, case, answer): return [answer.value, case.id].index("data/test/7")
def broken(answer): return 1 / 0
def nan(): return float("nan")
def word(): return "good"
def nothing(): return None
number = 3
"""


@pytest.fixture(autouse=True)
def _own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_rewards.py").write_text(OWN)
    (tmp_path / "broken_rewards.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)


def scorer(task: Task = GRADE, **rewards: Any) -> Scorer:
    return of(task, rewards)


def of(task: Task, rewards: dict[str, Any]) -> Scorer:
    configs = {k: RewardConfig(**(v if isinstance(v, dict) else {"weight": v})) for k, v in rewards.items()}
    return Scorer(task, configs)


def test_the_total_is_the_weighted_sum_of_the_terms() -> None:
    rewards = scorer(format=0.5, accuracy=2, fuzzy_grade={"weight": 1, "base": 0.5}, recitation=1)
    right = rewards.score(CASE, PROMPT, GOOD, None)
    assert right.terms == {"format": 1, "accuracy": 1, "fuzzy_grade": 1, "recitation": 0}
    assert right.total == 3.5
    assert right.weights == {"format": 0.5, "accuracy": 2, "fuzzy_grade": 1, "recitation": 1}
    near = rewards.score(CASE, PROMPT, Rollout("<answer>none</answer>"), None)
    assert near.terms == {"format": 0, "accuracy": 0, "fuzzy_grade": 0.5, "recitation": -1}
    assert near.total == -0.5


def test_a_term_that_does_not_apply_is_none_and_adds_nothing() -> None:
    score = scorer(accuracy=1, format=0).score(Case("data/test/8", (), Target()), PROMPT, GOOD, None)
    assert score.terms == {"accuracy": None, "format": 1}
    assert score.total == 0


def test_boxes_are_judged_in_original_pixels() -> None:
    frame = Frame((200, 100), (100, 50), BoxSpace("processed"))
    case = Case("data/test/9", (), Target(boxes=(Box(20, 40, 60, 80),)))
    rollout = Rollout("<think>there</think><answer>[[10, 20, 30, 40]]</answer>")
    assert scorer(Task("l", "localise", "?"), iou=1).score(case, PROMPT, rollout, frame).total == 1


def test_functions_of_the_users_own() -> None:
    rewards = {
        "own_rewards:short": {"weight": 2.0, "limit": "9"},
        "own_rewards:anything": {"weight": -1.0, "a": 1, "b": 2},
        "own_rewards:everything": 1.0,
        "own_rewards:nothing": 1.0,
    }
    score = of(GRADE, rewards).score(CASE, PROMPT, GOOD, None)
    assert list(score.terms.values()) == [1, 2, 1, None]
    assert score.total == 2 - 2 + 1


@pytest.mark.parametrize(
    ("rewards", "message"),
    [
        ({"acuracy": 1}, "reward 'acuracy' does not exist; .*did you mean 'accuracy'"),
        ({"iou": 1}, "reward 'iou' judges localise tasks; task 'g' is of kind 'grade'"),
        ({"fuzzy_grade": {"bas": 0.5}}, "reward 'fuzzy_grade' has no setting 'bas'; did you mean 'base'"),
        ({"accuracy": {"answer": 1}}, "reward 'accuracy' has no setting 'answer'; it has match, balance"),
        ({"fuzzy_grade": {"base": 1.5}}, "reward 'fuzzy_grade': setting 'base' is 1.5; .*less than 1"),
        ({"fuzzy_grade": {"preset": "square"}}, "setting 'preset' is 'square'; .*'geometric', 'table'"),
        ({"fuzzy_grade": {"table": [0.1, 0.5]}}, "setting 'table' .*must not earn more"),
        ({"fuzzy_grade": {"table": []}}, "setting 'table'"),
        ({"recitation": {"delta": 0.5}}, "setting 'delta' is 0.5; .*-1 or 1"),
        ({"recitation": -1}, "weight -1.0; .*delta: -1"),
        ({"accuracy": float("nan")}, "weight nan"),
        ({"own_rewards:needs": 1}, "needs the setting 'threshold'"),
        ({"own_rewards:shrt": 1}, "has no 'shrt'; did you mean 'short'"),
        ({"own_rewards:number": 1}, "something else than a function"),
        ({"own_reward:short": 1}, "finds no module 'own_reward'.*PYTHONPATH"),
        ({":short": 1}, "expected package.module:function"),
    ],
)
def test_a_mistake_in_the_recipe_is_one_line_before_the_run(rewards: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        of(GRADE, rewards)
    assert "\n" not in str(caught.value)


def test_an_import_that_fails_inside_the_users_module_keeps_its_traceback() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        of(GRADE, {"broken_rewards:short": 1})


def test_labels_that_read_alike_are_refused() -> None:
    with pytest.raises(UserError, match="told apart"):
        scorer(Task("g", "grade", "?", ("mild", "mild.")), format=1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", "'own_rewards:broken' failed on case 'data/test/7': ZeroDivisionError"),
        ("nan", "returned nan for case 'data/test/7'"),
        ("word", "returned 'good' for case 'data/test/7'"),
    ],
)
def test_a_reward_that_breaks_stops_the_run(name: str, message: str) -> None:
    rewards = of(GRADE, {f"own_rewards:{name}": 1})
    with pytest.raises(OwnCodeError, match=message):
        rewards.score(CASE, PROMPT, GOOD, None)


def test_the_registry_names_kinds_of_tasks_and_functions_that_say_what_they_do() -> None:
    for name, term in TERMS.items():
        assert set(term.kinds or ()) <= set(get_args(TaskKind)), name
        assert term.function.__doc__, name
