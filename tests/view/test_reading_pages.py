"""The pages of a reader study without a browser: what they never say, whose requests they take, faults."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
import yaml
from PIL import Image

from helpers.canaries import save_canaries, speaks
from helpers.reader_studies import RECIPE, desk, opened, write_study
from helpers.served import served
from helpers.synthetic_run import EVIL, GRADES, LOCALISE, PROVENANCE, localise_report
from vrft_aug.data.images import FileImage
from vrft_aug.errors import UserError
from vrft_aug.evaluation.report_data import build_report, save_report
from vrft_aug.nouns import Answer, Case, Rollout, Target, Task
from vrft_aug.reader_study.desk import Desk
from vrft_aug.reader_study.material import open_material
from vrft_aug.reader_study.protocol import load_protocol
from vrft_aug.recipe.file import save_recipe
from vrft_aug.recipe.schema import Recipe
from vrft_aug.view.reading_server import make_study_app, serve_study


def ask(
    url: str, path: str, form: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes, str]:
    """Status, body, and all else that came: header lines."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    body = None if form is None else urlencode(form, doseq=True)
    connection.request("GET" if body is None else "POST", path, body, headers or {})
    answer = connection.getresponse()
    found = answer.status, answer.read(), "\n".join(f"{k}: {v}" for k, v in answer.getheaders())
    connection.close()
    return found


def dicom_cases(root: Path, split: str, task: Task) -> list[Case]:
    """DICOM pictures with canaries in all their headers, below a folder of a telling name."""
    return [
        Case(
            f"Zz9171/case/{i}", (FileImage(root / f"Zz9171-patient-{i}.dcm", f"Zz9171/case/{i}"),),
            Target(text=f"Zz9171 truth {i}"), patient=f"Zz9171P{i}",
        )
        for i in range(4)
    ]  # fmt: skip


@pytest.fixture
def private(tmp_path: Path) -> Iterator[tuple[str, Desk, Path]]:
    """A study whose every secret says so: ids, patients, paths, headers, truth, the withheld answers."""
    pictures = tmp_path / "Zz9171-clinic"
    for i in range(4):
        save_canaries(pictures / f"Zz9171-patient-{i}.dcm", i, 40 * i)
    recipe = {**RECIPE, "name": "private", "data_root": str(pictures), "tasks": {"open": {
        "kind": "answer", "question": "What is it?", "modality": "radiograph",
        "data": {"reader": "view.test_reading_pages:dicom_cases"},
    }}, "evaluation": {"task": "open"}}  # fmt: skip
    run = tmp_path / "Zz9171-run"
    run.mkdir()
    save_recipe(Recipe.model_validate(recipe), run / "recipe.yaml")
    task = Task("open", "answer", "What is it?", (), "radiograph")
    cases = dicom_cases(pictures, "test", task)
    answers = [Answer(f"the model's guess {i}", None, f"the model's reason {i}") for i in range(4)]
    rollouts = [Rollout(f"Zz9171 completion {i}") for i in range(4)]
    save_report(
        build_report(task, cases, answers, rollouts, None, seed=0, bootstrap=50, split="test",
                     provenance=PROVENANCE),
        run / "evaluation.json",
    )  # fmt: skip
    study = write_study(tmp_path, run, readers=["A"], rating=True, show=[])
    material, known = open_material(load_protocol(str(study)))
    one = desk(tmp_path / "out", material)
    with served(make_study_app(one, known)) as url:
        yield url, one, pictures


@pytest.mark.filterwarnings("ignore:Invalid value for:UserWarning")
def test_nothing_that_a_reader_may_not_know_reaches_the_network(private: tuple[str, Desk, Path]) -> None:
    url, one, _ = private
    seen: list[tuple[str, bytes]] = []

    def get(path: str, form: Any = None) -> bytes:
        status, body, headers = ask(url, path, form)
        assert status in (200, 303), (path, status)
        seen.append((path + headers, body))
        return body

    get("/")
    pictures = set()
    while (now := one.now("A")).slot is not None and now.case is not None:
        page = get("/read/A").decode()
        told, reasons = str(now.case.answer) in page.replace("&#39;", "'"), "the model&#39;s reason" in page
        assert told == (now.slot.doing != "unaided") and reasons == (now.slot.doing == "rating")
        (picture,) = re.findall(r'<img src="([^"]+)"', page)
        assert picture == f"/picture/A/{now.slot.place}/0" and 'alt="radiograph"' in page
        pictures.add(get(picture))
        given = {"flag": ["unsafe"]} if now.slot.doing == "rating" else {"answer": ["my view"]}
        get("/read/A", {"place": now.slot.place, "seconds": "1.5", **given})
    assert "all of it is done" in get("/read/A").decode()
    assert one.progress("A") == (12, 12) and len(pictures) == 4
    for path, body in seen:
        assert not speaks(body) and not speaks(path.encode()), (path, body[:300])
    saved = (one.folder / "answers" / "A.jsonl").read_text()
    assert "Zz9171/case/0" in saved and "unsafe" in saved  # the canaries are there to be found


