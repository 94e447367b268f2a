"""Families that nobody has named but that are plainly built: image features among a causal model's tokens.

Two things are asked of a model before its prompts are shared. Its forward must take nothing but what such a
family takes: token types, grids or video would mean attention or positions of a kind of its own. And on a few
tokens, with made-up features in place of an image's, the model itself must give the same states with shared
prompts as without: attention both ways inside an image, mixing of tokens outside of attention, or attention
that transformers does not let us replace would show there.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

import torch

from vrft_aug.policy.prefix.attention import PackedAttention, attending
from vrft_aug.policy.prefix.decoding import DecodingAttention
from vrft_aug.policy.prefix.packing import Completions, Packed, pack, sequence_inputs

PLAIN_ARGUMENTS = frozenset({
    "input_ids", "inputs_embeds", "attention_mask", "position_ids", "past_key_values", "use_cache",
    "cache_position", "pixel_values", "image_sizes", "mm_encoder_outputs", "vision_feature_layer",
    "vision_feature_select_strategy", "image_hidden_states", "output_attentions",
    "output_hidden_states", "return_dict", "kwargs",
})  # fmt: skip
NEEDED_ARGUMENTS = frozenset({"input_ids", "position_ids", "pixel_values", "mm_encoder_outputs"})
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-6}  # of the states, relative; half precision rounds more
HALF_TOLERANCE = 0.05
_found: WeakKeyDictionary[Any, str | None] = WeakKeyDictionary()


def why_not_plain(model: Any) -> str | None:
    """Why a transformers model is not plainly image tokens in a causal model, or None where it is."""
    if model not in _found:
        _found[model] = _why_not_signature(model) or _why_not_equal(model)
    return _found[model]


def _why_not_signature(model: Any) -> str | None:
    if not (hasattr(model, "get_decoder") and hasattr(model.base_model, "get_image_features")):
        return "it has no decoder with image features put among its tokens"
    if getattr(model.config, "image_token_id", None) is None:
        return "its config names no image_token_id"
    arguments = set(inspect.signature(model.base_model.forward).parameters)
    if missing := NEEDED_ARGUMENTS - arguments:
        return f"its forward takes no {', '.join(sorted(missing))}"
    if own := arguments - PLAIN_ARGUMENTS:
        return f"its forward takes {', '.join(sorted(own))}"
    if hasattr(model.base_model, "get_rope_index"):
        return "it computes positions of its own"
    return None


def _why_not_equal(model: Any) -> str | None:
    """Compare states with and without shared prompts, and one decoded token, on made-up features."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            case = _made_up(model)
            for features in (list, torch.stack):  # some families join a list of images, others take a tensor
                try:
                    stock = _stock_states(model, case, features)
                except (TypeError, AttributeError, RuntimeError, ValueError, IndexError):
                    continue
                return _compared(stock, _shared_states(model, case, features))
    except Exception as error:  # a model of whatever make: all that counts is that it does not work
        return f"a trial with shared prompts failed ({type(error).__name__})"
    finally:
        model.train(training)
    return "it takes no features in place of its images"


@dataclass(frozen=True)
class _Trial:
    """Two prompts with an image of three tokens each, padded on the left, and three completions."""

    ids: torch.Tensor  # (2, 9)
    mask: torch.Tensor  # (2, 9)
    images: list[torch.Tensor]  # (3, H) of each prompt
    completions: Completions

    def row(self, b: int) -> tuple[torch.Tensor, int]:
        """Prompt and completion b as stock runs them, (1, T), and how many tokens are the completion's."""
        own, written = int(self.completions.prompt[b]), self.completions.mask[b].bool()
        ids = torch.cat([self.ids[own][self.mask[own].bool()], self.completions.ids[b][written]])
        return ids[None], int(written.sum())


def _made_up(model: Any) -> _Trial:
    embeddings, image = model.get_input_embeddings().weight, model.config.image_token_id
    generator = torch.Generator().manual_seed(0)
    words = [
        n for n in torch.randperm(min(len(embeddings), 1000), generator=generator).tolist() if n != image
    ]
    rows = ([words[0], image, image, image, *words[1:3]], [*words[3:6], image, image, image, *words[6:9]])
    ids = torch.tensor([[words[9]] * (9 - len(row)) + row for row in rows], device=embeddings.device)
    mask = torch.tensor([[0] * (9 - len(row)) + [1] * len(row) for row in rows], device=embeddings.device)
    scale = float(embeddings.float().std())
    images = [(torch.randn(3, embeddings.shape[1], generator=generator) * scale).to(embeddings) for _ in rows]
    written = torch.tensor([words[10:14], words[14:18], words[18:22]], device=embeddings.device)
    lengths = torch.tensor([3, 4, 2], device=embeddings.device)
    kept = (torch.arange(4, device=embeddings.device) < lengths[:, None]).long()
    prompt = torch.tensor([0, 1, 0], device=embeddings.device)
    return _Trial(ids, mask, images, Completions(written, kept, prompt))


def _encoded(images: list[torch.Tensor], features: Any) -> dict[str, Any]:
    return {"mm_encoder_outputs": {"image": SimpleNamespace(pooler_output=features(images))}}


def _stock_states(model: Any, case: _Trial, features: Any) -> torch.Tensor:
    """(N + 3, H) the states that predict the tokens of the completions, and those after their last tokens."""
    states, after = [], []
    for b, prompt in enumerate(case.completions.prompt.tolist()):
        ids, written = case.row(b)
        images = _encoded([case.images[prompt]], features)
        hidden = model.base_model(input_ids=ids, use_cache=False, **images).last_hidden_state[0]
        states.append(hidden[-written - 1 : -1])
        after.append(hidden[-written])  # the state of the completion's first token
    return torch.cat([*states, torch.stack(after)])


def _shared_states(model: Any, case: _Trial, features: Any) -> torch.Tensor:
    """The same, from the packed sequence and from one decoded token."""
    positions = (case.mask.cumsum(dim=-1) - 1).clamp(min=0)[None]
    backbone, images = model.base_model, _encoded(case.images, features)
    packed = pack(case.ids, case.mask, positions, case.completions)
    with attending(model, PackedAttention(packed)):
        hidden = backbone(**sequence_inputs(packed), **images, use_cache=False).last_hidden_state[0]
    return torch.cat([hidden[packed.predictors], _decoded(model, case, positions, images)])


def _decoded(model: Any, case: _Trial, positions: torch.Tensor, images: dict[str, Any]) -> torch.Tensor:
    """(3, H) the states of the completions' first tokens, decoded after prompts that ran once."""
    prompt = case.completions.prompt
    nothing = Completions(case.ids[:0, :0], case.mask[:0, :0], prompt[:0])
    packed: Packed = pack(case.ids, case.mask, positions, nothing)
    prefill = PackedAttention(packed, keep=True)
    with attending(model, prefill):
        model.base_model(**sequence_inputs(packed), **images, use_cache=False)
    attention = DecodingAttention(prefill.kept, packed.prompts, prompt)
    attention.written = 1
    with attending(model, attention):
        token, place = case.completions.ids[:, :1], packed.after[prompt][:, None]
        states: torch.Tensor = model.base_model(
            input_ids=token, position_ids=place, use_cache=False
        ).last_hidden_state[:, 0]
    return states


def _compared(stock: torch.Tensor, shared: torch.Tensor) -> str | None:
    difference = float((shared.float() - stock.float()).norm() / stock.float().norm())
    if difference <= TOLERANCE.get(stock.dtype, HALF_TOLERANCE):
        return None
    return f"its states with shared prompts differ from its own by {difference:.2g}"
