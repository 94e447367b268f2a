"""What a token sees in a packed sequence, told to flex_attention: exact for every layout, chosen by a trial.

On a CPU flex_attention runs uncompiled, and its backward pass is refused only by a check.
"""

from __future__ import annotations

import logging
import shutil
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn.attention import flex_attention as torch_flex
from torch.nn.functional import scaled_dot_product_attention

from vrft_aug.policy.prefix import flex
from vrft_aug.policy.prefix.attention import PackedAttention
from vrft_aug.policy.prefix.flex import FlexLayout, Kind, layout_of, plain
from vrft_aug.policy.prefix.packing import Completions, Packed, pack

CPU = torch.device("cpu")
KERNEL = torch.compile(torch_flex.flex_attention, dynamic=True, fullgraph=True)
KIND = Kind(CPU, torch.float32, 4, 2, 8)
# Lengths of prompts, (prompt, tokens to score) of completions, image of each prompt token as (start, end).
LAYOUTS: dict[str, tuple[list[int], list[tuple[int, int]], list[list[tuple[int, int]]]]] = {
    "even": ([12, 12], [(0, 6), (0, 6), (1, 6), (1, 6)], [[(2, 6)], [(4, 8), (9, 11)]]),
    "uneven, shuffled": ([9, 30, 14], [(2, 5), (0, 9), (1, 1), (0, 3), (2, 8)], [[], [(1, 20)], [(0, 14)]]),
    "one prompt": ([40], [(0, 3)], [[(3, 17)]]),
    "longer than blocks": ([150, 90], [(0, 70), (1, 130), (1, 1), (0, 20)], [[(100, 140)], []]),
}


@pytest.fixture(autouse=True)
def _backward_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_flex, "_validate_device", lambda *_: None)
    monkeypatch.setattr(torch_flex, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True)


def packed_of(name: str) -> tuple[Packed, torch.Tensor]:
    """The sequence, and the image of each prompt token, -1 for none."""
    prompts, completions, images = LAYOUTS[name]
    longest = max(prompts)
    mask = (torch.arange(longest) >= longest - torch.tensor(prompts)[:, None]).long()
    written = torch.tensor([length for _, length in completions])
    kept = (torch.arange(int(written.max())) < written[:, None]).long()
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[None]
    ids = torch.zeros_like(mask)
    prompt = torch.tensor([number for number, _ in completions])
    blocks = []
    for length, own in zip(prompts, images, strict=True):
        block = torch.full((length,), -1)
        for number, (start, end) in enumerate(own):
            block[start:end] = number
        blocks.append(block)
    packed = pack(ids, mask, positions, Completions(torch.zeros_like(kept), kept, prompt))
    return packed, torch.cat(blocks)


def drawn(packed: Packed) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(0)

    def one(heads: int) -> torch.Tensor:
        return torch.randn(1, heads, len(packed.ids), KIND.size, generator=source).requires_grad_()

    return one(KIND.heads), one(KIND.key_heads), one(KIND.key_heads)


