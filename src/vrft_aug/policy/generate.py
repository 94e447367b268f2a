"""From prompts to rollouts: batched generation with transformers, greedy or sampled by a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256
from typing import Any

import torch

from vrft_aug.nouns import Prompt, Rollout
from vrft_aug.policy.chat import chat_with_images, encode_chats, eos_token_ids
from vrft_aug.policy.load import Policy
from vrft_aug.policy.prefix import decode_groups, why_not_model
from vrft_aug.policy.row_noise import RowNoise
from vrft_aug.policy.sampled_log_probs import draw_rows
from vrft_aug.policy.thinking import opened_thinking, whole_completion

Spread = Callable[[Callable[[range], Any], Sequence[range]], Iterable[Any]]


def generate(
    policy: Policy,
    prompts: Sequence[Prompt],
    *,
    samples: int,
    temperature: float | None,
    max_new_tokens: int,
    batch_size: int,
    seed: int,
    names: Sequence[str] | None = None,
    done: Callable[[int], None] = lambda prompts: None,
    spread: Spread = map,
) -> list[list[Rollout]]:
    """`samples` rollouts for every prompt, in the order of the prompts; temperature None is greedy.

    `batch_size` bounds the sequences generated at once (but all samples of a prompt go together), `done` is
    told after a batch how many prompts it held. The same call gives the same rollouts and leaves torch's
    random state as it was. What is sampled hangs on `seed`, the prompt's name (default: its place) and the
    number of the sample, whatever else is in the batch. Sampling is from the model's own distribution, as in
    training: top-p, top-k and penalties that a model's generation_config proposes are switched off.

    `spread` maps the batches, as `map` does or as `work_sharing.over_processes`, which hands them out.
    """
    if temperature is None and samples != 1:
        raise ValueError(f"greedy generation gives one rollout a prompt, not {samples}")
    eos = eos_token_ids(policy)
    opened = opened_thinking(policy.processor, policy.name)
    settings = _generation_config(policy, temperature, samples, max_new_tokens, eos)
    at_once = max(1, batch_size // samples)  # prompts
    known = names or [str(place) for place in range(len(prompts))]

    def written(batch: range) -> list[list[dict[str, Any]]]:
        inputs = encode_chats(policy, [chat_with_images(prompts[i]) for i in batch]).to(policy.device)
        how: dict[str, Any] = {}
        if temperature is not None:
            keys = [(seed, _number(known[i]), sample) for i in batch for sample in range(samples)]
            noise = RowNoise(keys, max_new_tokens, policy.device)
            how = {"custom_generate": draw_rows, "log_probs": [], "noise": noise}
        if why_not_model(policy.model) is None:  # each prompt is prefilled once, finished rows leave
            group = torch.arange(len(batch), device=policy.device).repeat_interleave(samples)
            how |= {"custom_generate": decode_groups, "group": group, "num_return_sequences": 1}
        output = policy.model.generate(**inputs, generation_config=settings, **how)
        completions = output[:, inputs["input_ids"].shape[1] :].tolist()  # (at_once * samples, C)
        made = [asdict(_rollout(policy, ids, eos, opened)) for ids in completions]
        return [made[i : i + samples] for i in range(0, len(made), samples)]

    batches = [range(len(prompts))[start : start + at_once] for start in range(0, len(prompts), at_once)]
    rollouts: list[list[Rollout]] = []
    with torch.random.fork_rng(), torch.no_grad(), evaluating(policy.model):
        for batch, made in zip(batches, spread(written, batches), strict=True):
            rollouts += [[Rollout(**one) for one in of] for of in made]
            done(len(batch))
    return rollouts


def _number(name: str) -> int:
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big")


def _generation_config(
    policy: Policy, temperature: float | None, samples: int, max_new_tokens: int, eos: Sequence[int]
) -> Any:
    from transformers import GenerationConfig

    tokenizer, image_token = policy.processor.tokenizer, getattr(policy.model.config, "image_token_id", None)
    pad = tokenizer.pad_token_id
    sampling = {} if temperature is None else {"temperature": temperature, "top_p": 1.0, "top_k": 0}
    return GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=temperature is not None,
        **sampling,
        repetition_penalty=1.0,
        num_return_sequences=samples,
        eos_token_id=list(eos),
        pad_token_id=tokenizer.eos_token_id if pad is None else pad,
        # A written image token would ask for a picture that is not there.
        suppress_tokens=None if image_token is None else [image_token],
        disable_compile=True,
    )


def _rollout(policy: Policy, ids: Sequence[int], eos: Sequence[int], opened: str) -> Rollout:
    """One completion, cut after its first end token; without one it was cut at the token limit.

    What the chat template has `opened` stands before it.
    """
    end = next((place for place, token in enumerate(ids) if token in eos), None)
    own = ids if end is None else ids[: end + 1]
    text = policy.processor.tokenizer.decode(own, skip_special_tokens=True)
    return Rollout(completion=whole_completion(opened, text), tokens=len(own), finished=end is not None)


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """The model without dropout and checkpointing side effects, and then again as it was."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