def test_pages_are_the_same_whatever_the_truth(tmp_path: Path) -> None:
    _, material, cases = opened(tmp_path, cases=6, rating={"cases": 2})
    one = desk(tmp_path / "out", material)
    with served(make_study_app(one, cases)) as url:
        for place in range(14):
            now = one.now("good")
            assert now.slot is not None
            pages = []
            for truth in GRADES:  # orders are dealt already, the pages are made now
                told = [replace(c, truth=truth, patient="x", case=c.case) for c in material.cases]
                one.material = replace(material, cases=tuple(told))
                pages.append(ask(url, "/read/good")[1])
            one.material = material
            assert len(set(pages)) == 1 and b"discs/test" not in pages[0]
            form = {"place": place, "answer": "1", "flag": "right"}
            assert ask(url, "/read/good", form)[0] == 303
    assert one.progress("good") == (14, 14)


def test_only_the_open_case_shows_its_pictures(tmp_path: Path) -> None:
    _, material, cases = opened(tmp_path, cases=4)
    one = desk(tmp_path / "out", material)
    with served(make_study_app(one, cases)) as url:
        assert ask(url, "/picture/good/0/0")[0] == 200
        for path in ("good/1/0", "good/0/1", "nobody/0/0", "good/-1/0", "good/0/../../0", "good/x/0"):
            assert ask(url, f"/picture/{path}")[0] in (404, 405), path
        for path in (
            "/read/nobody",
            "/static/reading_server.py",
            "/static/..%2fserver.py",
            "/answers/good.jsonl",
        ):
            assert ask(url, path)[0] == 404
        headers = ask(url, "/read/good")[2]
    assert "default-src 'none'" in headers and "no-store" in headers


def test_answers_from_other_sites_and_too_much_of_it_are_refused(tmp_path: Path) -> None:
    _, material, cases = opened(tmp_path, cases=4)
    one = desk(tmp_path / "out", material)
    form = {"place": 0, "answer": "1"}
    with served(make_study_app(one, cases)) as url:
        host = urlsplit(url).netloc
        for headers in (
            {"Sec-Fetch-Site": "cross-site"},
            {"Origin": "http://elsewhere.example"},
            {"Sec-Fetch-Site": "same-site"},
        ):
            assert ask(url, "/read/good", form, headers)[0] == 403
        assert ask(url, "/read/good", form, {"Host": "elsewhere.example"})[0] == 421
        assert ask(url, "/read/good", {**form, "comment": "x" * 70_000})[0] == 413
        assert ask(url, "/read/good", {"answer": "1"})[0] == ask(url, "/read/good", {"place": "x"})[0] == 400
        assert ask(url, "/read/nobody", form)[0] == 404
        assert one.progress("good") == (0, 8)
        assert ask(url, "/read/good", form, {"Origin": f"http://{host}"})[0] == 303
        assert b"choose an answer" in ask(url, "/read/good?incomplete=1")[1]
    assert one.progress("good") == (1, 8)


def test_what_a_model_writes_is_shown_as_it_is(tmp_path: Path) -> None:
    _, material, cases = opened(tmp_path, cases=4, conditions=["aided"], title=EVIL, instructions=EVIL)
    evil = tuple(replace(case, reasoning=EVIL, answer=EVIL, question=EVIL) for case in material.cases)
    one = desk(tmp_path / "out", replace(material, cases=evil))
    with served(make_study_app(one, cases)) as url:
        for path in ("/", "/read/good"):
            page = ask(url, path)[1]
            assert b"window.hacked" in page and b"<script>window" not in page and b"<img src=x" not in page


