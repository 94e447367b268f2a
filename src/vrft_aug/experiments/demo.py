"""The demo: base, SFT, RFT and VRFT-Aug on procedural fundus pictures, side by side, on a CPU in minutes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from vrft_aug.evaluation.comparison import compare
from vrft_aug.evaluation.evaluate import evaluate_path
from vrft_aug.evaluation.meanings import HEADLINES, MEANINGS
from vrft_aug.evaluation.report_data import Report, load_report
from vrft_aug.evaluation.tables import format_table, markdown_table
from vrft_aug.experiments.baselines import rft, rollouts, sft, untold, untrained
from vrft_aug.experiments.run import train
from vrft_aug.files import write_text
from vrft_aug.recipe.file import load_recipe
from vrft_aug.recipe.schema import Recipe
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.report.page import write_comparison, write_report
from vrft_aug.run.folder import is_new_run, start_run
from vrft_aug.run.layout import EVALUATION, REPORT_PAGE
from vrft_aug.run.lock import run_locked

TITLE = "VRFT-Aug demo: grading procedural fundus pictures"


@dataclass(frozen=True)
class Arm:
    """One row of the demo's table: what becomes of the demo's recipe, and whether that is trained."""

    name: str
    derive: Callable[[Recipe], Recipe]
    trained: bool = True

    def recipe(self, seed: int) -> Recipe:
        """The arm's recipe for a training seed."""
        return self.derive(load_recipe("fundus-demo", [f"seed={seed}", "evaluation.base=false"]))

    def runs(self, output: Path, seeds: int) -> list[Path]:
        """The run folders: one a training seed; one in all where nothing is trained."""
        stem = self.name.lower().replace(" ", "-")
        return [output / f"{stem}-{seed}" for seed in range(seeds if self.trained else 1)]


ARMS = (
    Arm("Base", untold, trained=False),
    Arm("Base with knowledge", untrained, trained=False),
    # Each arm has the rate that was best for it on the validation split: RFT and VRFT-Aug the recipe's.
    Arm("SFT", partial(sft, trainer={"learning_rate": 3e-4})),
    Arm("RFT", rft),
    Arm("VRFT-Aug", lambda recipe: recipe),
)
DIFFERENCES = (("VRFT-Aug", "RFT"), ("VRFT-Aug", "Base with knowledge"), ("VRFT-Aug", "SFT"))


def run_demo(output: Path, seeds: int = 1, overwrite: bool = False, markdown: Path | None = None) -> Path:
    """Train and evaluate every arm, print the table, and write the comparison to `output/report.html`.

    Arms that an earlier, interrupted demo finished are kept unless `overwrite`. `markdown` also writes the
    tables there, as docs/measured/demo.md. Returns the page. Raises UserError where `output` holds other
    runs.
    """
    console = Console()
    if overwrite:
        for arm in ARMS:
            for run in arm.runs(output, seeds):
                shutil.rmtree(run, ignore_errors=True)
    for arm in ARMS:
        for seed, run in enumerate(arm.runs(output, seeds)):
            if (run / REPORT_PAGE).is_file():
                console.print(f"[bold]{arm.name}[/], seed {seed}: done, kept ({run})")
                continue
            console.print(f"[bold]{arm.name}[/], seed {seed}: {run}")
            if arm.trained:
                train(arm.recipe(seed), run, resume=run.exists())
            else:
                _judge_untrained(arm.recipe(seed), run)
    runs = {arm.name: arm.runs(output, seeds) for arm in ARMS}
    reports = {name: [load_report(run / EVALUATION) for run in folders] for name, folders in runs.items()}
    console.print(format_table(reports))
    gains = differences(reports)
    console.print("\n".join(gains))
    page = write_comparison(output / REPORT_PAGE, TITLE, runs)
    if markdown is not None:
        write_text(markdown, demo_page(reports, gains, seeds))
    console.print(f"Report: {page}")
    return page


def _judge_untrained(recipe: Recipe, run: Path) -> None:
    if is_new_run(run, resume=run.exists(), overwrite=False):
        start_run(recipe, run)
    with run_locked(run, "vrft demo"):
        evaluate_path(recipe.model.name, recipe, run / EVALUATION)
        write_report(run)


def differences(reports: Mapping[str, Sequence[Report]]) -> list[str]:
    """What VRFT-Aug gains over the other arms, paired by case, a line each."""
    compared = compare(reports).differences
    headline = HEADLINES[next(iter(reports.values()))[0].kind]
    lines = []
    for of, minus in DIFFERENCES:
        gains = ", ".join(f"{MEANINGS[name].title} {compared[of, minus][name]}" for name in headline[:3])
        lines.append(f"{of} minus {minus}: {gains}")
    return lines


def demo_page(reports: Mapping[str, Sequence[Report]], gains: Sequence[str], seeds: int) -> str:
    """docs/measured/demo.md: what was run, the table and the differences."""
    cases = len(next(iter(reports.values()))[0].rows)
    budgets = [
        f"- {arm.name}: {rollouts(recipe)} completions: {', then '.join(map(_stage_line, recipe.stages))}"
        for arm in ARMS
        if arm.trained
        for recipe in [arm.recipe(0)]
    ]
    return "\n".join(
        [
            "# The demo's figures",
            "",
            f"Generated by `vrft demo --seeds {seeds} --markdown docs/measured/demo.md`; do not edit. The",
            f"embedded tiny model on {cases} procedural test pictures that no training has seen, taken by",
            "another camera (dim, tinted, noisy) than those it learned from. Brackets are 95 % bootstrap",
            "intervals over cases of the mean over training seeds, ± is the standard deviation over seeds.",
            "The base is not trained: it has one run. The pictures are for software development, not a",
            "model of disease.",
            "",
            *budgets,
            "",
            markdown_table(reports),
            "Differences, paired by case:",
            "",
            *(f"- {line}" for line in gains),
            "",
        ]
    )


def _stage_line(stage: StageConfig) -> str:
    times = f" x {stage.generations}" if stage.method == "grpo" else ""
    return f"{stage.name} ({stage.method}, {stage.steps} steps of {stage.prompts_per_step}{times})"
