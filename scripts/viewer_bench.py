"""How fast is the viewer with 10,000 rollouts? Writes the figures into docs/how-to/viewer.md.

    python scripts/viewer_bench.py [--rollouts 10000] [--docs docs/how-to/viewer.md]

Times are taken in the browser (Chromium, headless): from the input event to the page that shows the result.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from threading import Thread

import uvicorn
from playwright.sync_api import Page, sync_playwright

from vrft_aug.recipe.file import load_recipe, save_recipe
from vrft_aug.view.run_index import open_runs
from vrft_aug.view.server import make_app

REPEATS = 7
WAIT = """async ([name, value]) => {
  const field = document.querySelector(`[name=${name}]`), before = performance.now();
  field.value = value;
  const tree = document.querySelector("#tree");
  field.dispatchEvent(new Event("input", { bubbles: true }));
  while (document.querySelector("#tree") === tree) await new Promise(requestAnimationFrame);
  return performance.now() - before;
}"""
FILTERS = {  # shown name -> field, values taken in turn
    "by outcome (right)": ("outcome", ("right", "")),
    "by reason (truncated)": ("outcome", ("truncated", "")),
    "by true label": ("label", ("severe", "")),
    "by text (0.12 s of waiting for the next key included)": ("text", ("haemorrhages", "")),
    "by reward (0.12 s included)": ("low", ("0.9", "")),
}


def main() -> None:
    """Make the run, open it, filter it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rollouts", type=int, default=10_000)
    parser.add_argument("--docs", type=Path, default=Path("docs/how-to/viewer.md"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = write_run(Path(folder) / "bench", given.rollouts)
        start = time.perf_counter()
        runs = open_runs([run])
        reading = time.perf_counter() - start
        server = uvicorn.Server(uvicorn.Config(make_app(runs), port=0, log_level="error"))
        thread = Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        try:
            url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
            figures = {"read rollouts.jsonl": reading * 1000, **measure(url)}
        finally:
            server.should_exit = True
            thread.join()
    rows = "".join(f"| {name} | {ms:.0f} |\n" for name, ms in figures.items())
    table = f"| what | ms |\n|---|---:|\n{rows}"
    print(table)
    text = given.docs.read_text(encoding="utf-8")
    new = re.sub(r"(<!-- bench -->\n).*?(<!-- /bench -->)", rf"\g<1>{table}\g<2>", text, flags=re.DOTALL)
    given.docs.write_text(new, encoding="utf-8")


def measure(url: str) -> dict[str, float]:
    """Milliseconds, medians of a few; opening is measured once, with nothing read before."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 850})
        page.goto("about:blank")
        start = time.perf_counter()
        page.goto(url)
        page.wait_for_load_state("load")
        opened = (time.perf_counter() - start) * 1000
        figures = {"open the page (the demo draws 256 pictures to know their truth)": opened}
        start = time.perf_counter()
        page.goto(url)
        page.wait_for_load_state("load")
        figures["open it again"] = (time.perf_counter() - start) * 1000
        for name, (field, values) in FILTERS.items():
            figures[f"filter {name}"] = filtered(page, field, values)
        browser.close()
    return figures


def filtered(page: Page, field: str, values: tuple[str, ...]) -> float:
    """What is asked twice comes from memory, so every time is asked with another first step."""
    times = []
    for repeat in range(REPEATS):
        # a step that changes nothing makes every filter a new one
        page.evaluate(WAIT, ["first", str(-repeat)])
        times.append(page.evaluate(WAIT, [field, values[0]]))
        page.evaluate(WAIT, [field, values[1]])
    page.evaluate(WAIT, ["first", ""])
    return statistics.median(times)


def write_run(folder: Path, count: int) -> Path:
    """Rollouts of the grading stage of the demo's recipe: 8 prompts a step, 8 completions each."""
    recipe = load_recipe("fundus-demo")
    folder.mkdir(parents=True)
    save_recipe(recipe, folder / "recipe.yaml")
    rng, labels = random.Random(0), recipe.tasks["grade"].labels
    findings = ("microaneurysms", "haemorrhages", "hard exudates", "cotton wool spots", "new vessels")
    with (folder / "rollouts.jsonl").open("w", encoding="utf-8") as file:
        for place in range(count):
            step, prompt = place // 64 + 1, (place // 8 * 37) % 256
            cut, answer = rng.random() < 0.05, rng.choice(labels)
            seen = ", ".join(rng.sample(findings, 3))
            near = rng.choice([1.0, 0.25, 0.0625])
            line = {
                "stage": "grade", "step": step, "task": "grade", "case": f"fundus/train/{prompt}",
                "completion": f"<think>The image shows {seen}. {'So ' * 40}</think><answer>{answer}</answer>",
                "tokens": 60, "finished": not cut, "answer": None if cut else answer,
                "reason": "truncated" if cut else None, "total": 0.2 + (0 if cut else near),
                "terms": {"format": 1.0, "fuzzy_grade": 0.0 if cut else near, "recitation": -0.1},
                "advantage": rng.gauss(0, 1),
            }  # fmt: skip
            file.write(json.dumps(line) + "\n")
    return folder


if __name__ == "__main__":
    main()
