"""A real browser for tests, and pages in it that fail their test where anything goes wrong."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run")  # fmt: skip


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser; playwright and Chromium have to be there."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield opened
        opened.close()


@contextmanager
def strict_page(browser: Any, expected: tuple[str, ...] = (), **context: Any) -> Iterator[Any]:
    """A page in a context of its own; errors, dialogs and requests to other hosts fail when it is left.

    `expected` are parts of messages that may come.
    """
    own = browser.new_context(**{"viewport": {"width": 1400, "height": 850}, **context})
    opened = own.new_page()
    problems: list[str] = []

    def on_console(message: Any) -> None:
        if message.type == "error" and not any(part in message.text for part in expected):
            problems.append(message.text)

    def on_dialog(dialog: Any) -> None:
        problems.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def on_request(request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "file:", "data:")):
            problems.append(request.url)

    opened.on("console", on_console)
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("dialog", on_dialog)
    opened.on("request", on_request)
    yield opened
    assert problems == []
    if not opened.is_closed():
        assert opened.evaluate("window.hacked") is None
    own.close()


def until(page: Any, state: str) -> None:
    """Ask again and again (the page's own policy forbids Playwright's way of waiting for an expression)."""
    for _ in range(200):
        try:
            if page.evaluate(state):
                return
        except Exception as error:  # the page is just going to another address
            if "context was destroyed" not in str(error):
                raise
        page.wait_for_timeout(50)
    raise AssertionError(f"never came true: {state}")
