"""The command that asks a language model about open answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vrft_aug.cli.common import AsJson, print_json


def judge(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="An evaluated run, of kind answer.")],
    endpoint: Annotated[str, typer.Option(metavar="URL", help="An OpenAI-compatible server.")],
    model: Annotated[str, typer.Option(metavar="NAME", help="The judge, as the server calls it.")],
    labelled: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.jsonl",
            help="Answers that people have judged, to agree with.",
        ),
    ] = None,
    key_env: Annotated[str, typer.Option(help="The variable with the server's key.")] = "OPENAI_API_KEY",
    as_json: AsJson = False,
) -> None:
    """Have a language model judge open answers, beside the other figures; writes RUN/judged.json.

    Questions, references and answers are sent to the server, pictures are not.
    """
    from vrft_aug.evaluation.remote import default_cache
    from vrft_aug.evaluation.verdicts import read_labelled
    from vrft_aug.experiments.judging import judge_run
    from vrft_aug.policy.endpoint import Endpoint

    known = read_labelled(labelled) if labelled is not None else []
    judged = judge_run(run, Endpoint(endpoint, model, key_env, default_cache()), known)
    if as_json:
        from dataclasses import asdict

        print_json(asdict(judged))
        return
    counts = ", ".join(f"{name} {count:,}" for name, count in judged.counts.items())
    typer.echo(
        f"judged by {judged.model} (rubric {judged.rubric}): {judged.score}, n {judged.score.n:,}; {counts}"
    )
    if judged.agreement is not None:
        found = judged.agreement
        typer.echo(f"agreement with people on {found.answers} answers: {found.same}, kappa {found.kappa}")
    for sentence in judged.notes:
        typer.echo(f"note: {sentence}")
    typer.echo(f"report it beside accuracy and token F1, never alone; in {run} now")
