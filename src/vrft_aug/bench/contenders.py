"""One case as two trainers that differ in nothing but prefix sharing."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from vrft_aug.bench.presets import SIZES, Shape

if TYPE_CHECKING:  # TRL takes seconds to import
    from vrft_aug.policy.anatomy import Anatomy
    from vrft_aug.training.augmentations.visual_terms import VisualTerms

SEED = 7
WORDS = "hard exudates are bright yellow deposits with sharp edges near the macula . "


def make_trainer(
    shape: Shape,
    shared: bool,
    folder: Path,
    device: str = "cpu",
    visual: tuple[VisualTerms | None] | None = None,
) -> Any:
    """A trl.GRPOTrainer for `shape` with a random Qwen2.5-VL, with or without prefix sharing.

    With `visual` it is our subclass, with what that learns from masked pictures or None.
    """
    from transformers import PrinterCallback
    from trl import GRPOConfig, GRPOTrainer

    from vrft_aug.policy.adapters import lora_config
    from vrft_aug.policy.load import quiet_libraries
    from vrft_aug.recipe.model_config import ModelConfig
    from vrft_aug.training.case_dataset import CaseDataset
    from vrft_aug.training.policy_trainer import PolicyTrainer
    from vrft_aug.training.prefix_sharing import enable_prefix_sharing

    quiet_libraries()
    processor = _processor(shape)
    config = GRPOConfig(
        output_dir=str(folder),
        per_device_train_batch_size=shape.prompts * shape.generations // shape.accumulation,
        gradient_accumulation_steps=shape.accumulation,
        num_generations=shape.generations,
        max_completion_length=shape.completion,
        generation_kwargs={"min_new_tokens": shape.completion, "suppress_tokens": [_image_token(processor)]},
        max_steps=1,
        learning_rate=1e-4,
        seed=SEED,
        bf16=shape.adapter,
        use_cpu=device == "cpu",
        dataloader_pin_memory=device == "cuda",
        gradient_checkpointing=shape.checkpointing,
        shuffle_dataset=False,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
    )
    maker = GRPOTrainer if visual is None else partial(PolicyTrainer, visual=visual[0])
    trainer = maker(
        model=_model(shape),
        reward_funcs=_reward,
        args=config,
        train_dataset=CaseDataset(range(shape.prompts), _rows(shape, processor).__getitem__),
        processing_class=processor,
        peft_config=lora_config(ModelConfig(lora={"r": 16})) if shape.adapter else None,
    )
    trainer.remove_callback(PrinterCallback)
    if shared and not enable_prefix_sharing(trainer):
        raise RuntimeError("prefix sharing is off for the model of the benchmark")
    return trainer


def shape_anatomy(shape: Shape) -> Anatomy:
    """What the model of a shape is made of; its weights are not made."""
    from vrft_aug.policy.counting import count_modules
    from vrft_aug.recipe.model_config import ModelConfig

    with torch.device("meta"):
        model = _model(shape)
    return count_modules(model, ModelConfig(lora={"r": 16} if shape.adapter else None))


def _reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
    """Something that differs within a group, so that there is a gradient."""
    return [sum(ids) % 97 / 97 for ids in completion_ids]


def _processor(shape: Shape) -> Any:
    from vrft_aug.policy.load import load_policy
    from vrft_aug.recipe.model_config import ModelConfig

    processor = load_policy(ModelConfig(name="tiny", device="cpu")).processor
    pixels = shape.image**2
    processor.image_processor.size = {"shortest_edge": pixels, "longest_edge": pixels}
    return processor


def _image_token(processor: Any) -> int:
    return int(processor.tokenizer.convert_tokens_to_ids(processor.image_token))


def _model(shape: Shape) -> Any:
    """Random weights, so that no figure depends on what the embedded model has learned."""
    from transformers import AutoConfig, AutoModelForImageTextToText

    from vrft_aug.recipe.model_folder import TINY_FOLDER

    size, config = SIZES[shape.size], AutoConfig.from_pretrained(TINY_FOLDER)
    text = config.text_config
    text.hidden_size, text.num_hidden_layers = size.hidden, size.layers
    text.num_attention_heads, text.num_key_value_heads = size.heads, size.key_value_heads
    text.intermediate_size, text.layer_types = size.intermediate, ["full_attention"] * size.layers
    text.vocab_size = size.vocabulary or text.vocab_size
    for name, value in {**size.vision, "out_hidden_size": size.hidden}.items():
        setattr(config.vision_config, name, value)
    half = size.hidden // size.heads // 2  # of a head: time, height and width share it as in Qwen2.5-VL
    text.rope_parameters["mrope_section"] = [half // 4, 3 * half // 8, 3 * half // 8]
    torch.manual_seed(SEED)
    dtype = torch.bfloat16 if shape.adapter else torch.float32
    return AutoModelForImageTextToText.from_config(config, dtype=dtype)


def _rows(shape: Shape, processor: Any) -> list[dict[str, Any]]:
    """Prompts of about `shape.prompt` tokens, each with a picture of noise of its own."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(SEED)
    words = WORDS.split()
    per_word = len(processor.tokenizer(WORDS * 20)["input_ids"]) / (20 * len(words))
    chat_and_image = (shape.image // 16) ** 2 + 14
    count = max(1, round((shape.prompt - chat_and_image) / per_word))
    text = " ".join((words * (count // len(words) + 1))[:count])
    pixels = rng.integers(0, 255, (shape.prompts, shape.image, shape.image, 3), dtype=np.uint8)
    return [
        {"prompt": [{"role": "user", "content": text}], "images": [Image.fromarray(picture)], "row": row}
        for row, picture in enumerate(pixels)
    ]
