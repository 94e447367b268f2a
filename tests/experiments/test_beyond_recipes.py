"""The recipes with everything beyond the paper: each part is a line, and together they train and resume."""

from pathlib import Path

import pytest

from helpers.run_checks import interrupt, lines, same_run
from vrft_aug.experiments.run import train
from vrft_aug.recipe.file import load_recipe, shipped_recipes

BEYOND = ("fundus-beyond", "idrid-beyond")
PARTS = (
    "perception_loss:",
    "token_weights:",
    "noisy_rollouts:",
    "teacher:",
    "seats:",
    "curriculum:",
    "look:",
)
SHORT = [
    *(f"tasks.{task}.data.{split}={n}" for task in ("lesions", "grade") for split, n in (
        ("train", 12), ("validation", 8), ("test", 6),
    )),
    *(f"stages.{stage}.{key}={n}" for stage in ("localise", "grade") for key, n in (
        ("prompts_per_step", 2), ("generations", 4), ("max_new_tokens", 24),
    )),
    "stages.localise.steps=1", "stages.grade.steps=6", "stages.grade.save_steps=2",
    "stages.grade.look.every=3", "stages.grade.look.cases=4", "stages.grade.curriculum.re_estimate=1",
    "evaluation.max_new_tokens=24", "evaluation.bootstrap=100", "evaluation.base=false",
]  # fmt: skip


@pytest.mark.parametrize("name", BEYOND)
@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_switched_off_by_removing_its_line(name: str, part: str, tmp_path: Path) -> None:
    text = shipped_recipes()[name].read_text(encoding="utf-8")
    kept = [line for line in text.splitlines() if not line.strip().startswith(part)]
    assert len(kept) < len(text.splitlines())
    (tmp_path / "own.yaml").write_text("\n".join(kept), encoding="utf-8")
    key = part.rstrip(":")
    with_it, without = load_recipe(name), load_recipe(str(tmp_path / "own.yaml"))
    on, off = ([stage.model_dump()[key] for stage in recipe.stages] for recipe in (with_it, without))
    assert on != off and all(value == off[0] for value in off)


@pytest.mark.slow
def test_all_of_it_trains_and_resumes_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe("fundus-beyond", SHORT)
    train(recipe, tmp_path / "whole")
    logged = [line for line in lines(tmp_path / "whole" / "metrics.jsonl") if line["stage"] == "grade"]
    names = {name for line in logged for name in line}
    for told in ("perception/kl", "noisy_rollouts/strength", "seats/taken", "teacher/kl", "look/reliance"):
        assert told in names
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        interrupt(patched, "grade", 5)  # four steps are in a checkpoint
        train(recipe, tmp_path / "run")
    train(recipe, tmp_path / "run", resume=True)
    same_run(tmp_path / "whole", tmp_path / "run")
