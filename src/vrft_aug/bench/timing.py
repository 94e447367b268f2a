"""Steps of both arms in turns, timed by part; equality of what they compute."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch

from vrft_aug.policy.prefix.patching import swapped
from vrft_aug.training.prefix_sharing import whole_batches

PARTS = ("sampling", "scoring", "forward", "backward", "optimiser", "other")


class Stopwatch:
    """Seconds by name; time inside an inner name is not counted again in the outer one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner = [0.0]

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """Add the time that this is open to `name`."""
        _wait()
        start = time.perf_counter()
        self._inner.append(0.0)
        try:
            yield
        finally:
            _wait()
            spent = time.perf_counter() - start
            self.seconds[name] += spent - self._inner.pop()
            self._inner[-1] += spent

    def watch(self, owner: Any, method: str, name: str) -> None:
        """Time every call of `owner.method`."""
        stock: Callable[..., Any] = getattr(owner, method)

        @wraps(stock)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.timing(name):
                return stock(*args, **kwargs)

        setattr(owner, method, timed)


def _wait() -> None:
    """A GPU works on while Python goes ahead."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def watched(trainer: Any) -> Stopwatch:
    """A stopwatch on the parts of a trainer's step."""
    watch = Stopwatch()
    watch.watch(trainer, "_generate", "sampling")
    watch.watch(trainer, "_generate_and_score_completions", "scoring")
    watch.watch(trainer, "compute_loss", "forward")
    watch.watch(trainer.accelerator, "backward", "backward")
    watch.watch(trainer, "training_step", "other")
    trainer.create_optimizer()
    watch.watch(trainer.optimizer, "step", "optimiser")
    return watch


def timed_step(trainer: Any, watch: Stopwatch, seed: int) -> dict[str, float]:
    """Seconds of each part of one optimiser step, from the trainer's own loop."""
    watch.seconds.clear()
    torch.manual_seed(seed)  # both arms draw the same completions
    trainer.train()
    return {part: watch.seconds[part] for part in PARTS}


def compare(stock: Any, shared: Any) -> dict[str, float]:
    """Differences between both arms on the step that ours trained on last, at stock's weights.

    Returns the largest difference of a log-probability, the relative difference of the loss's gradient, and
    the tokens that each arm runs through its language model for the micro-batches as it cuts them.
    """
    shared.model.load_state_dict(stock.model.state_dict())
    batches = whole_batches(shared)
    (stock_scores, stock_gradient), (scores, gradient) = (
        _scores_and_gradient(trainer, batches) for trainer in (stock, shared)
    )
    return {
        "logprob_max_diff": float((scores - stock_scores).abs().max()),
        "grad_rel_diff": float((gradient - stock_gradient).norm() / stock_gradient.norm()),
        "tokens_stock": _tokens(stock),
        "tokens_shared": _tokens(shared),
    }


def _scores_and_gradient(trainer: Any, batches: list[dict[str, Any]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities (B, C) and the flat gradient of a step of these micro-batches."""
    model, scores = trainer.model, []
    log_probs = trainer._get_per_token_logps_and_entropies

    def kept(*args: Any, **kwargs: Any) -> Any:
        result = log_probs(*args, **kwargs)
        scores.append(result[0].detach())
        return result

    model.train()
    model.zero_grad()
    with swapped(trainer, "_get_per_token_logps_and_entropies", kept):
        for batch in batches:
            trainer.compute_loss(model, batch).backward()
    gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    model.zero_grad()
    return torch.cat(scores), gradient


def _tokens(trainer: Any) -> int:
    """Tokens that the language model reads in the forward passes of the step that was trained on last."""
    tokens = 0

    def counted(_: Any, args: Any, __: Any) -> None:
        nonlocal tokens
        tokens += args[0].numel()

    hook = trainer.model.get_input_embeddings().register_forward_hook(counted)
    with torch.no_grad():
        for batch in trainer._buffered_inputs:
            trainer.compute_loss(trainer.model, batch)
    hook.remove()
    return tokens
