"""Attention of completions to a prompt that they share, in two parts that one softmax joins; for CPUs.

Every completion attends to its prompt and, causally, to itself. The first part is computed for all
completions of a prompt at once against the one copy of its keys. Flash attention returns the logarithm of
each part's softmax denominator, with which the parts are weighted together. Backward, each part is given the
joint output and the joint denominator: then its gradients are those of one softmax over both.
"""

from __future__ import annotations

from typing import Any

import torch

from vrft_aug.policy.prefix.row_order import Seats

flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


class MergedAttention(torch.autograd.Function):
    """Queries, keys and values of completions (B, H, C, D); of prompts (U, K, P, D), K heads for H queries.

    `bias` (U, 1, 1, P) is added to the prompts' scores, or None. Returns (B, H, C, D).
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        prompt_key: torch.Tensor,
        prompt_value: torch.Tensor,
        bias: torch.Tensor | None,
        seats: Seats,
        scale: float,
    ) -> torch.Tensor:
        """Both parts, and their join."""
        heads = prompt_key.shape[1]
        folded = seats.together(_fold(query, heads))
        to_prompt, norm = flash(folded, prompt_key, prompt_value, 0.0, False, attn_mask=bias, scale=scale)
        to_prompt = seats.apart(to_prompt).reshape(query.shape)
        norm = seats.apart(norm.unsqueeze(-1)).reshape(query.shape[:-1])
        to_self, own_norm = flash(query, key, value, 0.0, True, attn_mask=None, scale=scale)
        joint = torch.logaddexp(norm, own_norm)  # (B, H, C)
        output = (
            to_prompt * (norm - joint).exp()[..., None] + to_self * (own_norm - joint).exp()[..., None]
        ).to(query.dtype)
        ctx.save_for_backward(query, key, value, prompt_key, prompt_value, bias, output, joint)
        ctx.seats, ctx.scale = seats, scale
        return torch.as_tensor(output)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Gradients of query, key, value, prompt_key and prompt_value."""
        query, key, value, prompt_key, prompt_value, bias, output, joint = ctx.saved_tensors
        seats, scale, heads = ctx.seats, ctx.scale, prompt_key.shape[1]
        gradient = gradient.contiguous()
        folded = [seats.together(_fold(x, heads)) for x in (gradient, query, output, joint.unsqueeze(-1))]
        d_query, d_prompt_key, d_prompt_value = _flash_backward(
            *folded[:2], prompt_key, prompt_value, folded[2], folded[3].squeeze(-1), 0.0, False,
            attn_mask=bias, scale=scale,
        )  # fmt: skip
        own = _flash_backward(
            gradient, query, key, value, output, joint.contiguous(), 0.0, True, attn_mask=None, scale=scale
        )
        d_query = seats.apart(d_query).reshape(query.shape) + own[0]
        return d_query, own[1], own[2], d_prompt_key, d_prompt_value, None, None, None


def _fold(x: torch.Tensor, heads: int) -> torch.Tensor:
    """(B, H, C, X) to (B, K, H / K * C, X): query heads that share keys become more queries."""
    return x.reshape(x.shape[0], heads, -1, x.shape[-1])
