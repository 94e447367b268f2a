"""Report and viewer in a real browser: no errors, boxes where they belong, keyboard, links, hostile text."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from helpers.browsers import CHROMIUM, chromium, strict_page, until
from helpers.served import served
from helpers.synthetic_run import (
    EVIL,
    SAID_BOX,
    TRUE_BOX,
    WORDING,
    grade_cases,
    grade_report,
    rollout_lines,
    write_browsed,
    write_run,
)

pytest.importorskip("playwright.sync_api", reason="needs playwright (extra `dev`)")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium (apt-get install chromium)")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that fails its test if anything goes wrong in it, or the page asks for another host."""
    with strict_page(browser) as opened:
        yield opened


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    return {
        name: write_browsed(folder / name, rollout_lines(seed=i)) for i, name in enumerate(("one", "two"))
    }


@pytest.fixture(scope="module")
def url(runs: dict[str, Path]) -> Iterator[str]:
    from vrft_aug.view.run_index import open_runs
    from vrft_aug.view.server import make_app

    with served(make_app(open_runs(list(runs.values())))) as address:
        yield address


def matched(page: Any, count: int) -> None:
    until(page, f"document.querySelector('#matched')?.textContent === '{count}'")


def near(pixel: tuple[int, ...], colour: tuple[int, int, int]) -> bool:
    return all(abs(a - b) <= 40 for a, b in zip(pixel, colour, strict=False))


def test_boxes_lie_where_they_should(page: Any, url: str) -> None:
    page.goto(f"{url}/?run=one&stage=finding")
    page.wait_for_load_state("networkidle")
    assert page.title() == "grey/train/0 · finding 1 · one · rollouts"
    frame = page.locator(".frame")
    shot = Image.open(io.BytesIO(frame.screenshot())).convert("RGB")
    scale = shot.width / 200  # the picture is 200 x 100
    assert shot.height == pytest.approx(100 * scale, abs=1)
    cyan, yellow, grey = (53, 224, 255), (255, 225, 74), (90, 90, 90)

    def colour_at(x: int, y: int) -> tuple[int, ...]:
        pixel = shot.getpixel((x, y))
        assert isinstance(pixel, tuple)
        return pixel

    def colours(x: float, y: float) -> list[tuple[int, ...]]:
        at, reach = (round(x * scale), round(y * scale)), (-1, 0, 1)
        return [colour_at(at[0] + dx, at[1] + dy) for dx in reach for dy in reach]

    for box, colour in ((TRUE_BOX, cyan), (SAID_BOX, yellow)):
        edges = [(x, float(y)) for x in (box.x1, box.x2) for y in range(int(box.y1) + 4, int(box.y2) - 4)]
        edges += [(float(x), y) for y in (box.y1, box.y2) for x in range(int(box.x1) + 4, int(box.x2) - 4)]
        hits = [any(near(pixel, colour) for pixel in colours(*edge)) for edge in edges]
        share = sum(hits) / len(hits)
        assert share > 0.98 if colour == cyan else 0.45 < share < 0.95, (colour, share)  # one is dashed
    for x, y in ((50, 35), (150, 60), (100, 50), (5, 5), (195, 95)):
        assert all(near(pixel, grey) for pixel in colours(x, y)), (x, y)
    assert all(near(colour_at(round(100 * scale), y), grey) for y in range(3, shot.height - 3))
    page.keyboard.press("j")  # the second completion says that there is no box
    assert page.locator("#boxes .predicted:not([hidden]) rect").count() == 0
    page.keyboard.press("b")
    assert not page.locator("#boxes").is_visible()


def test_boxes_carry_their_labels(page: Any, url: str) -> None:
    """The true one above, the completion's below, within the picture on a desk as on a phone."""
    for width in (1400, 390):
        page.set_viewport_size({"width": width, "height": 850})
        page.goto(f"{url}/?run=one&stage=finding")
        page.wait_for_load_state("networkidle")
        frame = page.locator("#picture").bounding_box()
        for kind, label in (("true", "haemorrhage"), ("predicted", "exudate")):
            text = page.locator(f"#boxes text.{kind}:visible").first
            assert text.text_content() == label
            box, place = page.locator(f"#boxes rect.{kind}:visible").first.bounding_box(), text.bounding_box()
            assert frame["x"] <= place["x"] and place["x"] + place["width"] <= frame["x"] + frame["width"] + 1
            assert frame["y"] - 2 <= place["y"]
            assert place["y"] + place["height"] <= frame["y"] + frame["height"] + 4
            below = place["y"] > box["y"] + box["height"] / 2
            assert below == (kind == "predicted")


