"""What the commands share: how errors end, common arguments, JSON output."""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from vrft_aug.errors import OwnCodeError, Stopped, UserError, told_by_system
from vrft_aug.processes import is_main, process_count

PACKAGE = Path(__file__).parents[1]
LONGEST = 490  # characters of an error


class OneLineErrors(TyperGroup):
    """Ends a user's mistake in one line and exit code 2; bugs keep their traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            if _tells(error):
                if ctx.params.get("debug") and isinstance(error, OwnCodeError):
                    typer.echo(own_trace(error), err=True)
                typer.echo(f"error: {one_line(str(error))}", err=True)
            raise _end(2) from None
        except Stopped as stop:
            if is_main():
                typer.echo(one_line(str(stop)), err=True)
            raise _end(143) from None
        except KeyboardInterrupt:
            if is_main():
                typer.echo("interrupted", err=True)
            raise _end(130) from None
        except Exception as error:
            line = told_by_system(error) or _gone(error)
            if line is None:
                raise
            if _tells(error):
                typer.echo(f"error: {one_line(line)}", err=True)
            raise _end(2) from None


def _tells(error: BaseException) -> bool:
    """Whether this process prints an error; of several processes one does."""
    if not _among_others():
        return True
    from vrft_aug.policy.together import claim_to_tell

    return claim_to_tell(error)


def _among_others() -> bool:
    """Whether this process is one of several; not where a launcher's variables are wrong themselves."""
    try:
        return process_count() > 1
    except UserError:
        return False


def _gone(error: BaseException) -> str | None:
    """What to say where an error means that another process of the run has ended; None for other errors."""
    if not _among_others():
        return None
    from vrft_aug.policy.together import is_gone

    return (
        "another process of this run has ended; finished checkpoints are kept: go on with --resume"
        if is_gone(error)
        else None
    )


def _end(code: int) -> typer.Exit:
    """The end of the command; a process among several ends at once, for others may not answer any more."""
    if _among_others():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return typer.Exit(code)


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
