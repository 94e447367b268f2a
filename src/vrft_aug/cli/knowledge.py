"""Commands about knowledge banks."""

from __future__ import annotations

from typing import Annotated

import typer

from vrft_aug.cli.common import SETTINGS
from vrft_aug.errors import UserError

knowledge_app = typer.Typer(help="Knowledge banks.", **SETTINGS)


@knowledge_app.command("list")
def knowledge_list() -> None:
    """The shipped banks."""
    from vrft_aug.knowledge.bank import SHIPPED, load_bank

    for path in sorted(SHIPPED.glob("*.yaml")):
        bank = load_bank(path.stem)
        typer.echo(f"{path.stem}: {bank.title} ({'reviewed' if bank.reviewed else 'not reviewed'})")


@knowledge_app.command("show")
def knowledge_show(
    bank: Annotated[str, typer.Argument(metavar="BANK", help="A shipped name or a YAML file.")],
) -> None:
    """What a bank knows of each class."""
    import yaml

    from vrft_aug.knowledge.bank import load_bank

    content = load_bank(bank).model_dump(mode="json")
    typer.echo(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100).rstrip())


@knowledge_app.command("check")
def knowledge_check(
    bank: Annotated[str, typer.Argument(metavar="BANK", help="A shipped name or a YAML file.")],
    labels: Annotated[list[str] | None, typer.Argument(metavar="LABEL", help="Labels it must know.")] = None,
) -> None:
    """Find what is missing in a bank."""
    from vrft_aug.knowledge.bank import load_bank
    from vrft_aug.knowledge.check import check_bank

    loaded = load_bank(bank)
    problems = check_bank(loaded, labels or ())
    if problems:
        raise UserError(problems[0] + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""))
    typer.echo(f"{loaded.name}: ok, {len(loaded.classes)} classes")