def test_filters_act_while_one_types_and_are_links(page: Any, url: str) -> None:
    page.goto(f"{url}/?run=one")
    matched(page, 64)
    page.select_option("[name=outcome]", "truncated")
    matched(page, 12)
    page.select_option("[name=label]", "mild")
    matched(page, 3)
    assert page.locator("#tree .group").count() == 3
    page.fill("[name=last]", "2")
    matched(page, 2)
    other = page.context.new_page()
    other.goto(page.url)  # the address is the whole view
    matched(other, 2)
    assert other.locator("[name=outcome]").input_value() == "truncated"
    page.fill("[name=low]", "much")
    until(page, "document.querySelector('.count').textContent.includes('low is')")
    page.click("#clear")
    matched(page, 64)
    assert page.locator("[name=low]").input_value() == ""


def test_the_keyboard_does_it_all(page: Any, url: str) -> None:
    page.goto(f"{url}/?run=one&stage=grading")
    chosen: Callable[[], Any] = lambda: page.locator("#cards .card[aria-current]").get_attribute("id")  # noqa: E731
    assert chosen() == "c0"
    page.keyboard.press("j")
    page.keyboard.press("ArrowDown")
    assert chosen() == "c2" and page.url.endswith("pick=2")
    page.keyboard.press("k")
    assert chosen() == "c1"
    page.keyboard.press("ArrowRight")
    until(page, "document.querySelector('h1').textContent === 'grey/train/1'")
    page.keyboard.press("]")
    until(page, "document.querySelector('.where').textContent.includes('step 2')")
    page.go_back()
    until(page, "document.querySelector('h1').textContent === 'grey/train/1'")
    page.keyboard.press("/")
    page.keyboard.type("step 3jk")
    matched(page, 0)
    page.keyboard.press("Escape")
    page.keyboard.press("x")
    matched(page, 64)
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.keyboard.press("t")
    assert page.evaluate(background) != light
    page.keyboard.press("c")
    page.wait_for_url("**/case?**")
    assert page.locator(".column h2").all_inner_texts() == ["one", "two"]
    assert page.locator(".column").first.locator(".look").count() == 2  # the finding stage has two steps
    page.locator(".look a.where").first.click()
    page.wait_for_url("**/?run=one**")


def test_what_a_model_writes_is_shown_as_text(page: Any, url: str) -> None:
    page.goto(f"{url}/?run=one&stage=grading&outcome=truncated")
    card = page.locator(".card:not(.faint)").first
    assert EVIL in card.inner_text() and "{{ 7 * 7 }}" in card.inner_text() and "cut" in card.inner_text()
    assert page.locator(".card img, .card script").count() == 0
    assert page.locator(".card mark", has_text=WORDING).count() >= 1


def test_a_run_in_progress_is_followed(page: Any, url: str, runs: dict[str, Path]) -> None:
    page.goto(f"{url}/?run=two")
    page.keyboard.press("f")
    until(page, "document.querySelector('.where').textContent.includes('step 3')")
    new = {**rollout_lines()[-1], "step": 4, "completion": "<think>just now</think>"}
    with (runs["two"] / "rollouts.jsonl").open("a") as file:
        file.write(json.dumps(new) + "\n")
    until(page, "document.querySelector('#cards')?.textContent.includes('just now')")
    matched(page, 65)


def test_a_phone_shows_it_without_scrolling_sideways(page: Any, url: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{url}/?run=one&stage=grading")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("#cards .card").count() == 4


def test_the_report_loads_without_a_network(page: Any, tmp_path: Path) -> None:
    from vrft_aug.evaluation.report_data import save_report
    from vrft_aug.report.page import write_report

    report = grade_report(samples=4)
    rows = [
        replace(row, completion=EVIL, reasoning=EVIL, formatted=False) if i % 2 else row
        for i, row in enumerate(report.rows)
    ]
    run = write_run(tmp_path / "run", report, stages=("warm-up", "grading"))
    save_report(replace(report, rows=tuple(rows)), run / "evaluation.json")
    path = write_report(run, {case.id: case for case in grade_cases()})
    page.goto(path.as_uri())
    assert page.locator("img").count() >= 9
    assert page.evaluate("[...document.images].every((image) => image.naturalWidth > 0)")
    assert EVIL in page.locator("main").inner_text()
    for width in (390, 1300):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        charts = page.evaluate(
            "[...document.querySelectorAll('.panels > svg')].filter((svg) => svg.checkVisibility())"
            ".map((svg) => svg.getBoundingClientRect()).map((box) => [box.left, box.right, box.width])"
        )
        assert len(charts) >= 3
        assert all(left >= 0 and right <= width and wide > 240 for left, right, wide in charts), charts
    assert len(page.pdf(format="A4")) > 10_000
