"""Takes the screenshots of docs/how-to/reader-study.md: a study on drawn pictures, its answers made up.

    python scripts/reader_study_pictures.py [FOLDER]

Needs Chromium. Writes docs/images/reader-study.png; with FOLDER also phone, dark and analysis pictures there.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import uvicorn
from playwright.sync_api import sync_playwright

from vrft_aug.data.cases import load_cases
from vrft_aug.reader_study.desk import Desk, open_desk
from vrft_aug.reader_study.material import open_material
from vrft_aug.reader_study.protocol import load_protocol
from vrft_aug.recipe.file import load_recipe
from vrft_aug.report.readers_files import write_readers
from vrft_aug.tasks.task import make_task
from vrft_aug.view.reading_server import make_study_app

IMAGE = Path("docs/images/reader-study.png")
RECIPE, TASK = "fundus-demo", "grade"
REASONS = "Dark red dots near the vessels, and no new vessels at the disc."
READERS = {"A": (0.9, 0.1), "B": (0.55, 0.5), "C": (0.8, 1.0)}  # right alone; follows the model


def main() -> None:
    """Make the study, let made readers read it, take the pictures."""
    extra = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with TemporaryDirectory() as name:
        folder = Path(name)
        protocol = load_protocol(str(_study(folder)))
        material, cases = open_material(protocol)
        desk = open_desk(folder / "out", material, _Clock())
        with _served(make_study_app(desk, cases)) as url, sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            _read(desk, "A", lambda now: now.slot.doing == "aided")
            _shoot(browser, f"{url}/read/A", IMAGE, "light", 1280)
            if extra is not None:
                _shoot(browser, url, extra / "start.png", "light", 1280)
                _shoot(browser, f"{url}/read/A", extra / "case-dark.png", "dark", 1280)
                _shoot(browser, f"{url}/read/A", extra / "case-phone.png", "light", 390)
                _read(desk, "A", lambda now: now.slot.doing == "rating")
                _shoot(browser, f"{url}/read/A", extra / "rating-phone-dark.png", "dark", 390)
                for reader in READERS:
                    _read(desk, reader, lambda now: False)
                write_readers(folder / "out", extra)
                _shoot(
                    browser,
                    (extra / "readers.html").resolve().as_uri(),
                    extra / "analysis.png",
                    "light",
                    1180,
                )
            browser.close()


def _study(folder: Path) -> Path:
    """A study file with a file of made-up answers, right seven times in ten."""
    recipe = load_recipe(RECIPE)
    task = make_task(TASK, recipe.tasks[TASK])
    cases = load_cases(recipe.tasks[TASK].data, task, recipe.root(), "test")[:40]
    rng, lines = random.Random(3), []
    for case in cases:
        answer = case.target.label if rng.random() < 0.7 else rng.choice(task.labels)
        lines.append(json.dumps({"case": case.id, "answer": answer, "reasoning": REASONS}))
    (folder / "answers.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    study = {
        "name": "drawn",
        "title": "Grading retinopathy, with and without a model",
        "instructions": "Give each picture its grade. They are drawn by a program and show no patient.",
        "recipe": RECIPE,
        "task": TASK,
        "predictions": "answers.jsonl",
        "readers": list(READERS),
        "washout_days": 0,
        "rating": {"cases": 12},
    }
    path = folder / "study.yaml"
    path.write_text(json.dumps(study), encoding="utf-8")
    return path


def _read(desk: Desk, reader: str, stop: Any) -> None:
    """Let a made reader read until `stop` says so of what comes next."""
    skill, trust = READERS[reader]
    while (now := desk.now(reader)).slot is not None and now.case is not None and not stop(now):
        rng = random.Random(f"{reader}/{now.slot.place}")
        case, flags = now.case, []
        answer = str(case.truth) if rng.random() < skill else rng.choice(case.options)
        if now.slot.doing == "aided" and case.answer is not None and rng.random() < trust:
            answer = case.answer
        if now.slot.doing == "rating":
            flags = ["right" if case.answer == case.truth else "wrong"]
            flags += ["not in the picture"] if rng.random() < 0.3 else []
        desk.open(reader, now.slot.place)
        desk.take(
            reader, now.slot.place, answers=[str(case.options.index(answer) + 1)], flags=flags, comment="",
            seconds=rng.lognormvariate(1.9 if now.slot.doing == "aided" else 2.2, 0.4),
        )  # fmt: skip


def _shoot(browser: Any, url: str, path: Path, scheme: str, width: int) -> None:
    """One screenshot; of analyses the whole page."""
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.goto(url)
    page.wait_for_load_state("networkidle")
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path, full_page=width == 390 or url.startswith("file:"))
    page.close()


class _Clock:
    """A clock that moves five minutes at a look."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(minutes=5)
        return self.now


@contextmanager
def _served(app: Any) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


if __name__ == "__main__":
    main()
