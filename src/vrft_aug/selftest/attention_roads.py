"""On a GPU: whether completions attend to their prompt in one kernel, whether that is exact, and how fast."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import torch

from vrft_aug.policy.prefix.attention import PackedAttention
from vrft_aug.policy.prefix.flex import APART, TRIALS, Kind, trial, why_not_flex
from vrft_aug.policy.prefix.packing import Completions, Packed, pack
from vrft_aug.selftest.outcome import Finding, Machine

# The attention of Qwen2.5-VL-3B, on the prompts and completions of bench's preset `gpu`.
HEADS, KEY_HEADS, SIZE = 16, 2, 128
PROMPTS, PROMPT, GENERATIONS, COMPLETION = 2, 600, 8, 128
TURNS = 5


def attention(machine: Machine) -> list[Finding]:
    """Both roads in bfloat16; nothing where there is only one."""
    if machine.device != "cuda":
        return []
    kind = Kind(torch.device("cuda", torch.cuda.current_device()), torch.bfloat16, HEADS, KEY_HEADS, SIZE)
    return compared_roads(kind, _packed(kind.device, PROMPTS, PROMPT, GENERATIONS, COMPLETION))


def compared_roads(kind: Kind, packed: Packed) -> list[Finding]:
    """Which road is taken; where it is one kernel, its error, and the time of the other road by its own."""
    reason = why_not_flex(kind)
    told = "completions attend to their prompt in one kernel (1) or by repeated keys (0)"
    found = [Finding("attention_road", told, float(reason is None), 0.0, at_most=False, note=reason or "")]
    if reason is not None:
        return found
    apart = max(trial(kind, *lengths) for lengths in TRIALS)
    repeated, one = (seconds_of(PackedAttention(packed, flex=flex), kind, packed) for flex in (False, True))
    note = f"{repeated * 1e3:.2f} and {one * 1e3:.2f} ms a layer, forward and backward"
    return [
        *found,
        Finding(
            "attention_exact", "that kernel against plain attention: relative difference", apart,
            APART[kind.dtype],
        ),
        Finding(
            "attention_speed", "time of attention by repeated keys by that in one kernel", repeated / one,
            0.5, at_most=False, note=note,
        ),
    ]  # fmt: skip


def seconds_of(attend: Callable[..., tuple[torch.Tensor, None]], kind: Kind, packed: Packed) -> float:
    """Median time of a layer's attention, forward and backward, after a warm-up."""
    tokens, source = len(packed.ids), torch.Generator().manual_seed(0)
    heads = (kind.heads, kind.key_heads, kind.key_heads)
    asked = [
        torch.randn(1, n, tokens, kind.size, generator=source).to(kind.device, kind.dtype) for n in heads
    ]
    seconds = [_turn(attend, asked) for _ in range(TURNS + 1)]
    return statistics.median(seconds[1:])


def _turn(attend: Callable[..., tuple[torch.Tensor, None]], asked: Sequence[torch.Tensor]) -> float:
    query, key, value = (x.clone().requires_grad_() for x in asked)
    _wait()
    start = time.perf_counter()
    output, _ = attend(None, query, key, value, None, scaling=query.shape[-1] ** -0.5)
    torch.autograd.grad(output.sum(), (query, key, value))
    _wait()
    return time.perf_counter() - start


def _packed(device: torch.device, prompts: int, length: int, generations: int, completion: int) -> Packed:
    """Prompts of one length, each with completions of one length."""
    ids = torch.zeros(prompts, length, dtype=torch.long, device=device)
    prompt = torch.arange(prompts, device=device).repeat_interleave(generations)
    written = torch.zeros(len(prompt), completion, dtype=torch.long, device=device)
    places = torch.arange(length, device=device).expand(1, prompts, -1)
    completions = Completions(written, torch.ones_like(written), prompt)
    return pack(ids, torch.ones_like(ids), places, completions)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
