"""The audit of a folder or file that no recipe describes: what `vrft init --from` would make of it, or names.

Folders of pictures are read by their names alone, so that no split is made up.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from vrft_aug.errors import UserError
from vrft_aug.nouns import Case
from vrft_aug.perception.model_view import model_view
from vrft_aug.preview.audit.audit import Progress, audit_recipe, audit_tasks
from vrft_aug.preview.audit.path_cases import is_picture, read_path
from vrft_aug.preview.audit.saved_audit import Audit
from vrft_aug.preview.guess.first_recipe import recipe_text
from vrft_aug.preview.guess.from_folder import guess
from vrft_aug.recipe.file import load_recipe
from vrft_aug.recipe.model_config import ModelConfig

MODEL = "Qwen/Qwen2.5-VL-3B-Instruct"  # whose view is told where no recipe names a model


def audit_path(path: Path, progress: Progress) -> tuple[Audit, dict[str, Case]]:
    """The audit of a path, as Qwen2.5-VL would see its pictures, and the cases by id.

    Raises UserError where there are neither pictures nor data of a kind that is recognised.
    """
    if not is_picture(path):
        try:
            found = guess(path)
        except UserError:
            if not path.is_dir():
                raise
        else:
            if found.data.get("reader") != "folder":
                with tempfile.TemporaryDirectory() as place:
                    written = Path(place, "guessed.yaml")
                    written.write_text(recipe_text(found, "guessed", written.parent.resolve()), "utf-8")
                    recipe = load_recipe(str(written), [f"model.name={MODEL}"])
                audit, cases = audit_recipe(recipe, progress)
                tasks = tuple(replace(one, notes=(*found.said, *one.notes)) for one in audit.tasks)
                return replace(audit, name=path.name, tasks=tasks), cases
    task = read_path(path)
    audit = audit_tasks(path.name or str(path), [task], model_view(ModelConfig(name=MODEL)), progress)
    return audit, {case.id: case for cases in task.cases.values() for case in cases}
