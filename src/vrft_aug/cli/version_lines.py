"""What `vrft --version` says: this package, what results depend on, and the device; fast."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path

from vrft_aug import __version__

PACKAGES = ("torch", "transformers", "trl")
NVIDIA = Path("/proc/driver/nvidia/gpus")  # of Linux: a folder for each GPU, whose `information` names it


def version_lines() -> list[str]:
    """`vrft-aug 0.1.0`, then Python, the packages and the device, a line each."""
    lines = [f"vrft-aug {__version__}", f"python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            lines.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            lines.append(f"{package} not installed")
    return [*lines, f"device {device_line()}"]


def device_line(nvidia: Path = NVIDIA) -> str:
    """What seems to be here to compute on, by what the system tells; only torch knows if it can use it."""
    gpus = [_model(file.read_text(encoding="utf-8")) for file in sorted(nvidia.glob("*/information"))]
    if gpus:
        named = ", ".join(f"{gpus.count(gpu)} x {gpu}" for gpu in dict.fromkeys(gpus))
        return f"{named} (not asked whether torch can use it: vrft selftest)"
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return "Apple GPU (not asked whether torch can use it: vrft selftest)"
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"CPU, {count} core{'' if count == 1 else 's'}"


def _model(information: str) -> str:
    lines = (line.partition(":") for line in information.splitlines())
    return next((value.strip() for name, _, value in lines if name.strip() == "Model"), "NVIDIA GPU")
