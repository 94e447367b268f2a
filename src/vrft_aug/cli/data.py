"""The command about data: what can be read, and what is wrong with what was."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vrft_aug.errors import UserError

if TYPE_CHECKING:
    from vrft_aug.nouns import Case
    from vrft_aug.preview.audit.saved_audit import Audit


def data(
    source: Annotated[
        str | None, typer.Argument(metavar="RECIPE|PATH", help="A recipe, or a folder or file of data.")
    ] = None,
    more: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Overrides; with --markdown more audits.")
    ] = None,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Also as JSON for programs; - is the output.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also a page, with pictures in it.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE", help="A page of saved audits (JSON files).")
    ] = None,
    readers: Annotated[bool, typer.Option("--readers", help="List the readers and their settings.")] = False,
) -> None:
    """Audit data before any training: copies, leaks, contradictions, shortcuts; no model is loaded."""
    if readers:
        _list_readers(json_file)
        return
    if source is None:
        raise UserError(
            "vrft data needs a recipe, or a folder or file of data; or --readers: what can be read"
        )
    if markdown is not None:
        from vrft_aug.preview.audit.audit_markdown import write_audits_page

        write_audits_page([Path(name) for name in (source, *(more or ()))], markdown)
        typer.echo(f"wrote {markdown}")
        return
    from vrft_aug.preview.audit.audit_lines import audit_lines
    from vrft_aug.preview.audit.saved_audit import audit_json, save_audit

    audit, cases = _audit(source, more or [])
    if json_file == "-":
        typer.echo(audit_json(audit), nl=False)
    else:
        for line in audit_lines(audit):
            typer.echo(line)
        if json_file is not None:
            save_audit(audit, Path(json_file))
            typer.echo(f"wrote {json_file}")
    if html is not None:
        from vrft_aug.report.audit_page import write_audit_page

        write_audit_page(audit, cases, html)
        typer.echo(f"wrote {html}, with pictures of the data in it", err=json_file == "-")


def _audit(source: str, overrides: list[str]) -> tuple[Audit, dict[str, Case]]:
    """A path that exists and is no recipe is read as it is; all else is a recipe."""
    from vrft_aug.preview.audit.audit import audit_recipe
    from vrft_aug.preview.path_audit import audit_path
    from vrft_aug.recipe.file import RUN_RECIPE, load_recipe, shipped_recipes

    path = Path(source)
    is_recipe = (
        source in shipped_recipes() or path.suffix in (".yaml", ".yml") or (path / RUN_RECIPE).is_file()
    )
    with _progress() as progress:
        if path.exists() and not is_recipe:
            if overrides:
                raise UserError(f"{overrides[0]!r}: {source} is no recipe, which overrides are of")
            return audit_path(path, progress)
        return audit_recipe(load_recipe(source, overrides), progress)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on a terminal, nothing elsewhere."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading", total=None)
        yield lambda what, done, of: bar.update(task, description=what, completed=done, total=of)


def _list_readers(json_file: str | None) -> None:
    from dataclasses import asdict

    from vrft_aug.data.reader_list import list_readers
    from vrft_aug.files import write_text

    found = list_readers()
    if json_file is not None:
        text = json.dumps([asdict(reader) for reader in found], indent=1, ensure_ascii=False)
        if json_file == "-":
            typer.echo(text)
        else:
            write_text(Path(json_file), text + "\n")
        return
    for reader in found:
        typer.echo(f"{reader.name}: {reader.reads}")
        typer.echo(f"  needs {', '.join(reader.needed) or 'nothing'}")
        typer.echo(f"  takes {', '.join(reader.optional) or 'nothing else'}")
