"""Takes the screenshots of the documents: the viewer and the report of a run, the matrix of a knowledge bank.

    python scripts/screenshots.py runs/demo/fundus-vrft-aug-0 [runs/demo/fundus-rft-0 ...]

Needs Chromium. Writes docs/images/viewer.png, viewer-dark.png, report.png and matrix.png.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import uvicorn
from PIL import Image
from playwright.sync_api import sync_playwright

from vrft_aug.knowledge.bank import load_bank
from vrft_aug.report.bank_matrix import bank_matrix, write_matrix
from vrft_aug.report.page import write_report
from vrft_aug.view.run_index import open_runs
from vrft_aug.view.server import make_app

OUTPUT = Path("docs/images")
BANK = "idrid"


def main() -> None:
    """Serve the runs, take the pictures, make them small."""
    folders = [Path(name) for name in sys.argv[1:]]
    runs = open_runs(folders)
    server = uvicorn.Server(uvicorn.Config(make_app(runs), port=0, log_level="error"))
    thread = Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    OUTPUT.mkdir(parents=True, exist_ok=True)
    try:
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            # The first group with boxes that lie wrong, and the last that recites its prompt.
            for name, scheme, query in (
                ("viewer", "light", "stage=localise&outcome=wrong&text=bbox"),
                ("viewer-dark", "dark", "stage=grade&text=patches&follow=1"),
            ):
                page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme=scheme)
                page.goto(f"{url}?{query}")
                page.wait_for_load_state("load")
                page.wait_for_timeout(300)
                page.screenshot(path=OUTPUT / f"{name}.png")
            page = browser.new_page(viewport={"width": 1180, "height": 1500}, color_scheme="light")
            page.goto(write_report(folders[0]).resolve().as_uri())
            page.screenshot(path=OUTPUT / "report.png")
            page = browser.new_page(viewport={"width": 820, "height": 1000}, color_scheme="light")
            with TemporaryDirectory() as folder:
                matrix = Path(folder) / "matrix.html"
                write_matrix(bank_matrix(BANK, load_bank(BANK)), matrix)
                page.goto(matrix.as_uri())
                page.screenshot(path=OUTPUT / "matrix.png")
            browser.close()
    finally:
        server.should_exit = True
        thread.join()
    for path in sorted(OUTPUT.glob("*.png")):
        with Image.open(path) as image:
            image.convert("RGB").save(path, optimize=True)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
