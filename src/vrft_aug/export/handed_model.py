"""Which files of a run's model are handed over: weights, processor and settings, whole and by known names."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vrft_aug.errors import UserError
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.model_files import files_without_weights, read_model_files, read_object
from vrft_aug.recipe.model_folder import ADAPTER, ADAPTER_CONFIG, ADAPTER_WEIGHTS, model_folder, with_base
from vrft_aug.run.layout import RUN_MODEL

PROCESSOR = (  # of tokenizer, processor and chat template
    "*tokenizer*.json", "*processor*config.json", "chat_template.*", "vocab.*", "merges.txt",
    "added_tokens.json", "special_tokens_map.json", "*.model", "tekken.json",
)  # fmt: skip
WHOLE = ("config.json", "*.safetensors", "model.safetensors.index.json")
CODE = ("*.py",)  # of models that bring code
# What a model's settings say of where it lay, which is of no use elsewhere.
PLACES = ("_name_or_path", "name_or_path", "is_local", "local_files_only")
HUB_NAME = re.compile(r"^[\w.-]+/[\w.-]+$")


@dataclass(frozen=True)
class HandedModel:
    """The model of a run, found to be whole."""

    folder: Path  # where its processor lies
    files: tuple[Path, ...]  # all that is copied, each by its name
    base: str | None  # the hub name of what training started from; None where nobody said
    adapter: bool  # whether it is an adapter to `base`, without the base's weights
    model_type: str  # "" where only the base says
    parameters: int  # of the whole model; 0 where only the base says
    start: Path | None = None  # of an adapter, where its base lies on this disk

    def copy_to(self, target: Path) -> None:
        """Copy the files; settings lose what they say of places on this disk."""
        for file in self.files:
            if file.suffix != ".json" or file.name in ("tokenizer.json", "vocab.json"):
                shutil.copyfile(file, target / file.name)
                continue
            content = json.loads(file.read_text(encoding="utf-8"))
            text = json.dumps(self._placeless(content), indent=2, ensure_ascii=False) + "\n"
            (target / file.name).write_text(text, encoding="utf-8")

    def _placeless(self, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        kept = {key: value for key, value in content.items() if key not in PLACES}
        if "base_model_name_or_path" in kept:
            kept["base_model_name_or_path"] = self.base
        return kept


def find_model(run: Path, config: ModelConfig, base: str | None, adapter: bool) -> HandedModel:
    """What a finished run hands over: its whole model, or the adapter, if `adapter` or all there is.

    `base` is the hub name of what training started from, by default the recipe's where that is one. Raises
    UserError for a run without a model, a model that is not whole, and an adapter whose base has no name that
    others know.
    """
    folder = run / RUN_MODEL
    if not folder.is_dir():
        raise UserError(f"run {run} has no {RUN_MODEL}/ to export; finish it with `vrft train ... --resume`")
    if base is not None and not HUB_NAME.match(base):
        raise UserError(f"--base {base} is no name on the hub; expected one like Qwen/Qwen2.5-VL-3B-Instruct")
    known = base or _hub_name(config)
    code = CODE if config.trust_remote_code else ()
    whole = (folder / "config.json").is_file()
    if whole and not adapter:
        found = read_model_files(folder, str(folder))
        files = _matching(folder, (*WHOLE, *PROCESSOR, *code))
        return HandedModel(folder, files, known, False, found.model_type, found.parameters)
    parts = [folder / ADAPTER / name for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS)]
    if missing := next((part for part in parts if not part.is_file()), None):
        hint = "it was trained in full: export it without --adapter" if whole else "its model is not whole"
        raise UserError(f"run {run} has no {missing.relative_to(run)}; {hint}")
    if known is None:
        raise UserError(
            f"run {run} is exported as an adapter, but what it belongs to is "
            f"{'the embedded model' if config.name == 'tiny' else 'a folder of this machine'}, which others "
            "do not have; say what the hub calls it with --base, or train with model.merge: true"
        )
    read_object(parts[0], f"the adapter of {run}")
    files = (*parts, *_matching(folder, (*PROCESSOR, *code)))
    start = files_without_weights(config)
    described = "" if start is None else start.model_type
    return HandedModel(folder, files, known, True, described, 0, None if start is None else start.folder)


def _hub_name(config: ModelConfig) -> str | None:
    """The name of the start model, where it is one that others can load."""
    name = with_base(config).name
    return name if name != "tiny" and model_folder(config) is None and HUB_NAME.match(name) else None


def _matching(folder: Path, patterns: tuple[str, ...]) -> tuple[Path, ...]:
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return tuple(sorted(found))
