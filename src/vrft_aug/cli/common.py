"""What the commands share: how errors end, common arguments, JSON output."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from vrft_aug.errors import UserError


class OneLineErrors(TyperGroup):
    """Ends a user's mistake in one line and exit code 2; bugs keep their traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            typer.echo(f"error: {' '.join(str(error).split())}", err=True)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(130) from None


SETTINGS: dict[str, Any] = {
    "no_args_is_help": True,
    "add_completion": False,
    "rich_markup_mode": None,
    "pretty_exceptions_enable": False,
}
RecipeArgument = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A shipped name, a YAML file or a run.")
]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Overrides, as key.sub=value.")
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON for programs.")]
Stage = Annotated[str | None, typer.Option(help="A stage of the recipe.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]


def print_json(value: Any) -> None:
    """To standard output, indented."""
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))
