"""Commands by which people read, try, review and mend a knowledge bank."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from vrft_aug.cli.common import AsJson, Overwrite, print_json
from vrft_aug.cli.knowledge import Bank
from vrft_aug.errors import UserError

ANSWERS = "y agree, n disagree, s skip, q stop (a note may follow: n only beyond 3 cm)"


def knowledge_try(
    bank: Bank,
    file: Annotated[
        Path, typer.Argument(metavar="FILE.jsonl", help='Lines {"class": LABEL, "text": SENTENCE}.')
    ],
    silence: Annotated[
        float, typer.Option(min=0, max=1, help="What a sentence earns that names nothing of the class.")
    ] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Read sentences as the fact rewards do: findings, where, why, and what they earn."""
    from vrft_aug.knowledge.bank import load_bank
    from vrft_aug.preview.try_sentences import try_file

    tried = try_file(load_bank(bank), file, silence)
    if as_json:
        print_json([one.as_json() for one in tried])
        return
    for one in tried:
        for line in one.lines():
            typer.echo(line)


def knowledge_matrix(
    bank: Bank,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page to read and print.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Show what each class says of each finding, with sources: what a clinician would review."""
    from vrft_aug.knowledge.bank import load_bank
    from vrft_aug.report.bank_matrix import bank_matrix, matrix_lines, write_matrix

    matrix = bank_matrix(bank, load_bank(bank))
    if html is None:
        for line in matrix_lines(matrix):
            typer.echo(line)
        return
    if html.exists() and not overwrite:
        raise UserError(f"{html} exists already; name another file, or give --overwrite")
    write_matrix(matrix, html)
    typer.echo(f"wrote {html}: {len(matrix.rows)} findings, {len(matrix.labels)} classes")


def knowledge_review(
    bank: Bank,
    who: Annotated[
        str, typer.Option(help="Your name and what you are; it is written beside each answer.")
    ] = "",
    label: Annotated[str | None, typer.Option("--class", metavar="LABEL", help="Only this class.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: beside the bank, where runs look for it.")
    ] = None,
    status: Annotated[bool, typer.Option("--status", help="Only say how far the bank is reviewed.")] = False,
) -> None:
    """Go through the facts of a bank and say of each whether it is right."""
    from vrft_aug.errors import nearest
    from vrft_aug.knowledge.bank import bank_path, load_bank
    from vrft_aug.knowledge.bank_facts import source_words
    from vrft_aug.knowledge.review import Reviewer, read_verdicts, review_path, review_state

    loaded = load_bank(bank)
    path = output or review_path(bank_path(bank))
    if status:
        state = review_state(loaded, read_verdicts(path))
        typer.echo(f"{loaded.name}: {state.line()}")
        for fact in state.facts:
            if fact.digest in state.disputed:
                typer.echo(f"disputed: {fact.where}: {fact.text}")
        return
    if label is not None and label not in loaded.classes:
        raise UserError(
            f"bank {loaded.name!r} has no class {label!r}{nearest(label, loaded.classes)}; it has "
            f"{', '.join(loaded.classes)}"
        )
    reviewer = Reviewer(loaded, who, path)
    left = reviewer.left(label)
    typer.echo(f"{loaded.title}: {len(left)} facts to read. {ANSWERS}")
    for number, fact in enumerate(left, start=1):
        typer.echo(f"\n[{number}/{len(left)}] {fact.where}\n  {fact.text}")
        typer.echo(f"  from {source_words(loaded, fact.source)}" if fact.label else "  by which it is read")
        agrees, note = _ask()
        if agrees is None and note == "q":
            break
        if agrees is not None:
            reviewer.say(fact, agrees, note)
    typer.echo(f"\n{loaded.name}: {reviewer.state().line()}; written to {path}")
    if output is not None and output != review_path(bank_path(bank)):
        typer.echo(f"it counts where it lies beside the bank, as {review_path(bank_path(bank)).name}")


def _ask() -> tuple[bool | None, str]:
    """(agrees, note) of one line; (None, "s") to skip, (None, "q") at the end of what is given."""
    while True:
        typer.echo("  y/n/s/q: ", nl=False)
        line = sys.stdin.readline()
        word, _, note = line.strip().partition(" ")
        if not line or word.casefold() in ("q", "quit"):
            return None, "q"
        if word.casefold() in ("y", "yes"):
            return True, note
        if word.casefold() in ("n", "no"):
            return False, note
        if word.casefold() in ("s", "skip"):
            return None, "s"
        typer.echo(f"  {line.strip()!r} is not understood: {ANSWERS}")


def knowledge_diff(
    one: Annotated[str, typer.Argument(metavar="A", help="A shipped name or a YAML file.")],
    two: Annotated[str, typer.Argument(metavar="B", help="Another, or a later version of it.")],
    as_json: AsJson = False,
) -> None:
    """Show where two banks differ, fact by fact."""
    from dataclasses import asdict

    from vrft_aug.knowledge.bank import load_bank
    from vrft_aug.knowledge.bank_diff import bank_differences

    found = bank_differences(load_bank(one), load_bank(two))
    if as_json:
        print_json([asdict(difference) for difference in found])
        return
    for difference in found:
        typer.echo(difference.line())
    typer.echo(f"{len(found)} differences" if found else "no difference")


def knowledge_upgrade(
    old: Annotated[Path, typer.Argument(metavar="OLD.yaml", help="A bank of version 0.1.0.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: OLD-upgraded.yaml beside it.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Rewrite a bank of 0.1.0: present becomes typical, absent unlikely, both to be reviewed."""
    from vrft_aug.files import write_text
    from vrft_aug.knowledge.upgrade import upgraded_text

    target = output or old.with_name(f"{old.stem}-upgraded{old.suffix}")
    if target.exists() and not overwrite:
        raise UserError(f"{target} exists already; name another --output, or give --overwrite")
    upgraded = upgraded_text(old)
    write_text(target, upgraded.text)
    typer.echo(f"wrote {target}: {upgraded.lists} lists renamed, every finding in them marked for review")
    typer.echo("read it: what was absent is now unlikely, which costs little; move what a definition forbids")
    typer.echo("to excludes with its source, and what is merely possible to may")
    for problem in upgraded.problems:
        typer.echo(f"to mend: {problem}")
