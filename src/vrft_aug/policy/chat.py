"""From a prompt to what the model reads: chats with their pictures, encoded by the model's own processor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vrft_aug.data.picture_on_demand import PictureOnDemand
from vrft_aug.nouns import Message, Prompt
from vrft_aug.policy.load import Policy
from vrft_aug.policy.thinking import render


def chat_with_images(prompt: Prompt) -> list[Message]:
    """The messages of a prompt with the opened pictures in their image parts."""
    return _with_images(prompt, [ref.open() for ref in prompt.images])


def chat_on_demand(prompt: Prompt) -> list[Message]:
    """The same with pictures that are opened when somebody looks at them: some are processed already."""
    return _with_images(prompt, list(map(PictureOnDemand, prompt.images)))


def _with_images(prompt: Prompt, opened: Sequence[Any]) -> list[Message]:
    images = iter(opened)
    return [
        {
            **message,
            "content": [
                {**part, "image": next(images)} if part["type"] == "image" else part
                for part in message["content"]
            ],
        }
        for message in prompt.messages
    ]


def encode_chats(policy: Policy, chats: Sequence[Sequence[Message]]) -> Any:
    """The model's inputs for chats with images, left-padded: input_ids (B, P), pixel_values, ...

    Raises UserError where the chat template refuses them, or there is none.
    """
    return render(
        policy.processor,
        policy.name,
        chats,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={"padding": True},
    )


def prompt_length(policy: Policy, prompt: Prompt) -> int:
    """How many tokens a prompt takes with its pictures."""
    length: int = encode_chats(policy, [chat_with_images(prompt)])["input_ids"].shape[1]
    return length


def eos_token_ids(policy: Policy) -> list[int]:
    """Every token that ends a completion: the model's and the tokenizer's."""
    declared = policy.model.generation_config.eos_token_id
    ids = [] if declared is None else [declared] if isinstance(declared, int) else list(declared)
    own = policy.processor.tokenizer.eos_token_id
    return ids if own in ids else [own, *ids]


def context_length(policy: Policy) -> int:
    """How many tokens, prompt and completion together, the model was made for."""
    length = getattr(policy.model.config.get_text_config(), "max_position_embeddings", None)
    return int(length) if length else 1 << 31