@pytest.mark.parametrize("window", [None, 5, 400], ids=["whole", "window", "wide window"])
@pytest.mark.parametrize("images", [False, True], ids=["causal", "images"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_it_equals_repeated_keys(name: str, images: bool, window: int | None) -> None:
    packed, blocks = packed_of(name)
    found = []
    for kernel in (False, True):
        attend = PackedAttention(packed, blocks if images else None, flex=kernel)
        asked = drawn(packed)
        output, _ = attend(None, *asked, attention_mask=None, scaling=0.4, sliding_window=window)
        weight = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
        found.append([output, *torch.autograd.grad((output * weight).sum(), asked)])
    assert found[0][0].shape == found[1][0].shape == (1, len(packed.ids), KIND.heads, KIND.size)
    torch.testing.assert_close(found[1][0], found[0][0], atol=1e-6, rtol=0)
    for ours, theirs in zip(found[1][1:], found[0][1:], strict=True):
        assert (ours - theirs).norm() < 1e-5 * theirs.norm()


@pytest.mark.parametrize("window", [None, 70])
def test_blocks_of_tokens_say_what_tokens_see(window: int | None) -> None:
    """Past the rows that are looked at together; blocks that are seen as a whole skip the question."""
    prompts, completions = torch.tensor([700, 512]), torch.tensor([300, 256, 40, 0])
    layout = FlexLayout(prompts, completions, torch.tensor([0, 1, 1, 0]))
    mask, tokens = layout.mask(window), len(layout.owner)
    assert tokens > flex.ROWS and tokens % flex.BLOCK == 0 and mask.shape == (1, 1, tokens, tokens)
    place = torch.arange(tokens)
    seen = layout.sees(window)(0, 0, place[:, None], place[None])
    blocks = seen.view(tokens // flex.BLOCK, flex.BLOCK, tokens // flex.BLOCK, flex.BLOCK)
    whole = blocks.all(dim=3).all(dim=1)
    for counts, places, expected in (
        (mask.kv_num_blocks, mask.kv_indices, blocks.any(dim=3).any(dim=1) & ~whole),
        (mask.full_kv_num_blocks, mask.full_kv_indices, whole),
    ):
        for line, own in enumerate(expected):
            listed = places[0, 0, line, : int(counts[0, 0, line])].tolist()
            assert listed == own.nonzero().flatten().tolist()
    assert bool(whole.any()) == (window is None) and mask.sparsity() > 50
    # The rows in words: its own prompt up to itself, or its prompt and itself up to itself.
    if window is None:
        assert seen[: layout.tokens].sum(dim=1).tolist() == [
            *range(1, 701), *range(1, 513), *range(701, 1001), *range(513, 769), *range(513, 553),
        ]  # fmt: skip


def test_what_is_seen_is_worked_out_once_in_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    packed, blocks = packed_of("uneven, shuffled")
    made: list[int] = []
    stock = flex._block_mask

    def counted(*arguments: Any) -> Any:
        made.append(1)
        return stock(*arguments)

    monkeypatch.setattr(flex, "_block_mask", counted)
    attend = PackedAttention(packed, blocks, flex=True)
    for window in (None, 5, None, 5, 900):
        attend(None, *drawn(packed), attention_mask=None, scaling=0.4, sliding_window=window)
    assert len(made) == 2


def test_half_precision_is_as_exact_as_its_numbers() -> None:
    for dtype, limit in ((torch.float32, 1e-6), (torch.bfloat16, 0.01)):
        kind = Kind(CPU, dtype, 7, 1, 24)
        assert 0 < flex.trial(kind, *flex.TRIALS[0]) < limit < flex.APART[dtype] * 10
    assert str(kind) == "bfloat16, 7 heads on 1 of 24 numbers"


def test_a_kernel_that_fails_or_is_inexact_is_found_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(flex, "TRIALS", flex.TRIALS[:1])
    stock = flex._kernel("cpu")
    assert flex.why_not_flex(KIND) is None

    def inexact(*arguments: torch.Tensor, **settings: Any) -> torch.Tensor:
        return stock(*arguments, **settings) * 1.001

    def failing(*arguments: torch.Tensor, **settings: Any) -> torch.Tensor:
        raise RuntimeError("no working\ncompiler")

    monkeypatch.setattr(flex, "_kernel", lambda _: inexact)
    assert "its results were apart by 0.001, at most 1e-05" in str(flex.why_not_flex(KIND))
    monkeypatch.setattr(flex, "_kernel", lambda _: failing)
    flex._decided.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert [flex._decided(KIND) for _ in range(2)] == [False, False]
    monkeypatch.setattr(flex, "_kernel", lambda _: stock)
    flex._decided.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert [flex._decided(KIND) for _ in range(2)] == [True, True]
    assert [record.getMessage() for record in caplog.records] == [
        "completions attend to their prompts by repeated keys, because it failed (RuntimeError: no working "
        "compiler) (float32, 4 heads on 2 of 8 numbers)",
        "completions attend to their prompts by flex_attention (float32, 4 heads on 2 of 8 numbers)",
    ]
    flex._decided.cache_clear()


def test_the_kind_is_what_the_model_computes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    text = SimpleNamespace(num_attention_heads=8, num_key_value_heads=2, hidden_size=64)
    model = SimpleNamespace(
        config=SimpleNamespace(get_text_config=lambda: text), get_decoder=lambda: torch.nn.Linear(2, 2)
    )
    assert flex.kind_of(model, CPU) == Kind(CPU, torch.float32, 8, 2, 8)
    text.head_dim = 16
    with torch.autocast("cpu", torch.bfloat16):
        assert flex.kind_of(model, CPU) == Kind(CPU, torch.bfloat16, 8, 2, 16)
    monkeypatch.setattr(flex, "_decided", lambda _: True)
    assert not flex.takes_flex(model, CPU)  # the CPU keeps its own road
    assert flex.takes_flex(model, torch.device("cuda", 0))


def test_plain_attention_is_that_of_every_sequence_alone() -> None:
    """What the trial holds a kernel against."""
    packed, _ = packed_of("uneven, shuffled")
    query, key, value = drawn(packed)
    whole = plain(layout_of(packed, None), query, key, value, 0.4)
    start = packed.prompts.size
    for prompt, length in zip(packed.prompt.tolist(), packed.completions.lengths.tolist(), strict=True):
        first, size = int(packed.prompts.first[prompt]), int(packed.prompts.lengths[prompt])
        own = torch.tensor([*range(first, first + size), *range(start, start + length)])
        start += length
        keys, values = (x[:, :, own].repeat_interleave(2, dim=1) for x in (key, value))
        alone = scaled_dot_product_attention(query[:, :, own], keys, values, is_causal=True, scale=0.4)
        torch.testing.assert_close(whole[:, :, own], alone, atol=1e-6, rtol=0)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="nothing compiles C++ here")
@pytest.mark.filterwarnings("ignore")  # of the compiler
def test_a_kernel_is_compiled_once_for_all_lengths_and_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forward alone, which is all that a CPU compiles, with the settings that GPUs have."""
    monkeypatch.setattr(torch_flex, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", False)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    monkeypatch.setattr(flex, "_kernel", lambda _: KERNEL)
    for prompts, completions, window in (
        ((150, 61), ((0, 40), (1, 0), (1, 90), (0, 7)), None),
        ((700, 310), ((0, 200), (1, 128)), None),
        ((300,), ((0, 20),), 64),
        ((128, 128), ((0, 128), (1, 128)), None),
        ((20,), ((0, 3),), 5),
    ):
        prompt, lengths = (torch.tensor(column) for column in zip(*completions, strict=True))
        layout = FlexLayout(torch.tensor(prompts), lengths, prompt)
        source = torch.Generator().manual_seed(0)
        query, key, value = (torch.randn(1, n, layout.tokens, 32, generator=source) for n in (4, 2, 2))
        with torch.no_grad():
            found = layout.attend(query, key, value, 0.3, window)
        torch.testing.assert_close(found, plain(layout, query, key, value, 0.3, window), atol=5e-6, rtol=0)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
