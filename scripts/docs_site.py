"""Builds the site of the documents into site/: it needs no server, no network and no fonts of others.

python scripts/docs_site.py [FOLDER]       # `make docs` does so too; then open site/index.html

The pages of docs/ stay as they are and are read on a forge too. Here they get what a site needs beside them:
README as the first page, the pages that are made of the code (`scripts/docs_reference.py`), and a
navigation, which is the list in docs/README.md. A link or anchor that leads nowhere ends the build.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from docs_reference import PAGES

ROOT = Path(__file__).resolve().parents[1]
# What lies outside docs/ and is a page of the site too. Links to anything else there are refused.
OUTSIDE = {
    "README.md": "index.md",
    "docs/README.md": "documents.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
FENCE = re.compile(r"^ *```")
LINK = re.compile(r"(\]\()([^()\s]+)(\))")
# A worker cannot be loaded from file://, but it can be made of its text.
SHIM = """if (location.protocol === "file:") {
  const text = %s;
  const Plain = Worker;
  window.Worker = class extends Plain {
    constructor() { super(URL.createObjectURL(new Blob([text], { type: "text/javascript" }))); }
  };
}
"""
STYLE = """.md-grid { max-width: 72rem; }
.md-typeset table:not([class]) { font-size: .68rem; }
.md-typeset table:not([class]) th { min-width: 3rem; }
.md-typeset td code { word-break: normal; overflow-wrap: normal; }
.md-typeset .doc-symbol, .md-typeset .doc-labels code { opacity: 1; color: var(--md-default-fg-color); }
[data-md-color-scheme="default"] { --md-accent-fg-color: #2f41c8; --md-typeset-a-color: #2f41c8; }
[data-md-color-scheme="slate"] { --md-accent-fg-color: #93a6ff; --md-typeset-a-color: #93a6ff; }
"""
# What the theme leaves to be wished for by who uses a keyboard or a screen reader.
SCRIPT = """addEventListener("load", () => {
  for (const one of document.querySelectorAll(".md-typeset__scrollwrap, pre > code")) one.tabIndex = 0;
  document.querySelectorAll(".md-code__nav").forEach((one, i) => (one.ariaLabel = `Code ${i + 1}`));
});
"""
CONFIG = """
site_name: VRFT-Aug
site_description: Medical visual reinforcement fine-tuning, GRPO with four augmentations
docs_dir: pages
site_dir: html
use_directory_urls: false
theme:
  variant: modern
  font: false
  language: en
  features:
    [navigation.tabs, navigation.top, navigation.footer, content.code.copy, search.highlight, toc.follow]
  palette:
    - media: "(prefers-color-scheme)"
      toggle: {icon: lucide/sun-moon, name: Switch to light}
    - media: "(prefers-color-scheme: light)"
      scheme: default
      toggle: {icon: lucide/sun, name: Switch to dark}
    - media: "(prefers-color-scheme: dark)"
      scheme: slate
      toggle: {icon: lucide/moon, name: Switch to the system's choice}
extra: {polyfills: [assets/iframe-worker.js]}  # by this name the theme does not load its own from the web
extra_css: [assets/site.css]
extra_javascript: [assets/site.js]
plugins:
  search: {}
  offline: {}
  mkdocstrings:
    handlers:
      python:
        paths: [SOURCE]
        options:
          docstring_style: google
          docstring_options: {warn_unknown_params: false, warn_missing_types: false}
          show_source: false
          show_root_heading: true
          show_root_full_path: false
          show_symbol_type_heading: false
          separate_signature: true
          show_signature_annotations: true
markdown_extensions:
  toc: {permalink: true, slugify: {object: pymdownx.slugs.slugify, kwds: {case: lower}}}
  tables: {}
  attr_list: {}
  md_in_html: {}
  pymdownx.highlight: {pygments_lang_class: true}
  pymdownx.superfences: {}
  pymdownx.magiclink: {}
"""


def main() -> None:
    """Gather the pages, have them built, and put the site in place once it is whole."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "site"
    with TemporaryDirectory() as folder:
        work = Path(folder)  # Zensical wants configuration, pages and output below one folder
        gather(work / "pages")
        settings = {**yaml.safe_load(CONFIG.replace("SOURCE", str(ROOT / "src"))), "nav": navigation()}
        (work / "mkdocs.yml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
        zensical = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", "mkdocs.yml"]
        done = subprocess.run(zensical, cwd=work, check=False)
        if done.returncode:
            sys.exit(done.returncode)
        write_shim(work / "html")
        shutil.rmtree(target, ignore_errors=True)
        shutil.move(work / "html", target)
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    print(f"{target}: {len(list(target.rglob('*.html')))} pages, {size / 1e6:.1f} MB")


def gather(pages: Path) -> None:
    """All pages and pictures of the site as they are built from, in `pages`."""
    shutil.copytree(ROOT / "docs", pages, ignore=shutil.ignore_patterns("README.md"))
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")} | set(OUTSIDE)
    for name in sorted(sources):
        path = pages / place(name)
        path.write_text(set_for_site(name, (ROOT / name).read_text("utf-8")), encoding="utf-8")
    for name, make in PAGES.values():
        (pages / name).write_text(make(), encoding="utf-8")
    (pages / "assets").mkdir()
    (pages / "assets" / "site.css").write_text(STYLE, encoding="utf-8")
    (pages / "assets" / "site.js").write_text(SCRIPT, encoding="utf-8")


def place(name: str) -> str:
    """Where a file of the repository lies among the pages; ValueError for one that is no page."""
    if name in OUTSIDE:
        return OUTSIDE[name]
    if not name.startswith("docs/"):
        raise ValueError(f"{name} is linked and no page of the site: add it to OUTSIDE")
    return name.removeprefix("docs/")


def set_for_site(name: str, text: str) -> str:
    """A page with links as they are between the pages, and lists as this Markdown wants them."""
    lines: list[str] = []
    fenced = False
    for line in text.splitlines():
        if FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            line = LINK.sub(lambda match: match[1] + _moved(name, match[2]) + match[3], line)
            item, above = re.match(r"- |\d+\. ", line), lines[-1] if lines else ""
            if item and above.strip() and not re.match(r"- |\d+\. | ", above):
                lines.append("")
        lines.append(line)
    return "\n".join(lines) + "\n"


def _moved(name: str, target: str) -> str:
    """A relative link of the file `name` as it is among the pages."""
    if re.match(r"[a-z]+:|#", target):
        return target
    path, anchor = target.partition("#")[::2]
    linked = (ROOT / name).parent.joinpath(path).resolve().relative_to(ROOT).as_posix()
    if linked == "docs":
        linked = "docs/README.md"
    moved = os.path.relpath(place(linked), Path(place(name)).parent).replace(os.sep, "/")
    return f"{moved}#{anchor}" if anchor else moved


def navigation() -> list[dict[str, object]]:
    """The list of documents as a navigation; pages made of the code stand at the end of the reference."""
    sections: list[dict[str, object]] = [{"Home": "index.md"}]
    for title, pages in _sections((ROOT / "docs" / "README.md").read_text("utf-8")):
        if title == "Reference":
            pages += [{name: path} for name, (path, _) in PAGES.items()]
        sections.append({title: pages})
    rest = {
        "All documents": "documents.md",
        "What changed": "changelog.md",
        "Contributing": "contributing.md",
    }
    return [*sections, {"Project": [{name: path} for name, path in rest.items()]}]


def _sections(text: str) -> Iterator[tuple[str, list[dict[str, str]]]]:
    for part in re.split(r"^\*\*(?=\w)", text, flags=re.MULTILINE)[1:]:
        found = re.findall(r"^- \[([^]]+)\]\(([^()#\s]+)\)", part, flags=re.MULTILINE)
        yield part.partition("**")[0], [{name: path} for name, path in found if not path.startswith("..")]


def write_shim(html: Path) -> None:
    """The search's worker as a script, for pages that are opened from a disk."""
    (worker,) = (html / "assets" / "javascripts" / "workers").glob("search.*.js")
    text = json.dumps(worker.read_text("utf-8")).replace("</", "<\\/")
    (html / "assets" / "iframe-worker.js").write_text(SHIM % text, encoding="utf-8")


if __name__ == "__main__":
    main()
