"""Commands that make a run or read one: demo, train, predict, report."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from vrft_aug.cli.common import AsJson, Overrides, Overwrite, RecipeArgument, print_json
from vrft_aug.cli.launched import ProcessesOption, is_done, start_if_asked
from vrft_aug.errors import UserError
from vrft_aug.files import check_place
from vrft_aug.processes import is_main, launched, process_count

if TYPE_CHECKING:
    from vrft_aug.recipe.schema import Recipe


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")] = Path("runs/demo"),
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of every arm.")] = 1,
    overwrite: Overwrite = False,
    markdown: Annotated[Path | None, typer.Option(help="Write the tables there too.")] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", min=1, help="Arms at a time; default: two where there are two cores."),
    ] = None,
) -> None:
    """The whole method on a CPU in minutes, nothing to download."""
    from vrft_aug.experiments.demo import run_demo

    check_place(output, markdown)
    run_demo(output, seeds, overwrite, markdown, jobs)


def train(
    context: typer.Context,
    recipe: RecipeArgument,
    overrides: Overrides = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Default: runs/NAME.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    from_stage: Annotated[
        str | None, typer.Option(metavar="STAGE", help="With --resume: run this stage and all after it anew.")
    ] = None,
    overwrite: Overwrite = False,
    processes: Annotated[
        str | None,
        typer.Option(metavar="N", help="Train in so many processes; auto: one for each GPU."),
    ] = None,
) -> None:
    """Run the stages, evaluate, and write the report."""
    from vrft_aug.preview.run_checks import check_settings
    from vrft_aug.recipe.file import load_recipe
    from vrft_aug.run.layout import default_run

    loaded = load_recipe(recipe, overrides or ())
    if resume and overwrite:
        raise UserError("--resume and --overwrite contradict each other; give one of them")
    if from_stage is not None and not resume:
        raise UserError("--from-stage goes with --resume: it says which stage of a run is run anew")

    run = output or default_run(loaded)
    if process_count() == 1:  # of several, the main one looks and tells
        check_settings(loaded, run)
    if processes is not None and not launched():
        flags = {"--resume": resume, "--overwrite": overwrite}
        stage = [] if from_stage is None else ["--from-stage", from_stage]
        debug = ["--debug"] if context.find_root().params.get("debug") else []
        given = [
            recipe,
            *(overrides or ()),
            "--output",
            str(run),
            *stage,
            *(f for f, on in flags.items() if on),
        ]
        arguments = [*debug, "train", *given]
        _start(processes, loaded, arguments)

    from vrft_aug.experiments.run import train as run_stages  # takes seconds: what is wrong is told before

    arms = run_stages(loaded, run, resume, overwrite, from_stage)
    if not is_main():
        return

    from rich.console import Console

    from vrft_aug.evaluation.tables import format_table

    Console().print(format_table(arms))
    typer.echo(f"wrote {run}")
    for line in next_commands(run):
        typer.echo(line)


def _start(wanted: str, recipe: Recipe, arguments: list[str]) -> NoReturn:
    """Train in several processes, and end as they do."""
    from vrft_aug.training.processes.launch import how_many, start_processes
    from vrft_aug.training.processes.parallel import check_split

    count = how_many(wanted, recipe.model)
    for stage in recipe.stages:
        check_split(stage, count)
    raise typer.Exit(start_processes(count, arguments))


def next_commands(run: Path) -> list[str]:
    """What to do with a finished run, each line as it can be typed but for names in capitals."""
    name = shlex.quote(str(run))
    commands = [
        (f"vrft view {name}", "every rollout and what it earned"),
        (f"vrft predict {name} PICTURES", "a picture or a folder of your own"),
        (f"vrft compare {name} OTHER_RUN", "the same cases, with paired tests"),
    ]
    width = max(len(command) for command, _ in commands)
    return ["next:", *(f"  {command:<{width}}   # {what}" for command, what in commands)]


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run.")],
    pictures: Annotated[list[Path], typer.Argument(metavar="PICTURES", help="Files, or folders of them.")],
    task: Annotated[str | None, typer.Option(help="A task of the run; default: the evaluated one.")] = None,
    question: Annotated[str | None, typer.Option(help="Ask this; default: as the task does.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="Of a choice, again for each; default: the task's.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="For the pictures; default: RUN/predictions.")
    ] = None,
    table: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the answers: .csv, .json or .jsonl.")
    ] = None,
    as_json: AsJson = False,
    processes: ProcessesOption = None,
) -> None:
    """Answer about pictures; boxes, answer and reasoning on copies of them."""
    from vrft_aug.evaluation.prediction_files import check_table, write_table

    check_place(output, table)
    if table is not None:
        check_table(table)

    if processes is not None:
        from vrft_aug.tasks.finished_run import open_run

        start_if_asked(processes, open_run(run, task)[0].model)

    from vrft_aug.evaluation.predict import Question, predict_images

    asked = Question(task, question, tuple(option or ()))
    results = predict_images(run, pictures, output or run / "predictions", asked)
    if is_done():
        return
    if table is not None:
        write_table(table, results)
        typer.echo(f"wrote {table}", err=True)
    if as_json:
        print_json(results)
        return
    for result in results:
        value = result["answer"] if result["reason"] is None else f"no answer ({result['reason']})"
        typer.echo(f"{result['image']}: {value if isinstance(value, str) else json.dumps(value)}")
        if result["reasoning"]:
            typer.echo(f"  {result['reasoning']}")
        if result["picture"] is not None:
            typer.echo(f"  drawn in {result['picture']}")


def report(run: Annotated[Path, typer.Argument(metavar="RUN", help="A run.")]) -> None:
    """Write report.html from the files of a run."""
    from vrft_aug.report.page import write_report

    typer.echo(f"wrote {write_report(run)}")
