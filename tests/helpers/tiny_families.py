"""Vision-language models of several families, built very small from their transformers configs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import torch

from vrft_aug.policy.freezing import freeze
from vrft_aug.recipe.model_config import Freeze

IMAGE, VIDEO, START, END, PAD = 3, 4, 5, 6, 0
VOCABULARY = 120
TEXT = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 512,
    "pad_token_id": PAD, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
ROPE = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}
QWEN_IDS = {
    "image_token_id": IMAGE, "video_token_id": VIDEO,
    "vision_start_token_id": START, "vision_end_token_id": END,
}  # fmt: skip
SIGLIP = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "image_size": 32, "patch_size": 8,
}  # fmt: skip
CLIP = {"model_type": "clip_vision_model", **SIGLIP, "projection_dim": 16}


@dataclass(frozen=True)
class Family:
    """How to build a model, and what it calls the pixels of an image."""

    build: Callable[[], Any]
    pixels: Callable[[list[int], torch.Generator], dict[str, torch.Tensor]]  # of the images of each row
    tokens: Callable[[int], int]  # of the image that is the n-th of a batch
    types: str | None  # the field that marks image tokens


def _grid(image: int) -> tuple[int, int]:
    return ((4, 6), (6, 4), (2, 4))[image % 3]  # patches; two by two make a token


def _qwen_pixels(images: list[int], generator: torch.Generator) -> dict[str, torch.Tensor]:
    grids = torch.tensor([(1, *_grid(image)) for image in range(sum(images))])
    patches = torch.randn(int(grids.prod(dim=1).sum()), 3 * 2 * 4 * 4, generator=generator)
    return {"pixel_values": patches, "image_grid_thw": grids}


def _gemma_pixels(images: list[int], generator: torch.Generator) -> dict[str, torch.Tensor]:
    return {"pixel_values": torch.randn(sum(images), 3, 32, 32, generator=generator)}


def _tiled_pixels(images: list[int], generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Two tiles an image, as image splitting makes them; rows padded with empty tiles; a narrow last tile."""
    most = 2 * max(images)
    pixels = torch.randn(len(images), most, 3, 32, 32, generator=generator)
    mask = torch.ones(len(images), most, 32, 32, dtype=torch.long)
    mask[:, 1, :, 24:] = 0
    for row, count in enumerate(images):
        pixels[row, 2 * count :] = 0
        mask[row, 2 * count :] = 0
    return {"pixel_values": pixels, "pixel_attention_mask": mask}


def _crops(image: int) -> tuple[tuple[int, int], int]:
    """(height, width) of an image for LLaVA-NeXT, and its crops of 32 pixels: the whole one, and a grid."""
    return (((64, 60), 5), ((30, 60), 3), ((64, 20), 3))[image % 3]


