"""The page of an audit in a real browser: pictures, both colour schemes, a narrow window, hostile names."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from helpers.scans import Scans, draw_scan
from vrft_aug.nouns import Box, Case, Target
from vrft_aug.preview.audit.audit import audit_recipe
from vrft_aug.preview.audit.audited import Example, Finding
from vrft_aug.preview.audit.saved_audit import Audit, SplitCount, TaskAudit
from vrft_aug.recipe.file import load_recipe
from vrft_aug.report.audit_page import write_audit_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
EVIL = '<script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">&\'"'
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run")  # fmt: skip


class Held:
    """A picture in memory."""

    def open(self) -> Image.Image:
        return draw_scan(3).convert("RGB")


def evil_audit() -> tuple[Audit, dict[str, Case]]:
    example = Example(EVIL, (EVIL, "gone" * 30), (Box(10, 10, 60, 60, EVIL),))
    finding = Finding("copies", "warning", EVIL, 3, EVIL, "Keep one of each.", (example,))
    seen = SplitCount("train", 3, 0, {EVIL: 3, "b" * 80: 0})
    task = TaskAudit(EVIL, "classify", (seen,), 3, {EVIL: 3}, None, (), (EVIL,))
    return Audit(EVIL, (task,), (finding,), 3), {EVIL: Case(EVIL, (Held(),), Target())}


def test_names_are_escaped_and_pictures_embedded(tmp_path: Path) -> None:
    write_audit_page(*evil_audit(), tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "<script" not in page and "onerror=&#34;" in page
    assert page.count("data:image/jpeg;base64,") == 1
    assert "no picture" in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert "default-src 'none'" in page


def test_the_page_of_an_audit_that_found_nothing(tmp_path: Path) -> None:
    write_audit_page(Audit("clean", (), (), 7), {}, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "<p>None.</p>" in page
    assert "VRFT-Aug audit of data" in page and "Not for clinical use" not in page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (extra `dev`)")
    if CHROMIUM is None:
        pytest.skip("needs chromium (apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield opened
        opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_in_a_browser(browser: Any, tmp_path: Path, scheme: str, width: int) -> None:
    """Nothing runs, nothing overflows, every picture is shown, text stands out from its ground."""
    scans = Scans(tmp_path, 16)
    scans.add(ImageOps.mirror(scans.picture(1)), "new.png", "across", "test", "q1")
    audit, cases = audit_recipe(load_recipe(str(scans.save())))
    write_audit_page(audit, cases, tmp_path / "page.html")
    write_audit_page(*evil_audit(), tmp_path / "evil.html")
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    for name, pictures in (("page", 2), ("evil", 1)):
        page.goto((tmp_path / f"{name}.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        shown = page.evaluate("[...document.images].map(image => image.naturalWidth)")
        assert len(shown) == pictures and min(shown) > 100
        assert page.evaluate("window.hacked") is None
    page.goto((tmp_path / "page.html").as_uri())
    ground, ink = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    dark = sum(map(int, re.findall(r"\d+", ground)[:3])) < sum(map(int, re.findall(r"\d+", ink)[:3]))
    assert dark == (scheme == "dark")
    assert page.locator(".finding.is-wrong .level").first.inner_text().lower() == "wrong"
    assert page.locator(".finding.is-wrong figure img").count() == 2
    assert problems == []
    context.close()
