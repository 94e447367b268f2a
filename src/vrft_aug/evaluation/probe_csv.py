"""The cases of a probe as a table: a row a case, for a spreadsheet or a script."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from vrft_aug.evaluation.probe import ProbedTask
from vrft_aug.files import write_text

COLUMNS = ("task", "stage", "case", "classes", "right", "samples", "pass_rate", "flat", "unreadable")


def write_probe_csv(tasks: Sequence[ProbedTask], path: Path) -> None:
    """Write `COLUMNS` of every case; `classes` are joined by semicolons, `flat` is empty without rewards."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    for task in tasks:
        for one in task.cases:
            flat = "" if one.flat is None else int(one.flat)
            rate = f"{one.right / one.samples:.6g}"
            row = (one.case, ";".join(one.classes), one.right, one.samples, rate, flat, len(one.failures))
            table.writerow((task.task, task.stage, *row))
    write_text(path, out.getvalue())
