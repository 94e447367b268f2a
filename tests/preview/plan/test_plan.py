"""`vrft plan`: counts, memory and time follow the recipe; advice fits; wrong input ends in one line."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from helpers.config_folder import write_config
from vrft_aug.cli import app
from vrft_aug.errors import UserError
from vrft_aug.policy.anatomy import Anatomy
from vrft_aug.policy.counting import anatomy
from vrft_aug.preview.plan.activations import block_bytes, precision_of
from vrft_aug.preview.plan.cards import ALIASES, CARDS, find_card
from vrft_aug.preview.plan.footprint import Footprint, Sharding, footprint
from vrft_aug.preview.plan.planned import plan
from vrft_aug.preview.plan.roofline import Pace, seconds, sent_bytes, step_costs
from vrft_aug.preview.plan.work import Asked, Lengths, Work
from vrft_aug.recipe.file import load_recipe
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.training.processes.parallel import BUILT

LENGTHS = Lengths(prompt=600, mean=580.0, completion=128, patches=256, counted=True)
WORK = Work(
    stage="grade", method="grpo", steps=10, prompts=8, generations=8, micro_batches=1, round_steps=1,
    lengths=LENGTHS, checkpointing=False, shared=True, reference=False, rescored=False,
)  # fmt: skip
FULL, HALF, ADAPTER = (
    precision_of("float32", False),
    precision_of("bfloat16", False),
    precision_of("bfloat16", True),
)
ASKED = Asked(text=400, picture=(224, 224))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_config(tmp_path_factory.mktemp("config") / "qwen")


@pytest.fixture(scope="module")
def tiny() -> Anatomy:
    return anatomy(ModelConfig())


def taken(work: Work, model: Anatomy, device: str = "cuda", processes: int = 1, to: str = "ddp") -> Footprint:
    return footprint(work, model, HALF, device, Sharding(to, processes))


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["plan", *arguments])
    return done.exit_code, done.output


# Counting -------------------------------------------------------------------------------------------------


def test_a_config_alone_tells_the_parameters(folder: Path) -> None:
    """3,754,622,976 is what the checkpoint of Qwen2.5-VL-3B-Instruct holds."""
    whole = anatomy(ModelConfig(name=str(folder)))
    assert (whole.parameters, whole.trained, whole.adapter) == (3_754_622_976, 3_754_622_976, 0)
    assert (whole.language.layers, whole.language.inner, whole.language.keys) == (36, 11008, 256)
    assert whole.vision is not None and whole.vision.layers == 32 and whole.vision.joined
    lora = anatomy(ModelConfig(name=str(folder), lora={"r": 16}))
    assert lora.parameters == whole.parameters and lora.trained == lora.adapter > 20_000_000
    assert lora.rank == 16 and lora.language.trained == 0 and lora.language.inner == 11008
    assert (lora.language.gated, lora.language.joined) == (True, False)
    half = anatomy(ModelConfig(name=str(folder), lora={"r": 8}))
    assert half.adapter * 2 == lora.adapter


def test_frozen_parts_are_not_trained(tiny: Anatomy) -> None:
    frozen = anatomy(ModelConfig.model_validate({"freeze": {"vision": True, "projector": True}}))
    assert frozen.trained == frozen.language.parameters == tiny.language.parameters
    assert frozen.vision is not None and tiny.vision is not None
    assert (frozen.vision.trained, frozen.vision_flows, tiny.vision_flows) == (0, False, True)
    assert frozen.vision.parameters == tiny.vision.parameters


def test_lengths_are_those_of_the_data() -> None:
    planned = plan(load_recipe("fundus-demo"), find_card("t4"))
    (stage,) = (one for one in planned.stages if one.work.stage == "grade")
    assert stage.work.lengths.counted and stage.work.lengths.completion == 96
    assert stage.work.lengths.patches == 4 * 49  # 112 x 112 pixels, four patches of 8 x 8 to a token
    assert stage.work.lengths.mean <= stage.work.lengths.prompt < 400


# Memory ---------------------------------------------------------------------------------------------------


def test_weights_gradients_and_adam_are_sixteen_bytes(tiny: Anatomy) -> None:
    parts = taken(WORK, tiny).parts
    assert parts["weights"] + parts["gradients"] + parts["optimiser"] == 16 * tiny.parameters
    assert 0 < parts["copies"] <= 2 * (tiny.parameters + tiny.embedding)
    whole = footprint(WORK, tiny, FULL, "cuda", Sharding()).parts
    assert whole["copies"] == 0 and whole["activations"] > parts["activations"]


def test_an_adapter_takes_what_it_trains() -> None:
    lora = anatomy(ModelConfig(lora={"r": 8}))
    parts = footprint(WORK, lora, ADAPTER, "cuda", Sharding()).parts
    assert parts["weights"] == 2 * lora.parameters + 4 * lora.adapter
    assert parts["optimiser"] == 8 * lora.adapter and parts["copies"] == 0
    beta = footprint(replace(WORK, reference=True), lora, ADAPTER, "cuda", Sharding()).parts
    assert beta["reference"] == 0  # the adapter is switched off


def test_each_lever_lowers_the_peak(tiny: Anatomy) -> None:
    peaks = [taken(WORK.cut(parts), tiny).peak for parts in (1, 2, 4, 8)]
    assert all(after < before for before, after in pairwise(peaks))
    assert taken(replace(WORK, checkpointing=True), tiny).peak < peaks[0]
    assert taken(replace(WORK, shared=False), tiny).peak > peaks[0]
    assert taken(replace(WORK, reference=True), tiny).parts["reference"] == 4 * tiny.parameters
    frozen = anatomy(ModelConfig.model_validate({"freeze": {"vision": True, "projector": True}}))
    assert taken(WORK, frozen).parts["activations"] < taken(WORK, tiny).parts["activations"]


def test_sharing_reads_a_prompt_once_a_group() -> None:
    assert WORK.pass_tokens == 8 * 600 + 64 * 127
    assert replace(WORK, shared=False).pass_tokens == 64 * (600 + 128)
    assert WORK.cut(4).pass_tokens * 4 == WORK.pass_tokens
    assert WORK.cut(16).pass_prompts == 1  # half a group still runs its prompt


def test_a_masked_pass_and_an_engine_of_its_own(tiny: Anatomy) -> None:
    once, scored, twice = (taken(replace(WORK, masked=how), tiny) for how in ("", "scored", "trained"))
    assert twice.parts["activations"] == pytest.approx(2 * once.parts["activations"], abs=2)
    assert scored.parts == once.parts
    engine = taken(replace(WORK, engine="vllm"), tiny)
    assert engine.parts["kv_cache"] == engine.parts["sampling"] == 0 < once.parts["kv_cache"]
    costs = step_costs(replace(WORK, masked="trained"), tiny, HALF, Sharding())
    assert costs["forward"].flops == 2 * step_costs(WORK, tiny, HALF, Sharding())["forward"].flops
    recipe = load_recipe("fundus-demo", ["stages.grade.rollouts.engine=vllm"])
    (stage,) = (one for one in plan(recipe, find_card("h100")).stages if one.work.stage == "grade")
    assert stage.work.engine_share == 0.3 and stage.room < 0.7 * CARDS["h100"].memory


def test_shards_divide_what_they_spread(tiny: Anatomy) -> None:
    whole = {to: taken(WORK, tiny, processes=4, to=to).parts for to in ("ddp", "zero1", "zero2", "fsdp2")}
    assert whole["ddp"]["buckets"] == 4 * tiny.trained and whole["fsdp2"]["buckets"] == 0
    assert whole["zero1"]["optimiser"] * 4 == whole["ddp"]["optimiser"]
    assert whole["zero1"]["gradients"] == whole["ddp"]["gradients"] == 4 * whole["zero2"]["gradients"]
    assert whole["fsdp2"]["weights"] < whole["zero2"]["weights"] == whole["ddp"]["weights"]


def test_the_peak_is_the_highest_moment(tiny: Anatomy) -> None:
    memory = taken(WORK, tiny)
    assert memory.peak == max(memory.moments.values()) == memory.moments[memory.moment]
    assert memory.moments["optimiser"] < memory.peak < sum(memory.parts.values()) * 1.5
    assert "sampling" not in taken(replace(WORK, method="sft", generations=1), tiny).moments


def test_what_a_block_keeps_is_what_autograd_keeps(tiny: Anatomy) -> None:
    """The formula against the tensors that a pass over packed prompts saves, weights not among them."""
    import torch

    from vrft_aug.policy.load import load_policy
    from vrft_aug.policy.prefix.attention import PackedAttention, attending
    from vrft_aug.policy.prefix.packing import Completions, pack, sequence_inputs

    causal = load_policy(ModelConfig(), training=True).model
    weights = {weight.untyped_storage().data_ptr() for weight in causal.parameters()}
    ids = torch.arange(20, 20 + 2 * 40).view(2, 40)
    completions = Completions(ids[:, :16].repeat(4, 1), torch.ones(8, 16).long(), torch.arange(2).repeat(4))
    positions = torch.arange(40).expand(3, 2, 40)
    packed = pack(ids, torch.ones_like(ids), positions, completions)
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    decoder = causal.get_decoder()
    with (
        attending(causal, PackedAttention(packed)),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x),
    ):
        decoder(**sequence_inputs(packed), use_cache=False)
    tokens = 2 * 40 + 8 * 15
    planned = tiny.language.layers * block_bytes(tiny.language, FULL, 0) * tokens
    assert planned == pytest.approx(sum(kept.values()), rel=0.05)


# Time -----------------------------------------------------------------------------------------------------


def test_operations_follow_the_tokens(tiny: Anatomy) -> None:
    costs = step_costs(WORK, tiny, HALF, Sharding())
    tokens = 8 * 580 + 64 * 128
    assert costs["forward"].flops > 2 * tiny.language.multiplied * tokens
    assert costs["backward"].flops == pytest.approx(2 * costs["forward"].flops, rel=0.2)
    again = step_costs(replace(WORK, checkpointing=True), tiny, HALF, Sharding())
    assert again["backward"].flops > costs["backward"].flops
    stock = step_costs(replace(WORK, shared=False), tiny, HALF, Sharding())
    assert stock["forward"].flops > 3 * costs["forward"].flops
    assert "scoring" not in costs
    scored = step_costs(replace(WORK, reference=True), tiny, HALF, Sharding())["scoring"].flops
    assert scored == pytest.approx(costs["forward"].flops + costs["vision, training"].flops / 3)


def test_a_faster_card_and_a_measured_pace(tiny: Anatomy) -> None:
    cost = step_costs(WORK, tiny, HALF, Sharding())["forward"]
    slow, fast = (seconds(cost, find_card(name), HALF, Pace()) for name in ("l4", "h100"))
    assert slow / fast == pytest.approx(989 / 121)
    assert seconds(cost, find_card("l4"), HALF, Pace(2.0)) == pytest.approx(2 * slow)
    assert seconds(cost, find_card("t4"), HALF, Pace()) == seconds(cost, find_card("t4"), FULL, Pace())


def test_bytes_between_cards(tiny: Anatomy) -> None:
    assert sent_bytes(WORK, tiny, HALF, Sharding("ddp", 8)) == 2 * 7 / 8 * 4 * tiny.trained
    spread = sent_bytes(WORK.cut(4), tiny, HALF, Sharding("fsdp2", 8))
    assert spread == 7 / 8 * (4 * 4 * tiny.trained + 9 * 2 * tiny.parameters)


# Cards ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("H100", "h100"), ("NVIDIA H100 80GB HBM3", "h100"), ("rtx 4090", "4090"), ("a100", "a100-80"),
        ("NVIDIA A100-SXM4-40GB", "a100-40"), ("A100 80GB", "a100-80"), ("Tesla T4", "t4"),
        ("M2 Ultra", "m2-ultra"), ("NVIDIA GeForce RTX 3090", "3090"), ("NVIDIA L4", "l4"),
        ("NVIDIA H200", "h200"), ("MI300X", "mi300x"),
    ],
)  # fmt: skip
def test_cards_by_what_people_call_them(given: str, name: str) -> None:
    assert find_card(given).name == name


def test_the_table_is_whole() -> None:
    assert set(ALIASES.values()) <= set(CARDS)
    assert all(card.half >= card.single > 0 < card.bandwidth and card.source for card in CARDS.values())
    with pytest.raises(UserError, match=r"'h10' is not in the table of cards; did you mean 'h100'"):
        find_card("h10")


# The command ----------------------------------------------------------------------------------------------


def test_what_does_not_fit_is_told_with_what_would(folder: Path) -> None:
    recipe = load_recipe(
        "qwen2.5-vl-3b-retinamnist",
        [f"model.name={folder}", "stages.grade.trainer.gradient_accumulation_steps=1"],
    )
    (stage,) = plan(recipe, find_card("4090"), asked=ASKED).stages
    assert not stage.fits and stage.advice is not None and stage.advice.fits
    assert "model.lora.r=16" in stage.advice.setting.changes
    kinds = {" ".join(one.setting.changes).partition("=")[0] for one in stage.alone}
    assert kinds == {"stages.grade.trainer.gradient_accumulation_steps", "model.lora.r"}
    changed = load_recipe(
        "qwen2.5-vl-3b-retinamnist", [f"model.name={folder}", *stage.advice.setting.changes]
    )
    (again,) = plan(changed, find_card("4090"), asked=ASKED).stages
    assert again.fits and again.memory.peak <= 1.01 * stage.advice.peak
    (eight,) = plan(recipe, find_card("4090"), 8, asked=ASKED).stages
    sharded = next(one for one in eight.alone if "parallel.strategy=fsdp2" in one.setting.changes)
    assert sharded.fits and sharded.setting.there is ("fsdp2" in BUILT)
    assert eight.advice is not None and eight.advice.setting.there
    (large,) = plan(recipe, find_card("h200"), asked=ASKED).stages
    assert large.fits and large.advice is None and large.alone == ()
    whole = load_recipe("qwen2.5-vl-3b-retinamnist", [f"model.name={folder}", "model.dtype=float32"])
    (none,) = plan(whole, find_card("t4"), asked=ASKED).stages
    assert none.advice is None or "model.dtype=bfloat16" in none.advice.setting.changes


def test_lines_and_json_say_the_same(folder: Path) -> None:
    asked = ["qwen2.5-vl-3b-retinamnist", f"model.name={folder}", "--gpu", "H100", "--processes", "8"]
    asked += ["--text-tokens", "400", "--picture", "224x224"]
    code, text = run(*asked)
    assert code == 0 and "trains 3,754,622,976 (100.0%)" in text and "card 8 x h100" in text
    told: dict[str, Any] = json.loads(run(*asked, "--json")[1])
    (stage,) = told["stages"]
    assert told["processes"] == 8 and stage["prompts"] == 1 and stage["prompt_tokens"] == 464
    assert stage["step_seconds"] == pytest.approx(sum(stage["seconds"].values()), abs=1e-4)
    assert stage["peak"] == max(stage["moments"].values()) and stage["sent_bytes"] > 0
    assert ("DOES NOT FIT" in text) is not stage["fits"]


def test_what_is_not_counted_is_said() -> None:
    code, text = run("fundus-demo", "--gpu", "t4", "stages.grade.dynamic_sampling.mode=resample")
    assert code == 0 and text.count("not counted, and more than what follows: dynamic_sampling") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--gpu", "h1000"], "--gpu 'h1000' is not in the table of cards; did you mean 'h100'"),
        (["--processes", "16"], "16 processes are more than its 8 groups (prompts_per_step) of a step"),
        (["--processes", "3"], "3 processes do not divide its 8 groups"),
        (
            ["model.name=nobody/nothing-3b"],
            "its config.json is neither on this disk nor to be had from the hub",
        ),
        (["--picture", "224"], "--picture is '224'; expected width x height"),
        (["--text-tokens", "300"], "--text-tokens and --picture go together"),
        (["--selftest", "no-such.json"], "vrft selftest --json no-such.json writes it"),
        (["model.lora={r: 4, target_modules: [nothing]}"], "model.lora does not fit model 'tiny'"),
        (["model.freeze.names=[nothing]"], "has no part 'nothing'"),
    ],
)
def test_wrong_input_ends_in_one_line(
    arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, text = run("fundus-demo", *arguments)
    line = text.strip()
    assert code == 2 and line.startswith("error: ") and "\n" not in line and len(line) < 500
    assert words in line


def test_a_selftest_paces_its_own_card_alone(tmp_path: Path) -> None:
    file = tmp_path / "fit.json"
    figures = {"step_seconds": 4.0, "flops": 1e14, "decoding_flops": 1e13, "decoding_bytes": 1e12,
               "decoding_calls": 4608}  # fmt: skip
    content: dict[str, Any] = {
        "device": "cuda",
        "hardware": {"gpus": ["NVIDIA H100 80GB HBM3"]},
        "checks": [{"name": "speed", "figures": figures}],
    }
    file.write_text(json.dumps(content), "utf-8")
    code, text = run("fundus-demo", "--gpu", "h100", "--selftest", str(file))
    assert code == 0 and "paced by a step of vrft selftest: 4.00 s for " in text
    code, text = run("fundus-demo", "--gpu", "l4", "--selftest", str(file))
    assert code == 2 and "was run on 'NVIDIA H100 80GB HBM3', not on l4" in text
    file.write_text(json.dumps({**content, "checks": [{"name": "speed"}]}), "utf-8")
    code, text = run("fundus-demo", "--gpu", "h100", "--selftest", str(file))
    assert code == 2 and "holds no timed step" in text
    file.write_text("[]", "utf-8")
    code, text = run("fundus-demo", "--gpu", "h100", "--selftest", str(file))
    assert code == 2 and "is not what vrft selftest --json writes" in text
