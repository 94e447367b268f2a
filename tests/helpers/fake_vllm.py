"""Stands in for vLLM where it is not installed: the part of it that TRL and we talk to."""

from __future__ import annotations

import sys
from collections.abc import Callable
from copy import deepcopy
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch

Expand = Callable[[list[int]], list[int]]  # what it makes of a prompt's tokens


class SamplingParams(SimpleNamespace):
    """vllm.SamplingParams: any names, with a copy."""

    def clone(self) -> SamplingParams:
        return deepcopy(self)


class FakeLLM:
    """vllm.LLM: draws four tokens by the seed of each request, and changes the process as vLLM does."""

    made: ClassVar[list[FakeLLM]] = []
    groups_ended: ClassVar[list[str]] = []  # process groups that vLLM has ended
    expand: ClassVar[Expand]
    broken: ClassVar[Exception | None] = None

    def __init__(self, **settings: Any) -> None:
        torch.manual_seed(0)
        torch.set_num_threads = lambda nthreads: None
        if self.broken is not None:
            raise self.broken
        self.settings, self.asked, self.sampling = settings, [], []  # type: ignore[var-annotated]
        self.loaded: list[dict[str, torch.Tensor]] = []
        self.forgotten = {"prefixes": 0, "pictures": 0}
        self.closed = False
        model = SimpleNamespace(load_weights=self._load)
        worker = SimpleNamespace(model_runner=SimpleNamespace(model=model))
        self.llm_engine = SimpleNamespace(
            reset_encoder_cache=lambda: self._forget("pictures"),
            engine_core=SimpleNamespace(shutdown=self._close),
            model_executor=SimpleNamespace(driver_worker=worker),
            model_config=SimpleNamespace(max_model_len=4096),
        )
        FakeLLM.made.append(self)

    def generate(self, prompts: list[Any], sampling_params: list[Any], use_tqdm: bool) -> list[Any]:
        self.asked.append(prompts)
        self.sampling.append(sampling_params)
        return [self._answer(p["prompt_token_ids"], s) for p, s in zip(prompts, sampling_params, strict=True)]

    def reset_prefix_cache(self) -> None:
        self._forget("prefixes")

    def _answer(self, ids: list[int], sampling: SamplingParams) -> Any:
        source = torch.Generator().manual_seed(sampling.seed)
        drawn = torch.randint(10, 300, (4,), generator=source).tolist()
        told = [{token: SimpleNamespace(logprob=-5.0, rank=1)} for token in drawn]
        output = SimpleNamespace(token_ids=drawn, logprobs=told)
        return SimpleNamespace(prompt_token_ids=type(self).expand(ids), outputs=[output])

    def _forget(self, what: str) -> None:
        self.forgotten[what] += 1

    def _load(self, weights: list[tuple[str, torch.Tensor]]) -> None:
        self.loaded.append({name: weight.clone() for name, weight in weights})

    def _close(self) -> None:
        self.closed = True


def install(monkeypatch: pytest.MonkeyPatch, expand: Expand) -> type[FakeLLM]:
    """Put it where TRL and we look for vLLM; gives its class."""
    from trl.generation import vllm_generation

    llm = type("LLM", (FakeLLM,), {"expand": staticmethod(expand)})
    FakeLLM.made.clear()
    FakeLLM.groups_ended.clear()
    modules: dict[str, dict[str, Any]] = {
        "vllm": {"LLM": llm, "SamplingParams": SamplingParams},
        "vllm.distributed": {},
        "vllm.distributed.parallel_state": {
            "destroy_model_parallel": lambda: None,
            "destroy_distributed_environment": lambda: FakeLLM.groups_ended.append("default"),
        },
        "vllm.model_executor": {},
        "vllm.model_executor.layers": {},
        "vllm.model_executor.layers.utils": {"dispatch_cpu_unquantized_gemm": None},
    }
    for name, members in modules.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
        parent, _, own = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], own, module)
    monkeypatch.setattr(vllm_generation, "is_vllm_available", lambda: True)
    for name, member in modules["vllm"].items():
        monkeypatch.setattr(vllm_generation, name, member, raising=False)
    monkeypatch.setattr(torch, "set_num_threads", torch.set_num_threads)  # so that it comes back
    return llm
