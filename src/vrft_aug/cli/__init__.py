"""The command `vrft`. Every command calls one function of the room that owns the work.

Heavy imports are inside the commands: `vrft --help` must answer within a second.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from vrft_aug.cli import bank_tools, bench, data, fitness, recipes, runs, view
from vrft_aug.cli.common import SETTINGS, OneLineErrors
from vrft_aug.cli.compare import compare
from vrft_aug.cli.drafts import traces
from vrft_aug.cli.evaluation_command import evaluate
from vrft_aug.cli.export_command import export
from vrft_aug.cli.judge_command import judge
from vrft_aug.cli.knowledge import knowledge_app
from vrft_aug.cli.look_command import look
from vrft_aug.cli.plan_command import plan
from vrft_aug.cli.probe_command import probe
from vrft_aug.cli.readers_command import readers
from vrft_aug.cli.study_command import study
from vrft_aug.cli.tiny import tiny_app
from vrft_aug.processes import prepare_process

app = typer.Typer(cls=OneLineErrors, help="Medical visual reinforcement fine-tuning.", **SETTINGS)
for command in (
    runs.demo,
    recipes.init,
    recipes.check,
    data.data,
    plan,
    recipes.prompt,
    recipes.score,
    traces,
    probe,
    runs.train,
    evaluate,
    look,
    judge,
    runs.predict,
    compare,
    study,
    runs.report,
    export,
    view.view,
    view.ui,
    readers,
    bench.bench,
    fitness.selftest,
):
    app.command()(command)
for name, tool in (
    ("try", bank_tools.knowledge_try),
    ("matrix", bank_tools.knowledge_matrix),
    ("review", bank_tools.knowledge_review),
    ("diff", bank_tools.knowledge_diff),
    ("upgrade", bank_tools.knowledge_upgrade),
):
    knowledge_app.command(name)(tool)
app.add_typer(tiny_app, name="tiny")
app.add_typer(knowledge_app, name="knowledge")


def main() -> None:
    """Entry point of the command line."""
    sys.path.append(str(Path.cwd()))  # so that a recipe finds rewards and readers in the working folder
    # What Apple's GPUs lack runs on the CPU, and torch says so; read when torch is imported, which is later.
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    prepare_process()
    app()


def _version(wanted: bool) -> None:
    if wanted:
        from vrft_aug.cli.version_lines import version_lines

        for line in version_lines():
            typer.echo(line)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Show the trace of a reward, metric or reader of your own that fails."),
    ] = False,
) -> None:
    """Medical visual reinforcement fine-tuning: from images to a compared, reported, fine-tuned model."""
