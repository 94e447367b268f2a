"""A reader study in a real browser: by keyboard alone, on a phone, for a screen reader, through accidents."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers.browsers import CHROMIUM, chromium, strict_page, until
from helpers.reader_studies import (
    HABITS,
    desk,
    flags_of,
    keys_of,
    opened,
    read_all,
    write_evaluated,
    write_study,
)
from helpers.served import served
from vrft_aug.data.images import FileImage
from vrft_aug.nouns import Box
from vrft_aug.reader_study.answer_log import FLAGS, read_log
from vrft_aug.reader_study.desk import Desk
from vrft_aug.reader_study.material import Material, load_material
from vrft_aug.view.reading_server import make_study_app

pytest.importorskip("playwright.sync_api", reason="needs playwright (extra `dev`)")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium (apt-get install chromium)")
WRITTEN = "document.querySelector('#told').textContent"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture
def study(tmp_path: Path) -> Iterator[tuple[str, Desk]]:
    """Four cases in both conditions, with two ratings; the model's answers come with boxes too."""
    _, material, cases = opened(tmp_path, cases=4, rating={"cases": 2}, show=["reasoning", "boxes"])
    boxed = tuple(replace(case, boxes=(Box(20, 30, 60, 80, "dots"),)) for case in material.cases)
    one = desk(tmp_path / "out", replace(material, cases=boxed))
    with served(make_study_app(one, cases)) as url:
        yield url, one


def saved(page: Any, one: Desk, reader: str, count: int) -> None:
    """Wait until so many answers are saved and the next page is there."""
    for _ in range(200):
        if one.progress(reader)[0] == count:
            break
        page.wait_for_timeout(25)
    assert one.progress(reader)[0] == count
    if count < one.progress(reader)[1] and one.now(reader).slot is not None:
        until(page, f"document.querySelector('[name=place]')?.value === '{count}'")


def to_aided(page: Any, one: Desk, reader: str, doing: str = "aided") -> None:
    while (now := one.now(reader)).slot is not None and now.slot.doing != doing:
        page.keyboard.press("1")
        page.keyboard.press("Enter")
        saved(page, one, reader, now.slot.place + 1)


def test_a_whole_study_by_keyboard_alone(browser: Any, study: tuple[str, Desk]) -> None:
    url, one = study
    with strict_page(browser) as page:
        page.goto(url)
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")  # the first reader
        until(page, "document.querySelector('h1')?.textContent.startsWith('Case 1')")
        for place in range(8):
            now = one.now("good")
            assert now.slot is not None and page.title() == f"Case {place % 4 + 1} of 4 · Grading discs"
            assert page.locator(".model .said").count() == (now.slot.doing == "aided")
            assert page.locator("svg.boxes").count() == (now.slot.doing == "aided")
            page.keyboard.press(str(place % 5 + 1))
            page.keyboard.press("Enter")
            saved(page, one, "good", place + 1)
        assert page.title().startswith("Reasons 1 of 2")
        page.keyboard.press("3")
        page.keyboard.press("1")
        page.keyboard.press("Enter")
        saved(page, one, "good", 9)
        page.keyboard.press("4")
        page.keyboard.press("Tab")
        page.keyboard.type("no such dots 1+2")
        page.keyboard.press("Control+Enter")
        until(page, "document.body.textContent.includes('Thank you')")
    given = read_log(one.folder, one.material, "good").given
    assert [g.answer for g in given[:8]] == [one.material.labels[i % 5] for i in range(8)]
    assert [g.flags for g in given[8:]] == [("right", "unsafe"), ("not in the picture",)]
    assert given[9].comment == "no such dots 1+2"
    assert all(0 < g.seconds < 60 and g.openings == 1 for g in given)


def test_the_picture_is_zoomed_moved_and_shaded_by_keys_and_only_in_sight(
    browser: Any, study: tuple[str, Desk]
) -> None:
    url, one = study
    with strict_page(browser) as page:
        page.goto(f"{url}/read/good")
        to_aided(page, one, "good")

        def look() -> tuple[str, str]:
            return tuple(
                page.evaluate(f"document.querySelector('{what}').style.{name}")
                for what, name in ((".stage", "transform"), (".stage img", "filter"))
            )

        whole = look()
        page.keyboard.press("+")
        page.keyboard.press("p")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowUp")
        assert look()[0] == "translate(-60px, 60px) scale(1.5)"
        page.keyboard.press("b")
        page.keyboard.press("Shift+C")
        assert look()[1] == "brightness(110%) contrast(90%)"
        assert page.locator("#spoken").inner_text() == "contrast 90 percent"
        page.keyboard.press("x")
        assert not page.locator("svg.boxes").is_visible()
        assert page.get_by_role("button", name="boxes").get_attribute("aria-pressed") == "false"
        page.keyboard.press("r")
        assert look()[0] == whole[0] == "translate(0px, 0px) scale(1)"
        box = page.locator(".viewport").bounding_box()
        page.mouse.move(box["x"] + 50, box["y"] + 50)
        page.mouse.wheel(0, -100)  # the picture has the focus
        assert page.locator(".viewport").get_attribute("data-zoom") == "1.20"
        page.keyboard.press("?")
        assert page.get_by_role("dialog", name="Keys").is_visible()
        page.keyboard.press("4")  # nothing is chosen behind the help
        page.keyboard.press("Escape")
        assert page.locator("input:checked[name=answer]").count() == 0


