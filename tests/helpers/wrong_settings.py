"""Wrong settings over the whole schema: types, ranges, unknown keys, TRL's and PEFT's, contradictions."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.data_files import CSV, save_table
from vrft_aug.recipe.schema import Recipe
from vrft_aug.training.library_settings import ConfigName, known_settings
from vrft_aug.training.stage_settings import FIXED

FUNDUS = {"reader": "procedural", "modality": "fundus", "train": 12, "validation": 4, "test": 8}
EXUDATES = ["hard exudates", "cotton wool spots", "new vessels"]
GRADES = ["none", "mild", "moderate", "severe", "proliferative"]
NAN, INF = float("nan"), float("inf")
VALUES: tuple[Any, ...] = (
    "abc", -1, 0, 1, 3, 0.5, 1.5, 10**9, NAN, INF, True, None, [], {}, "", ["abc"], {"abc": 1}, "x" * 300,
    "/nowhere/at/all", "☃",
)  # fmt: skip


@dataclass(frozen=True)
class Wrong:
    """Settings by their places, as tuples of keys, and what makes them wrong."""

    settings: dict[tuple[Any, ...], Any]
    kind: str

    def __str__(self) -> str:
        said = (f"{'.'.join(map(str, place))}={value!r}"[:80] for place, value in self.settings.items())
        return f"{self.kind}: {' '.join(said)}"


def base_recipe(policy: Path, root: Path) -> dict[str, Any]:
    """A recipe with two stages, three tasks, and all of the schema in use; writes its table to `root`."""
    save_table(root)
    mapping = {
        "name": "wrong",
        "seed": 3,
        "data_root": str(root),
        "model": {"name": str(policy), "device": "cpu", "lora": {"r": 4, "lora_alpha": 8}},
        "tasks": {
            "grade": {
                "kind": "grade", "question": "Which grade?", "labels": GRADES, "knowledge": "fundus",
                "data": FUNDUS,
            },
            "lesions": {"kind": "localise", "question": "Where?", "labels": EXUDATES, "data": FUNDUS},
            "table": {"kind": "classify", "question": "Which?", "labels": ["dark", "bright"], "data": CSV},
        },
        "stages": [
            {"name": "answers", "method": "sft", "task": "table", "steps": 2, "prompts_per_step": 2},
            {
                "name": "rewards", "method": "grpo", "task": "grade", "steps": 2, "prompts_per_step": 2,
                "generations": 2, "max_new_tokens": 12, "injection": {"style": "definitions"},
                "rewards": {
                    "format": {"weight": 0.2}, "fuzzy_grade": {"weight": 1.0},
                    "recitation": {"weight": 0.1, "delta": -1},
                },
                "mix": {"lesions": {"share": 0.25, "rewards": {"iou": {"weight": 1.0}}}},
                "dynamic_sampling": {"mode": "skip"}, "trainer": {"learning_rate": 1e-3},
            },
        ],
        "evaluation": {
            "task": "grade", "limit": 4, "max_new_tokens": 12, "bootstrap": 100, "samples": 2,
            "injection": {"style": "attributes"},
        },
    }  # fmt: skip
    return mapping


def changed(mapping: dict[str, Any], wrong: Wrong) -> dict[str, Any]:
    """The recipe with the wrong settings in it."""
    mapping = copy.deepcopy(mapping)
    for place, value in wrong.settings.items():
        here: Any = mapping
        for key in place[:-1]:
            here = here[key] if isinstance(here, list) else here.setdefault(key, {})
        here[place[-1]] = value
    return mapping


def of_schema(mapping: dict[str, Any]) -> list[Wrong]:
    """Every setting that the schema has, defaults too, with every value of VALUES."""
    whole = Recipe.model_validate(mapping).model_dump(mode="json")
    return [
        Wrong({place: value}, "value")
        for place, own in _leaves(whole)
        for value in VALUES
        if repr(value) != repr(own)
    ]


def unknown_keys(mapping: dict[str, Any]) -> list[Wrong]:
    """A key that is none, in every mapping of the schema."""
    whole = Recipe.model_validate(mapping).model_dump(mode="json")
    places = {place for place, own in _leaves(whole) if isinstance(own, dict)}
    return [
        Wrong({(*place, name): 1}, "unknown")
        for place in sorted(places, key=str)
        for name in ("stepss", "weigth")
        if place[-1:] not in ((("labels",)), ("rewards",))
    ]


def of_libraries() -> list[Wrong]:
    """Every setting of TRL and PEFT with every value."""
    found = []
    configs: tuple[tuple[ConfigName, tuple[Any, ...]], ...] = (
        ("SFTConfig", ("stages", 0, "trainer")),
        ("GRPOConfig", ("stages", 1, "trainer")),
        ("LoraConfig", ("model", "lora")),
    )
    for config, place in configs:
        for name, known in known_settings(config).items():
            if name in FIXED or name in ("torch_compile", "torch_compile_backend", "torch_compile_mode"):
                continue  # compiling takes a minute
            values = [*VALUES, *known.choices[:4]]
            found += [Wrong({(*place, name): value}, config) for value in values]
    return found


def contradictions() -> list[Wrong]:
    """Settings that are right alone."""
    sft, grpo = ("stages", 0), ("stages", 1)
    trainer = (*grpo, "trainer")
    pairs: list[dict[tuple[Any, ...], Any]] = [
        {("model", "min_pixels"): 9000, ("model", "max_pixels"): 800},
        {("model", "max_pixels"): 300},
        {("model", "adapter"): "/nowhere"},
        {("model", "dtype"): "bfloat16", (*sft, "trainer"): {"bf16": False}, ("model", "lora"): None},
        {("model", "dtype"): "float16"},
        {(*grpo, "method"): "sft"},
        {(*sft, "method"): "grpo"},
        {(*sft, "name"): "rewards"},
        {(*sft, "mix"): {"grade": {"share": 0.5, "rewards": {"format": 1.0}}}},
        {(*grpo, "mix"): {"grade": {"share": 0.5, "rewards": {"format": 1.0}}}},
        {(*grpo, "mix", "lesions", "share"): 0.999999},
        {(*grpo, "demonstrations"): "traces.jsonl"},
        {(*sft, "demonstrations"): "traces.jsonl"},
        {(*grpo, "task"): "table"},
        {(*grpo, "task"): "lesions", (*grpo, "mix"): {}},
        {("evaluation", "task"): "lesions"},
        {("evaluation", "task"): "lesions", ("evaluation", "injection"): {}},
        {("tasks", "grade", "kind"): "multilabel"},
        {("tasks", "grade", "kind"): "choice"},
        {("tasks", "table", "kind"): "localise"},
        {("tasks", "table", "synonyms"): True},
        {("tasks", "grade", "labels"): ["none", "mild"]},
        {(*grpo, "injection"): {"style": "shuffled", "budget": 2}},
        {(*grpo, "max_new_tokens"): 2000},
        {(*sft, "trainer"): {"max_length": 4}},
        {(*sft, "trainer"): {"packing": True}},
        {(*sft, "trainer"): {"assistant_only_loss": True}},
        {(*trainer, "gradient_accumulation_steps"): 3},
        {(*trainer, "num_iterations"): 3},
        {(*trainer, "steps_per_generation"): 2, (*trainer, "generation_batch_size"): 4},
        {(*trainer, "generation_batch_size"): 5},
        {(*trainer, "loss_type"): "luspo"},
        {(*trainer, "loss_type"): "dapo", (*trainer, "importance_sampling_level"): "sequence"},
        {(*trainer, "epsilon"): 0.5, (*trainer, "epsilon_high"): 0.1},
        {(*trainer, "lr_scheduler_type"): "cosine_with_min_lr"},
        {(*trainer, "dataloader_prefetch_factor"): 2},
        {(*trainer, "use_vllm"): True},
        {(*trainer, "sync_ref_model"): True},
        {(*trainer, "report_to"): "nowhere"},
        {("model", "lora"): {"target_modules": ["nothing"]}},
        {("model", "lora"): {"target_modules": ["q_proj"], "exclude_modules": ["q_proj"]}},
        {("model", "lora"): {"layers_to_transform": [99], "target_modules": ["q_proj"]}},
        {("model", "lora"): {"modules_to_save": ["nothing"]}},
    ]  # fmt: skip
    return [Wrong(settings, "contradiction") for settings in pairs]


def generated(mapping: dict[str, Any], count: int, seed: int = 0) -> list[Wrong]:
    """All contradictions, and of the other kinds as many as `count` leaves, drawn with a seed."""
    draw = random.Random(seed)
    found = contradictions()
    others = (of_schema(mapping), of_libraries(), unknown_keys(mapping))
    left = count - len(found)
    sizes = (left // 2, left - left // 2 - left // 8, left // 8)
    for pool, size in zip(others, sizes, strict=True):
        found += draw.sample(pool, size)
    return found


def _leaves(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every place with its value, also those of mappings and lists."""
    if place:
        yield place, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        if not (isinstance(value, list) and not isinstance(inner, dict)):
            yield from _leaves(inner, (*place, key))
