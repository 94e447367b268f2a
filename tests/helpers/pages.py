"""Pages that are well formed, load nothing and run nothing."""

import re
from html.parser import HTMLParser


class Elements(HTMLParser):
    """Collects tags with their attributes, and checks that they are closed in order."""

    VOID = ("meta", "img", "br", "link", "input")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check_self_contained(html: str, runs: bool = False) -> Elements:
    """The tags of a page; with `runs` it may lead to the reports of runs that lie beside it."""
    elements = Elements(html)
    for tag, attributes in elements.found:
        assert tag not in ("script", "iframe", "object", "embed", "link", "base", "form")
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if runs and tag == "a" and re.fullmatch(r"(\.\./)*cells/\w+/report\.html", str(value)):
                continue
            if name in ("src", "href", "xlink:href", "data", "srcset"):
                assert str(value).startswith(("data:image/", "#")), (tag, name, str(value)[:80])
    assert not re.search(r"url\((?!#)|@import", html)
    assert "default-src 'none'" in html
    return elements
