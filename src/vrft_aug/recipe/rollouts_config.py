"""What draws the completions of a GRPO stage: `stages[].rollouts` in the recipe."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from vrft_aug.data.settings import Strict
from vrft_aug.errors import nearest

PREFIX = "vllm_"  # of the settings that trl.GRPOConfig has for the engine


class RolloutsConfig(Strict):
    """What draws the completions: the policy by transformers, or a copy of it in vLLM that every step renews.

    `vllm_*` settings of trl.GRPOConfig stand here under their own names.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    # vllm: a copy of the policy that every step renews; TRL's vllm_* settings stand beside it by their names
    engine: Literal["transformers", "vllm"] = "transformers"
    # vllm: inside of each training process, or a server of TRL's (`trl vllm-serve`), which needs GPUs
    mode: Literal["colocate", "server"] = "colocate"
    llm: dict[str, Any] = Field(default_factory=dict)  # colocate: further arguments of vllm.LLM

    @model_validator(mode="after")
    def _engines_own(self) -> RolloutsConfig:
        known = ["engine", "mode", "llm"]
        for key in self.model_extra or {}:
            if not key.startswith(PREFIX):
                near = nearest(key, known) or f"; expected one of {', '.join(known)}"
                raise ValueError(f"{key} is not a known key{near}, or a vllm_* setting of trl.GRPOConfig")
        if self.engine != "vllm" and (given := [*self.settings, *(["llm"] if self.llm else [])]):
            raise ValueError(f"{given[0]} is a setting of vLLM; set engine: vllm, or remove it")
        if self.mode == "server" and self.llm:
            raise ValueError("llm is for mode colocate; a server takes its arguments where it is started")
        return self

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of trl.GRPOConfig, by its names."""
        return dict(self.model_extra or {})