def _next_pixels(images: list[int], generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Crops of an image in a line, padded with empty ones."""
    pixels = torch.randn(sum(images), 5, 3, 32, 32, generator=generator)
    for image, crops in enumerate(pixels):
        crops[_crops(image)[1] :] = 0
    sizes = torch.tensor([_crops(image)[0] for image in range(sum(images))])
    return {"pixel_values": pixels, "image_sizes": sizes}


def _next_tokens(image: int) -> int:
    """16 of the whole image, and of the grid those that are not padding, with a token that ends each line."""
    (height, width), _ = _crops(image)
    lines, columns = {(64, 60): (8, 8), (30, 60): (4, 8), (64, 20): (8, 2)}[height, width]
    return 16 + lines * (columns + 1)


def _llava_next() -> Any:
    from transformers import LlavaNextConfig, LlavaNextForConditionalGeneration

    grids = [[32, 64], [64, 32], [64, 64]]
    config = LlavaNextConfig(
        text_config={"model_type": "mistral", **TEXT, "sliding_window": None}, vision_config=CLIP,
        image_token_index=IMAGE, image_grid_pinpoints=grids, pad_token_id=PAD,
    )  # fmt: skip
    return LlavaNextForConditionalGeneration(config)


def _llava() -> Any:
    from transformers import LlavaConfig, LlavaForConditionalGeneration

    config = LlavaConfig(
        text_config={"model_type": "qwen2", **TEXT}, vision_config=CLIP, image_token_index=IMAGE,
        pad_token_id=PAD,
    )  # fmt: skip
    return LlavaForConditionalGeneration(config)


def _internvl() -> Any:
    from transformers import InternVLConfig, InternVLForConditionalGeneration

    vision = {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "image_size": [32, 32], "patch_size": [8, 8],
    }  # fmt: skip
    config = InternVLConfig(
        text_config={"model_type": "qwen2", **TEXT}, vision_config=vision, image_token_id=IMAGE,
        downsample_ratio=0.5,
    )  # fmt: skip
    return InternVLForConditionalGeneration(config)


def _fast_vlm() -> Any:
    """As the photo base: a convolutional tower of timm, which stays in evaluation mode in training."""
    from transformers import FastVlmConfig, FastVlmForConditionalGeneration, TimmWrapperConfig

    vision = TimmWrapperConfig(
        architecture="test_efficientnet", initializer_range=0.02, model_args={"global_pool": ""}
    )
    vision.hidden_size = 256
    config = FastVlmConfig(
        text_config={"model_type": "qwen2", **TEXT}, vision_config=vision, image_token_id=IMAGE
    )
    model = FastVlmForConditionalGeneration(config)
    tower = model.model.vision_tower
    norms = [part for part in tower.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0  # one pass settles them, else nothing of a picture comes through
    with torch.no_grad():
        tower.train()(torch.randn(8, 3, 64, 64))
    freeze(model, Freeze(vision=True))
    tower.forward = _each_alone(tower.forward)
    return model


def _each_alone(tower: Callable[..., Any]) -> Callable[..., Any]:
    """Convolutions round by how many pictures there are, so each is computed by itself."""

    def forward(pixel_values: torch.Tensor, **settings: Any) -> Any:
        every = [tower(picture[None], **settings).last_hidden_state for picture in pixel_values]
        return SimpleNamespace(last_hidden_state=torch.cat(every))

    return forward


def _square_pixels(images: list[int], generator: torch.Generator) -> dict[str, torch.Tensor]:
    return {"pixel_values": torch.randn(sum(images), 3, 64, 64, generator=generator)}


def _qwen(name: str, vision: dict[str, Any], **text: Any) -> Family:
    def build() -> Any:
        import transformers

        config = getattr(transformers, f"{name}Config")(
            text_config={**TEXT, "rope_parameters": ROPE, **text},
            vision_config=vision,
            tie_word_embeddings=True,
            **QWEN_IDS,
        )
        return getattr(transformers, f"{name}ForConditionalGeneration")(config)

    return Family(build, _qwen_pixels, lambda n: _grid(n)[0] * _grid(n)[1] // 4, "mm_token_type_ids")


def _idefics(name: str) -> Family:
    def build() -> Any:
        import transformers

        config = getattr(transformers, f"{name}Config")(
            text_config={"model_type": "llama", **TEXT}, vision_config=SIGLIP, scale_factor=2,
            image_token_id=IMAGE, pad_token_id=PAD, tie_word_embeddings=True,
        )  # fmt: skip
        return getattr(transformers, f"{name}ForConditionalGeneration")(config)

    return Family(build, _tiled_pixels, lambda _: 2 * 4, None)


def _gemma3() -> Any:
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    # A window that is shorter than the prompts, and than prompt and completion together.
    layers = ["sliding_attention", "full_attention", "sliding_attention"]
    text = {**TEXT, "sliding_window": 9, "layer_types": layers, "query_pre_attn_scalar": 8}
    config = Gemma3Config(
        text_config=text, vision_config={**SIGLIP, "vision_use_head": False}, mm_tokens_per_image=4,
        image_token_index=IMAGE, boi_token_index=START, eoi_token_index=END,
    )  # fmt: skip
    return Gemma3ForConditionalGeneration(config)


_VISION = {"depth": 2, "hidden_size": 16, "num_heads": 2, "patch_size": 4, "spatial_merge_size": 2}
FAMILIES: dict[str, Family] = {
    "qwen2_vl": _qwen(
        "Qwen2VL", {"depth": 2, "embed_dim": 16, "hidden_size": 32, "num_heads": 2, "patch_size": 4}
    ),
    "qwen2_5_vl": _qwen(
        "Qwen2_5_VL",
        {
            **_VISION, "intermediate_size": 32, "out_hidden_size": 32, "window_size": 16,
            "fullatt_block_indexes": [1],
        },
    ),
    "qwen3_vl": _qwen(
        "Qwen3VL",
        {
            **_VISION, "intermediate_size": 32, "out_hidden_size": 32, "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0, 1],
        },
    ),
    "smolvlm": _idefics("SmolVLM"),
    "idefics3": _idefics("Idefics3"),
    "gemma3": Family(_gemma3, _gemma_pixels, lambda _: 4, "token_type_ids"),
    "llava_next": Family(_llava_next, _next_pixels, _next_tokens, None),
    # Its tower is built by timm, of the extra `photo`:
    **({"fast_vlm": Family(_fast_vlm, _square_pixels, lambda _: 4, None)} if find_spec("timm") else {}),
    # By their structure alone:
    "llava": Family(_llava, _gemma_pixels, lambda _: 16, None),
    "internvl": Family(_internvl, _gemma_pixels, lambda _: 4, None),
}  # fmt: skip


def build(name: str) -> Any:
    """A random model with large weights: what it says depends on every token, image and position."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = FAMILIES[name].build()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1 and parameter.requires_grad:
                    parameter.copy_(torch.randn(parameter.shape) * 1.2 / parameter.shape[-1] ** 0.5)
    return model


def prompts(name: str, images: list[int], words: list[int]) -> dict[str, torch.Tensor]:
    """Inputs of one prompt for each count of images and of words, padded on the left."""
    family, generator = FAMILIES[name], torch.Generator().manual_seed(0)
    rows, seen = [], 0
    for count, length in zip(images, words, strict=True):
        row = torch.randint(10, VOCABULARY, (length,), generator=generator).tolist()
        for _ in range(count):
            row = [row[0], START, *[IMAGE] * family.tokens(seen), END, *row[1:]]
            seen += 1
        rows.append(row)
    longest = max(map(len, rows))
    ids = torch.tensor([[PAD] * (longest - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    fields = {family.types: (ids == IMAGE).long()} if family.types else {}
    return {"input_ids": ids, "attention_mask": mask, **fields, **family.pixels(images, generator)}
