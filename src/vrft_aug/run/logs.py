"""JSON lines of a run: appended a step at a time, and cut back to a step when a run resumes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vrft_aug.files import write_text


def append_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Append lines in one write; NaN and infinity become null, for they are not JSON."""
    text = "".join(json.dumps(_finite(line), ensure_ascii=False) + "\n" for line in lines)
    if text:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All whole lines; one that a killed run left half written is passed over. [] where there is no file."""
    if not path.is_file():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            lines.append(line)
    return lines


def cut_back(path: Path, finished_stages: Iterable[str], stage: str, step: int) -> None:
    """Keep what finished stages wrote, and what `stage` wrote up to and including `step`."""
    if not path.is_file():
        return
    finished = set(finished_stages)
    kept = [
        line
        for line in read_lines(path)
        if line.get("stage") in finished or (line.get("stage") == stage and line.get("step", 0) <= step)
    ]
    write_text(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
