"""The commands that judge and predict, in one process and in several: the same figures and files."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.data_files import save_image
from helpers.launched import TESTS, launch
from helpers.run_checks import lines
from helpers.shades import GRPO, shade_recipe
from vrft_aug.data.cases import load_cases
from vrft_aug.recipe.file import save_recipe
from vrft_aug.tasks.task import make_task


@pytest.fixture
def run(random_policy: Path, tmp_path: Path) -> Path:
    """A finished run of ten cases in five batches, with four sampled answers each."""
    evaluation = {"limit": None, "samples": 4, "batch_size": 2, "temperature": 1.0}
    save_recipe(shade_recipe(random_policy, evaluation=evaluation), tmp_path / "run" / "recipe.yaml")
    (tmp_path / "run" / "model").symlink_to(random_policy)
    return tmp_path / "run"


def judged(run: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((run / "evaluation.json").read_text("utf-8"))
    report["provenance"].pop("seconds")
    return report


@pytest.mark.slow
def test_an_evaluation_is_the_same_in_one_process_and_in_several(run: Path) -> None:
    """Greedy and sampled answers alike; one process writes and prints."""
    reports, tables = [], []
    for count in (1, 2, 3):
        said = launch(["-m", "vrft_aug", "evaluate", str(run)], count)
        assert [one.code for one in said] == [0] * count, said
        assert not any(one.out + one.err for one in said[1:]), said
        reports.append(judged(run))
        tables.append(said[0].out)
    assert len(reports[0]["rows"]) == 10 and sum(reports[0]["rows"][0]["votes"].values()) <= 4
    assert reports[0] == reports[1] == reports[2] and tables[0] == tables[1] == tables[2]


@pytest.mark.slow
def test_predictions_are_the_same_in_one_process_and_in_several(run: Path, tmp_path: Path) -> None:
    """Lines, pictures and table; a call that was cut off goes on, in two processes as in one."""
    (folder := tmp_path / "in").mkdir()
    for number in range(7):
        save_image(folder / f"{number}.png", seed=number)
    (folder / "broken.png").write_text("no picture")
    for name, count in (("one", 1), ("two", 2)):
        output, table = tmp_path / name, tmp_path / f"{name}.csv"
        call = ["predict", str(run), str(folder), "--output", str(output), "--table", str(table)]
        said = launch(["-m", "vrft_aug", *call], count)
        assert [process.code for process in said] == [0] * count, said
        assert not any(process.out for process in said[1:])
    one, two = (lines(tmp_path / name / "predictions.jsonl") for name in ("one", "two"))
    assert len(one) == 8 and [line["completion"] for line in one] == [line["completion"] for line in two]
    assert [line["image"] for line in one] == [line["image"] for line in two]  # in the order of one process
    text = (tmp_path / "one.csv").read_text("utf-8").replace(str(tmp_path / "one"), str(tmp_path / "two"))
    assert text == (tmp_path / "two.csv").read_text("utf-8")
    for line, other in zip(one, two, strict=True):
        if line["picture"] is not None:
            assert Path(line["picture"]).read_bytes() == Path(other["picture"]).read_bytes()
    path = tmp_path / "two" / "predictions.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in two[:3]) + '{"image": "x', "utf-8")
    said = launch(["-m", "vrft_aug", *call], 2)
    assert [process.code for process in said] == [0, 0] and "3 of 8 are answered" in said[0].err
    assert lines_without_half(path) == two and (tmp_path / "two.csv").read_text("utf-8") == text


def lines_without_half(path: Path) -> list[dict[str, Any]]:
    """All but the half line that the cut left."""
    return [json.loads(text) for text in path.read_text("utf-8").splitlines() if text.endswith("}")]


@pytest.mark.slow
def test_a_look_is_the_same_in_one_process_and_in_two(run: Path, tmp_path: Path) -> None:
    looks = []
    for count in (1, 2):
        output = tmp_path / f"look{count}.json"
        said = launch(
            [
                "-m",
                "vrft_aug",
                "look",
                str(run),
                "--recipe",
                str(run),
                "--view",
                "blank",
                "--output",
                str(output),
            ],
            count,
        )
        assert [one.code for one in said] == [0] * count, said
        assert not any(one.out + one.err for one in said[1:]), said
        looks.append(without_seconds(json.loads(output.read_text("utf-8"))))
    assert looks[0] == looks[1] and looks[0]


@pytest.mark.slow
def test_pass_rates_and_scores_are_the_same_in_one_process_and_in_two(
    random_policy: Path, tmp_path: Path
) -> None:
    recipe = shade_recipe(random_policy, GRPO, evaluation={"batch_size": 4})
    save_recipe(recipe, tmp_path / "recipe.yaml")
    ids = [
        case.id
        for case in load_cases(
            recipe.tasks["shade"].data, make_task("shade", recipe.tasks["shade"]), tmp_path, "test"
        )
    ]
    given = [{"case": ids[i % len(ids)], "completion": f"<answer>dark</answer>{i}"} for i in range(150)]
    (tmp_path / "said.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in given))
    for call in (
        ["probe", str(tmp_path / "recipe.yaml"), "--samples", "2", "--json"],
        ["score", str(tmp_path / "recipe.yaml"), str(tmp_path / "said.jsonl")],
    ):
        one, two = (launch(["-m", "vrft_aug", *call], count) for count in (1, 2))
        assert [said.code for said in (*one, *two)] == [0, 0, 0], (one, two)
        assert one[0].out == two[0].out and len(one[0].out) > 1000
        assert not two[1].out + two[1].err


def without_seconds(value: Any) -> Any:
    """A JSON value without the only figure that two equal calls may differ in."""
    if isinstance(value, dict):
        return {key: without_seconds(inner) for key, inner in value.items() if key != "seconds"}
    return [without_seconds(one) for one in value] if isinstance(value, list) else value


ONE_FAILS = """
import os, sys
import vrft_aug.evaluation.evaluate as evaluate
from vrft_aug.errors import UserError
load = evaluate.load_policy
def load_policy(config):
    if os.environ["RANK"] == "1":
        raise UserError("the folder of node 2 is gone")
    return load(config)
evaluate.load_policy = load_policy
from vrft_aug.cli import main
sys.argv = ["vrft", *sys.argv[1:]]
main()
"""


@pytest.mark.slow
def test_a_mistake_in_one_process_ends_all_with_one_line(run: Path) -> None:
    said = launch(["-c", ONE_FAILS, "evaluate", str(run)])
    assert [one.code for one in said] == [2, 2] and not (run / "evaluation.json").exists()
    told = "".join(one.err for one in said)
    assert told.count("the folder of node 2 is gone") == 1 and "Traceback" not in told
    assert not any(one.out for one in said)


@pytest.mark.slow
def test_the_option_starts_the_processes(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call = [sys.executable, "-m", "vrft_aug", "evaluate", str(run), "--processes"]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)]))
    said = subprocess.run([*call, "2"], capture_output=True, text=True, timeout=300, check=False)
    assert said.returncode == 0 and said.stdout.count("Balanced accuracy") == 1, said
    said = subprocess.run([*call, "none"], capture_output=True, text=True, timeout=300, check=False)
    assert said.returncode == 2 and "--processes is 'none'; expected a number from 1, or auto" in said.stderr
