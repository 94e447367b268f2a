"""Attention of a packed sequence in one call of flex_attention, for GPUs: no key is repeated.

torch compiles what a token sees into its kernel: some numbers a token tell it, and blocks of 128 x 128 tokens
of which none sees any are never computed. That is worked out once in a pass. A trial on made-up sequences,
forward and backward, says once for each kind of attention whether it is exact here; where it is not, or where
nothing can be compiled, keys are repeated as ever.

Flash attention for sequences of their own lengths (torch.nn.attention.varlen) would do without a compiler,
but takes half precision alone, and sees neither the images of Gemma nor, in one call, a prompt and a
completion: to join two calls by their softmax takes its private operators in the backward pass.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any

import torch
from torch.nn.functional import pad
from torch.nn.functional import scaled_dot_product_attention as sdpa

from vrft_aug.policy.prefix.packing import Packed, Ragged

logger = logging.getLogger(__name__)
BLOCK = 128  # tokens; the kernel's backward pass wants whole blocks
ROWS = 8 * BLOCK  # tokens whose view of the sequence is looked at together, to bound memory
# Of outputs and gradients in the trial, relative, at most: against the same in float64.
APART = {torch.float32: 1e-5, torch.bfloat16: 0.02, torch.float16: 0.005}
# Of the trial: lengths of prompts, then (prompt, length) of completions. Two of them, since the kernel is
# compiled for any length.
TRIALS = (
    ((150, 61), ((0, 40), (1, 0), (1, 90), (0, 7))),
    ((700, 310), ((0, 200), (1, 128), (1, 90), (0, 77), (0, 1))),
)


@dataclass(frozen=True)
class Kind:
    """What a kernel is compiled for."""

    device: torch.device
    dtype: torch.dtype
    heads: int
    key_heads: int
    size: int  # of a head

    def __str__(self) -> str:
        kind = str(self.dtype).removeprefix("torch.")
        return f"{kind}, {self.heads} heads on {self.key_heads} of {self.size} numbers"


class FlexLayout:
    """Which tokens of a packed sequence see which.

    A token sees its own prompt, and of the completions its own, from `floor` to `reach` in places that count
    from the start of its prompt on. The reach of a token is its own place, or the last place of its image
    where tokens of an image attend both ways. Padding to whole blocks is a prompt of its own.

    Args:
        prompts: lengths of the prompts, (U,).
        completions: lengths of the completions, (B,).
        prompt: (B,) which prompt each completion continues.
        blocks: (prompts' tokens,) the image that each of them is of, -1 for none; None without.
    """

    def __init__(
        self,
        prompts: torch.Tensor,
        completions: torch.Tensor,
        prompt: torch.Tensor,
        blocks: torch.Tensor | None = None,
    ) -> None:
        device = prompts.device
        of_prompt = torch.arange(len(prompts), device=device).repeat_interleave(prompts)
        row = torch.arange(len(prompt), device=device).repeat_interleave(completions)
        place = _within(prompts)
        reach = place if blocks is None else _image_ends(of_prompt, place, blocks)
        later = _within(completions) + prompts[prompt][row]
        self.tokens = len(of_prompt) + len(row)
        # Two blocks at least: a kernel for any length is not one for a single block.
        padding = torch.arange(max(-self.tokens % BLOCK, 2 * BLOCK - self.tokens), device=device)
        self.owner = torch.cat([of_prompt, prompt[row], padding * 0 + len(prompts)]).int()
        self.row = torch.cat([of_prompt * 0 - 1, row, padding * 0 - 1]).int()
        self.place = torch.cat([place, later, padding]).int()
        self.reach = torch.cat([reach, later, padding]).int()
        self._masks: dict[int | None, Any] = {}

    def sees(self, window: int | None) -> Callable[..., torch.Tensor]:
        """Whether token `q` sees token `k`, as flex_attention asks; `window` counts places, its own too."""
        owner, row, place, reach = self.owner, self.row, self.place, self.reach
        floor = place * 0 - 1 if window is None else place - window

        def sees(b: Any, h: Any, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
            mine = (owner[q] == owner[k]) & ((row[k] < 0) | (row[k] == row[q]))
            return mine & (place[k] <= reach[q]) & (place[k] > floor[q])

        return sees

    def mask(self, window: int | None) -> Any:
        """The layout as flex_attention takes it, worked out when it is first asked for."""
        if window not in self._masks:
            with torch.inference_mode(False), torch.no_grad():
                self._masks[window] = _block_mask(self.sees(window), len(self.owner), self.owner.device)
        return self._masks[window]

    # The kernel is compiled by itself, also where the model is.
    @torch.compiler.disable(recursive=False)  # type: ignore[no-untyped-call, untyped-decorator]
    def attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scaling: float,
        window: int | None = None,
    ) -> torch.Tensor:
        """Query (1, H, T, D), key and value (1, K, T, D) of the sequence; returns (1, H, T, D)."""
        if window is not None and window >= self.longest:
            window = None  # it hides nothing
        mask = self.mask(window)
        missing, grouped = len(self.owner) - self.tokens, query.shape[1] != key.shape[1]
        # Always laid out the same: for another layout the kernel would be compiled anew.
        query, key, value = (pad(x, (0, 0, 0, missing)).contiguous() for x in (query, key, value))
        output: torch.Tensor = _kernel(query.device.type)(
            query, key, value, block_mask=mask, scale=scaling, enable_gqa=grouped
        )
        return output[:, :, : self.tokens]

    @cached_property
    def longest(self) -> int:
        """Places of the longest prompt with its completion."""
        return int(self.place.max()) + 1


def layout_of(packed: Packed, blocks: torch.Tensor | None) -> FlexLayout:
    """The layout of a packed sequence."""
    return FlexLayout(packed.prompts.lengths, packed.completions.lengths, packed.prompt, blocks)


def kind_of(model: Any, device: torch.device) -> Kind:
    """What the attention of a transformers model is compiled for, as it computes now."""
    text, decoder = model.config.get_text_config(), model.get_decoder()
    dtype = next(weight.dtype for weight in decoder.parameters() if weight.is_floating_point())
    if torch.is_autocast_enabled(device.type):
        dtype = torch.get_autocast_dtype(device.type)
    size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    keys = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    return Kind(device, dtype, text.num_attention_heads, keys, size)


def takes_flex(model: Any, device: torch.device) -> bool:
    """Whether sequences on `device` run through flex_attention; says which in one line, once a kind.

    To be asked outside of what is checkpointed: the trial has a backward pass of its own.
    """
    return device.type == "cuda" and _decided(kind_of(model, device))


@cache
def _decided(kind: Kind) -> bool:
    reason = why_not_flex(kind)
    road = "flex_attention" if reason is None else f"repeated keys, because {reason}"
    logger.warning("completions attend to their prompts by %s (%s)", road, kind)
    return reason is None


def why_not_flex(kind: Kind) -> str | None:
    """Why flex_attention cannot be used for attention of this kind, or None where a trial was exact."""
    try:
        apart = max(trial(kind, *lengths) for lengths in TRIALS)
    except Exception as error:  # compilers fail in many ways: all that counts is that it does not work
        return f"it failed ({type(error).__name__}: {' '.join(str(error).split())[:160]})"
    limit = APART.get(kind.dtype, 0.0)
    return None if apart <= limit else f"its results were apart by {apart:.2g}, at most {limit:g}"


def trial(kind: Kind, prompts: tuple[int, ...], completions: tuple[tuple[int, int], ...]) -> float:
    """How far outputs and gradients are from those of plain attention in float64, relative; the largest."""
    source = torch.Generator().manual_seed(0)
    prompt, lengths = (torch.tensor(column, device=kind.device) for column in zip(*completions, strict=True))
    layout = FlexLayout(torch.tensor(prompts, device=kind.device), lengths, prompt)

    def drawn(heads: int) -> torch.Tensor:
        return torch.randn(1, heads, layout.tokens, kind.size, generator=source).to(kind.device, kind.dtype)

    asked, weight = (
        [drawn(heads) for heads in (kind.heads, kind.key_heads, kind.key_heads)],
        drawn(kind.heads),
    )
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(kind.device.type, enabled=False):
        ours = _with_gradients(layout.attend, asked, weight, kind)
        exact = _with_gradients(partial(plain, layout), [x.double() for x in asked], weight.double(), kind)
    return max(float((a.double() - b).norm() / b.norm()) for a, b in zip(ours, exact, strict=True))


def _with_gradients(
    attend: Callable[..., torch.Tensor], asked: list[torch.Tensor], weight: torch.Tensor, kind: Kind
) -> list[torch.Tensor]:
    """The output, and the gradients of query, key and value."""
    asked = [x.clone().requires_grad_() for x in asked]
    output = attend(*asked, scaling=kind.size**-0.5)
    return [output.detach(), *torch.autograd.grad((output * weight).sum(), asked)]


def plain(
    layout: FlexLayout,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scaling: float,
    window: int | None = None,
) -> torch.Tensor:
    """The same by a mask of all tokens against all, for short sequences."""
    place = torch.arange(layout.tokens, device=query.device)
    mask = layout.sees(window)(0, 0, place[:, None], place[None])
    shared = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(shared, dim=1) for x in (key, value))
    return sdpa(query, key, value, mask, scale=scaling)


@cache
def _kernel(device: str) -> Callable[..., torch.Tensor]:
    """flex_attention, compiled for sequences of any length; on a CPU as it is, for tests."""
    from torch.nn.attention.flex_attention import flex_attention

    if device == "cpu":
        return flex_attention
    # With `fullgraph` too many variants are an error; without, the whole matrix of scores would be made.
    return torch.compile(flex_attention, dynamic=True, fullgraph=True)


def _block_mask(sees: Callable[..., torch.Tensor], tokens: int, device: torch.device) -> Any:
    """A BlockMask of `sees`: which blocks are seen in part, which as a whole."""
    from torch.nn.attention.flex_attention import BlockMask

    place, some, every = torch.arange(tokens, device=device), [], []
    for first in range(0, tokens, ROWS):
        seen = sees(0, 0, place[first : first + ROWS, None], place[None]).view(
            -1, BLOCK, tokens // BLOCK, BLOCK
        )
        some.append(seen.any(dim=3).any(dim=1))
        every.append(seen.all(dim=3).all(dim=1))
    whole = torch.cat(every)
    part = torch.cat(some) & ~whole
    return BlockMask.from_kv_blocks(*_listed(part), *_listed(whole), BLOCK_SIZE=BLOCK, mask_mod=sees)


def _listed(blocks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """From (N, N) to the number of blocks in each line, (1, 1, N), and their places first, (1, 1, N, N)."""
    places = blocks.int().argsort(dim=1, descending=True, stable=True)
    return blocks.sum(dim=1).int()[None, None], places.int()[None, None].contiguous()


def _within(lengths: torch.Tensor) -> torch.Tensor:
    """The place of every token in its own row."""
    rows = Ragged(0, lengths)
    return torch.arange(rows.size, device=lengths.device) - rows.first.repeat_interleave(lengths)


def _image_ends(owner: torch.Tensor, place: torch.Tensor, blocks: torch.Tensor) -> torch.Tensor:
    """The last place that each prompt token sees: of its image, whose tokens are in a row, or its own."""
    images = int(blocks.max()) + 1 if len(blocks) else 0
    if images <= 0:
        return place
    number = owner * images + blocks.clamp(min=0)
    ends = place.new_zeros(int(number.max()) + 1)
    inside = blocks >= 0
    ends.scatter_reduce_(0, number[inside], place[inside], "amax")
    return torch.where(inside, ends[number], place)
