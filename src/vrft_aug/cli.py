"""The command `vrft`. Every command calls one function of the room that owns the work."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from vrft_aug.errors import UserError

# Heavy imports are inside the commands: `vrft --help` must answer within a second.


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
app = typer.Typer(cls=OneLineErrors, help="Medical visual reinforcement fine-tuning.", **SETTINGS)
tiny_app = typer.Typer(help="The embedded tiny model.", **SETTINGS)
knowledge_app = typer.Typer(help="Knowledge banks.", **SETTINGS)
app.add_typer(tiny_app, name="tiny")
app.add_typer(knowledge_app, name="knowledge")

RecipeArgument = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A shipped name, a YAML file or a run.")
]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Overrides, as key.sub=value.")
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON for programs.")]
Stage = Annotated[str | None, typer.Option(help="A stage of the recipe.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]


def main() -> None:
    """Entry point of the command line."""
    sys.path.append(str(Path.cwd()))  # so that a recipe finds rewards and readers in the working folder
    app()


def _version(wanted: bool) -> None:
    if wanted:
        from vrft_aug import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """Medical visual reinforcement fine-tuning: from images to a compared, reported, fine-tuned model."""


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")] = Path("runs/demo"),
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of every arm.")] = 1,
    overwrite: Overwrite = False,
    markdown: Annotated[Path | None, typer.Option(help="Write the tables there too.")] = None,
) -> None:
    """The whole method on a CPU in minutes, nothing to download."""
    from vrft_aug.demo import run_demo

    run_demo(output, seeds, overwrite, markdown)


@app.command()
def init(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A shipped recipe.")],
    destination: Annotated[Path | None, typer.Argument(metavar="DEST", help="Default: NAME.yaml.")] = None,
) -> None:
    """Copy a shipped recipe to start from."""
    from vrft_aug.recipe_file import copy_recipe

    typer.echo(f"wrote {copy_recipe(name, destination)}")


@app.command()
def check(recipe: RecipeArgument, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Check recipe, data, knowledge and rewards."""
    from vrft_aug.check import check_recipe, part_line
    from vrft_aug.recipe_file import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    parts = check_recipe(loaded)
    if as_json:
        from dataclasses import asdict

        _print_json({"recipe": loaded.name, "parts": [asdict(part) for part in parts]})
        return
    for part in parts:
        typer.echo(part_line(part))
    typer.echo(f"recipe {loaded.name}: ok")


@app.command()
def prompt(
    recipe: RecipeArgument,
    overrides: Overrides = None,
    case: Annotated[str | None, typer.Option(help="A case id; default: the first to be evaluated.")] = None,
    stage: Stage = None,
    tokens: Annotated[
        bool | None,
        typer.Option(help="Load the model to count tokens; default: only where it lies on this disk."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show one case exactly as the model sees it."""
    from vrft_aug.prompt_view import view_prompt
    from vrft_aug.recipe_file import load_recipe

    view = view_prompt(load_recipe(recipe, overrides or ()), case, stage, tokens)
    if as_json:
        from dataclasses import asdict

        _print_json(asdict(view))
        return
    typer.echo(f"case {view.case}, task {view.task}")
    for image in view.images:
        (width, height), (seen_width, seen_height) = image.original, image.processed
        typer.echo(f"image {width} x {height}, seen as {seen_width} x {seen_height}, {image.tokens} tokens")
    typer.echo(f"{view.tokens if view.tokens is not None else 'not counted (--tokens)'} tokens in all")
    typer.echo(f"\n{view.text}")


@app.command()
def score(
    recipe: RecipeArgument,
    file: Annotated[
        Path, typer.Argument(metavar="FILE.jsonl", help='Lines {"case": ID, "completion": TEXT}.')
    ],
    overrides: Overrides = None,
    stage: Stage = None,
) -> None:
    """Score completions in a file, without a model."""
    from vrft_aug.recipe_file import load_recipe
    from vrft_aug.score_file import score_file

    for line in score_file(load_recipe(recipe, overrides or ()), file, stage):
        typer.echo(json.dumps(line, ensure_ascii=False))


@app.command()
def train(
    recipe: RecipeArgument,
    overrides: Overrides = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Default: runs/NAME.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Run the stages, evaluate, and write the report."""
    from vrft_aug.recipe_file import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    if resume and overwrite:
        raise UserError("--resume and --overwrite contradict each other; give one of them")

    from vrft_aug.training.run import train as run_stages  # takes seconds: a wrong recipe is told before

    run = output or Path("runs") / loaded.name
    run_stages(loaded, run, resume, overwrite)
    typer.echo(f"wrote {run}")


@app.command()
def evaluate(
    source: Annotated[
        str, typer.Argument(metavar="RUN_OR_MODEL", help="A run, a model folder or a hub name.")
    ],
    overrides: Overrides = None,
    recipe: Annotated[str | None, typer.Option(help="What to judge a model on; a run has its own.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the report as JSON.")] = None,
    as_json: AsJson = False,
) -> None:
    """Clinical metrics on a split, with intervals."""
    from vrft_aug.recipe_file import load_recipe

    wanted = load_recipe(recipe or source, overrides or ()) if recipe or overrides else None

    from vrft_aug.evaluation.evaluate import evaluate_path

    report = evaluate_path(source, wanted, output)
    if as_json:
        from dataclasses import asdict

        _print_json(asdict(report))
        return
    from rich.console import Console

    from vrft_aug.evaluation.tables import metrics_table

    Console().print(metrics_table(report))


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Pictures.")],
    task: Annotated[str | None, typer.Option(help="A task of the run; default: the evaluated one.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="For pictures with boxes; default: RUN/predictions.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Answer about pictures, with boxes drawn on copies."""
    from vrft_aug.evaluation.predict import predict_images

    results = predict_images(run, images, output or run / "predictions", task)
    if as_json:
        _print_json(results)
        return
    for result in results:
        value = result["answer"] if result["reason"] is None else f"no answer ({result['reason']})"
        typer.echo(f"{result['image']}: {value if isinstance(value, str) else json.dumps(value)}")
        if result["reasoning"]:
            typer.echo(f"  {result['reasoning']}")
        if result["picture"]:
            typer.echo(f"  drawn in {result['picture']}")


@app.command()
def report(run: Annotated[Path, typer.Argument(metavar="RUN", help="A run.")]) -> None:
    """Write report.html from the files of a run."""
    from vrft_aug.report.page import write_report

    typer.echo(f"wrote {write_report(run)}")


@tiny_app.command("build")
def tiny_build(
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")] = Path("tiny-model"),
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
) -> None:
    """Make the embedded model anew, about an hour on two processors; goes on where it was interrupted."""
    from vrft_aug.tiny.build import build

    build(output, seed)
    typer.echo(f"wrote {output}; use it as model.name={output}")


@tiny_app.command("card")
def tiny_card(
    output: Annotated[Path, typer.Option("--output", "-o")] = Path("docs/tiny-model.md"),
    model: Annotated[str, typer.Option(help="`tiny` or a folder that `vrft tiny build` made.")] = "tiny",
    pictures: Annotated[int, typer.Option(min=10, help="New pictures of each modality.")] = 200,
) -> None:
    """Measure what the tiny model can do, and write its model card."""
    from vrft_aug.tiny.card import write_card

    typer.echo(write_card(model, output, pictures))


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


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
