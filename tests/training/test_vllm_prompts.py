"""What a stage asks of vLLM and leaves behind, on a stand-in for it."""

from __future__ import annotations

import os
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from helpers.built_stage import built
from helpers.fake_vllm import FakeLLM, install
from helpers.run_checks import lines
from helpers.shades import GRPO, shade_recipe
from vrft_aug.errors import UserError
from vrft_aug.policy.load import load_policy
from vrft_aug.recipe.schema import Recipe
from vrft_aug.run.layout import METRICS
from vrft_aug.training.job import run_trainer
from vrft_aug.training.rollouts.vllm_rollouts import ENVIRONMENT, VllmRollouts, seed_of

IMAGE, TOKENS = 5, 49  # the policy's image token, and how many of them a square picture is


def expand(ids: list[int]) -> list[int]:
    """What vLLM makes of a prompt, each image token taken for a picture."""
    return [token for one in ids for token in [one] * (TOKENS if one == IMAGE else 1)]


def recipe(policy: Path, steps: int = 2, **rollouts: Any) -> Recipe:
    stage = {**GRPO, "steps": steps, "rollouts": {"engine": "vllm", **rollouts}}
    return shade_recipe(policy, stage, model={"min_pixels": 112 * 112, "max_pixels": 112 * 112})


def test_prompts_are_asked_as_they_are_written_and_must_come_back_as_they_are_trained(
    random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, expand)
    run_trainer(built(recipe(random_policy), tmp_path), None)
    (llm,) = FakeLLM.made
    assert [len(asked) for asked in llm.asked] == [8, 8]
    for prompt in (prompt for asked in llm.asked for prompt in asked):
        assert prompt["prompt_token_ids"].count(IMAGE) == 1 and "image" in prompt["multi_modal_data"]
    # The engine's log-probabilities meet the trainer's in every step.
    assert all(line["sampling/sampling_logp_difference/mean"] > 0 for line in lines(tmp_path / METRICS))


def test_pictures_of_another_size_are_one_line(
    random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, lambda ids: [*expand(ids), IMAGE])
    stage = built(recipe(random_policy), tmp_path)
    with pytest.raises(
        UserError, match=r"stages.rewards.rollouts: vLLM makes (\d+) tokens of what the trainer"
    ):
        run_trainer(stage, None)
    (llm,) = FakeLLM.made
    assert llm.closed


def test_every_completion_has_a_seed_that_a_second_run_gives_it_again(
    random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, expand)
    found = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        run_trainer(built(recipe(random_policy), tmp_path / name), None)
        found.append([one.seed for asked in FakeLLM.made[-1].sampling for one in asked])
    assert found[0] == found[1] and len(set(found[0])) == 16
    assert all(0 <= seed < 2**63 for seed in found[0])
    assert seed_of((1, 2, 3)) == seed_of((1, 2, 3)) != seed_of((1, 23))


def test_cases_that_step_in_for_flat_groups_are_asked_likewise(
    random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, expand)
    asked = {
        "dynamic_sampling": {"mode": "resample", "budget": 2},
        "rewards": {"helpers.shades:sometimes": 1.0},
    }
    whole = recipe(random_policy, steps=3)
    stage = whole.stages[0].model_validate({**whole.stages[0].model_dump(), **asked})
    run_trainer(built(whole.model_copy(update={"stages": (stage,)}), tmp_path), None)
    (llm,) = FakeLLM.made
    assert sum(map(len, llm.asked)) > 24 and all(len(one) % 4 == 0 for one in llm.asked)
    seeds = [one.seed for asked in llm.sampling for one in asked]
    assert len(set(seeds)) == len(seeds)


def test_what_is_learned_from_masked_pictures_goes_with_it(
    random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, expand)
    whole = recipe(random_policy)
    asked = {"perception_loss": {"weight": 0.1}, "token_weights": {"share": 0.5}}
    stage = whole.stages[0].model_validate({**whole.stages[0].model_dump(), **asked})
    run_trainer(built(whole.model_copy(update={"stages": (stage,)}), tmp_path), None)
    (llm,) = FakeLLM.made
    for prompt in (prompt for asked in llm.asked for prompt in asked):  # true pictures are what it draws from
        assert prompt["prompt_token_ids"].count(IMAGE) == 1
    steps = lines(tmp_path / METRICS)
    assert len(steps) == 2 and all(line["perception/kl"] > 0 for line in steps)
    assert all("sampling/importance_sampling_ratio/mean" in line for line in steps)


