"""Chat templates that open the thinking themselves: the prompt ends in `<think>`.

Qwen3-Thinking and its like have such. What the model writes is half of a text; everything that reads
completions (parser, format term, recitation, monitors, logs) is given the whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from vrft_aug.errors import UserError
from vrft_aug.nouns import Message

_OPEN = re.compile(r"<think>\s*\Z")
_PROBE: tuple[Message, ...] = (
    {"role": "system", "content": [{"type": "text", "text": "You read medical images."}]},
    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]},
)


def opened_thinking(processor: Any, name: str) -> str:
    """What the chat template ends a prompt with to open the thinking, such as `<think>` and a line end.

    "" for templates that leave it to the model; `name` is the model's, for messages. Raises UserError as
    `render` does.
    """
    found = _OPEN.search(render(processor, name, [_PROBE], tokenize=False)[0])
    return found[0] if found else ""


def whole_completion(opened: str, completion: str) -> str:
    """The completion with what the template has `opened`; models that open it once more mean the same."""
    return completion if completion.lstrip().startswith("<think>") else opened + completion


def continued(opened: str, taught: str) -> str:
    """A completion to be taught as the template continues it: with its own opening."""
    return opened + taught.removeprefix("<think>") if opened else taught


def render(processor: Any, name: str, chats: Sequence[Sequence[Message]], **settings: Any) -> Any:
    """What the processor's chat template makes of chats that the model is to answer.

    Raises UserError where it has none, or refuses the messages.
    """
    from jinja2 import TemplateError

    if not getattr(processor, "chat_template", None):
        raise UserError(
            f"model {name!r} has a processor without a chat template, so it cannot be asked anything; "
            "expected an instruction-tuned model, or chat_template.jinja in its folder"
        )
    try:
        return processor.apply_chat_template(
            [list(chat) for chat in chats], add_generation_prompt=True, **settings
        )
    except TemplateError as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        roles = ", ".join(dict.fromkeys(str(message["role"]) for message in chats[0]))
        raise UserError(
            f"model {name!r}: its chat template refuses messages of the roles {roles}: {reason}; put a "
            "template that takes them into chat_template.jinja in its folder"
        ) from None
