"""How many tokens a prompt takes, by the model's files alone: chat template, tokenizer, picture settings.

Exact for the families whose pictures become patch grids (Qwen-VL); for others pictures are left out, so that
the count is too small and never too large.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from vrft_aug.data.images import image_size
from vrft_aug.errors import UserError
from vrft_aug.knowledge.count import Count, token_counter
from vrft_aug.nouns import Prompt
from vrft_aug.perception.model_view import GRIDS, model_view
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.model_files import ModelFiles


class PromptTokens:
    """Counts the tokens of prompts for the model in a folder.

    Raises UserError where its tokenizer or chat template cannot be read, or the template refuses a prompt.
    """

    def __init__(self, config: ModelConfig, files: ModelFiles) -> None:
        self.config, self.files = config, files
        self.view = model_view(config) if files.model_type in GRIDS else None

    @cached_property
    def count(self) -> Count | None:
        """Of a text, special tokens in it included; None where there is no tokenizer.json."""
        file = self.files.folder / "tokenizer.json"
        if not file.is_file():
            return None
        try:
            return token_counter(file)
        except (OSError, ValueError) as error:
            raise UserError(f"model {self.config.name}: {' '.join(str(error).split())[:300]}") from None

    def of(self, prompt: Prompt) -> int | None:
        """All tokens that the model reads, None where they cannot be told."""
        if self.count is None or (text := self._rendered(prompt)) is None:
            return None
        return self.count(text) + self.of_pictures(prompt)

    def of_pictures(self, prompt: Prompt) -> int:
        """The tokens that the pictures take besides their one placeholder each."""
        return sum(tokens - 1 for tokens in self.picture_tokens(prompt))

    def picture_tokens(self, prompt: Prompt) -> list[int]:
        """Of every picture, in families of patch grids; else none."""
        if self.view is None:
            return []
        return [self.view.image_tokens(image_size(image)) for image in prompt.images]

    def _rendered(self, prompt: Prompt) -> str | None:
        template, special = self._template
        if template is None:
            return None
        try:
            rendered: str = template.render(
                messages=[dict(message) for message in prompt.messages], add_generation_prompt=True, **special
            )
        except TemplateError as error:
            raise UserError(
                f"model {self.config.name}: its chat template refuses the prompt: "
                f"{' '.join(str(error).split())[:200]}"
            ) from None
        return rendered

    @cached_property
    def _template(self) -> tuple[Any, dict[str, Any]]:
        """The compiled chat template, None without one, and the special tokens that it may name."""
        settings = _object(self.files.folder / "tokenizer_config.json")
        special = {
            key: value for key, value in settings.items() if key.endswith("_token") and isinstance(value, str)
        }
        file, source = self.files.folder / "chat_template.jinja", None
        if file.is_file():
            source = file.read_text(encoding="utf-8")
        for other in ("chat_template.json", "processor_config.json", "tokenizer_config.json"):
            source = source or _object(self.files.folder / other).get("chat_template")
        if not isinstance(source, str):
            return None, special
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
        )
        environment.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = lambda form: ""
        try:
            return environment.from_string(source), special
        except TemplateError:
            return None, special


def _refuse(message: str) -> None:
    raise TemplateError(message)


def _object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