def test_boxes_lie_on_the_picture_where_they_should(browser: Any, study: tuple[str, Desk]) -> None:
    url, one = study
    with strict_page(browser) as page:
        page.goto(f"{url}/read/good")
        to_aided(page, one, "good")
        for size in ((1400, 850), (390, 844)):
            page.set_viewport_size({"width": size[0], "height": size[1]})
            page.wait_for_timeout(100)
            picture = page.locator(".stage img").bounding_box()
            drawn = page.locator("svg.boxes rect.halo").bounding_box()
            scale = picture["width"] / 224
            assert picture["height"] == pytest.approx(224 * scale, abs=1)
            for name, value in (("x", 20), ("y", 30)):
                assert drawn[name] - picture[name] == pytest.approx(value * scale, abs=3)
            assert drawn["width"] == pytest.approx(40 * scale, abs=5)


def test_two_tabs_double_presses_and_the_back_button_count_once(
    browser: Any, study: tuple[str, Desk]
) -> None:
    url, one = study
    with strict_page(browser) as page:
        page.goto(f"{url}/read/good")
        other = page.context.new_page()
        other.goto(f"{url}/read/good")
        page.bring_to_front()
        page.keyboard.press("2")
        page.evaluate("for (const _ of [1, 2]) document.querySelector('#answer').requestSubmit()")
        saved(page, one, "good", 1)
        other.keyboard.press("5")
        other.keyboard.press("Enter")
        until(other, "document.querySelector('[role=alert]')?.textContent.includes('had an answer already')")
        assert "Case 2" in other.title()
        page.go_back()  # pages of answered cases are not in the history
        assert "/read/" not in page.url
    assert [g.answer for g in read_log(one.folder, one.material, "good").given] == [one.material.labels[1]]


def test_a_server_that_is_gone_leaves_the_answer_on_the_page(browser: Any, tmp_path: Path) -> None:
    _, material, cases = opened(tmp_path, cases=4)
    one = desk(tmp_path / "out", material)
    with served(make_study_app(one, cases)) as url, strict_page(browser, ("507", "ERR_FAILED")) as page:
        page.goto(f"{url}/read/good")
        page.keyboard.press("2")
        page.route("**/read/good", lambda route: route.abort() if route.request.method == "POST" else None)
        page.keyboard.press("Enter")
        until(page, f"{WRITTEN}.includes('Your answer is still here')")
        assert one.progress("good")[0] == 0 and page.get_by_role("radio", name="mild").is_checked()
        page.unroute("**/read/good")
        page.keyboard.press("Enter")
        saved(page, one, "good", 1)


def test_a_closed_tab_goes_on_and_its_time_too(browser: Any, study: tuple[str, Desk]) -> None:
    url, one = study
    with strict_page(browser) as page:
        page.goto(f"{url}/read/good")
        to_aided(page, one, "good")
        place = one.progress("good")[0]
        page.wait_for_timeout(1200)
        again = page.context.new_page()
        page.close()
        again.goto(f"{url}/read/good")
        until(again, f"document.querySelector('[name=place]').value === '{place}'")
        again.keyboard.press("1")
        again.keyboard.press("Enter")
        saved(again, one, "good", place + 1)
        last = read_log(one.folder, one.material, "good").given[-1]
        assert last.openings == 2 and 1 < last.seconds < 30
        assert again.evaluate("Object.keys(localStorage).filter((key) => key.endsWith('/0')).length") == 0


def test_without_pictures_nothing_is_answered(browser: Any, tmp_path: Path) -> None:
    _, material, cases = opened(tmp_path, cases=2)
    gone = {id: replace(case, images=(FileImage(tmp_path / "gone.png", id),)) for id, case in cases.items()}
    one = desk(tmp_path / "out", material)
    with served(make_study_app(one, gone)) as url, strict_page(browser, ("500",)) as page:
        page.goto(f"{url}/read/good")
        until(page, f"{WRITTEN}.includes('cannot be shown')")
        page.keyboard.press("2")
        page.keyboard.press("Enter")
        page.wait_for_timeout(200)
        assert "cannot be shown" in page.locator("#told").inner_text()
    assert one.progress("good")[0] == 0


def test_without_a_script_the_form_works(browser: Any, study: tuple[str, Desk]) -> None:
    url, one = study
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{url}/read/good")
    page.get_by_role("button", name="Save").click()  # the browser itself asks for an answer
    assert one.progress("good")[0] == 0
    page.get_by_role("radio", name="severe").check()
    page.get_by_role("button", name="Save").click()
    page.wait_for_load_state()
    assert one.progress("good")[0] == 1
    context.close()


