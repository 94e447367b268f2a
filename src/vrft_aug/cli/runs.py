"""Commands that make a run or read one: demo, train, evaluate, predict, report."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from vrft_aug.cli.common import AsJson, Overrides, Overwrite, RecipeArgument, print_json
from vrft_aug.errors import UserError


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")] = Path("runs/demo"),
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of every arm.")] = 1,
    overwrite: Overwrite = False,
    markdown: Annotated[Path | None, typer.Option(help="Write the tables there too.")] = None,
) -> None:
    """The whole method on a CPU in minutes, nothing to download."""
    from vrft_aug.experiments.demo import run_demo

    run_demo(output, seeds, overwrite, markdown)


def train(
    recipe: RecipeArgument,
    overrides: Overrides = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Default: runs/NAME.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    from_stage: Annotated[
        str | None, typer.Option(metavar="STAGE", help="With --resume: run this stage and all after it anew.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Run the stages, evaluate, and write the report."""
    from vrft_aug.recipe.file import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    if resume and overwrite:
        raise UserError("--resume and --overwrite contradict each other; give one of them")
    if from_stage is not None and not resume:
        raise UserError("--from-stage goes with --resume: it says which stage of a run is run anew")

    from vrft_aug.experiments.run import train as run_stages  # takes seconds: a wrong recipe is told before

    run = output or Path("runs") / loaded.name
    arms = run_stages(loaded, run, resume, overwrite, from_stage)

    from rich.console import Console

    from vrft_aug.evaluation.tables import format_table

    Console().print(format_table(arms))
    typer.echo(f"wrote {run}")
    for line in next_commands(run):
        typer.echo(line)


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


def evaluate(
    source: Annotated[
        str | None, typer.Argument(metavar="RUN_OR_MODEL", help="A run, a model folder or a hub name.")
    ] = None,
    overrides: Overrides = None,
    recipe: Annotated[str | None, typer.Option(help="What to judge a model on; a run has its own.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the report as JSON.")] = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="Of an OpenAI-compatible server, instead of a run.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="What the server calls the model.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests to the server at once.")] = 8,
    key_env: Annotated[
        str, typer.Option(help="The variable that holds the server's key.")
    ] = "OPENAI_API_KEY",
    cache: Annotated[
        Path | None, typer.Option(help="For the server's replies; default: ~/.cache/vrft-aug/endpoint.")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Keep no replies.")] = False,
    as_json: AsJson = False,
) -> None:
    """Clinical metrics on a split, with intervals."""
    from vrft_aug.recipe.file import load_recipe

    changes = list(overrides or ())
    if endpoint is not None and source is not None:  # a server has no folder: all arguments are overrides
        changes.insert(0, source)
    if (endpoint is None) != (model is None):
        raise UserError("--endpoint URL and --model NAME go together; give both for a model on a server")
    if endpoint is not None and recipe is None:
        raise UserError("--endpoint needs --recipe, which says what to judge the model on")
    if endpoint is None and source is None:
        raise UserError("expected a run, a model folder or a hub name, or --endpoint URL --model NAME")
    wanted = load_recipe(recipe or source or "", changes) if recipe or changes else None

    if endpoint is not None and model is not None and wanted is not None:
        from vrft_aug.evaluation.remote import default_cache, evaluate_endpoint
        from vrft_aug.evaluation.report_data import save_report
        from vrft_aug.policy.endpoint import Endpoint

        folder = None if no_cache else cache or default_cache()
        report = evaluate_endpoint(Endpoint(endpoint, model, key_env, folder), wanted, concurrency)
        if output is not None:
            save_report(report, output)
    else:
        from vrft_aug.evaluation.evaluate import evaluate_path

        report = evaluate_path(source or "", wanted, output)
    if as_json:
        from dataclasses import asdict

        print_json(asdict(report))
        return
    from rich.console import Console

    from vrft_aug.evaluation.cautions import cautions
    from vrft_aug.evaluation.tables import metrics_table

    console = Console()
    console.print(metrics_table(report))
    for caution in cautions(report):
        console.print(f"caution: {caution}", style="yellow", markup=False)


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Pictures.")],
    task: Annotated[str | None, typer.Option(help="A task of the run; default: the evaluated one.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="For the pictures; default: RUN/predictions.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Answer about pictures; boxes, answer and reasoning on copies of them."""
    from vrft_aug.evaluation.predict import predict_images

    results = predict_images(run, images, output or run / "predictions", task)
    if as_json:
        print_json(results)
        return
    for result in results:
        value = result["answer"] if result["reason"] is None else f"no answer ({result['reason']})"
        typer.echo(f"{result['image']}: {value if isinstance(value, str) else json.dumps(value)}")
        if result["reasoning"]:
            typer.echo(f"  {result['reasoning']}")
        typer.echo(f"  drawn in {result['picture']}")


def report(run: Annotated[Path, typer.Argument(metavar="RUN", help="A run.")]) -> None:
    """Write report.html from the files of a run."""
    from vrft_aug.report.page import write_report

    typer.echo(f"wrote {write_report(run)}")
