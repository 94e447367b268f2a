"""The site of the documents: whole, links right, nothing loaded from elsewhere, searched without a server."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
import typer

import vrft_aug
from helpers.documents import DOCS, PAGES, ROOT
from vrft_aug.cli import app
from vrft_aug.evaluation.meanings import MEANINGS
from vrft_aug.scorer import TERMS

pytest.importorskip("zensical", reason="needs zensical (extra `docs`)")
SCRIPTS = ROOT / "scripts"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Page(HTMLParser):
    """The links, anchors, loaded files and tags of a page of the site."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.loaded: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        self.anchors.add(given.get("id", ""))
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if "src" in given:
            self.loaded.append(given["src"])
        if tag == "link" and given.get("rel") not in ("prev", "next", "canonical"):
            self.loaded.append(given["href"])


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    sys.modules.pop("docs_site", None)
    return import_module("docs_site")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "site"
    command = [sys.executable, str(SCRIPTS / "docs_site.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text("utf-8")) for path in site.rglob("*.html")}


def broken(pages: dict[Path, Page], path: Path) -> list[str]:
    """The links of a page that lead to no file, or to no anchor in it; the web is not asked."""
    faults = []
    for link in pages[path].links:
        name, _, anchor = unquote(link).partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (path.parent / name).resolve() if name else path
        if not target.is_file() or (anchor and target in pages and anchor not in pages[target].anchors):
            faults.append(link)
    return faults


def test_every_document_is_a_page_and_can_be_reached(site: Path, pages: dict[Path, Page]) -> None:
    documents = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    documents = documents - {Path("README.html")} | {Path("documents.html"), Path("changelog.html")}
    assert sorted(name for name in documents if site / name not in pages) == []
    home = site / "index.html"
    reached, left = {home}, [home]
    while left:
        path = left.pop()
        for link in pages[path].links:
            target = (path.parent / link.partition("#")[0]).resolve()
            if target in pages and target not in reached:
                reached.add(target)
                left.append(target)
    assert set(pages) - reached == {site / "404.html"}


def test_links_and_anchors_lead_somewhere(pages: dict[Path, Page], tmp_path: Path) -> None:
    faults = {
        path.name: found for path in pages if path.name != "404.html" and (found := broken(pages, path))
    }
    assert faults == {}
    made = tmp_path / "made.html"
    wrong = {made: Page('<a href="#a" id="b">x</a><a href="none.html">y</a><a href="#b">z</a>')}
    made.write_text("", "utf-8")
    assert broken(wrong, made) == ["#a", "none.html"]


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    elsewhere = re.compile(r"([a-z]+:)?//")
    assert sorted({name for page in pages.values() for name in page.loaded if elsewhere.match(name)}) == []
    for style in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)]*", style.read_text("utf-8")) == []


def test_what_documents_write_in_angle_brackets_is_seen(pages: dict[Path, Page]) -> None:
    own = {"think", "answer", "confidence", "none", "folder"}
    own |= {tag for page in pages.values() for tag in page.tags if "_" in tag or ":" in tag}
    assert sorted(own & {tag for page in pages.values() for tag in page.tags}) == []


def test_code_is_told_whole(site: Path, pages: dict[Path, Page]) -> None:
    def anchors(name: str) -> set[str]:
        return pages[site / "reference" / f"{name}.html"].anchors

    command: Any = typer.main.get_command(app)
    knowledge = command.commands["knowledge"].commands
    names = [*command.commands, *(f"knowledge-{name}" for name in knowledge)]
    assert [name for name in names if f"vrft-{name}" not in anchors("commands")] == []
    assert [name for name in TERMS if name not in anchors("terms")] == []
    homes = {getattr(vrft_aug, name).__module__ for name in vrft_aug.__all__}
    public = anchors("python")
    assert [n for n in vrft_aug.__all__ if not any(f"{home}.{n}" in public for home in homes)] == []
    figures = (site / "reference" / "figures.html").read_text("utf-8")
    assert [name for name in MEANINGS if f"<code>{name}</code>" not in figures] == []


