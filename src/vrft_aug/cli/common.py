"""What the commands share: how errors end, common arguments, JSON output."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from vrft_aug.errors import OwnCodeError, UserError, told_by_system

PACKAGE = Path(__file__).parents[1]
LONGEST = 490  # characters of an error


class OneLineErrors(TyperGroup):
    """Ends a user's mistake in one line and exit code 2; bugs keep their traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            if ctx.params.get("debug") and isinstance(error, OwnCodeError):
                typer.echo(own_trace(error), err=True)
            typer.echo(f"error: {one_line(str(error))}", err=True)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(130) from None
        except Exception as error:
            line = told_by_system(error)
            if line is None:
                raise
            typer.echo(f"error: {one_line(line)}", err=True)
            raise typer.Exit(2) from None


def one_line(message: str) -> str:
    """A message without line breaks; of a long one the start, which says what, and the end, which advises."""
    text = " ".join(message.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 165]} ... {text[-160:]}"


def own_trace(error: OwnCodeError) -> str:
    """The trace of what the user's own code raised, without the frames of this package around it."""
    cause = error.__cause__
    if cause is None:
        return ""
    frames = traceback.extract_tb(cause.__traceback__)
    own = [frame for frame in frames if not Path(frame.filename).is_relative_to(PACKAGE)]
    shown = traceback.format_list(own) + traceback.format_exception_only(cause)
    return "your code:\n" + "".join(shown).rstrip()


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
