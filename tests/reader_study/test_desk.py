"""A running study: what is saved is there after any end, counts once, and is checked when it is read."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from helpers.reader_studies import (
    CASES,
    HABITS,
    Hours,
    desk,
    opened,
    read_all,
    write_evaluated,
    write_study,
)
from vrft_aug.errors import UserError
from vrft_aug.reader_study.answer_log import append, log_path, read_log
from vrft_aug.reader_study.desk import Desk, open_desk
from vrft_aug.reader_study.material import changes, load_material, open_material
from vrft_aug.reader_study.protocol import load_protocol
from vrft_aug.reader_study.readings import of_logs


def test_a_killed_server_goes_on_at_the_first_case_without_an_answer(tmp_path: Path) -> None:
    _, material, _ = opened(tmp_path, cases=6)
    out = tmp_path / "out"
    whole = desk(tmp_path / "whole", material)
    read_all(whole, "poor")
    for stop in (1, 4, 6, 9, None):
        again = desk(out, material)  # a new process knows what lies on the disk alone
        read_all(again, "poor", stop)
    answers = [one.answer for one in read_log(out, material, "poor").given]
    assert answers == [one.answer for one in read_log(tmp_path / "whole", material, "poor").given]
    assert len(answers) == 12 and desk(out, material).now("poor").slot is None


def test_an_answer_counts_once(tmp_path: Path) -> None:
    _, material, _ = opened(tmp_path, cases=4)
    one = desk(tmp_path / "out", material)

    def take(place: int, answer: str = "2") -> str:
        return one.take("good", place, answers=[answer], flags=[], comment="", seconds=1.0)

    assert [take(0), take(0, "3"), take(5), take(1)] == ["saved", "before", "before", "saved"]
    assert one.progress("good") == (2, 8) and one.progress("poor") == (0, 8)
    lines = log_path(tmp_path / "out", "good").read_text().splitlines()
    assert [json.loads(line)["answer"] for line in lines] == ["mild", "mild"]


@pytest.mark.parametrize("answers", [[], ["0"], ["6"], ["1", "2"], ["mild"], ["-1"], ["cannot tell"], ["٣"]])
def test_what_is_no_answer_is_not_saved(answers: list[str], tmp_path: Path) -> None:
    _, material, _ = opened(tmp_path, cases=2)
    one = desk(tmp_path / "out", material)
    assert one.take("good", 0, answers=answers, flags=["right"], comment="", seconds=1) == "incomplete"
    assert not log_path(tmp_path / "out", "good").exists()


def test_cannot_tell_is_an_answer_where_the_study_says_so(tmp_path: Path) -> None:
    _, material, _ = opened(tmp_path, cases=2, cannot_tell=True)
    one = desk(tmp_path / "out", material)
    assert one.take("good", 0, answers=["cannot tell"], flags=[], comment="", seconds=1) == "saved"
    assert read_log(tmp_path / "out", material, "good").given[0].answer is None


def test_a_torn_last_line_is_put_aside_and_asked_again(tmp_path: Path) -> None:
    _, material, _ = opened(tmp_path, cases=4)
    read_all(desk(tmp_path / "out", material), "good", 5)
    path = log_path(tmp_path / "out", "good")
    whole = path.read_bytes()
    for cut in (1, 20):
        path.write_bytes(whole[:-cut])
        assert len(read_log(tmp_path / "out", material, "good").given) == 4  # reading alone changes nothing
        assert path.read_bytes() == whole[:-cut]
        again = desk(tmp_path / "out", material)
        assert again.mended["good"] > 0 and again.progress("good") == (4, 8)
        assert path.read_bytes() == whole[: whole[:-1].rfind(b"\n") + 1]
    assert path.with_suffix(".torn").read_bytes().count(b"\n") == 2
    read_all(desk(tmp_path / "out", material), "good", 5)
    assert [one.answer for one in read_log(tmp_path / "out", material, "good").given][4] in material.labels


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda lines: [lines[0], "{" + lines[1][:9], *lines[2:]], "line 2 of .* is damaged"),
        (
            lambda lines: [*lines[:-1], lines[-1][:-7]],
            "is damaged",
        ),  # cut, but with its end: no crash does that
        (lambda lines: lines[2:], "place 1"),
        (lambda lines: [*lines, lines[-1]], "one answer too many|has place"),
        (lambda lines: [one.replace("mild", "severe mild") for one in lines], "which the task does not have"),
        (lambda lines: [one.replace("discs/test/", "other/") for one in lines], "another study"),
        (lambda lines: [one.replace('"seconds": 0', '"seconds": -0') for one in lines], "seconds"),
        (lambda lines: ['{"opened": [1]}', *lines], "opened"),
    ],
)
def test_damage_elsewhere_is_one_line(damage: Any, said: str, tmp_path: Path) -> None:
    _, material, _ = opened(tmp_path, cases=8)
    read_all(desk(tmp_path / "out", material), "good")
    path = log_path(tmp_path / "out", "good")
    path.write_text("\n".join(damage(path.read_text().splitlines())) + "\n")
    before = path.read_bytes()
    with pytest.raises(UserError, match=said) as error:
        desk(tmp_path / "out", material)
    assert "good.jsonl line" in str(error.value) and len(str(error.value)) < 500
    assert path.read_bytes() == before


def test_every_answer_is_on_the_disk_before_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, synced = tmp_path / "a" / "x.jsonl", []
    fsync = os.fsync

    def spy(handle: int) -> None:
        synced.append(path.read_bytes())
        fsync(handle)

    monkeypatch.setattr(os, "fsync", spy)
    append(path, {"a": 1})
    append(path, {"b": "ü"})
    assert synced[0] == b'{"a": 1}\n' and synced[-1] == '{"a": 1}\n{"b": "ü"}\n'.encode()


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, material, _ = opened(tmp_path, cases=4)
    one = desk(tmp_path / "out", material)
    read_all(one, "good", 2)
    path, write = log_path(tmp_path / "out", "good"), os.write
    before = path.read_bytes()
    calls = []

    def full(handle: int, content: bytes) -> int:
        calls.append(len(content))
        if len(calls) == 1:
            return write(handle, content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        one.take("good", 2, answers=["1"], flags=[], comment="", seconds=1)
    monkeypatch.undo()
    assert path.read_bytes() == before and one.progress("good") == (2, 8)
    assert one.take("good", 2, answers=["1"], flags=[], comment="", seconds=1) == "saved"


def test_a_second_session_waits_for_the_washout(tmp_path: Path) -> None:
    _, material, _ = opened(tmp_path, cases=3, washout_days=14, rating={"cases": 1})
    clock = Hours()
    one = open_desk(tmp_path / "out", material, clock)
    read_all(one, "good")
    waiting = one.now("good")
    assert waiting.slot is None and waiting.opens is not None and (waiting.session, waiting.of) == (2, 3)
    assert timedelta(days=13, hours=23) < waiting.opens - clock.now <= timedelta(days=14)
    clock.now += timedelta(days=14)
    read_all(one, "good")  # the rating follows at once
    assert one.progress("good") == (7, 7) and one.now("good").opens is None


def test_seconds_are_the_pages_own_within_what_is_possible(tmp_path: Path) -> None:
    _, material, _ = opened(tmp_path, cases=4)
    one = desk(tmp_path / "out", material)
    for place, told in enumerate((0.5, 1e9, None, float("nan"), -4.0)):
        one.open("good", place)
        one.take("good", place, answers=["1"], flags=[], comment="", seconds=told)
    seconds = [given.seconds for given in read_log(tmp_path / "out", material, "good").given]
    assert seconds[0] == 0.5 and all(0 < value < 10 for value in seconds[1:])


def test_a_changed_study_is_refused_and_named(tmp_path: Path) -> None:
    _, material, _ = opened(tmp_path, cases=8)
    one = desk(tmp_path / "out", material)
    run = tmp_path / "run"

    def with_settings(**settings: Any) -> Desk:
        path = write_study(tmp_path / "b", run, **{"cases": 8, **settings})
        return desk(tmp_path / "out", open_material(load_protocol(str(path)))[0])

    with_settings(seed=5)  # nobody has answered yet
    one = with_settings()
    read_all(one, "good", 3)
    for settings, said in (
        ({"seed": 1}, "seed"),
        ({"cases": 6}, "cases"),
        ({"title": "Another"}, "title"),
        ({"readers": ["poor", "good", "follows"]}, "readers"),
    ):
        with pytest.raises(UserError, match=f"changed since: .*{said}") as error:
            with_settings(**settings)
        assert "\n" not in str(error.value) and len(str(error.value)) < 500
    more = with_settings(readers=["good", "poor", "follows", "late"])
    assert more.progress("good") == (3, 16) and more.progress("late") == (0, 16)
    write_evaluated(run, skill=0.1)
    with pytest.raises(UserError, match="the model's answers"):
        with_settings()
    assert changes(load_material(tmp_path / "out"), load_material(tmp_path / "out")) == []


def test_labels_of_which_several_are_true(tmp_path: Path) -> None:
    _, material, _ = opened(tmp_path, conditions=["unaided"])
    cases = tuple(replace(case, truth="mild, severe", answer="") for case in material.cases)
    one = desk(tmp_path / "out", replace(material, kind="multilabel", cases=cases))

    def take(place: int, *answers: str) -> str:
        return one.take("good", place, answers=list(answers), flags=[], comment="", seconds=1)

    assert [take(0, *given) for given in ((), ("0", "1"), ("1", "9"))] == ["incomplete"] * 3
    assert [take(0, "4", "2"), take(1, "0"), take(2, "1", "1")] == ["saved"] * 3
    given = read_log(tmp_path / "out", one.material, "good").given
    assert [each.answer for each in given] == ["mild, severe", "", "no retinopathy"]
    readings = of_logs(one.material, {"good": read_log(tmp_path / "out", one.material, "good")})
    marks = [readings.marks("unaided")[0, each.slot.case] for each in given]
    assert marks == [1, 0, 0] and readings.said["unaided"][0, given[1].slot.case] == readings.model[0]


def test_ratings_are_saved_with_flags_and_comment(tmp_path: Path) -> None:
    _, material, _ = opened(tmp_path, conditions=[], rating={"cases": 3})
    one = desk(tmp_path / "out", material)
    assert one.now("good").sessions == 1 and len(material.rated) == 3
    take: Any = {"answers": [], "comment": "  too sure ", "seconds": 2.0}
    assert one.take("good", 0, flags=[], **take) == "incomplete"
    assert one.take("good", 0, flags=["lovely"], **take) == "incomplete"
    assert one.take("good", 0, flags=["unsafe", "right"], **take) == "saved"
    (given,) = read_log(tmp_path / "out", material, "good").given
    assert (given.flags, given.comment, given.answer) == (("right", "unsafe"), "too sure", None)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    _, material, _ = opened(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty"):
        desk(tmp_path / "other", material)
    with pytest.raises(UserError, match=r"holds no study\.json"):
        load_material(tmp_path / "other")
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["thesis.txt"]


def test_readers_have_their_habits(tmp_path: Path) -> None:
    """The made readers of the other tests do what they are called."""
    _, material, _ = opened(tmp_path)
    one = desk(tmp_path / "out", material)
    for reader in HABITS:
        read_all(one, reader)
    right = {}
    for reader in HABITS:
        given = read_log(tmp_path / "out", material, reader).given
        for doing in ("unaided", "aided"):
            of = [g for g in given if g.slot.doing == doing]
            right[reader, doing] = sum(g.answer == material.cases[g.slot.case].truth for g in of) / CASES
    assert right["good", "unaided"] > 0.8 > right["poor", "unaided"]
    assert right["follows", "aided"] < right["follows", "unaided"]
