"""Completions by vLLM, through TRL: what TRL leaves to whoever uses it with a vision-language model.

TRL makes the engine, gives it the weights before each generation, asks it, and weighs what comes. Here

- the engine computes in the policy's precision, with its pixel limits, and leaves the process's random
  numbers, threads and environment as they were;
- prompts reach it with one token for each picture, as a chat template writes them. TRL gives the trainer's
  own tokens, in which every picture stands for many, and vLLM 0.32 makes more of them again (of 56 image
  tokens 111). What vLLM has made of a prompt must be what the trainer computes on, token by token;
- every completion has a seed of its own, and never an image token;
- what it remembers of pictures is forgotten with the weights that it was computed by; TRL does so for
  prefixes alone, which is wrong where the vision tower is trained;
- it is closed when the stage ends, in whatever way.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from hashlib import blake2b
from typing import Any

import torch

from vrft_aug.errors import UserError
from vrft_aug.plugins import in_a_line
from vrft_aug.policy.chat import eos_token_ids
from vrft_aug.policy.load import Policy
from vrft_aug.policy.prefix.patching import swapped
from vrft_aug.policy.random_numbers import same_random_numbers
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.stage_config import StageConfig

# What TRL sets for vLLM's sake, and would stay set.
ENVIRONMENT = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
# As vLLM reads them when it starts on a CPU: to bind threads to cores would bind training, too.
CPU_ENVIRONMENT = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_CPU_KVCACHE_SPACE": "1"}
Key = tuple[int, ...]


def sampling_arguments(policy: Policy, given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of vllm.SamplingParams: the `given` ones, and what completions end with and may not hold."""
    image = getattr(policy.model.config, "image_token_id", None)
    # A written image token would ask for a picture that is not there.
    banned = [] if image is None else [policy.processor.tokenizer.convert_ids_to_tokens(image)]
    banned += given.get("bad_words") or []
    return {"stop_token_ids": eos_token_ids(policy), **given, **({"bad_words": banned} if banned else {})}