def test_single_keys_can_be_switched_off(browser: Any, study: tuple[str, Desk]) -> None:
    url, one = study
    with strict_page(browser) as page:
        page.goto(f"{url}/read/good")
        page.keyboard.press("?")
        page.get_by_role("checkbox", name=re.compile("single keys")).uncheck()
        page.keyboard.press("Escape")
        page.keyboard.press("2")
        assert page.locator("input:checked[name=answer]").count() == 0
        page.get_by_role("radio", name="mild").check()
        page.get_by_role("button", name="Save").click()
        saved(page, one, "good", 1)


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 390)])
def test_roles_labels_contrast_and_width(
    browser: Any, study: tuple[str, Desk], scheme: str, width: int
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe (extra `dev`)").Axe()
    url, one = study
    options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}

    def check(page: Any) -> None:
        """By axe-core: roles, names, labels, contrast, target sizes, and no scrolling sideways."""
        found = axe.run(page, options=options).response["violations"]
        told = [(one["id"], [node["html"][:90] for node in one["nodes"]]) for one in found]
        assert told == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width

    with strict_page(browser, color_scheme=scheme, viewport={"width": width, "height": 844}) as page:
        page.goto(url)
        check(page)
        page.goto(f"{url}/read/good")
        until(page, "document.querySelector('.stage.fitted') !== null")
        group = page.get_by_role("group", name="Which grade?")
        assert group.get_by_role("radio").count() == 5
        assert page.get_by_role("img", name="fundus photograph", exact=True).count() == 1
        assert page.get_by_role("progressbar", name="0 of 4 done").count() == 1
        check(page)
        to_aided(page, one, "good")
        assert page.get_by_role("note", name="The model’s answer").is_visible()
        assert page.get_by_role("img", name="1 box of the model").count() == 1
        check(page)
        page.keyboard.press("?")
        check(page)
        page.keyboard.press("Escape")
        to_aided(page, one, "good", "rating")
        assert page.get_by_role("checkbox").count() == len(FLAGS)
        page.keyboard.press("Enter")
        until(page, f"{WRITTEN}.includes('at least one')")
        check(page)
        read_all(one, "good")
        page.reload()
        assert page.get_by_role("status").is_visible()
        check(page)


class Server:
    """`vrft ui --study` in a process of its own."""

    def __init__(self, study: Path, output: Path, port: int = 0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vrft_aug", "ui", "--study", str(study), "-o", str(output),
             "--port", str(port)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        said = ""
        for line in self.process.stdout:
            said += line
            if found := re.match(r"(http://127\.0\.0\.1:(\d+))/", line):
                self.url, self.port = found[1], int(found[2])
                return
        raise AssertionError(said)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.mark.slow
def test_three_readers_play_a_study_through_with_the_server_killed_in_the_middle(
    browser: Any, tmp_path: Path
) -> None:
    """The kill comes while a page is open: its answer is told to be unsaved, and saved at the next press."""
    study = write_study(tmp_path, write_evaluated(tmp_path / "run"), cases=10, rating={"cases": 4})
    output = tmp_path / "out"
    server = Server(study, output)
    material = load_material(output)
    expected: dict[str, list[Any]] = {}
    for reader in HABITS:
        with strict_page(browser, ("ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE")) as page:
            page.goto(server.url)
            page.get_by_role("link", name=reader).click()
            slots, expected[reader] = material.slots(reader), []
            for slot in slots:
                until(page, f"document.querySelector('[name=place]')?.value === '{slot.place}'")
                until(page, "document.querySelector('.stage.fitted') !== null")
                kill = reader == "poor" and slot.place in (3, 12)
                if kill:
                    server.kill()
                _answer_by_keys(page, material, reader, slot.place, expected[reader])
                if kill:
                    until(page, f"{WRITTEN}.includes('does not answer')")
                    server = Server(study, output, server.port)
                    page.keyboard.press("Enter")
            until(page, "document.body.textContent.includes('Thank you')")
    server.kill()
    for reader, answers in expected.items():
        given = read_log(output, material, reader).given
        assert [one.answer if one.slot.doing != "rating" else one.flags for one in given] == answers
        assert len(given) == 24


def _answer_by_keys(page: Any, material: Material, reader: str, place: int, said: list[Any]) -> None:
    slot = material.slots(reader)[place]
    case = material.cases[slot.case]
    rng = random.Random(f"{reader}/{case.case}/{slot.doing}")
    if slot.doing == "rating":
        flags = flags_of(case, reader, rng)
        said.append(tuple(flag for flag in FLAGS if flag in flags))
        keys = [str(FLAGS.index(flag) + 1) for flag in flags]
    else:
        said.append(HABITS[reader](case, slot, rng))
        keys = keys_of(case, said[-1])
    for key in (*keys, "Enter"):
        page.keyboard.press(key)
