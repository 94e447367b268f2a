"""Accumulation is a matter of memory alone: micro-batches of whole groups, equal gradients at any number."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image
from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration, TrainerCallback
from trl import GRPOConfig, GRPOTrainer
from trl.trainer.utils import shuffle_sequence_dict

from helpers.random_policy import save_random_policy
from vrft_aug.training.micro_batches import GROUP, deal_groups, group_ids, shuffle_groups
from vrft_aug.training.prefix_sharing import enable_prefix_sharing

PROMPTS, G, C = 8, 4, 9
LOSSES = ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_policy(tmp_path_factory.mktemp("policy"))


def drawn(rows: int) -> list[list[int]]:
    """Completions of different lengths, the same in every run."""
    rng = np.random.default_rng(5)
    return [rng.integers(10, 400, rng.integers(1, C + 1)).tolist() for _ in range(rows)]


def make_trainer(folder: Path, shared: bool, accumulation: int, **settings: Any) -> GRPOTrainer:
    """A trainer whose completions are given; one optimiser step of 8 prompts, each with 4 completions."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "prompt": [{"role": "user", "content": "none mild severe " * (1 + number % 3)}],
            "images": [
                Image.fromarray(rng.integers(0, 255, (32, 32 + 16 * (number % 2), 3), dtype=np.uint8))
            ],
        }
        for number in range(PROMPTS)
    ]
    settings = {"gradient_accumulation_steps": accumulation, **settings}
    config = GRPOConfig(
        output_dir=str(folder / "output"), per_device_train_batch_size=PROMPTS * G // accumulation,
        num_generations=G, max_completion_length=C, max_steps=1, bf16=False, use_cpu=True,
        gradient_checkpointing=False, report_to=[], save_strategy="no", disable_tqdm=True, max_grad_norm=0.0,
        **settings,
    )  # fmt: skip

    def reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
        return [float(sum(ids) % 7) for ids in completion_ids]

    trainer = GRPOTrainer(
        Qwen2_5_VLForConditionalGeneration.from_pretrained(folder),
        reward,
        config,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoProcessor.from_pretrained(folder),
    )

    def given(prompt_ids: list[list[int]], *_: Any, **__: Any) -> tuple[list[list[int]], None]:
        return drawn(len(prompt_ids)), None

    trainer._generate_single_turn = given
    if shared:
        assert enable_prefix_sharing(trainer)
        trainer._generate_single_turn = given
    return trainer


def gradient_of_step(trainer: GRPOTrainer) -> torch.Tensor:
    """What the optimiser is given."""
    seen: list[torch.Tensor] = []

    class Keep(TrainerCallback):  # type: ignore[misc]
        def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
            seen.append(
                torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])
            )

    trainer.add_callback(Keep())
    trainer.train()
    assert len(seen) == 1
    return seen[0]


def count_embedded(trainer: GRPOTrainer) -> list[int]:
    tokens: list[int] = []
    trainer.model.get_input_embeddings().register_forward_hook(
        lambda _, args, __: tokens.append(args[0].numel())
    )
    return tokens


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_are_the_same_at_any_accumulation_and_stocks(folder: Path, loss: str) -> None:
    level = {"importance_sampling_level": "sequence"} if loss == "luspo" else {}
    settings = {"loss_type": loss, **level}
    whole = gradient_of_step(make_trainer(folder, True, 1, **settings))
    assert whole.norm() > 0
    stock = gradient_of_step(make_trainer(folder, False, 1, **settings))
    assert (whole - stock).norm() < 1e-5 * stock.norm()
    for accumulation in (8, 16):  # one group, half a group in a micro-batch
        ours = gradient_of_step(make_trainer(folder, True, accumulation, **settings))
        assert (ours - whole).norm() < 1e-5 * whole.norm(), accumulation
    stock = gradient_of_step(make_trainer(folder, False, 8, **settings))
    if loss == "bnpo":  # stock's depends on which completions the shuffle puts together
        assert (stock - whole).norm() > 1e-3 * whole.norm()
    else:
        assert (ours - stock).norm() < 1e-5 * stock.norm()


def test_micro_batches_hold_whole_groups_and_read_no_more_tokens(folder: Path) -> None:
    whole, parts = (make_trainer(folder, True, accumulation) for accumulation in (1, 8))
    counts = []
    for trainer in (whole, parts):
        embedded = count_embedded(trainer)
        trainer.train()
        counts.append(embedded)
    assert len(counts[0]) == 1
    assert len(counts[1]) == 8
    assert sum(counts[1]) == sum(counts[0])
    for batch in parts._buffered_inputs:
        assert len(set(batch[GROUP].tolist())) == 1
        assert len(torch.unique(batch["prompt_ids"], dim=0)) == 1


