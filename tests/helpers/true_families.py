"""Small random models behind the processors that their families ship with, as normal transformers folders.

Qwen2.5-VL and Qwen3-VL: the whole tokenizer, template and image processor, from a folder of models that
VRFT_TEST_MODELS names (else `shared/models` beside this checkout), with the model's config made small. The
others: their processor classes and chat templates, which TRL ships, around a small tokenizer trained here.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from helpers.random_policy import CORPUS

MODELS = Path(os.environ.get("VRFT_TEST_MODELS") or Path(__file__).parents[3] / "shared" / "models")
TEXT: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 2048,
}  # fmt: skip
SIGHT: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "patch_size": 8,
}  # fmt: skip
QWEN = {  # family and folder: what text and vision shrink to, and the sections of multimodal rope
    "qwen2.5-vl": (
        {**TEXT, "num_hidden_layers": 3, "hidden_size": 64, "head_dim": 16},
        {
            "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 64,
            "fullatt_block_indexes": [1],
        },
        [2, 3, 3],
    ),
    "qwen3-vl": (
        {**TEXT, "num_hidden_layers": 3, "hidden_size": 64, "head_dim": 16},
        {
            "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 64,
            "num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1],
        },
        [3, 3, 2],
    ),
}  # fmt: skip
TILE_TAGS = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]


def why_absent(family: str) -> str | None:
    """Why a family cannot be built here, or None where it can."""
    if family in QWEN and not (MODELS / family / "tokenizer.json").is_file():
        return f"no {family} processor under {MODELS}; VRFT_TEST_MODELS names a folder with one"
    return None


def save_family(family: str, folder: Path, seed: int = 0) -> Path:
    """Write a random model of the family, and its processor, into `folder`."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if family in QWEN:
            _save_qwen(family, folder)
        else:
            model, processor = BUILDERS[family]()
            processor.save_pretrained(folder)
            model.save_pretrained(folder)
    return folder


def _save_qwen(family: str, folder: Path) -> None:
    from transformers import AutoConfig, AutoModelForImageTextToText, GenerationConfig

    folder.mkdir(parents=True, exist_ok=True)
    for path in (MODELS / family).iterdir():
        if path.name != "config.json":
            shutil.copyfile(path, folder / path.name)  # the contents alone: the folder may be read-only
    config = json.loads((MODELS / family / "config.json").read_text("utf-8"))
    text, vision, sections = QWEN[family]
    config["text_config"] |= text
    config["text_config"]["rope_parameters"]["mrope_section"] = sections
    config["vision_config"] |= vision
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    model = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(folder))
    model.generation_config = GenerationConfig.from_pretrained(folder)
    model.save_pretrained(folder)