def test_help_that_looks_like_markup_stays_as_it_is(script: ModuleType) -> None:
    reference = import_module("docs_reference")
    assert reference._text("a_b <think> *") == "a\\_b &lt;think> \\*"
    page = reference.commands_page()
    assert "RECIPE\\|PATH" in page and "## vrft knowledge try" in page
    assert not re.search(r"\[default: [^]]*[^\\]_", re.sub(r"`[^`]*`", "", page))


def test_links_and_lists_are_set_for_the_site(script: ModuleType) -> None:
    text = "**Start**\n- [a](how-to/vllm.md#x)\n- [b](../README.md)\n```\n- [c](../README.md)\n```\n"
    assert script.set_for_site("docs/README.md", text) == (
        "**Start**\n\n- [a](how-to/vllm.md#x)\n- [b](index.md)\n```\n- [c](../README.md)\n```\n"
    )
    moved = script.set_for_site("docs/how-to/gpu.md", "[a](../README.md) [b](../../README.md#start) [c](#x)")
    assert moved == "[a](../documents.md) [b](../index.md#start) [c](#x)\n"
    assert script.set_for_site("README.md", "![v](docs/images/viewer.png)") == "![v](images/viewer.png)\n"
    with pytest.raises(ValueError, match=r"Makefile is linked and no page of the site"):
        script.set_for_site("README.md", "[m](Makefile)")


def test_the_navigation_is_the_list_of_documents(script: ModuleType) -> None:
    sections = {title: pages for section in script.navigation() for title, pages in section.items()}
    assert list(sections) == [
        "Home", "Start", "How to", "Concepts", "Measured", "Reference", "Project"
    ]  # fmt: skip
    listed = [path for name in list(sections)[1:] for page in sections[name] for path in page.values()]
    documents = {path.relative_to(DOCS).as_posix() for path in PAGES if DOCS in path.parents} - {"README.md"}
    assert documents <= set(listed) and len(listed) == len(set(listed))


def test_the_index_of_the_search_holds_all_pages(site: Path, pages: dict[Path, Page]) -> None:
    index = json.loads((site / "search.json").read_text("utf-8"))
    found = {item["location"].partition("#")[0] for item in index["items"]}
    names = {path.relative_to(site).as_posix() for path in pages} - {"404.html", "index.html"}
    assert names - found == set()
    assert (site / "search.js").stat().st_size > 100_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (extra `dev`)")
    if CHROMIUM is None:
        pytest.skip("needs chromium (apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1360, "light"), (1360, "dark"), (390, "dark")])
def test_it_is_read_and_searched_from_a_disk(site: Path, browser: Any, width: int, scheme: str) -> None:
    """Wide and narrow, light and dark: no error, no request, nothing sideways, nothing that axe finds."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the extra `dev`")
    context = browser.new_context(viewport={"width": width, "height": 850}, color_scheme=scheme)
    page = context.new_page()
    problems: list[str] = []

    def on_request(asked: Any) -> None:
        if not asked.url.startswith(("file:", "blob:")):
            problems.append(asked.url)

    def on_console(message: Any) -> None:
        if message.type == "error":
            problems.append(message.text)

    page.on("console", on_console)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", on_request)
    for name in ("index", "how-to/viewer", "reference/settings", "reference/commands", "reference/python"):
        page.goto((site / f"{name}.html").as_uri())
        page.wait_for_load_state("load")
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        found = axe.Axe().run(page, options={"preload": False}).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"]) for one in found] == [], name
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", dark)[:3])) < 200) == (scheme == "dark")
    page.keyboard.press("Control+k")
    page.keyboard.type("lopsided costs")
    page.get_by_text(re.compile(r"^\d+ results?$")).wait_for()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"\?h=lopsided"))
    assert "lopsided costs" in page.inner_text("article")
    assert problems == []
    context.close()


@pytest.mark.parametrize("name", ["loop", "ideas", "scorer", "prefix", "intervals"])
def test_the_pictures_of_concepts_are_what_the_script_draws(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    drawn = import_module("diagrams").PICTURES[name]()
    assert drawn == (DOCS / "images" / f"{name}.svg").read_text("utf-8"), "run python scripts/diagrams.py"
    root = ElementTree.fromstring(drawn)
    words = [text for text in root.itertext() if text.strip()]
    assert len(words) > 5 and root.find("{http://www.w3.org/2000/svg}title") is not None