class VllmRollouts:
    """The engine of one stage, in the process or a server of TRL's; `making` is around TRL's constructor."""

    def __init__(self, stage: StageConfig, model: ModelConfig, policy: Policy) -> None:
        self.place, self.rollouts = stage.place, stage.rollouts
        self.model, self.policy = model, policy
        self.keys: list[Key] | None = None  # of the completions that are asked for next
        self._llm: Any = None
        self._written: list[list[int]] = []  # the prompts that are asked next, one token a picture
        self._joined = False  # whether vLLM has started a process group of its own

    @contextmanager
    def making(self, generation_kwargs: dict[str, Any] | None) -> Iterator[None]:
        """While TRL makes the engine, or meets the server; closes what there is where that fails."""
        from trl.generation import vllm_generation
        from trl.trainer import grpo_trainer

        self._check_sampling(generation_kwargs or {})
        stock = vllm_generation.VLLMGeneration
        before = {name: os.environ.get(name) for name in ENVIRONMENT}

        def connected(**settings: Any) -> Any:
            try:
                generation = stock(**settings)
            except (RuntimeError, ValueError, TypeError, OSError, NotImplementedError, ImportError) as error:
                raise UserError(self._refused(error)) from error
            if self.rollouts.mode == "server":
                self._watch_server(generation)
            return generation

        try:
            with ExitStack() as stack:
                stack.enter_context(swapped(grpo_trainer, "VLLMGeneration", connected))
                stack.enter_context(swapped(vllm_generation, "LLM", self._engine))
                yield
        except BaseException:
            self.close()
            raise
        finally:
            _restore(before)

    def write(self, processor: Any, prompts: Sequence[Any], **settings: Any) -> None:
        """Take the chats that are asked next, as the chat template writes them."""
        if self._llm is None:
            return
        texts = processor.apply_chat_template(
            list(prompts), add_generation_prompt=True, tokenize=False, **settings
        )
        self._written = processor.tokenizer(texts, add_special_tokens=False)["input_ids"]

    def close(self) -> None:
        """Let the engine go, with its memory and whatever processes it has."""
        llm, self._llm = self._llm, None
        if llm is None and not self._joined:
            return
        from vllm.distributed import parallel_state

        # The group of several training processes is theirs, and outlives the engine.
        ours = swapped(parallel_state, "destroy_distributed_environment", lambda: None)
        with nullcontext() if self._joined else ours:
            if llm is not None:
                del llm.generate, llm.reset_prefix_cache
                llm.llm_engine.engine_core.shutdown()
            parallel_state.destroy_model_parallel()
            parallel_state.destroy_distributed_environment()
        self._joined = False
        del llm
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _engine(self, **settings: Any) -> Any:
        """vllm.LLM with TRL's arguments, ours, and the recipe's."""
        from vllm import LLM
        from vllm.model_executor.layers import utils as layer_utils

        on_cpu = self.policy.device.type == "cpu"
        for name, value in (CPU_ENVIRONMENT if on_cpu else {}).items():
            os.environ.setdefault(name, value)
        limits = {"min_pixels": self.model.min_pixels, "max_pixels": self.model.max_pixels}
        limits = {name: value for name, value in limits.items() if value is not None}
        settings |= {
            "dtype": str(self.policy.dtype).removeprefix("torch."),
            "enforce_eager": on_cpu,  # compiling takes longer there than it saves
            "trust_remote_code": self.model.trust_remote_code,
            **({"revision": self.model.load["revision"]} if "revision" in self.model.load else {}),
            **({"mm_processor_kwargs": limits} if limits else {}),
            **self.rollouts.llm,
        }
        if getattr(self.policy.model.config, "video_token_id", None) is not None:
            settings.setdefault("limit_mm_per_prompt", {"video": 0})  # else memory is set aside for them
        self._joined = not torch.distributed.is_initialized()
        with ExitStack() as stack:
            stack.enter_context(same_random_numbers())
            stack.enter_context(swapped(torch, "set_num_threads", torch.set_num_threads))
            if on_cpu:
                stack.enter_context(swapped(layer_utils, "dispatch_cpu_unquantized_gemm", _leave_unpacked))
            self._llm = llm = LLM(**settings)
        self._generate, self._reset = llm.generate, llm.reset_prefix_cache
        llm.generate, llm.reset_prefix_cache = self._asked, self._forget
        return llm

    def _asked(self, prompts: Sequence[Any], sampling_params: Any, **settings: Any) -> list[Any]:
        """vLLM's `generate` of TRL's prompts, each as it is written and with a seed of its own."""
        each = []
        for key in self._keys(len(prompts)):
            own = sampling_params.clone()
            own.seed = seed_of(key)
            each.append(own)
        asked = [
            {**prompt, "prompt_token_ids": written}
            for prompt, written in zip(prompts, self._written, strict=True)
        ]
        with same_random_numbers():
            outputs: list[Any] = self._generate(asked, sampling_params=each, **settings)
        for prompt, output in zip(prompts, outputs, strict=True):
            if list(output.prompt_token_ids) != list(prompt["prompt_token_ids"]):
                raise UserError(
                    self._unlike(len(prompt["prompt_token_ids"]), len(output.prompt_token_ids))
                    + "; set engine: transformers"
                )
        return outputs

    def _keys(self, count: int) -> Sequence[Key]:
        keys, self.keys = self.keys, None
        if keys is None or len(keys) != count:
            raise ValueError(f"{count} completions are asked for, and the keys of their seeds are {keys}")
        return keys

    def _forget(self, *arguments: Any, **settings: Any) -> Any:
        self._llm.llm_engine.reset_encoder_cache()
        return self._reset(*arguments, **settings)

    def _watch_server(self, generation: Any) -> None:
        """A server must see as many tokens in every picture as the trainer, and forget pictures likewise."""
        place, client = generation._place_features, generation.vllm_client
        reset = client.reset_prefix_cache

        def placed(features: Any, prompt_ids: list[int]) -> Any:
            result = place(features, prompt_ids)
            if features is not None:
                theirs, own = (
                    [one["length"] for one in of["mm_placeholders"]["image"]] for of in (features, result)
                )
                if theirs != own:
                    raise UserError(f"{self._unlike(sum(own), sum(theirs))}; {self._start_server()}")
            return result

        def forget() -> None:
            client._post(f"{client.base_url}/reset_encoder_cache")
            reset()

        generation._place_features, client.reset_prefix_cache = placed, forget

    def _unlike(self, own: int, theirs: int) -> str:
        return (
            f"{self.place}.rollouts: vLLM makes {theirs} tokens of what the trainer of {self.policy.name} "
            f"makes {own} of, so completions would be drawn for other prompts than they train"
        )

    def _check_sampling(self, generation_kwargs: dict[str, Any]) -> None:
        from vllm import SamplingParams

        try:
            SamplingParams(**generation_kwargs)
        except (TypeError, ValueError) as error:
            raise UserError(
                f"{self.place}.trainer.generation_kwargs: vLLM refuses them, {in_a_line(error)}; expected "
                "arguments of vllm.SamplingParams"
            ) from error

    def _refused(self, error: Exception) -> str:
        if self.rollouts.mode == "server":
            return f"{self.place}.rollouts: {in_a_line(error)[:180]}; {self._start_server()}"
        return f"{self.place}.rollouts: vLLM does not start: {in_a_line(error)}; change what it names there"

    def _start_server(self) -> str:
        """What to type on the server's side."""
        limits = {"min_pixels": self.model.min_pixels, "max_pixels": self.model.max_pixels}
        own = [f'"{name}": {value}' for name, value in limits.items() if value is not None]
        pixels = f" --mm-processor-kwargs '{{{', '.join(own)}}}'" if own else ""
        dtype = str(self.policy.dtype).removeprefix("torch.")
        return f"start it as `trl vllm-serve --model {self.model.name} --dtype {dtype}{pixels}`"


def _leave_unpacked(layer: Any, remove_weight: bool) -> None:
    """vLLM packs weights for CPUs and then takes no new ones, or, of a tied head, packs the old ones."""
    layer.cpu_linear = torch.nn.functional.linear


def seed_of(key: Key) -> int:
    """A seed below 2**63 that the numbers of a key give."""
    return int.from_bytes(blake2b(repr(key).encode(), digest_size=8).digest(), "big") >> 1


def _restore(before: dict[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