def test_in_each_of_several_steps_of_a_round_groups_adjoin(folder: Path) -> None:
    """Stock deals the completions of a round to its optimiser steps; what a step has is put in order."""
    trainer = make_trainer(folder, True, 4, gradient_accumulation_steps=2, steps_per_generation=4)
    trainer.train()
    held = [batch[GROUP].tolist() for batch in trainer._buffered_inputs]
    for step in (held[0] + held[1], held[2] + held[3]):
        assert step == sorted(step, key=list(dict.fromkeys(step)).index)
    assert {number for micro_batch in held for number in micro_batch} == set(range(PROMPTS))


def test_groups_are_shuffled_by_stocks_random_numbers() -> None:
    batch = {
        GROUP: torch.arange(12) // 4, "ids": torch.arange(12)[:, None], "pixels": [str(n) for n in range(12)],
        "num_items_in_batch": torch.tensor(3), "absent": None,
    }  # fmt: skip
    orders: set[tuple[int, ...]] = set()
    for seed in range(40):
        torch.manual_seed(seed)
        shuffled = shuffle_groups(batch, step=12)
        after = torch.rand(1)
        torch.manual_seed(seed)
        shuffle_sequence_dict({"ids": batch["ids"]})
        assert torch.rand(1) == after
        ids = shuffled["ids"].flatten().tolist()
        assert sorted(ids) == list(range(12))
        assert shuffled["pixels"] == [str(n) for n in ids]
        assert shuffled[GROUP].tolist() == [n // 4 for n in ids]
        groups = shuffled[GROUP][::4].tolist()
        assert shuffled[GROUP].tolist() == [number for number in groups for _ in range(4)]
        orders.add(tuple(groups))
        assert shuffled["num_items_in_batch"] == 3
        assert shuffled["absent"] is None
    assert len(orders) == 6  # every order of three groups


def test_a_step_trains_on_the_rows_that_stock_has_drawn_for_it() -> None:
    batch = {GROUP: torch.arange(12) // 4, "ids": torch.arange(12)}
    for seed in range(20):
        torch.manual_seed(seed)
        ours = shuffle_groups(batch, step=6)
        torch.manual_seed(seed)
        stock = shuffle_sequence_dict({"ids": batch["ids"]})
        for start in (0, 6):
            part = slice(start, start + 6)
            assert set(ours["ids"][part].tolist()) == set(stock["ids"][part].tolist())
            numbers = ours[GROUP][part].tolist()
            assert numbers == sorted(numbers, key=list(dict.fromkeys(numbers)).index)


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_steps_of_a_round_have_the_same_whole_groups_whoever_holds_them(processes: int) -> None:
    rows, each = 8 * 2 * 4, 8 * 2 * 4 // processes  # two steps of eight groups of four
    steps: list[set[int]] = [set(), set()]
    for first in range(0, rows, each):
        own = torch.arange(first, first + each)
        batch = {"completion_ids": own[:, None], "pixels": [str(n) for n in own.tolist()], "absent": None}
        dealt = deal_groups(batch, generations=4, steps=2)
        ids = dealt["completion_ids"].flatten().tolist()
        assert dealt["pixels"] == [str(n) for n in ids] and dealt["absent"] is None
        for step in range(2):
            steps[step] |= set(ids[step * each // 2 : (step + 1) * each // 2])
    assert [{n // 4 for n in step} for step in steps] == [set(range(0, 16, 2)), set(range(1, 16, 2))]
    assert [len(step) for step in steps] == [32, 32]


def test_groups_are_numbered_by_place() -> None:
    def trainer(process: int, training: bool = True) -> Any:
        return SimpleNamespace(
            model=SimpleNamespace(training=training), num_generations=4, num_generations_eval=2,
            accelerator=SimpleNamespace(process_index=process),
        )  # fmt: skip

    number: Callable[..., list[int]] = lambda rows, *args: group_ids(trainer(*args), rows).tolist()  # noqa: E731
    assert number(8, 0) == [0, 0, 0, 0, 1, 1, 1, 1]
    assert number(6, 1) == [0, 0, 1, 1, 1, 1]  # the process before holds the first half of a group
    assert number(4, 0, False) == [0, 0, 1, 1]