def trained_tokenizer(special: list[str], eos: str, pad: str, bos: str | None = None, **named: str) -> Any:
    """A byte-level BPE of about 420 tokens with a family's special tokens; `named` are its attributes.

    Every text begins with `bos`, where there is one.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=380 + len(special), special_tokens=special, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    bpe.train_from_iterator(CORPUS * 3, trainer)
    if bos is not None:
        tokens = [(bos, bpe.token_to_id(bos))]
        bpe.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A $B", special_tokens=tokens
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token=bos, eos_token=eos, pad_token=pad, padding_side="left",
        extra_special_tokens=named or special,
    )  # fmt: skip


def chat_template(name: str) -> str:
    """The chat template that TRL ships for a family."""
    return (files("trl") / "chat_templates" / f"{name}.jinja").read_text("utf-8")


def _text(tokenizer: Any, **settings: Any) -> dict[str, Any]:
    return {
        **TEXT, "vocab_size": len(tokenizer), "bos_token_id": None, "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id, **settings,
    }  # fmt: skip


def _ends(model: Any, tokenizer: Any) -> Any:
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


def _gemma3() -> tuple[Any, Any]:
    """Squares of 64 pixels, 16 tokens each (true: 896 pixels, 256 tokens)."""
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration, Gemma3Processor
    from transformers.models.gemma3.image_processing_gemma3 import Gemma3ImageProcessor

    named = {
        "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>",
    }  # fmt: skip
    special = ["<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>", *named.values()]
    tokenizer = trained_tokenizer(special, "<end_of_turn>", "<pad>", "<bos>", **named)
    side = {"height": 64, "width": 64}
    processor = Gemma3Processor(
        Gemma3ImageProcessor(size=side), tokenizer, chat_template("gemma3"), image_seq_length=16
    )
    layers = ["sliding_attention", "full_attention"]
    config = Gemma3Config(
        text_config=_text(
            tokenizer, sliding_window=64, layer_types=layers, query_pre_attn_scalar=8,
        ),
        vision_config={**SIGHT, "image_size": 64, "vision_use_head": False},
        mm_tokens_per_image=16,
        image_token_index=tokenizer.image_token_id,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
    )  # fmt: skip
    return _ends(Gemma3ForConditionalGeneration(config), tokenizer), processor


def _idefics(name: str, template: str, begin: str) -> tuple[Any, Any]:
    """Tiles of 64 pixels, 16 tokens each, of pictures that are scaled to 128 (true: 364 or 512, and 4)."""
    import transformers
    from transformers.models.idefics3.image_processing_idefics3 import Idefics3ImageProcessor
    from transformers.models.smolvlm.image_processing_smolvlm import SmolVLMImageProcessor
    from transformers.models.smolvlm.video_processing_smolvlm import SmolVLMVideoProcessor

    special = ["<pad>", begin, "<end_of_utterance>", "<fake_token_around_image>", "<image>", "<global-img>"]
    tokenizer = trained_tokenizer([*special, *TILE_TAGS], "<end_of_utterance>", "<pad>")
    sizes = {"size": {"longest_edge": 128}, "max_image_size": {"longest_edge": 64}}
    settings = {"chat_template": chat_template(template), "image_seq_len": 16}
    if name == "SmolVLM":
        video = SmolVLMVideoProcessor(**sizes, num_frames=4, fps=1)
        processor = transformers.SmolVLMProcessor(
            SmolVLMImageProcessor(**sizes), tokenizer, video, **settings
        )
    else:
        processor = transformers.Idefics3Processor(Idefics3ImageProcessor(**sizes), tokenizer, **settings)
    config = getattr(transformers, f"{name}Config")(
        text_config={"model_type": "llama", **_text(tokenizer)},
        vision_config={**SIGHT, "image_size": 64},
        scale_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    return _ends(getattr(transformers, f"{name}ForConditionalGeneration")(config), tokenizer), processor


def _llava_next() -> tuple[Any, Any]:
    """Crops of 32 pixels, 16 patches each, in grids of up to 64 x 64, 96 x 32 (true: 336 and 672, 1008)."""
    from transformers import LlavaNextConfig, LlavaNextForConditionalGeneration, LlavaNextProcessor
    from transformers.models.llava_next.image_processing_llava_next import LlavaNextImageProcessor

    tokenizer = trained_tokenizer(["<unk>", "<s>", "</s>", "<image>", "<pad>"], "</s>", "<pad>", "<s>")
    grids = [[32, 64], [64, 32], [64, 64], [96, 32], [32, 96]]
    side = {"height": 32, "width": 32}
    processor = LlavaNextProcessor(
        LlavaNextImageProcessor(size={"shortest_edge": 32}, crop_size=side, image_grid_pinpoints=grids),
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        chat_template=chat_template("llava_next"),
        num_additional_image_tokens=1,
    )
    config = LlavaNextConfig(
        text_config={"model_type": "mistral", **_text(tokenizer)},
        vision_config={"model_type": "clip_vision_model", **SIGHT, "image_size": 32, "projection_dim": 32},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=grids,
        pad_token_id=tokenizer.pad_token_id,
    )
    return _ends(LlavaNextForConditionalGeneration(config), tokenizer), processor


BUILDERS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "gemma3": _gemma3,
    "smolvlm": lambda: _idefics("SmolVLM", "smolvlm", "<|im_start|>"),
    "idefics3": lambda: _idefics("Idefics3", "idefics3", "<|begin_of_text|>"),
    "llava-next": _llava_next,
}
FAMILIES = (*QWEN, *BUILDERS)
