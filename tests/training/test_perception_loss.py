"""Perception loss and token weights: gradients against plain code, any accumulation, sharing on and off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from PIL import Image
from pydantic import ValidationError
from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration, TrainerCallback
from trl import GRPOConfig

from helpers.random_policy import save_random_policy
from helpers.run_checks import interrupt, lines, same_run
from helpers.shades import GRPO, SHADE_TASK, read, shade_recipe
from vrft_aug.errors import UserError
from vrft_aug.experiments.run import train
from vrft_aug.nouns import Case, Task
from vrft_aug.preview.check import check_recipe
from vrft_aug.recipe.perception_config import PerceptionLoss, TokenWeights
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.training.augmentations.masked_pictures import masked_pixels, pictures_of
from vrft_aug.training.augmentations.perception_loss import (
    perception_term,
    visual_dependence,
    weights_of_completions,
    weights_of_tokens,
)
from vrft_aug.training.augmentations.visual_terms import VisualTerms, as_the_loss
from vrft_aug.training.policy_trainer import PolicyTrainer
from vrft_aug.training.prefix_sharing import enable_prefix_sharing
from vrft_aug.training.stage_settings import accumulation as micro_batches

PROMPTS, G, C, SEED = 8, 4, 9, 3
LOUD = PerceptionLoss(weight=0.5, entropy=0.2, bound=2.0)  # so that a wrong term shows
THROUGH = LOUD.model_copy(update={"masked_gradient": True})
HALF = TokenWeights(share=0.5, rest=0.25)
COMPLETIONS = TokenWeights(completions=0.6)
BOTH = TokenWeights(share=0.5, rest=0.25, completions=0.6)
ALL_TOKENS = TokenWeights()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random policy with large weights: its outputs depend on the picture."""
    folder = save_random_policy(tmp_path_factory.mktemp("policy"))
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(6 if parameter.dim() > 1 else 1)
    model.save_pretrained(folder)
    return folder


@cache
def rows() -> tuple[dict[str, Any], ...]:
    rng = np.random.default_rng(0)
    return tuple(
        {
            "prompt": [{"role": "user", "content": "none mild severe " * (1 + number % 3)}],
            "images": [
                Image.fromarray(rng.integers(0, 255, (48, 48 + 16 * (number % 2), 3), dtype=np.uint8))
                for _ in range(1 + (number == 2))
            ],
            "row": number,
        }
        for number in range(PROMPTS)
    )


@cache
def drawn() -> tuple[list[int], ...]:
    rng = np.random.default_rng(5)
    return tuple(rng.integers(10, 400, rng.integers(1, C + 1)).tolist() for _ in range(PROMPTS * G))


def reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
    return [float(sum(ids) % 7) for ids in completion_ids]


def make_trainer(
    folder: Path, visual: VisualTerms | None, shared: bool, accumulation: int, lora: bool, **settings: Any
) -> PolicyTrainer:
    """One optimiser step of given completions."""
    config = GRPOConfig(
        output_dir=str(folder / "output"), per_device_train_batch_size=PROMPTS * G // accumulation,
        gradient_accumulation_steps=accumulation, num_generations=G, max_completion_length=C, max_steps=1,
        bf16=False, use_cpu=True, report_to=[], save_strategy="no", disable_tqdm=True, max_grad_norm=0.0,
        shuffle_dataset=False, **{"gradient_checkpointing": False} | settings,
    )  # fmt: skip
    adapter = LoraConfig(r=4, init_lora_weights=False, target_modules=["q_proj", "v_proj", "down_proj"])
    processor = AutoProcessor.from_pretrained(folder)
    processor.image_processor.size = {"shortest_edge": 32 * 32, "longest_edge": 160 * 160}
    torch.manual_seed(0)
    trainer = PolicyTrainer(
        model=Qwen2_5_VLForConditionalGeneration.from_pretrained(folder),
        visual=visual,
        reward_funcs=reward,
        args=config,
        train_dataset=Dataset.from_list(list(rows())),
        processing_class=processor,
        peft_config=adapter if lora else None,
    )
    if shared:
        assert enable_prefix_sharing(trainer)
    trainer.__dict__["_generate_single_turn"] = lambda *_, **__: (list(drawn()), None)
    return trainer


