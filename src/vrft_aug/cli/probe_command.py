"""The command that asks a model before it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vrft_aug.cli.common import AsJson, Overrides, Overwrite, RecipeArgument, print_json
from vrft_aug.cli.launched import ProcessesOption, is_done, start_if_asked
from vrft_aug.errors import UserError
from vrft_aug.files import check_place

if TYPE_CHECKING:
    from vrft_aug.evaluation.probe_progress import ProbeProgress


def probe(
    recipe: RecipeArgument,
    overrides: Overrides = None,
    samples: Annotated[int, typer.Option(min=2, help="Completions of every case.")] = 8,
    model: Annotated[
        str | None, typer.Option(metavar="RUN_OR_MODEL", help="Instead of the recipe's model.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many cases a task; 0 for all.")] = 256,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the pass rates, which a curriculum reads.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write a table with a row a case.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    processes: ProcessesOption = None,
) -> None:
    """Before training: how often is a case answered right, and is there anything for RL to work with?

    With --output an interrupted probe goes on where it was.
    """
    from vrft_aug.recipe.file import load_recipe

    if output is not None and output.exists() and not overwrite:
        raise UserError(f"{output} exists already; name another file, or add --overwrite")
    check_place(output, csv)
    wanted = load_recipe(recipe, overrides or ())
    if processes is not None:
        start_if_asked(processes, wanted.model)

    from vrft_aug.evaluation.evaluate import judged_model
    from vrft_aug.evaluation.probe import probe as ask
    from vrft_aug.evaluation.probe_csv import write_probe_csv
    from vrft_aug.evaluation.probe_progress import ProbeProgress
    from vrft_aug.evaluation.probe_words import probe_table, summary_line, verdicts
    from vrft_aug.policy.load import load_policy
    from vrft_aug.policy.together import in_each, join
    from vrft_aug.tasks.pass_rates import save_pass_rates

    config = judged_model(model, wanted) if model is not None else wanted.model
    join(config)
    kept = None if output is None else partial(_progress, output, overwrite)
    found = ask(in_each(partial(load_policy, config)), wanted, samples, limit or None, kept)
    if is_done():
        return
    if output is not None:
        save_pass_rates(found.rates, output)
        ProbeProgress.path_of(output).unlink(missing_ok=True)
    if csv is not None:
        write_probe_csv(found.tasks, csv)
    if as_json:
        tasks = {}
        for one in found.tasks:
            figures = [
                {"figure": name, "class": label, **asdict(metric)}
                for (name, label), metric in one.figures.items()
            ]
            tasks[one.task] = {
                "stage": one.stage,
                "cases": len(one.cases),
                "said": verdicts(one),
                "figures": figures,
            }
        print_json({"model": found.rates.model, "samples": samples, "tasks": tasks})
        return
    from rich.console import Console

    console = Console()
    for one in found.tasks:
        console.print(summary_line(one), style="bold", markup=False, highlight=False)
        console.print(probe_table(one))
        for sentence in verdicts(one):
            console.print(sentence, markup=False, highlight=False, soft_wrap=True)
    if output is not None:
        console.print(
            f"wrote {output}: stages[].curriculum: {{pass_rates: {output}, drop: [always, never]}}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def _progress(output: Path, anew: bool, header: Mapping[str, Any]) -> ProbeProgress:
    from vrft_aug.evaluation.probe_progress import ProbeProgress

    return ProbeProgress(output, header, anew)
