"""What we lean on in TRL, transformers, PEFT and torch besides their public interfaces.

TRL is pinned to a minor version for these. Where a name moves, the failure says which of our files rests on
it: read it, adapt it, then move the pin.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Name:
    """A name in a library, what must be true of it, and who needs it."""

    path: str  # module:attribute.attribute
    used_by: str  # below src/vrft_aug
    parameters: tuple[str, ...] = ()  # that a function must take
    says: tuple[str, ...] = ()  # what its source must contain: attributes and calls that have no other handle

    @property
    def library(self) -> str:
        package = self.path.split(":")[0].split(".")[0]
        return {"PIL": "pillow"}.get(package, package)


TRAINER = "trl.trainer.grpo_trainer:GRPOTrainer"
VLLM = "trl.generation.vllm_generation:VLLMGeneration"
NAMES = (
    # TRL's trainer: what is wrapped, with the arguments that the wrappers pass on
    Name(
        f"{TRAINER}._generate_single_turn", "training/prefix_sharing.py",
        ("prompt_ids", "images", "multimodal_fields", "num_generations"),
        (
            "unwrapped_model.generate(", "generation_config=self.generation_config",
            "return completion_ids, logprobs",
        ),
    ),
    Name(f"{TRAINER}._generate_and_score_completions", "training/prefix_sharing.py", ("inputs",)),
    Name(
        f"{TRAINER}._get_per_token_logps_and_entropies", "training/prefix_sharing.py",
        (
            "model", "input_ids", "attention_mask", "logits_to_keep", "batch_size", "compute_entropy",
            "compute_aux_loss", "num_images",
        ),
    ),
    Name(f"{TRAINER}._compute_loss", "training/policy_trainer.py", ("model", "inputs")),
    Name(f"{TRAINER}._prepare_inputs", "training/prefix_sharing.py", ("generation_batch",)),
    Name(f"{TRAINER}._log_metric", "training/rollouts/dynamic.py", ("name", "value")),
    Name(
        f"{TRAINER}.__init__", "training/policy_trainer.py",
        says=(
            "create_model_from_path(get_config_model_id(self.model.config)", "self._metrics", "self._logs",
            "add_fused_lm_head(", 'model.add_adapter("ref"',
        ),
    ),
    Name(
        f"{TRAINER}._generate_and_score_completions", "training/policy_trainer.py",
        says=('output["sampling_per_token_logps"]', 'output["old_per_token_logps"]', "completion_mask"),
    ),
    Name(
        f"{TRAINER}._prepare_inputs", "bench/timing.py",
        says=("self._buffered_inputs", "shuffle_sequence_dict"),
    ),
    Name("trl.trainer.grpo_trainer:create_model_from_path", "training/policy_trainer.py"),
    Name("trl.trainer.grpo_trainer:shuffle_sequence_dict", "training/prefix_sharing.py"),
    Name(
        "trl.trainer.utils:add_fused_lm_head", "policy/prefix/scoring.py",
        says=("fused_lm_head", "shift_labels"),
    ),
    Name("trl.data_utils:prepare_multimodal_messages", "training/rollouts/dynamic.py"),
    # TRL's side of vLLM
    Name(f"{TRAINER}._tokenize_prompts", "training/policy_trainer.py", ("prompts",)),
    Name(
        f"{TRAINER}.__init__", "training/rollouts/vllm_rollouts.py",
        says=("self.vllm_generation = VLLMGeneration(", "generation_kwargs=args.generation_kwargs"),
    ),
    Name(
        f"{VLLM}._init_vllm", "training/rollouts/vllm_rollouts.py",
        says=(
            "self.llm = LLM(", 'os.environ["WORLD_SIZE"]', "ensure_master_addr_port()",
            'logprobs_mode="processed_logprobs"', "max_num_seqs=self.max_num_seqs",
        ),
    ),
    Name(
        f"{VLLM}.generate", "training/rollouts/vllm_rollouts.py",
        says=('"n": 1', 'row = {"prompt_token_ids": ids}', "self.llm.generate(vllm_prompts, sampling_params"),
    ),
    Name(
        f"{VLLM}.sync_weights", "training/rollouts/vllm_rollouts.py",
        says=("model.load_weights(", "self.llm.reset_prefix_cache()", "vllm_client.reset_prefix_cache()"),
    ),
    Name(
        f"{VLLM}._place_features", "training/rollouts/vllm_rollouts.py", ("features", "prompt_ids"),
        ('features["mm_placeholders"]["image"]', '"length": length'),
    ),
    Name("trl.generation.vllm_client:VLLMClient._post", "training/rollouts/vllm_rollouts.py", ("url",)),
    # transformers
    Name("transformers.modeling_utils:ALL_ATTENTION_FUNCTIONS", "policy/prefix/attention.py"),
    Name(
        "transformers.configuration_utils:PreTrainedConfig", "policy/prefix/attention.py",
        says=("_attn_implementation_internal",),
    ),
    Name(
        "transformers.modeling_utils:PreTrainedModel", "policy/prefix/attention.py",
        says=("_gradient_checkpointing_func",),
    ),
    Name(
        "transformers.generation.utils:GenerationMixin.generate", "policy/prefix/sampling.py",
        ("custom_generate",), ("_prepare_special_tokens",),
    ),
    Name(
        "transformers.generation.utils:GenerationMixin._prepare_special_tokens", "policy/prefix/sampling.py",
        says=("_pad_token_tensor",),
    ),
    Name(
        "transformers.generation.utils:GenerationMixin._sample", "policy/sampled_log_probs.py",
        ("logits_processor", "stopping_criteria", "generation_config"),
    ),
    Name(
        "transformers.processing_utils:ProcessorMixin._process_images", "training/pictures/picture_server.py",
        says=("self.image_processor(images",),
    ),
    Name(
        "transformers.processing_utils:ProcessorMixin.prepare_inputs_layout",
        "training/pictures/picture_server.py",
        says=("self.image_processor.fetch_images(images)",),
    ),
    Name("transformers.image_processing_base:BatchFeature", "training/pictures/picture_server.py"),
    Name("transformers.trainer_callback:ExportableState", "training/thresholds.py"),
    Name("transformers.trainer_callback:PrinterCallback", "training/job.py"),
    Name(
        "transformers.models.qwen2_5_vl.modeling_qwen2_5_vl:Qwen2_5_VLDecoderLayer",
        "policy/prefix/decoder_step.py",
        says=("input_layernorm", "post_attention_layernorm", "self_attn", "mlp"),
    ),
    Name(
        "transformers.models.llama.modeling_llama:LlamaRMSNorm", "policy/prefix/decoder_step.py",
        says=("variance_epsilon",),
    ),
    # Pillow
    Name(
        "PIL.Image:Image.__init__", "data/picture_on_demand.py",
        says=("self._im", "self._mode", "self._size", "self.palette", "self.info"),
    ),
    # PEFT
    Name(
        "peft.tuners.lora.layer:Linear.get_delta_weight", "policy/prefix/decoder_step.py", ("adapter",)
    ),
    Name(
        "peft.tuners.lora.layer:LoraLayer", "policy/prefix/decoder_step.py",
        says=("lora_variant", "lora_bias", "lora_dropout"),
    ),
    Name("peft.tuners.tuners_utils:BaseTunerLayer.get_base_layer", "policy/adapters.py"),
    Name("peft.tuners.lora.layer:Linear.merge", "policy/adapters.py", ("adapter_names",)),
    Name("peft.tuners.tuners_utils:BaseTuner.unload", "policy/adapters.py"),
    Name(
        "peft:PeftModel.save_pretrained", "policy/adapters.py",
        ("selected_adapters", "save_embedding_layers"),
    ),
    # torch
    Name(
        "torch.nn.attention.flex_attention:BlockMask.from_kv_blocks", "policy/prefix/flex.py",
        ("kv_num_blocks", "kv_indices", "full_kv_num_blocks", "full_kv_indices", "BLOCK_SIZE", "mask_mod"),
    ),
    Name(
        "torch.nn.attention.flex_attention:flex_attention", "policy/prefix/flex.py",
        ("query", "key", "value", "block_mask", "scale", "enable_gqa"),
    ),
    Name(
        "torch:ops.aten._scaled_dot_product_flash_attention_for_cpu", "policy/prefix/split_softmax.py"
    ),
    Name(
        "torch:ops.aten._scaled_dot_product_flash_attention_for_cpu_backward",
        "policy/prefix/split_softmax.py",
    ),
)  # fmt: skip


def moved(name: Name) -> str | None:
    """A sentence where the library no longer has what we lean on, or None."""
    where = f"{name.library} {metadata.version(name.library)}"
    then = f"src/vrft_aug/{name.used_by} rests on it: adapt it before the pin moves."
    module, _, path = name.path.partition(":")
    try:
        found: Any = import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, RuntimeError):
        return f"{where} has no {name.path} any more; {then}"
    if name.parameters:
        taken = inspect.signature(found).parameters
        if lacking := [parameter for parameter in name.parameters if parameter not in taken]:
            return f"{path} of {where} takes no {', '.join(lacking)} any more; {then}"
    if name.says:
        source = inspect.getsource(found)
        if lacking := [text for text in name.says if text not in source]:
            return f"{path} of {where} says no {lacking[0]!r} any more; {then}"
    return None


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name.path.split(":")[1])
def test_what_we_lean_on_is_still_there(name: Name) -> None:
    assert moved(name) is None


def test_the_contract_can_fail() -> None:
    gone = Name(f"{TRAINER}._no_such_method", "training/grpo.py")
    assert str(moved(gone)).startswith(f"trl {metadata.version('trl')} has no trl.trainer.grpo_trainer")
    fewer = Name(f"{TRAINER}._compute_loss", "training/grpo.py", ("model", "no_such_argument"))
    assert "takes no no_such_argument any more; src/vrft_aug/training/grpo.py rests" in str(moved(fewer))
    silent = Name(f"{TRAINER}._compute_loss", "training/grpo.py", says=("no_such_text",))
    assert "says no 'no_such_text' any more" in str(moved(silent))


def test_trl_is_pinned_to_a_minor_version() -> None:
    assert '"trl~=1.16.0"' in (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    assert metadata.version("trl").startswith("1.16.")
