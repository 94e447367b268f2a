"""Whether prompts and their completions fit into the model's context, before anything is generated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vrft_aug.nouns import Prompt
from vrft_aug.policy.chat import chat_with_images, context_length, encode_chats
from vrft_aug.policy.load import Policy
from vrft_aug.tasks.taskset import TaskSet
from vrft_aug.tasks.token_limits import refuse_too_long

SAMPLED_PICTURES = 16  # opened to see how many tokens a picture takes


def check_lengths(
    policy: Policy, who: str, taskset: TaskSet, completion: int, generated: bool = True
) -> None:
    """Raise UserError where a prompt and `completion` tokens are longer than the model's context.

    Text is measured for every case. Pictures are opened for some: resizing bounds the tokens of all. `who`
    is named in the message, as overrides call it; a completion that is not `generated` is taught.
    """
    limit = context_length(policy)
    tokens = _text_tokens(policy, taskset.prompts)
    longest = max(range(len(tokens)), key=tokens.__getitem__)
    stride = max(1, len(tokens) // SAMPLED_PICTURES)
    for index in dict.fromkeys([longest, *range(0, len(tokens), stride)]):
        encoded = encode_chats(policy, [chat_with_images(taskset.prompts[index])])
        used = encoded["input_ids"].shape[1] - tokens[index] + tokens[longest]
        refuse_too_long(who, taskset, longest, used, completion, policy.name, limit, generated)


def _text_tokens(policy: Policy, prompts: Sequence[Prompt]) -> list[int]:
    """Tokens of the text of every prompt, without pictures and the chat's own tokens."""
    texts = [_text(prompt) for prompt in prompts]
    distinct = list(dict.fromkeys(texts))
    encoded: Any = policy.processor.tokenizer(distinct)["input_ids"]
    lengths = dict(zip(distinct, map(len, encoded), strict=True))
    return [lengths[text] for text in texts]


def _text(prompt: Prompt) -> str:
    parts = [part for message in prompt.messages for part in message["content"]]
    return "\n".join(part["text"] for part in parts if part["type"] == "text")
