"""One step of decoding in as few operations as it has: for decoders of Llama's kind.

A step of a small model costs more in Python and in calls of operations than in arithmetic. Here projections
that read the same states are one product, of matrices that lie as a few rows read them fastest, rotary angles
are computed for many steps at once, and nothing is looked up anew. What is computed is what the model's own
layers compute, in another order of rounding. A model that is in any way unlike what is known here (hooks,
other layers, autocast, a large adapter) decodes by its own forward, and so does one whose first step does not
agree with it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch.nn.functional import rms_norm

from vrft_aug.policy.prefix.decoding import DecodingAttention

logger = logging.getLogger(__name__)
LAYERS = ("Qwen2VLDecoderLayer", "Qwen2_5_VLDecoderLayer", "Qwen3VLTextDecoderLayer", "LlamaDecoderLayer")
ROTATIONS = ("default", "linear", "llama3", "yarn")  # whose angles depend on the position alone
COPIES = 1 << 28  # bytes of weights up to which projections are joined, and adapters merged, for a while
STEPS = 32  # whose angles are computed at once
APART = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.02}  # of the largest logit, at most
_agrees: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()
Weights = tuple[torch.Tensor, torch.Tensor | None]  # a matrix (in, out), and a bias


@dataclass(frozen=True)
class _Layer:
    before: Any  # norms
    after: Any
    query_norm: Any
    key_norm: Any
    states: Sequence[Weights]  # of query, key and value, joined where weights are copied
    out: Weights
    gates: Sequence[Weights]
    down: Weights
    activation: Any
    scaling: float
    window: int | None


class DecoderStep:
    """Steps of a transformers model that continues the prompts of `attention`; see `decoder_step`."""

    def __init__(self, model: Any, attention: DecodingAttention, position: torch.Tensor) -> None:
        decoder, text = model.get_decoder(), model.config.get_text_config()
        self.attention, self.decoder, self.position = attention, decoder, position
        self.heads = text.num_attention_heads
        copies = _bytes(decoder) <= COPIES
        self.layers = [_layer(layer, copies) for layer in decoder.layers]
        head = model.get_output_embeddings()
        self.embed, self.head = decoder.embed_tokens.weight, _transposed((head.weight, head.bias), copies)
        self.step = 0  # that comes next
        self.first = 0  # of the steps in the table
        self.table: tuple[torch.Tensor, torch.Tensor] | None = None

    def keep_rows(self, rows: torch.Tensor) -> None:
        """Go on with these rows alone."""
        self.position, self.table = self.position[rows], None

    def logits(self, token: torch.Tensor) -> torch.Tensor:
        """Logits (B, V) of what follows the tokens (B,), which are the next of their rows."""
        states = self.embed[token]  # (B, H), changed in place by what each layer adds
        cos, sin = self._angles(states)
        for number, layer in enumerate(self.layers):
            self._layer(number, layer, states, cos, sin)
        self.step += 1
        return _linear(_norm(self.decoder.norm, states), *self.head)

    def trial(self, token: torch.Tensor) -> torch.Tensor:
        """The same without a step forward."""
        logits = self.logits(token)
        self.step -= 1
        return logits

    def _layer(
        self, number: int, layer: _Layer, states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
    ) -> None:
        rows, size, heads = len(states), cos.shape[-1], self.heads
        asked = _project(_norm(layer.before, states), layer.states).view(rows, -1, size)
        keys = (asked.shape[1] - heads) // 2
        turned = asked[:, : heads + keys]
        if layer.query_norm is not None:
            query, key = _norm(layer.query_norm, turned[:, :heads]), _norm(layer.key_norm, turned[:, heads:])
            turned = torch.cat([query, key], dim=1)
        turned = torch.addcmul(turned * cos, turned.roll(size // 2, dims=-1), sin)
        seen = self.attention.attend(
            number,
            turned[:, :heads],
            turned[:, heads:],
            asked[:, heads + keys :],
            layer.scaling,
            layer.window,
        )
        _add(states, seen.reshape(rows, -1), layer.out)
        gate, up = _project(_norm(layer.after, states), layer.gates).chunk(2, dim=-1)
        _add(states, layer.activation(gate).mul_(up), layer.down)

    def _angles(self, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosine and sine (B, 1, D) of this step; the sine of the first half is that of minus the angle."""
        if self.table is None or self.step >= self.first + STEPS:
            self.first = self.step
            steps = torch.arange(self.first, self.first + STEPS, device=states.device)
            cos, sin = self.decoder.rotary_emb(states, self.position[:, None] + steps)
            sin = torch.cat([-sin[..., : sin.shape[-1] // 2], sin[..., sin.shape[-1] // 2 :]], dim=-1)
            self.table = cos.transpose(0, 1)[:, :, None], sin.transpose(0, 1)[:, :, None]
        place = self.step - self.first
        return self.table[0][place], self.table[1][place]


def decoder_step(model: Any, attention: DecodingAttention, position: torch.Tensor) -> DecoderStep | None:
    """Steps for rows whose next positions are `position` (B,); None where the model's forward has to run."""
    if not _agrees.get(model, True) or not _known(model):
        return None
    return DecoderStep(model, attention, position)


def agrees(model: Any, ours: torch.Tensor, own: torch.Tensor) -> bool:
    """Whether logits are those of the model's own forward; what is found of a model is kept."""
    apart = float((ours - own).abs().max())
    _agrees[model] = apart <= APART.get(own.dtype, 0) * max(1.0, float(own.abs().max()))
    if not _agrees[model]:
        logger.warning("sampling goes through the model's own forward: a shorter step is %.1g off", apart)
    return _agrees[model]


def held(model: Any) -> bool:
    """Whether this model's steps have been held against its own forward."""
    return model in _agrees


def _known(model: Any) -> bool:
    decoder = model.get_decoder()
    if torch.is_autocast_enabled(decoder.embed_tokens.weight.device.type):
        return False
    if {name for name, _ in decoder.named_children()} != {"embed_tokens", "layers", "norm", "rotary_emb"}:
        return False
    if getattr(decoder.rotary_emb, "rope_type", None) not in ROTATIONS:
        return False
    if any(type(layer).__name__ not in LAYERS for layer in decoder.layers):
        return False
    if type(decoder.embed_tokens) is not torch.nn.Embedding or any(map(_wrapped, decoder.modules())):
        return False
    head = model.get_output_embeddings()
    if type(head) is not torch.nn.Linear or any(map(_hooked, (*decoder.modules(), head))):
        return False
    copies = _bytes(decoder) <= COPIES
    return all(_readable(linear, copies) for layer in decoder.layers for linear in _linears(layer))


def _linears(layer: Any) -> list[Any]:
    attention, mlp = layer.self_attn, layer.mlp
    return [
        attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj,
        mlp.gate_proj, mlp.up_proj, mlp.down_proj,
    ]  # fmt: skip


def _hooked(module: torch.nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module))


def _wrapped(module: torch.nn.Module) -> bool:
    """Whether PEFT stands between us and weights, in another way than as LoRA of a projection."""
    return type(module).__module__.startswith("peft.") and not hasattr(module, "lora_A")


def _readable(module: Any, copies: bool) -> bool:
    """Whether `_weights` reads a projection: plain, or with LoRA in float32 whose dropout is off."""
    if type(module) is torch.nn.Linear:
        return True
    if type(module).__name__ != "Linear" or not hasattr(module, "lora_A") or not copies:
        return False
    plain = not (module.lora_variant or module.merged or any(module.lora_bias.values()))
    dropping = any(getattr(drop, "p", 0) and drop.training for drop in module.lora_dropout.values())
    base = module.get_base_layer()
    float32 = {weight.dtype for weight in module.parameters()} == {torch.float32}
    return plain and float32 and not dropping and type(base) is torch.nn.Linear


def _weights(module: Any) -> Weights:
    """As the module has them: the matrix is (out, in)."""
    if type(module) is torch.nn.Linear:
        return module.weight, module.bias
    base = module.get_base_layer()
    weight = base.weight
    for adapter in () if module.disable_adapters else module.active_adapters:
        if adapter in module.lora_A:
            weight = weight + module.get_delta_weight(adapter)
    return weight, base.bias


def _layer(layer: Any, copies: bool) -> _Layer:
    attention, mlp = layer.self_attn, layer.mlp
    query, key, value, out, gate, up, down = (
        _transposed(_weights(linear), copies) for linear in _linears(layer)
    )
    return _Layer(
        before=layer.input_layernorm,
        after=layer.post_attention_layernorm,
        query_norm=getattr(attention, "q_norm", None),
        key_norm=getattr(attention, "k_norm", None),
        states=_joined([query, key, value], copies),
        out=out,
        gates=_joined([gate, up], copies),
        down=down,
        activation=mlp.act_fn,
        scaling=attention.scaling,
        window=getattr(attention, "sliding_window", None),
    )


def _transposed(weights: Weights, copies: bool) -> Weights:
    """A matrix (in, out), which multiplies a few rows faster where it lies in memory so."""
    weight, bias = weights
    return (weight.t().contiguous() if copies else weight.t()), bias


def _joined(parts: Sequence[Weights], copies: bool) -> Sequence[Weights]:
    if not copies or len({bias is None for _, bias in parts}) > 1:
        return parts
    biases = [bias for _, bias in parts if bias is not None]
    return [(torch.cat([weight for weight, _ in parts], dim=1), torch.cat(biases) if biases else None)]


def _project(states: torch.Tensor, parts: Sequence[Weights]) -> torch.Tensor:
    if len(parts) == 1:
        return _linear(states, *parts[0])
    return torch.cat([_linear(states, *part) for part in parts], dim=-1)


def _linear(states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    return torch.mm(states, weight) if bias is None else torch.addmm(bias, states, weight)


def _add(states: torch.Tensor, more: torch.Tensor, to: Weights) -> None:
    """Add a projection to what runs through the layers, in place."""
    weight, bias = to
    states.addmm_(more, weight)
    if bias is not None:
        states += bias


def _norm(norm: Any, states: torch.Tensor) -> torch.Tensor:
    return rms_norm(states, norm.weight.shape, norm.weight, norm.variance_epsilon)


def _bytes(module: torch.nn.Module) -> int:
    return sum(weight.numel() * weight.element_size() for weight in module.parameters())
