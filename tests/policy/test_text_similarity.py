"""BERTScore's F1 against a plain account of it, on a small encoder that the test makes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, BertTokenizerFast

from helpers.data_files import save_recipe_mapping
from vrft_aug.errors import UserError
from vrft_aug.nouns import Answer, Case, Target, Task
from vrft_aug.policy.text_similarity import embedding_f1
from vrft_aug.recipe.file import load_recipe
from vrft_aug.recipe.stage_config import RewardConfig
from vrft_aug.scorer import Scorer

WORDS = ["small", "large", "effusion", "in", "the", "left", "right", "lung", "no", "mass"]
NAME = "vrft_aug.policy.text_similarity:embedding_f1"
TASK = Task(name="ask", kind="answer", question="?", labels=())


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS) + 5, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=32,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder


def scored(said: str | None, true: str, encoder: Path, layer: int | None = None) -> float | None:
    answer = Answer(said, None if said is not None else "missing", "")
    return embedding_f1(answer, Case("a", (), Target(text=true)), TASK, str(encoder), layer)


def plainly(said: str, true: str, encoder: Path, layer: int) -> float:
    """Token by token, as the paper words it."""
    tokenizer, model = AutoTokenizer.from_pretrained(encoder), AutoModel.from_pretrained(encoder).eval()

    def vectors(text: str) -> list[tuple[str, torch.Tensor]]:
        inputs = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            states = model(**inputs, output_hidden_states=True).hidden_states[layer][0]
        names = tokenizer.convert_ids_to_tokens(inputs["input_ids"][0])
        return [(name, state / state.norm()) for name, state in zip(names, states, strict=True)]

    def share(of: list[tuple[str, torch.Tensor]], among: list[tuple[str, torch.Tensor]]) -> float:
        best = [
            max(0.0, *(float(state @ other) for _, other in among))
            for name, state in of
            if name not in ("[CLS]", "[SEP]")
        ]
        return sum(best) / len(best)

    one, two = vectors(said), vectors(true)
    precision, recall = share(one, two), share(two, one)
    return 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize("layer", [None, 0, 1])
def test_it_is_the_f1_of_the_best_matches(encoder: Path, layer: int | None) -> None:
    pairs = [("large effusion", "small effusion in the left lung"), ("no mass", "mass"), ("mass", "effusion")]
    for said, true in pairs:
        expected = plainly(said, true, encoder, -1 if layer is None else layer)
        assert scored(said, true, encoder, layer) == pytest.approx(expected, abs=1e-5)


def test_what_is_the_same_earns_all_and_what_is_unreadable_nothing(encoder: Path) -> None:
    assert scored("The left lung.", "the left lung", encoder) == 1.0
    assert scored(None, "mass", encoder) == 0.0
    none = embedding_f1(Answer("mass", None, ""), Case("a", (), Target(label="mass")), TASK, str(encoder))
    assert none is None


def test_a_recipe_names_it_with_its_settings(encoder: Path, tmp_path: Path) -> None:
    term = {"weight": 0.5, "encoder": str(encoder), "layer": 1}
    recipe = load_recipe(str(save_recipe_mapping(tmp_path / "r.yaml", {
        "name": "r",
        "tasks": {"ask": {"kind": "answer", "question": "?", "data": {"reader": "json", "table": "q.json"}}},
        "stages": [{"name": "one", "method": "grpo", "task": "ask", "steps": 1,
                    "rewards": {"accuracy": 1, NAME: term}}],
        "evaluation": {"task": "ask"},
    })))  # fmt: skip
    assert Scorer(TASK, recipe.stages[0].rewards) is not None
    wrong = {**recipe.stages[0].rewards, NAME: RewardConfig.model_validate({**term, "layer": -1})}
    with pytest.raises(UserError, match="layer"):
        Scorer(TASK, wrong)


def test_a_wrong_encoder_or_layer_is_one_line(encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be loaded") as error:
        scored("mass", "effusion", tmp_path)
    assert len(str(error.value)) < 500 and "\n" not in str(error.value)
    with pytest.raises(UserError, match="layers 0 to 2, not 7"):
        scored("mass", "effusion", encoder, 7)
