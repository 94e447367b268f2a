"""Make the embedded tiny model: `vrft tiny build`, seeded, a bit over an hour on two processors.

Stage 1 teaches the vision tower what lies where, stage 2 the language model to look definitions up in text;
the two share no weights and run side by side, a thread each. Stage 3 teaches both together to answer about
pictures. Stages 4 to 8 teach to find: first the tower where its tokens lie, then the language model to write
boxes, in two rounds, then both, on pictures of another camera too; the last mostly rehearses what was there
before. Every finished stage is kept in `<output>.work`; an interrupted build goes on where it stopped.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoProcessor

from vrft_aug.data.procedural.pool import Modality, Pool, render_pool, retaken
from vrft_aug.data.procedural.scene import SIZE
from vrft_aug.tiny.architecture import new_model
from vrft_aug.tiny.finding import train_finding, train_keeping
from vrft_aug.tiny.language import Tutor, train_pictures, train_text
from vrft_aug.tiny.lessons import corpus
from vrft_aug.tiny.places import train_places
from vrft_aug.tiny.processor import SPECIAL, new_processor
from vrft_aug.tiny.vision import train_vision

WIDE = (128, 80)  # pixels, what a 3:2 photograph becomes in the processor
Plan = tuple[tuple[Modality, int, tuple[int, int], float], ...]  # pictures: how many, of what size, how often
LOG = logging.getLogger(__name__)


def build(output: Path, seed: int = 0, scale: float = 1.0) -> None:
    """Build the model into the folder `output`; `scale` shortens every stage, for a test of the road."""
    _tell()
    work = output.with_name(output.name + ".work")
    work.mkdir(parents=True, exist_ok=True)
    _keep_processor(work / "processor", seed, scale)
    parts = {"vision": _vision, "text": _text}
    with ProcessPoolExecutor(2, get_context("spawn"), initializer=_alone) as side_by_side:
        missing = [part for name, part in parts.items() if not (work / f"{name}.safetensors").is_file()]
        for stage in [side_by_side.submit(part, work, seed, scale) for part in missing]:
            stage.result()
    tutor = _student(work, seed)
    for name in parts:
        _load(tutor.model, work / f"{name}.safetensors")
    pools = _pools(seed, scale)
    learn = partial(train_pictures, tutor, pools, _steps(600, scale), 10, 3, seed)
    _stage(work / "pictures.safetensors", tutor.model, tutor.model, learn)
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=_alone) as aside:
        aside.submit(_boxes, work, seed, scale).result()
    for name in ("pictures", "places", "finding", "sharper", "cameras", "keeping"):
        _load(tutor.model, work / f"{name}.safetensors")
    save(tutor, output)
    shutil.rmtree(work)


def save(tutor: Tutor, output: Path) -> None:
    """Write a normal transformers folder, the weights in half precision to stay small."""
    output.mkdir(parents=True, exist_ok=True)
    text = tutor.model.config.text_config
    tutor.model.generation_config.update(eos_token_id=text.eos_token_id, pad_token_id=text.pad_token_id)
    tutor.model.to(torch.float16).save_pretrained(output)
    tutor.processor.save_pretrained(output)


def _tell() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")


def _alone() -> None:
    _tell()
    torch.set_num_threads(1)


def _steps(full: int, scale: float) -> int:
    return max(1, round(full * scale))


def _keep_processor(folder: Path, seed: int, scale: float) -> None:
    """One tokenizer for all stages, also where the build goes on after a bank that it reads has changed."""
    if not folder.is_dir():
        unfinished = folder.with_suffix(".partial")
        new_processor(corpus(np.random.default_rng([seed, 0]), _steps(8000, scale))).save_pretrained(
            unfinished
        )
        unfinished.replace(folder)


def _student(work: Path, seed: int) -> Tutor:
    """The untrained model; equal in every process for equal seeds."""
    processor = AutoProcessor.from_pretrained(work / "processor")
    special = {token: processor.tokenizer.convert_tokens_to_ids(token) for token in SPECIAL}
    return Tutor(new_model(len(processor.tokenizer), special, seed), processor)


def _vision(work: Path, seed: int, scale: float) -> None:
    model = _student(work, seed).model
    tower = model.model.visual
    learn = partial(train_vision, tower, _pools(seed, scale), _steps(1000, scale), 32, seed)
    _stage(work / "vision.safetensors", model, tower, learn)


def _text(work: Path, seed: int, scale: float) -> None:
    tutor = _student(work, seed)
    learn = partial(train_text, tutor, _steps(400, scale), 12, 8, seed)
    _stage(work / "text.safetensors", tutor.model, tutor.model.model.language_model, learn)


def _boxes(work: Path, seed: int, scale: float) -> None:
    """Stages 4 to 8, from weights rounded to half precision: as if from a model of three stages, saved."""
    tutor = _student(work, seed)
    _load(tutor.model, work / "pictures.safetensors")
    with torch.no_grad():
        for weight in tutor.model.parameters():
            weight.copy_(weight.to(torch.float16))
    pools, tower, language = (
        finding_pools(seed, scale),
        tutor.model.model.visual,
        tutor.model.model.language_model,
    )
    learn = partial(train_places, tower, pools, _steps(120, scale), 12, seed)
    _stage(work / "places.safetensors", tutor.model, tower, learn)
    for stage, (name, steps) in enumerate((("finding", 160), ("sharper", 280)), start=5):
        learn = partial(train_finding, tutor, pools, _steps(steps, scale), 8, seed, stage)
        _stage(work / f"{name}.safetensors", tutor.model, language, learn)
    both = both_cameras(pools, seed)
    learn = partial(train_finding, tutor, both, _steps(250, scale), 8, seed, 7, tower=True)
    _stage(work / "cameras.safetensors", tutor.model, tutor.model, learn)
    learn = partial(train_keeping, tutor, both, _steps(130, scale), 8, seed, 8)
    _stage(work / "keeping.safetensors", tutor.model, tutor.model, learn)


def _pools(seed: int, scale: float) -> list[tuple[Pool, float]]:
    plan: Plan = (
        ("fundus", 12000, (SIZE, SIZE), 0.56),
        ("fundus", 2500, WIDE, 0.14),
        ("chest", 5000, (SIZE, SIZE), 0.3),
    )
    return _rendered(plan, 1000 * seed, scale)


def finding_pools(seed: int, scale: float) -> list[tuple[Pool, float]]:
    """Pictures for stages 4 to 8 that no stage before has seen."""
    plan: Plan = (
        ("fundus", 2600, (SIZE, SIZE), 0.58),
        ("fundus", 450, WIDE, 0.1),
        ("chest", 1500, (SIZE, SIZE), 0.32),
    )
    return _rendered(plan, 1000 * seed + 100, scale)


def both_cameras(pools: list[tuple[Pool, float]], seed: int) -> list[tuple[Pool, float]]:
    """The same with a third of the pictures by another camera."""
    clinic = [(pool, 0.67 * share) for pool, share in pools]
    other = [(retaken(pool, "handheld", seed, 1000), 0.33 * share) for pool, share in pools]
    return clinic + other


def _rendered(plan: Plan, first: int, scale: float) -> list[tuple[Pool, float]]:
    return [
        (render_pool(modality, "pretrain", first + number, max(32, _steps(count, scale)), size), share)
        for number, (modality, count, size, share) in enumerate(plan)
    ]


def _stage(done: Path, model: Any, part: Any, learn: Callable[[], Any]) -> None:
    """Run a stage and keep the weights of the part it trained, or take them from an earlier build."""
    if not done.is_file():
        LOG.info("stage %s", done.stem)
        learn()
        trained = {id(weight) for weight in part.parameters()}
        weights = {name: w.detach().contiguous() for name, w in model.named_parameters() if id(w) in trained}
        unfinished = done.with_suffix(".partial")
        save_file(weights, unfinished)
        unfinished.replace(done)
    _load(model, done)


def _load(model: Any, weights: Path) -> None:
    unexpected = model.load_state_dict(load_file(weights), strict=False).unexpected_keys
    if unexpected:
        raise RuntimeError(f"{weights} is of another architecture: {unexpected[:3]}; delete it")