def test_a_resumed_stage_asks_as_the_whole_one_did(
    random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seeds, prompts and weights after the break are those of a run without one."""
    install(monkeypatch, expand)
    asked = recipe(random_policy, steps=4)
    (tmp_path / "whole").mkdir()
    whole = run_trainer(built(asked, tmp_path / "whole"), None).state_dict()
    (tmp_path / "again").mkdir()
    checkpoint = tmp_path / "whole" / "checkpoints" / "checkpoint-2"
    again = run_trainer(built(asked, tmp_path / "again"), checkpoint).state_dict()
    seeds = [[[one.seed for one in each] for each in llm.sampling] for llm in FakeLLM.made]
    assert len(seeds[0]) == 4 and seeds[1] == seeds[0][2:]
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_weights_are_renewed_and_pictures_forgotten_with_them(
    random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, expand)
    run_trainer(built(recipe(random_policy), tmp_path), None)
    (llm,) = FakeLLM.made
    assert llm.forgotten == {"prefixes": 2, "pictures": 2}  # before each generation
    first, second = ({k: v for one in half for k, v in one.items()} for half in _halves(llm.loaded))
    changed = [name for name in first if not torch.equal(first[name], second[name])]
    assert any("visual" in name for name in changed) and any("lm_head" in n or "embed" in n for n in changed)


def _halves(loaded: list[Any]) -> tuple[list[Any], list[Any]]:
    return loaded[: len(loaded) // 2], loaded[len(loaded) // 2 :]


def test_the_engine_is_made_as_the_policy_is_and_leaves_the_process_as_it_was(
    random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, expand)
    before = [os.environ.get(name) for name in ENVIRONMENT], torch.set_num_threads
    asked = recipe(random_policy, vllm_max_model_length=999, llm={"enforce_eager": False, "block_size": 16})
    stage = built(asked, tmp_path)
    after = torch.rand(1), random.random()
    (llm,) = FakeLLM.made
    wanted = {
        "dtype": "float32", "max_model_len": 999, "enforce_eager": False, "block_size": 16,
        "limit_mm_per_prompt": {"video": 0}, "logprobs_mode": "processed_logprobs",
        "mm_processor_kwargs": {"min_pixels": 112 * 112, "max_pixels": 112 * 112},
    }  # fmt: skip
    assert wanted.items() <= llm.settings.items()
    assert before == ([os.environ.get(name) for name in ENVIRONMENT], torch.set_num_threads)
    stage.trainer.close()
    stage.trainer.close()  # again is nothing
    assert llm.closed and stage.trainer.vllm_generation is None
    (tmp_path / "b").mkdir()
    plain = asked.model_copy(update={"stages": (asked.stages[0].model_copy(update={"rollouts": PLAIN}),)})
    built(plain, tmp_path / "b")
    assert after == (torch.rand(1), random.random())


PLAIN = shade_recipe(Path("x"), GRPO).stages[0].rollouts


@pytest.mark.parametrize("several", [False, True])
def test_the_group_of_several_training_processes_outlives_the_engine(
    several: bool, random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, expand)
    stage = built(recipe(random_policy), tmp_path)
    monkeypatch.setattr(stage.trainer.vllm, "_joined", not several)
    stage.trainer.close()
    assert FakeLLM.groups_ended == ([] if several else ["default"])


def test_an_engine_that_does_not_start_is_one_line_and_leaves_nothing(
    random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm = install(monkeypatch, expand)
    llm.broken = ValueError("no memory\nfor the cache")
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    with pytest.raises(UserError, match=r"vLLM does not start: ValueError: no memory for the cache; change"):
        built(recipe(random_policy), tmp_path)
    assert before == {name: os.environ.get(name) for name in ENVIRONMENT}


def test_a_server_that_shows_pictures_otherwise_is_one_line_that_says_how_to_start_it(
    random_policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, posted = recipe(random_policy, mode="server"), list[str]()
    rollouts = VllmRollouts(asked.stages[0], asked.model, load_policy(asked.model))
    client = SimpleNamespace(base_url="http://x", _post=posted.append)
    client.reset_prefix_cache = lambda: posted.append("prefixes")

    def place(features: Any, ids: list[int]) -> Any:
        own = {"mm_placeholders": {"image": [{"offset": 1, "length": ids.count(IMAGE)}]}}
        return features and own

    generation = SimpleNamespace(vllm_client=client, _place_features=place)
    rollouts._watch_server(generation)
    client.reset_prefix_cache()
    assert posted == ["http://x/reset_encoder_cache", "prefixes"]
    theirs = {"mm_placeholders": {"image": [{"offset": 0, "length": 40}]}}
    assert generation._place_features(None, [1]) is None
    assert generation._place_features(theirs, [1, *[IMAGE] * 40])
    with pytest.raises(UserError) as error:
        generation._place_features(theirs, [1, *[IMAGE] * TOKENS])
    assert "vLLM makes 40 tokens" in str(error.value)
    assert '--mm-processor-kwargs \'{"min_pixels": 12544, "max_pixels": 12544}\'`' in str(error.value)
