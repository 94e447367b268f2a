"""Rows ordered by the prompt that they share, so that one product serves them all."""

from __future__ import annotations

import torch


class Seats:
    """Where B rows sit when the rows of each of U prompts lie side by side.

    Args:
        prompt: (B,) the prompt of each row, in [0, U).
        prompts: U.
    """

    def __init__(self, prompt: torch.Tensor, prompts: int) -> None:
        rows = torch.bincount(prompt, minlength=prompts)
        first = rows.cumsum(0) - rows  # of each prompt, in the order below
        order = prompt.argsort(stable=True)
        place = torch.empty_like(prompt)  # of a row among the rows of its prompt
        place[order] = torch.arange(len(prompt), device=prompt.device) - first[prompt[order]]
        self.prompts = prompts
        self.each = int(rows.max())  # seats of a prompt; some stay empty where prompts have fewer rows
        self.seat = prompt * self.each + place
        # Rows sit where they are: nothing has to be moved.
        self.sorted = len(prompt) == prompts * self.each and bool(
            (self.seat == torch.arange(len(prompt), device=prompt.device)).all()
        )

    def together(self, x: torch.Tensor) -> torch.Tensor:
        """From rows (B, K, N, X) to prompts (U, K, each * N, X); empty seats are zero."""
        _, heads, queries, size = x.shape
        seated = x
        if not self.sorted:
            seated = x.new_zeros(self.prompts * self.each, heads, queries, size).index_copy_(0, self.seat, x)
        return seated.view(-1, self.each, heads, queries, size).transpose(1, 2).flatten(2, 3)

    def apart(self, x: torch.Tensor) -> torch.Tensor:
        """The inverse of `together`."""
        _, heads, queries, size = x.shape
        seated = x.reshape(-1, heads, self.each, queries // self.each, size).transpose(1, 2).flatten(0, 1)
        return seated if self.sorted else seated.index_select(0, self.seat)
