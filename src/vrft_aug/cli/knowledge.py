"""Commands about knowledge banks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vrft_aug.cli.common import SETTINGS, AsJson, Overwrite, print_json
from vrft_aug.errors import UserError

knowledge_app = typer.Typer(help="Knowledge banks.", **SETTINGS)
Bank = Annotated[str, typer.Argument(metavar="BANK", help="A shipped name or a YAML file.")]


@knowledge_app.command("list")
def knowledge_list() -> None:
    """The shipped banks."""
    from vrft_aug.knowledge.bank import load_bank, shipped_banks

    for name in shipped_banks():
        bank = load_bank(name)
        typer.echo(f"{name}: {bank.title} ({'reviewed' if bank.reviewed else 'not reviewed'})")


@knowledge_app.command("show")
def knowledge_show(bank: Bank) -> None:
    """What a bank knows of each class."""
    from vrft_aug.knowledge.bank import bank_text, load_bank

    typer.echo(bank_text(load_bank(bank)).rstrip())


@knowledge_app.command("check")
def knowledge_check(
    bank: Annotated[
        str | None,
        typer.Argument(metavar="BANK", help="A shipped name or a YAML file; default: all shipped."),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Argument(metavar="LABEL", help="Labels it must know; of a MedMNIST set its own."),
    ] = None,
    words: Annotated[int | None, typer.Option(help="How many a class may have.", min=1)] = None,
    as_json: AsJson = False,
) -> None:
    """Find what is missing in a bank, and count which facts name a source."""
    from vrft_aug.data.readers.medmnist_labels import LABELS
    from vrft_aug.knowledge.bank import bank_title, load_bank, shipped_banks
    from vrft_aug.knowledge.validate import WORDS_PER_CLASS, check_bank, count_facts

    found = []
    for name in [bank] if bank is not None else shipped_banks():
        loaded = load_bank(name)
        problems = check_bank(
            loaded, labels or LABELS.get(name, ()), words or WORDS_PER_CLASS, bank_title(name)
        )
        found += problems
        counts = count_facts(loaded)
        if as_json:
            summary = {"sourced": counts.sourced, "review": counts.review, "whole": counts.whole}
            print_json(
                {"bank": loaded.name, "reviewed": loaded.reviewed, "facts": summary, "problems": problems}
            )
        elif not problems:
            facts = [f"{counts.sourced} facts with a source", f"{counts.review} marked for review"]
            if counts.whole:
                facts = [f"{counts.whole} facts from its sources as a whole"]
            seen = "reviewed" if loaded.reviewed else "not reviewed"
            typer.echo(f"{loaded.name}: ok, {len(loaded.classes)} classes, {', '.join(facts)}, {seen}")
    if found:
        raise UserError(found[0] + (f" (and {len(found) - 1} more)" if len(found) > 1 else ""))


@knowledge_app.command("draft")
def knowledge_draft(
    source: Annotated[
        str, typer.Argument(metavar="TASK_OR_RECIPE", help="A MedMNIST set, a shipped recipe or a YAML file.")
    ],
    model: Annotated[str, typer.Option(help="What the server calls the model.")],
    task: Annotated[str | None, typer.Option(help="Of the recipe; default: the one evaluated.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Default: TASK-draft.yaml.")] = None,
    images: Annotated[
        int, typer.Option(min=0, help="Training pictures of every class to SEND to the server.")
    ] = 0,
    url: Annotated[
        str, typer.Option(envvar="OPENAI_BASE_URL", help="Of an OpenAI-compatible server.")
    ] = "https://api.openai.com/v1",
    key_env: Annotated[str, typer.Option(help="The variable with the server's key.")] = "OPENAI_API_KEY",
    max_tokens: Annotated[int, typer.Option(min=1, help="Of one reply.")] = 8192,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Ask again what was asked before.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Have a language model draft a bank; it is marked unreviewed, every fact for review."""
    from vrft_aug.drafting.draft_examples import class_examples, find_task
    from vrft_aug.drafting.knowledge_draft import draft_bank
    from vrft_aug.evaluation.remote import default_cache
    from vrft_aug.knowledge.bank import save_bank
    from vrft_aug.policy.endpoint import Endpoint

    asked, recipe = find_task(source, task)
    target = output or Path(f"{asked.name}-draft.yaml")
    if target.exists() and not overwrite:
        raise UserError(f"{target} exists already; name another --output, or give --overwrite")
    if images and recipe is None:
        raise UserError(f"{source!r} is no recipe; --images needs one that says where the pictures lie")
    examples = class_examples(recipe, asked, images) if images and recipe is not None else []
    endpoint = Endpoint(url, model, key_env, None if no_cache else default_cache())
    draft = draft_bank(endpoint, target.stem, asked, examples, max_tokens)
    save_bank(
        draft.bank,
        target,
        "A draft by a language model: check every fact, name its source, then set reviewed.",
    )
    tokens = (
        f"{draft.prompt_tokens} prompt + {draft.completion_tokens} completion tokens"
        if draft.prompt_tokens is not None and draft.completion_tokens is not None
        else "tokens unknown (the server does not tell)"
    )
    replies = "1 reply" if draft.replies == 1 else f"{draft.replies} replies"
    typer.echo(f"wrote {target}: not reviewed, {len(draft.bank.classes)} classes; {replies}, {tokens}")
    for problem in draft.problems:
        typer.echo(f"to mend: {problem}")
