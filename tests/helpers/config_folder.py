"""Folders with a config.json and nothing else, at the true size of a published model."""

import json
from pathlib import Path

QWEN_3B = {  # Qwen2.5-VL-3B-Instruct, by its model card
    "model_type": "qwen2_5_vl",
    "tie_word_embeddings": True,
    "text_config": {
        "model_type": "qwen2_5_vl_text", "hidden_size": 2048, "intermediate_size": 11008,
        "num_hidden_layers": 36, "num_attention_heads": 16, "num_key_value_heads": 2, "vocab_size": 151936,
        "max_position_embeddings": 128000, "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
    },
    "vision_config": {
        "model_type": "qwen2_5_vl", "depth": 32, "hidden_size": 1280, "intermediate_size": 3420,
        "num_heads": 16, "out_hidden_size": 2048, "patch_size": 14, "fullatt_block_indexes": [7, 15, 23, 31],
    },
}  # fmt: skip


def write_config(folder: Path) -> Path:
    """A folder of the 3B model without weights, tokenizer or processor."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(QWEN_3B), "utf-8")
    return folder