def test_a_picture_that_breaks_later_says_so_to_who_runs_the_study(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    _, material, cases = opened(tmp_path, cases=2)
    gone = {id: replace(case, images=(FileImage(tmp_path / "gone.png", id),)) for id, case in cases.items()}
    with served(make_study_app(desk(tmp_path / "out", material), gone)) as url:
        assert b"gone.png" not in ask(url, "/read/good")[1]
        status, body, _ = ask(url, "/picture/good/0/0")
    assert status == 500 and b"gone" not in body
    assert "gone.png" in capfd.readouterr().err


def test_a_full_disk_is_told_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, material, cases = opened(tmp_path, cases=2)
    one = desk(tmp_path / "out", material)

    def full(path: Path, line: dict[str, Any]) -> None:
        raise OSError(28, "No space left on device", str(path))

    with served(make_study_app(one, cases)) as url:
        with monkeypatch.context() as patch:
            patch.setattr("vrft_aug.reader_study.desk.append", full)
            status, body, _ = ask(url, "/read/good", {"place": 0, "answer": "1"})
            assert status == 507 and b"could not be saved" in body and str(tmp_path).encode() not in body
        assert one.progress("good") == (0, 4)
        assert ask(url, "/read/good", {"place": 0, "answer": "1"})[0] == 303
    assert one.progress("good") == (1, 4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"run": "nowhere"}, "nowhere holds no recipe.yaml"),
        ({"task": "other"}, "has no task 'other'"),
        ({"split": "train"}, "the reader study asks for 'grade', train"),
        ({"rating": True, "predictions": "silent.jsonl"}, "none of the .* comes with reasoning"),
        ({"predictions": "none.jsonl"}, "cannot be read"),
        ({"predictions": "label.jsonl"}, "line 2: answer 'terrible' is none of task 'grade'"),
        ({"predictions": "case.jsonl"}, "line 1: case 'discs/test/99' is not in the data"),
        ({"predictions": "twice.jsonl"}, "line 2: case discs/test/1 has an answer already"),
        ({"predictions": "text.jsonl"}, "line 1 is no JSON"),
        ({"predictions": "empty.jsonl"}, "has no lines"),
    ],
)
def test_studies_that_cannot_be_read_out_are_one_line(
    change: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    opened(tmp_path)

    def lines(name: str, *given: tuple[str, str]) -> None:
        rows = [json.dumps({"case": f"discs/test/{case}", "answer": answer}) + "\n" for case, answer in given]
        (tmp_path / name).write_text("".join(rows))

    lines("silent.jsonl", ("1", "mild"))
    lines("label.jsonl", ("1", "mild"), ("2", "terrible"))
    lines("case.jsonl", ("99", "mild"))
    lines("twice.jsonl", ("1", "mild"), ("1", "mild"))
    lines("empty.jsonl")
    (tmp_path / "text.jsonl").write_text("mild\n")
    study = yaml.safe_load((tmp_path / "study.yaml").read_text())
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({**study, **change}))
    with pytest.raises(UserError, match=said) as error:
        serve_study(load_protocol(str(tmp_path / "study.yaml")), tmp_path / "out", port=0)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500
    assert not (tmp_path / "out").exists()


def test_runs_that_are_not_ready_and_labels_unlike_the_tasks(tmp_path: Path) -> None:
    protocol, _, _ = opened(tmp_path)
    recipe = tmp_path / "run" / "recipe.yaml"
    whole = recipe.read_text()
    recipe.write_text(whole.replace("- mild", "- slight"))
    with pytest.raises(UserError, match=r"kind grade \(no retinopathy, mild.*of kind grade \(.*slight"):
        open_material(protocol)
    recipe.write_text(whole.replace("kind: grade", "kind: localise"))
    with pytest.raises(UserError, match=r"kind grade \(.*of kind localise \("):
        open_material(protocol)
    recipe.write_text(whole)
    (tmp_path / "run" / "evaluation.json").unlink()
    with pytest.raises(UserError, match="has not been evaluated"):
        open_material(protocol)


def test_boxes_are_not_read_by_keyboard_and_their_reasons_may_be_rated(tmp_path: Path) -> None:
    opened(tmp_path)
    run = tmp_path / "run"
    task = {"kind": "localise", "question": "Where?", "labels": list(LOCALISE.labels),
            "data": {"reader": "helpers.reader_studies:box_cases"}}  # fmt: skip
    boxes = {**RECIPE, "tasks": {"localise": task}, "evaluation": {"task": "localise"}}
    save_recipe(Recipe.model_validate(boxes), run / "recipe.yaml")
    save_report(localise_report(), run / "evaluation.json")
    with pytest.raises(UserError, match="kind localise, which readers cannot answer"):
        open_material(load_protocol(str(write_study(tmp_path, run))))
    rated = write_study(tmp_path, run, conditions=[], rating=True, show=["boxes"])
    material, cases = open_material(load_protocol(str(rated)))
    one = desk(tmp_path / "out", material)
    with served(make_study_app(one, cases)) as url:
        for _ in range(3):
            now = one.now("good")
            assert now.slot is not None and now.case is not None
            page = ask(url, "/read/good")[1].decode()
            assert page.count('class="halo"') == len(now.case.boxes) and "red dots" in page
            assert ask(url, "/read/good", {"place": now.slot.place, "flag": "right"})[0] == 303


def test_answers_may_come_from_a_file(tmp_path: Path) -> None:
    said = [("3", "mild", "dots"), ("1", "severe", ""), ("7", None, "unsure")]
    rows = [{"case": f"discs/test/{c}", "answer": a, "reasoning": r} for c, a, r in said]
    (tmp_path / "said.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, material, _ = opened(tmp_path, predictions="said.jsonl", rating=True)
    assert [(c.case[-1], c.answer, c.reasoning) for c in material.cases] == said
    assert [c.truth for c in material.cases] == [GRADES[3], GRADES[1], GRADES[2]]
    assert material.evaluation is None and material.rated == (0, 2)


def test_a_picture_that_nobody_could_see_is_found_before_anybody_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol, _, cases = opened(tmp_path)
    (tmp_path / "bad.png").write_bytes(b"no picture")
    Image.new("RGB", (4, 4)).save(tmp_path / "good.png")
    bad = {id: replace(c, images=(FileImage(tmp_path / "bad.png", id),)) for id, c in cases.items()}
    monkeypatch.setattr("vrft_aug.view.reading_server.open_material", lambda given: (None, bad))
    with pytest.raises(UserError, match=r"bad\.png .*cannot be decoded"):
        serve_study(protocol, tmp_path / "out")
    assert not (tmp_path / "out").exists()
