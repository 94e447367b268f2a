"""Constant answers before training; monitors and alarms while it runs; demonstrations that are checked."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vrft_aug.errors import UserError
from vrft_aug.imitation.diversity import copied_share, distinct_share, self_bleu
from vrft_aug.nouns import Box, Case, Prompt, Rollout, Target, Task
from vrft_aug.perception.spaces import BoxSpace, Frame
from vrft_aug.recipe.stage_config import RewardConfig
from vrft_aug.run.layout import ALARMS
from vrft_aug.scorer import Scorer
from vrft_aug.shaping.balance import count_labels
from vrft_aug.tasks.constant_answers import constant_policies
from vrft_aug.tasks.demonstrations import with_demonstrations
from vrft_aug.tasks.taskset import TaskSet
from vrft_aug.training.monitoring.alarms import RULES, WINDOW, AlarmBell
from vrft_aug.training.monitoring.monitors import Judged, monitor
from vrft_aug.training.monitoring.sampler_monitor import MEAN, SAMPLE_SIZE

GRADE = Task("g", "grade", "?", ("none", "mild", "severe"))
FRAME = Frame((200, 100), (100, 50), BoxSpace("processed"))
EMPTY = Prompt((), ())


def cases(*targets: Target) -> list[Case]:
    return [Case(f"d/train/{i}", (), target) for i, target in enumerate(targets)]


def labelled(**counts: int) -> list[Case]:
    return cases(*(Target(label=label) for label, n in counts.items() for _ in range(n)))


def constants(task: Task, of: list[Case], **rewards: Any) -> Any:
    terms = {
        name: RewardConfig.model_validate(v if isinstance(v, dict) else {"weight": v})
        for name, v in rewards.items()
    }
    scorer = Scorer(task, terms, None, count_labels(task, of))
    return constant_policies(
        scorer, of, [EMPTY] * len(of), lambda case: FRAME if task.kind == "localise" else None
    )


def test_what_constant_grades_earn() -> None:
    found = constants(GRADE, labelled(none=6, mild=2, severe=2), accuracy=1, format=0.5)
    assert list(found.rewards) == ["none", "mild", "severe"]
    assert found.rewards == pytest.approx({"none": 1.1, "mild": 0.7, "severe": 0.7})
    assert found.prior == pytest.approx(0.5 + 0.36 + 0.04 + 0.04)
    assert (found.right, found.silent) == (1.5, 0) and "always answering 'none' earns 1.100" in found.warning
    balanced = {"weight": 1, "balance": "inverse"}
    assert constants(GRADE, labelled(none=6, mild=2, severe=2), accuracy=balanced).warning is None
    assert constants(GRADE, labelled(none=4, mild=4, severe=4), accuracy=1).warning is None


def test_what_constant_sets_texts_and_boxes_earn() -> None:
    sets = Task("s", "multilabel", "?", ("a", "b", "c"))
    few = cases(*(Target(labels=frozenset(labels)) for labels in ("", "", "", "a", "ab")))
    found = constants(sets, few, label_set={"measure": "per_label"})
    assert next(iter(found.rewards)) == "none" and found.rewards["none"] == pytest.approx(
        (3 + 2 / 3 + 1 / 3) / 5
    )
    assert {"a", "b", "c", "a, b", "a, b, c"} < set(found.rewards)
    texts = constants(Task("f", "answer", "?"), cases(*(Target(text=t) for t in "xxy")), accuracy=1)
    assert texts.rewards == pytest.approx({"x": 2 / 3, "y": 1 / 3})
    boxes = cases(Target(boxes=(Box(0, 0, 200, 50),)), Target(boxes=()), Target(boxes=()))
    found = constants(Task("l", "localise", "?"), boxes, iou=1)
    assert found.rewards == pytest.approx({"no box": 2 / 3, "the whole image": 1 / 6})
    assert found.right == 1 and found.prior == pytest.approx(1 / 3)


SETS = Task("s", "multilabel", "?", ("a", "b", "c"))
RARE_SETS = cases(*(Target(labels=frozenset(labels)) for labels in ["a"] * 8 + ["b", "bc"]))


@pytest.mark.parametrize(
    ("task", "of", "rewards", "told"),
    [
        (GRADE, labelled(none=16, mild=2, severe=2), {"accuracy": {}}, ["accuracy.balance: inverse"]),
        (GRADE, labelled(none=16, mild=2, severe=2), {"accuracy": {"balance": "inverse"}, "format": {}}, []),
        (GRADE, labelled(none=5, mild=5, severe=5), {"fuzzy_grade": {"preset": "linear"}},
         ["fuzzy_grade.preset: geometric"]),
        (GRADE, labelled(none=16, mild=2, severe=2), {"costs": {"costs": [[0, 1, 2], [1, 0, 1], [2, 1, 0]]}},
         []),
        (SETS, RARE_SETS, {"label_set": {"measure": "per_label"}}, []),
        (SETS, RARE_SETS, {"label_set": {"measure": "jaccard"}}, []),
        (SETS, RARE_SETS, {"accuracy": {}}, []),
    ],
)  # fmt: skip
def test_advice_can_be_followed_and_helps(
    task: Task, of: list[Case], rewards: dict[str, dict[str, Any]], told: list[str]
) -> None:
    """Each setting that is advised is one that the term has, is not set already, and lowers the lead."""
    before = constants(task, of, **rewards)
    advised = re.findall(r"\((rewards\.[^)]*)\)", before.advice)
    assert all(any(words in one for one in advised) for words in told), before.advice
    if not told:
        assert not advised and (before.warning is None or "train on" in before.advice)
    for one in advised:
        changed = {term: dict(settings) for term, settings in rewards.items()}
        for term, key, value in re.findall(r"rewards\.(\w+)\.(\w+): ([\w.]+)", one):
            assert rewards[term].get(key) != value
            changed[term][key] = float(value) if value[0].isdigit() else value
        assert constants(task, of, **changed).lead < 0.9 * before.lead


def test_advice_about_data_says_what_lacks() -> None:
    choice = Task("c", "choice", "?", option_seed=None)
    picked = [Case(f"d/train/{i}", (), Target(label="x"), options=("x", "y", "z")) for i in range(9)] + [
        Case("d/train/9", (), Target(label="y"), options=("x", "y", "z"))
    ]
    assert "tasks.c.option_seed: 0" in constants(choice, picked, accuracy=1).advice
    shuffled = constants(replace(choice, option_seed=0), picked, accuracy=1)
    assert shuffled.warning is None or "option_seed" not in shuffled.advice
    boxed = cases(Target(boxes=(Box(0, 0, 20, 50),)), *[Target(boxes=())] * 3)
    assert "(3 of these 4 have none)" in constants(Task("l", "localise", "?"), boxed, iou=1).advice


def test_measures_of_copying_and_diversity() -> None:
    known = "small dark red dots near the macula"
    assert copied_share(known, known) == 1 and copied_share("nothing of this kind is here", known) == 0
    assert copied_share("I see small dark red dots near it", known) == pytest.approx(1 / 4)
    assert copied_share("too short", known) is None and copied_share(known, "too short") is None
    assert distinct_share(["a b a b"]) == pytest.approx(2 / 3) and distinct_share(["a", ""]) is None
    assert self_bleu(["a b c", "a b c", "A b, c!"]) == 1
    different = self_bleu(["x y z", "a b c"])
    assert different is not None and different < 0.5
    assert self_bleu(["one", ""]) is None


def judged(row: int, answer: str, reasoning: str, label: str, knowledge: str = "") -> Judged:
    case, prompt = Case(f"d/{row}", (), Target(label=label)), Prompt((), (), knowledge)
    rollout = Rollout(f"<think>{reasoning}</think><answer>{answer}</answer>")
    score = Scorer(GRADE, {"accuracy": RewardConfig()}).score(case, prompt, rollout, None)
    return Judged(row, GRADE, case, prompt, rollout, score)


def test_the_figures_of_a_step() -> None:
    known = "dots that are small and dark and red"
    step = [
        judged(0, "mild", known, "mild", known),
        judged(0, "mild", "nothing at all to see", "mild", known),
        judged(1, "mild", known, "severe", known),
        judged(1, "moderate", "it is hard to tell", "severe", known),
    ]
    figures = monitor(step)
    assert figures["monitor/right"] == 0.5 and figures["monitor/flat_groups"] == 1
    assert figures["monitor/one_answer"] == 1 and figures["monitor/one_truth"] == 0.5
    assert figures["monitor/copied_5grams"] == 0.5 and figures["monitor/format"] == 1
    assert figures["monitor/recitation"] == pytest.approx(0.5)
    assert figures["monitor/words"] == pytest.approx((8 + 5 + 8 + 5) / 4)
    assert monitor([judged(0, "", "", "mild")]).keys() >= {"monitor/right", "monitor/words"}


def history(**columns: Any) -> list[dict[str, Any]]:
    """Two windows of steps; a column is a value for each window, or one for both."""
    lines = []
    for step in range(2 * WINDOW):
        late, jitter = step >= WINDOW, 0.01 * (step % 3)
        values = {k.replace("__", "/"): v[late] if isinstance(v, tuple) else v for k, v in columns.items()}
        lines.append({"stage": "s", "step": step + 1, **{k: v + jitter for k, v in values.items()}})
    return lines


@pytest.mark.parametrize(
    ("rule", "columns", "words"),
    [
        ("reward without task", {"reward": (0.5, 0.8), "monitor__right": (0.6, 0.3)}, "rose since the start"),
        ("copying", {"monitor__copied_5grams": (0.1, 0.7)}, "copied, not observed"),
        ("length collapse", {"monitor__words": (30, 4)}, "from 30 to 4 words"),
        ("one answer", {"monitor__one_answer": (0.5, 0.97), "monitor__one_truth": 0.5}, "without looking"),
        ("flat groups", {"monitor__flat_groups": (0.2, 0.97)}, "teach nothing"),
        ("sameness", {"monitor__self_bleu": (0.2, 0.96)}, "nearly one text"),
        ("unreadable", {"failures__truncated": (0.0, 0.6), "failures__missing": 0.1}, "raise max_new_tokens"),
        ("sampler apart", {MEAN: (0.02, 0.2), SAMPLE_SIZE: 0.9}, "differ by 0.21 in a token's"),
        ("sampler apart", {MEAN: 0.02, SAMPLE_SIZE: (0.9, 0.3)}, "31% of the completions are left"),
    ],
)
def test_each_alarm_rings_for_its_sign_alone(rule: str, columns: dict[str, Any], words: str) -> None:
    lines = history(**columns)
    found = {name: sentence for name, judge in RULES.items() if (sentence := judge(lines))}
    assert list(found) == [rule] and words in found[rule] and "\n" not in found[rule]


def test_healthy_training_rings_nothing() -> None:
    healthy = history(
        reward=(0.5, 0.9), monitor__right=(0.3, 0.7), monitor__words=(30, 25), monitor__copied_5grams=0.1,
        monitor__one_answer=0.4, monitor__one_truth=0.3, monitor__flat_groups=0.3, monitor__self_bleu=0.4,
        failures__truncated=0.05, **{MEAN: 0.02, SAMPLE_SIZE: 0.9},
    )  # fmt: skip
    assert not [name for name, judge in RULES.items() if judge(healthy)]
    solved = history(monitor__one_answer=1.0, monitor__one_truth=0.98)  # one class in the data: no reproach
    assert not [name for name, judge in RULES.items() if judge(solved)]
    seated = history(monitor__flat_groups=0.99, seats__taken=0.4)  # demonstrations teach in the flat groups
    assert not [name for name, judge in RULES.items() if judge(seated)]
    idle = RULES["flat groups"](history(monitor__flat_groups=0.99, seats__taken=0.001))
    assert idle is not None and "and no demonstration took a seat" in idle


def test_an_alarm_is_written_once_also_across_a_resume(tmp_path: Path) -> None:
    lines = history(monitor__self_bleu=0.99)
    bell = AlarmBell("s", tmp_path)
    first = [bell.hear(line) for line in lines[: WINDOW + 2]]
    assert [len(raised) for raised in first] == [0] * (WINDOW - 1) + [1, 0, 0]
    resumed = AlarmBell("s", tmp_path, lines[: WINDOW + 2])
    assert not any(resumed.hear(line) for line in lines[WINDOW + 2 :])
    (written,) = [json.loads(line) for line in (tmp_path / ALARMS).read_text().splitlines()]
    assert written["stage"] == "s" and written["step"] == WINDOW and written["alarm"] == first[WINDOW - 1][0]


TRAIN = labelled(none=1, mild=1, severe=1)
MATERIAL = TaskSet(GRADE, tuple(TRAIN), (EMPTY,) * 3)


def demonstrate(tmp_path: Path, *lines: Any, taskset: TaskSet = MATERIAL) -> TaskSet:
    path = tmp_path / "traces.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n")
    frame = FRAME if taskset.task.kind == "localise" else None
    return with_demonstrations(taskset, path, lambda case: frame)


def test_demonstrations_become_what_is_taught(tmp_path: Path) -> None:
    written = "<think>dots</think><answer>Mild.</answer>"
    traces = [{"case": "d/train/1", "completion": written}, {"case": "d/train/2", "reasoning": "blots"},
              {"case": "d/train/1", "reasoning": "red dots"}]  # fmt: skip
    taught = demonstrate(tmp_path, *traces)
    assert [case.id for case in taught.cases] == ["d/train/1", "d/train/2", "d/train/1"]
    assert taught.completions == (
        written,
        "<think>blots</think><answer>severe</answer>",
        "<think>red dots</think><answer>mild</answer>",
    )
    boxed = cases(Target(boxes=(Box(20, 20, 60, 60),)))
    taskset = TaskSet(Task("l", "localise", "?"), tuple(boxed), (EMPTY,))
    near = "<think>there</think><answer>[[10, 10, 28, 30]]</answer>"
    assert demonstrate(tmp_path, {"case": "d/train/0", "completion": near}, taskset=taskset).completions
    far = near.replace("28, 30", "90, 40")
    with pytest.raises(UserError, match="line 1: the trace of case d/train/0 answers"):
        demonstrate(tmp_path, {"case": "d/train/0", "completion": far}, taskset=taskset)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            {"completion": "<think>a</think><answer>severe</answer>"},
            "answers 'severe', but the truth is 'mild'",
        ),
        ({"completion": "<think>a</think><answer>bad</answer>"}, r"no readable answer \(unknown label\)"),
        ({"completion": "<think>a</think><answer>mi"}, r"no readable answer \(unknown label\)"),
        ({"completion": "So <think>a</think><answer>mild</answer>"}, "and nothing else"),
        ({"completion": "<answer>mild</answer>"}, "and nothing else"),
        ({"reasoning": ""}, "and nothing else"),
        ({"reasoning": "a</think><answer>mild</answer>"}, "no readable answer"),
        (
            {"case": "d/train/11", "reasoning": "a"},
            "trains on no case 'd/train/11'; did you mean 'd/train/1'",
        ),
        ({}, "neither a completion nor a reasoning"),
        ({"reasoning": "a", "completion": "b"}, "or both"),
        ({"reasoning": 3}, "reasoning: Input should be"),
        ("{", "is no JSON"),
        ("[]", "line 2: the line"),
    ],
)
def test_a_wrong_trace_is_refused_with_one_line(tmp_path: Path, line: Any, message: str) -> None:
    good = {"case": "d/train/0", "reasoning": "calm"}
    with pytest.raises(UserError, match=message) as caught:
        demonstrate(tmp_path, good, {"case": "d/train/1", **line} if isinstance(line, dict) else line)
    assert "line 2" in str(caught.value) and "\n" not in str(caught.value)


def test_no_demonstrations(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is empty"):
        demonstrate(tmp_path, "")
    with pytest.raises(UserError, match="cannot be read"):
        with_demonstrations(MATERIAL, tmp_path / "absent.jsonl", lambda case: None)