def gradient_of_step(trainer: PolicyTrainer) -> torch.Tensor:
    seen: list[torch.Tensor] = []

    class Keep(TrainerCallback):  # type: ignore[misc]
        def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
            seen.append(flat_gradient(trainer.model))

    trainer.add_callback(Keep())
    trainer.train()
    assert len(seen) == 1
    return seen[0]


def flat_gradient(model: Any) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def plain_gradient(folder: Path, visual: VisualTerms, lora: bool) -> torch.Tensor:
    """The same step row by row: full logits, formulas as the papers have them, one sum over all tokens."""
    trainer = make_trainer(folder, None, False, 1, lora)
    model, processor, own = trainer.model, trainer.processing_class, visual.perception
    model.train()
    rewards = torch.tensor(reward(list(drawn()))).view(PROMPTS, G)
    advantages = (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-4)
    losses, least, found_means = [], visual.weights.completions, []
    for number, completion in enumerate(drawn()):
        row = rows()[number // G]
        content = [{"type": "image"} for _ in row["images"]]
        content.append({"type": "text", "text": row["prompt"][0]["content"]})
        text = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        inputs = processor(images=[row["images"]], text=[text], return_tensors="pt")
        pictures = [(row["row"], place) for place in range(len(row["images"]))]
        pixels, grids = inputs["pixel_values"], inputs["image_grid_thw"]
        blanked = masked_pixels(pixels, grids, pictures, own.mask_share, f"{SEED}/0", 4)
        true, entropy = plain_scores(model, inputs, pixels, completion)
        with torch.set_grad_enabled(bool(own.weight and own.masked_gradient)):
            masked, entropy_masked = plain_scores(model, inputs, blanked, completion)
        ratio = (masked - true).exp()
        divergence = ratio - ratio.log() - 1
        found_means.append(float(divergence.detach().mean()))
        weights = torch.ones(len(completion))
        if visual.weights.share < 1:
            count = int(np.ceil(len(completion) * visual.weights.share))
            found = divergence.tolist()
            best = sorted(range(len(found)), key=lambda place: -found[place])[:count]
            weights = torch.tensor([1.0 if t in best else visual.weights.rest for t in range(len(found))])
        loss = -(true - true.detach()).exp() * advantages.flatten()[number] * weights
        gained = torch.zeros(())
        if own.weight:
            bounded = torch.minimum(divergence, torch.tensor(own.bound))
            gained = own.entropy * (entropy + entropy_masked) - own.weight * bounded
        losses.append((loss, gained))
    means = np.array(found_means).reshape(PROMPTS, G)
    lowest, highest = means.min(1, keepdims=True), means.max(1, keepdims=True)
    shares = (means - lowest) / (highest - lowest)
    shaped = (least + (1 - least) * shares / shares.mean(1, keepdims=True)).flatten().tolist()
    torch.cat(
        [loss * factor + gained for (loss, gained), factor in zip(losses, shaped, strict=True)]
    ).mean().backward()  # type: ignore[no-untyped-call]
    return flat_gradient(model)


def plain_scores(
    model: Any, inputs: Mapping[str, Any], pixels: torch.Tensor, completion: list[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    written = torch.tensor([completion])
    ids = torch.cat([inputs["input_ids"], written], dim=1)
    types = torch.cat([inputs["mm_token_type_ids"], torch.zeros_like(written)], dim=1)
    logits = model(
        input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=pixels, mm_token_type_ids=types,
        image_grid_thw=inputs["image_grid_thw"],
    ).logits[0, -len(completion) - 1 : -1]  # fmt: skip
    spread = logits.log_softmax(dim=-1)
    return spread.gather(1, written.T)[:, 0], -(spread.exp() * spread).sum(dim=-1)


def visual(perception: PerceptionLoss, weights: TokenWeights) -> VisualTerms:
    return VisualTerms(perception, weights, SEED)


SETTINGS = {
    "perception": (LOUD, ALL_TOKENS),
    "through both": (THROUGH, ALL_TOKENS),
    "weights": (PerceptionLoss(), HALF),
    "completions": (PerceptionLoss(), COMPLETIONS),
    "all": (THROUGH, BOTH),
}


QUICK: list[Any] = [("all", False)]
FULL = [pytest.param(name, lora, marks=pytest.mark.slow) for name in SETTINGS for lora in (False, True)]


@pytest.mark.parametrize(("name", "lora"), QUICK + FULL)
def test_gradients_equal_plain_code(
    folder: Path, name: str, lora: bool, request: pytest.FixtureRequest
) -> None:
    plain = plain_gradient(folder, visual(*SETTINGS[name]), lora)
    without = gradient_of_step(make_trainer(folder, None, True, 1, lora))
    assert (plain - without).norm() > 0.02 * without.norm()  # the settings do something
    ways = [(True, 8), (False, 1)]
    if request.node.get_closest_marker("slow"):
        ways = [(True, 1), (True, 8), (False, 1), (False, 8)]
    for shared, accumulation in ways:
        trainer = make_trainer(folder, visual(*SETTINGS[name]), shared, accumulation, lora)
        ours = gradient_of_step(trainer)
        assert (ours - plain).norm() < 1e-5 * plain.norm(), (shared, accumulation)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.gradient_checkpointing_.*able. is deprecated:FutureWarning")
@pytest.mark.parametrize("shared", [True, False])
def test_gradient_checkpointing_changes_nothing(folder: Path, shared: bool) -> None:
    ours = [
        gradient_of_step(
            make_trainer(folder, visual(THROUGH, HALF), shared, 8, False, gradient_checkpointing=on)
        )
        for on in (False, True)
    ]
    assert (ours[0] - ours[1]).norm() < 1e-5 * ours[0].norm()


@pytest.mark.parametrize("loss", ["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo"])
def test_a_term_comes_together_as_trls_own_do(folder: Path, loss: str) -> None:
    """TRL's KL term is a loss of each token too: what it adds is what ours would."""
    trainer = make_trainer(folder, None, False, 2, False, loss_type=loss)
    trainer.train()
    batch = trainer._buffered_inputs[0]
    scores: list[torch.Tensor] = []
    score = trainer._get_per_token_logps_and_entropies

    def kept(*arguments: Any, **fields: Any) -> Any:
        result = score(*arguments, **fields)
        scores.append(result[0].detach())
        return result

    trainer._get_per_token_logps_and_entropies = kept
    reference = torch.randn(batch["completion_ids"].shape, generator=torch.Generator().manual_seed(1)) - 3
    losses = []
    with torch.no_grad():
        for beta in (0.0, 1.0):
            trainer.beta = beta
            losses.append(
                float(trainer._watched_loss(trainer.model, {**batch, "ref_per_token_logps": reference}))
            )
    log_ratio = reference - scores[0]
    term = as_the_loss(trainer, log_ratio.exp() - log_ratio - 1, batch["completion_mask"], batch)
    assert losses[1] - losses[0] == pytest.approx(float(term), rel=1e-3)
    assert float(term) > 0.01


# Formulas -------------------------------------------------------------------------------------------------


def test_dependence_is_of_the_ratio_and_never_infinite() -> None:
    true = torch.tensor([[-1.0, -1.0, -2.0, -60.0]], requires_grad=True)
    masked = torch.tensor([[-1.0, -2.0, -1.0, -0.0]])
    found = visual_dependence(true, masked)
    expected = [0, np.exp(-1), np.exp(1) - 2]
    assert found[0, :3].tolist() == pytest.approx(expected, abs=1e-6)
    perception_term(found, torch.zeros(1, 4), 1.0, 0.5, 0.0).sum().backward()  # type: ignore[no-untyped-call]
    # More likely than masked: pushed on; less likely, within the bound: pushed further down; beyond: left.
    assert true.grad is not None
    assert true.grad[0].tolist() == pytest.approx([0, np.exp(-1) - 1, 0, 0], abs=1e-6)


def test_completions_are_weighed_within_their_group_and_the_mean_is_one() -> None:
    dependence = torch.tensor([[0.1, 0.3], [0.4, 0.4], [1.0, 9.0], [0.5, 0.5], [0.5, 0.5], [7.0, 7.0]])
    mask = torch.tensor([[1, 1], [1, 1], [1, 0], [1, 1], [1, 1], [0, 0]])
    group = torch.tensor([4, 4, 4, 1, 1, 1])
    weights = weights_of_completions(dependence, mask, group, least=0.4)
    # Means 0.2, 0.4, 1.0: shares 0, 0.25, 1 of mean 5/12. Where all are alike, or none is left, 1.
    assert weights.tolist() == pytest.approx([0.4, 0.4 + 0.6 * 0.6, 0.4 + 0.6 * 2.4, 1, 1, 1])
    assert weights[:3].mean() == pytest.approx(1.0)
    order = torch.tensor([5, 2, 0, 3, 1, 4])  # wherever they stand
    again = weights_of_completions(dependence[order], mask[order], group[order], least=0.4)
    assert torch.equal(again, weights[order])


def test_a_micro_batch_that_cuts_groups_is_refused_where_they_are_compared() -> None:
    stage = StageConfig.model_validate(
        {**GRPO, "token_weights": {"completions": 0.9}, "trainer": {"gradient_accumulation_steps": 4}}
    )
    with pytest.raises(UserError, match="micro-batches of 2 cut groups of 4; set trainer"):
        micro_batches(stage)
    assert micro_batches(stage.model_copy(update={"trainer": {"gradient_accumulation_steps": 2}})) == 2


def test_weights_are_of_each_row_alone() -> None:
    dependence = torch.tensor([[0.1, 0.9, 0.5, 0.0], [0.2, 0.2, 0.2, 9.0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    weights = weights_of_tokens(dependence, mask, share=0.5, rest=0.25)
    assert weights.tolist() == [[0.25, 1, 1, 0.25], [1, 1, 0.25, 0.25]]
    assert weights_of_tokens(dependence, mask, 0.01, 0).sum(dim=1).tolist() == [1, 1]
    assert weights_of_tokens(dependence, mask * 0, 0.5, 0).sum() == 0


# Masks ----------------------------------------------------------------------------------------------------


def test_patches_are_blanked_token_by_token() -> None:
    grids = torch.tensor([[1, 4, 4], [1, 2, 6]])
    pixels = torch.ones(28, 5)
    blank = masked_pixels(pixels, grids, [(7, 0), (7, 1)], 0.5, "1/2", unit=4)
    tokens = blank.view(7, 4, 5).amax(dim=(1, 2)), blank.view(7, 4, 5).amin(dim=(1, 2))
    assert torch.equal(*tokens)
    assert tokens[0][:4].sum() == 2 and tokens[0][4:].sum() == 1  # half of each, to the nearest even number
    again = masked_pixels(pixels[16:], grids[1:], [(7, 1)], 0.5, "1/2", unit=4)
    assert torch.equal(again, blank[16:])  # wherever it stands
    other = masked_pixels(pixels, grids, [(7, 0), (7, 1)], 0.5, "1/3", unit=4)
    assert not torch.equal(other, blank)


@pytest.mark.parametrize("shape", [(2, 3, 60, 90), (2, 4, 3, 60, 90)], ids=["picture", "tiles"])
def test_other_pictures_are_blanked_in_squares(shape: tuple[int, ...]) -> None:
    blank = masked_pixels(torch.ones(shape), None, [(0, 0), (1, 0)], 0.6, "1/2", unit=1)
    assert blank.shape == shape
    squares = blank.view(2, -1, 3, 60, 90)[..., ::28, ::28]  # a corner of each
    assert torch.equal(squares[:, :, 0], squares[:, :, 2])  # all colours
    counts = squares[:, :, 0].flatten(1).sum(dim=1)
    number = squares[:, :, 0][0].numel()
    assert counts.tolist() == [number - round(0.6 * number)] * 2
    assert not torch.equal(blank[0], blank[1])
    whole = masked_pixels(torch.ones(shape), None, [(0, 0), (1, 0)], 1.0, "1/2", unit=1)
    assert whole.flatten(1).sum(dim=1).min() > 0  # never nothing, which some families take for padding


def test_pictures_are_known_by_case_and_place_in_any_layout() -> None:
    grids = torch.ones(3, 3)
    flat = {"pixel_values": torch.ones(3, 5), "image_grid_thw": grids, "num_images": [1, 1, 2, 2]}
    assert pictures_of(flat, [8, 8, 9, 9], [4, 4, 0, 0]) == [(8, 0), (9, 0), (9, 1)]
    whole = {**flat, "image_grid_thw": torch.ones(6, 3)}
    each = [(8, 0), (8, 0), (9, 0), (9, 1), (9, 0), (9, 1)]
    assert pictures_of(whole, [8, 8, 9, 9], [4, 4, 0, 0]) == pictures_of(whole, [8, 8, 9, 9], None) == each
    tiles = {"pixel_values": torch.ones(4, 2, 3, 9, 9), "num_images": [1, 1, 2, 2]}
    assert pictures_of(tiles, [8, 8, 9, 9], None) == [(8, 0), (8, 0), (9, 0), (9, 0)]


# Recipes and runs -----------------------------------------------------------------------------------------

ON: dict[str, Any] = {
    **GRPO, "steps": 4, "token_weights": {"share": 0.4, "completions": 0.8},
    "perception_loss": {"weight": 0.5, "masked_gradient": True},
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"method": "sft", "perception_loss": {"weight": 0.1}}, "perception_loss is what grpo alone can"),
        ({"method": "sft", "token_weights": {"share": 0.5}}, "token_weights is what grpo alone can"),
        ({"perception_loss": {"weight": -1}}, "greater than or equal to 0"),
        ({"perception_loss": {"mask_share": 0}}, "greater than 0"),
        ({"token_weights": {"share": 0}}, "greater than 0"),
        ({"token_weights": {"rest": 1}}, "less than 1"),
        ({"token_weights": {"completions": 0}}, "greater than 0"),
        ({"method": "sft", "token_weights": {"completions": 0.9}}, "token_weights is what grpo alone can"),
    ],
)
def test_wrong_settings_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        StageConfig.model_validate({**GRPO, **changed})


@pytest.mark.parametrize("setting", [{"perception_loss": {"weight": 0.1}}, {"token_weights": {"share": 0.5}}])
def test_a_prompt_without_picture_is_refused_by_check_and_by_training(
    random_policy: Path, tmp_path: Path, setting: dict[str, Any]
) -> None:
    recipe = shade_recipe(random_policy, {**GRPO, **setting}, tasks={"shade": BLIND})
    for refused in (lambda: check_recipe(recipe), lambda: train(recipe, tmp_path / "run")):
        with pytest.raises(UserError, match="case shades/train/0 of task 'shade' has none") as error:
            refused()
        assert "\n" not in str(error.value)
    assert not (tmp_path / "run" / "model").exists()


def read_blind(root: Path, split: str, task: Task) -> list[Case]:
    return [replace(case, images=()) for case in read(root, split, task)]


BLIND = {**SHADE_TASK, "data": {"reader": f"{__name__}:read_blind"}}


@pytest.fixture(scope="module")
def whole(random_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("perception") / "whole"
    train(shade_recipe(random_policy, ON), run)
    return run


def test_a_run_tells_its_figures(whole: Path) -> None:
    for line in lines(whole / "metrics.jsonl"):
        figures = {name.split("/")[1]: of for name, of in line.items() if name.startswith("perception/")}
        assert figures.keys() == {"kl", "at_bound", "entropy", "entropy_masked"}
        assert figures["kl"] > 0 and 0 <= figures["at_bound"] <= 1
        assert figures["entropy"] == pytest.approx(line["entropy"], rel=1e-4)


@pytest.mark.slow
def test_a_run_resumes_exactly(
    whole: Path, random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = shade_recipe(random_policy, ON)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        interrupt(patched, "rewards", 3)  # two steps are in a checkpoint
        train(recipe, tmp_path / "run")
    train(recipe, tmp_path / "run", resume=True)
    same_run(whole, tmp_path / "run")


def test_masked_pictures_leave_the_features_of_a_frozen_tower_alone(folder: Path) -> None:
    trainer = make_trainer(folder, visual(LOUD, ALL_TOKENS), True, 1, False)
    trainer.model.model.visual.requires_grad_(False)
    seen: list[int] = []
    trainer.model.model.visual.register_forward_hook(
        lambda _, __, kwargs, ___: seen.append(len(kwargs["grid_thw"])), with_kwargs=True
    )
    trainer.train()
    # Of eight prompts, one with two pictures: each once, for the cache; then all masked ones at once.
    assert seen == [1] * (PROMPTS + 1) + [PROMPTS + 1]
