"""All checks in their order, and a page of JSON that says nothing about whose machine it is."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vrft_aug.evaluation.provenance import package_versions
from vrft_aug.policy.hardware import choose_device, hardware
from vrft_aug.policy.load import quiet_libraries
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.selftest.attention_roads import attention
from vrft_aug.selftest.costs_of_a_step import step_costs
from vrft_aug.selftest.equality import equality
from vrft_aug.selftest.outcome import Finding, Machine, failure
from vrft_aug.selftest.training_roads import adapter, precision, resume

Check = Callable[[Machine], list[Finding]]
CHECKS: dict[str, Check] = {
    "equality": equality, "attention": attention, "precision": precision, "adapter": adapter,
    "resume": resume, "step_costs": step_costs,
}  # fmt: skip


def run_selftest(
    device: ModelConfig, tell: Callable[[str], None], checks: dict[str, Check] | None = None
) -> dict[str, Any]:
    """Run the checks on `device` (its settings alone count); `tell` hears a line about each number.

    Returns `passed`, `device`, `hardware`, `versions`, `seconds`, and `checks`: a dictionary a number. Raises
    UserError where the device is not there. A check that fails to run is a number that is not there.
    """
    where = ModelConfig.model_validate({"device": choose_device(device)}).device
    quiet_libraries()
    begun, told = time.perf_counter(), []
    tell(f"on {where}")
    for name, check in (CHECKS if checks is None else checks).items():
        start = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="vrft-selftest-") as folder:
            try:
                findings = check(Machine(where, Path(folder)))
            except Exception as error:  # whatever it is, it is what the test was to find
                findings = [failure(name, error)]
        for finding in findings:
            tell(finding.line())
        told += _entries(findings, time.perf_counter() - start)
    return {
        "passed": all(entry["passed"] for entry in told),
        "device": where,
        "seconds": round(time.perf_counter() - begun),
        "versions": package_versions(),
        "hardware": hardware(),
        "checks": told,
    }


def _entries(findings: Sequence[Finding], seconds: float) -> list[dict[str, Any]]:
    return [
        {
            "name": finding.name,
            "told": finding.told,
            "value": None if math.isnan(finding.value) else float(f"{finding.value:.4g}"),
            "at_most" if finding.at_most else "at_least": finding.limit,
            "passed": finding.passed,
            **({"note": finding.note} if finding.note else {}),
            **({"figures": dict(finding.figures)} if finding.figures else {}),
            "seconds": round(seconds, 1),
        }
        for finding in findings
    ]
