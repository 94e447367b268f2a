"""The command that judges a model: by one recipe or several, wherever the model runs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vrft_aug.cli.common import AsJson, Overrides, print_json
from vrft_aug.cli.launched import ProcessesOption, is_done, start_if_asked
from vrft_aug.cli.server_options import (
    KEY_ENV,
    Concurrency,
    EndpointOption,
    KeyEnv,
    NoCache,
    ReplyCache,
    ServerModel,
    check_server,
    server_of,
)
from vrft_aug.errors import UserError
from vrft_aug.files import check_place

if TYPE_CHECKING:
    from vrft_aug.evaluation.report_data import Report
    from vrft_aug.recipe.model_config import ModelConfig
    from vrft_aug.recipe.schema import Recipe


def evaluate(
    source: Annotated[
        str | None, typer.Argument(metavar="RUN_OR_MODEL", help="A run, a model folder or a hub name.")
    ] = None,
    overrides: Overrides = None,
    recipe: Annotated[
        list[str] | None, typer.Option(help="What to judge on, may be repeated; a run has its own.")
    ] = None,
    task: Annotated[list[str] | None, typer.Option(help="A task of the recipes, may be repeated.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the report as JSON.")] = None,
    page: Annotated[Path | None, typer.Option(help="Write one page on all that is judged.")] = None,
    endpoint: EndpointOption = None,
    model: ServerModel = None,
    concurrency: Concurrency = 8,
    key_env: KeyEnv = KEY_ENV,
    cache: ReplyCache = None,
    no_cache: NoCache = False,
    as_json: AsJson = False,
    processes: ProcessesOption = None,
) -> None:
    """Clinical metrics on a split, with intervals."""
    changes = list(overrides or ())
    if endpoint is not None and source is not None:  # a server has no folder: all arguments are overrides
        changes.insert(0, source)
    check_server(endpoint, model, bool(recipe), processes, "what to judge the model on")
    if endpoint is None and source is None:
        raise UserError("expected a run, a model folder or a hub name, or --endpoint URL --model NAME")
    check_place(output, page)
    wanted = _wanted(source, recipe or (), task or (), changes)
    if processes is not None:
        start_if_asked(processes, _model(source or "", wanted))

    if endpoint is not None and model is not None:
        from vrft_aug.evaluation.remote import evaluate_endpoint
        from vrft_aug.evaluation.several import judge_each

        server = server_of(endpoint, model, key_env, cache, no_cache)
        reports = judge_each(wanted, lambda name: evaluate_endpoint(server, wanted[name], concurrency))
    elif wanted:
        from vrft_aug.evaluation.several import evaluate_several

        reports = evaluate_several(source or "", wanted)
    else:  # a run by its own recipe: its report is renewed
        from vrft_aug.evaluation.evaluate import evaluate_path

        report = evaluate_path(source or "", None, output)
        reports, output = {report.task: report}, None
    if is_done():
        return
    _write(reports, model or source or "", output, page)
    _tell(reports, as_json)


def _model(source: str, wanted: dict[str, Recipe]) -> ModelConfig:
    """The settings of what is judged, for the device that it is put on."""
    from vrft_aug.run.own_recipe import own_recipe

    return (next(iter(wanted.values())) if wanted else own_recipe(source)).model


def _wanted(
    source: str | None, recipes: list[str] | tuple[()], tasks: list[str] | tuple[()], changes: list[str]
) -> dict[str, Recipe]:
    """The evaluations by name; {} for a run that is judged as its own recipe says."""
    if not (recipes or tasks or changes):
        return {}
    from vrft_aug.evaluation.several import evaluations
    from vrft_aug.recipe.file import load_recipe

    return evaluations([load_recipe(name, changes) for name in recipes or [source or ""]], tasks)


def _write(reports: dict[str, Report], model: str, output: Path | None, page: Path | None) -> None:
    """One report as it is, several under their names."""
    from vrft_aug.evaluation.report_data import save_report
    from vrft_aug.evaluation.report_sets import save_reports

    if output is not None and len(reports) == 1:
        save_report(next(iter(reports.values())), output)
    elif output is not None:
        save_reports(reports, output)
    if page is not None:
        from vrft_aug.report.evaluations_page import write_evaluations

        write_evaluations(page, model, reports)


def _tell(reports: dict[str, Report], as_json: bool) -> None:
    if as_json:
        found = {name: asdict(report) for name, report in reports.items()}
        print_json(found if len(found) > 1 else next(iter(found.values())))
        return
    from rich.console import Console

    from vrft_aug.evaluation.report_sets import all_cautions
    from vrft_aug.evaluation.slice_table import slice_table, terminal_table
    from vrft_aug.evaluation.tables import metrics_table

    console = Console()
    for name, report in reports.items():
        if len(reports) > 1:
            console.print(name, style="bold", markup=False)
        console.print(metrics_table(report))
    if (table := slice_table(reports)) is not None:
        console.print(terminal_table(table))
    for caution in all_cautions(reports):
        console.print(f"caution: {caution}", style="yellow", markup=False)
