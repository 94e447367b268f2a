"""The rollout browser without a browser: what it reads, finds, refuses and never serves."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import quote

import pytest

from helpers.served import served
from helpers.synthetic_run import EVIL, GRADES, WORDING, rollout_lines, write_browsed
from vrft_aug.errors import UserError
from vrft_aug.view.filters import BadFilter, Filter
from vrft_aug.view.guard import check_host
from vrft_aug.view.recited import recited_parts
from vrft_aug.view.rollout_index import RolloutFile
from vrft_aug.view.run_index import open_runs
from vrft_aug.view.server import make_app, serve


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_browsed(tmp_path_factory.mktemp("runs") / "a", rollout_lines())


@pytest.fixture(scope="module")
def url(run: Path) -> Iterator[str]:
    with served(make_app(open_runs([run]))) as address:
        yield address


def fetch(address: str, **headers: str) -> tuple[int, str, dict[str, str]]:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers)) as answer:
            return answer.status, answer.read().decode("utf-8", "replace"), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), dict(error.headers)


def test_groups_are_the_completions_of_a_prompt_in_a_step(run: Path) -> None:
    training = open_runs([run])["a"].training
    assert len(training.entries) == len(rollout_lines()) == 64
    assert [(g.stage, g.step, len(g.places)) for g in training.groups[:3]] == [
        ("finding", 1, 4), ("finding", 1, 4), ("finding", 2, 4),
    ]  # fmt: skip


def test_a_run_in_progress_is_followed_and_one_that_resumed_is_read_anew(tmp_path: Path) -> None:
    lines = [json.dumps(line) + "\n" for line in rollout_lines()]
    path = tmp_path / "rollouts.jsonl"
    file = RolloutFile(tmp_path, {})
    assert not file.refresh()
    path.write_text("".join(lines[:3]) + lines[3][:40])
    assert file.refresh() and len(file.entries) == 3
    with path.open("a") as log:
        log.write(lines[3][40:] + "not json\n" + '{"stage": 1}\n' + lines[4])
    assert file.refresh() and len(file.entries) == 5
    assert not file.refresh()
    path.write_text("".join(lines[:2]))  # cut back
    assert file.refresh() and len(file.entries) == 2 and len(file.groups) == 1


def test_filters_find_exactly_what_they_say(run: Path) -> None:
    browsed = open_runs([run])["a"]
    entries = browsed.training.entries

    def found(**query: str) -> list[int]:
        return [i for _, kept in browsed.matches(Filter.read(query)) for i in kept]

    assert found() == list(range(len(entries)))
    assert found(outcome="truncated") == [i for i, e in enumerate(entries) if e.reason == "truncated"]
    assert found(low="0.45", high="1") == [
        i for i, e in enumerate(entries) if e.total is not None and 0.45 <= e.total <= 1
    ]
    assert found(first="2", last="2", stage="grading") == [
        i for i, e in enumerate(entries) if e.stage == "grading" and e.step == 2
    ]
    assert found(case="TRAIN/1") == [i for i, e in enumerate(entries) if e.case == "grey/train/1"]
    assert found(text="A BOX 2") == [i for i, e in enumerate(entries) if "a box 2" in e.completion]
    label = found(label="mild")
    assert label and all(entries[i].case == "grey/train/1" and entries[i].task == "grade" for i in label)
    right, wrong, silent = (found(stage="grading", outcome=o) for o in ("right", "wrong", "no answer"))
    assert sorted(right + wrong + silent) == [i for i, e in enumerate(entries) if e.stage == "grading"]
    assert all(entries[i].answer == GRADES[int(entries[i].case[-1]) % 5] for i in right) and right


@pytest.mark.parametrize("query", [{"low": "much"}, {"first": "1.5"}, {"low": "nan"}, {"outcome": "odd"}])
def test_a_field_that_makes_no_sense_is_named(query: dict[str, str], url: str) -> None:
    with pytest.raises(BadFilter, match=next(iter(query))):
        Filter.read(query)
    status, html, _ = fetch(f"{url}/?" + "&".join(f"{k}={v}" for k, v in query.items()))
    assert status == 200 and f"{next(iter(query))} is" in html


def test_recited_words_are_found_whatever_stands_between() -> None:
    knowledge = "What is known:\n- mild: Small red dots, nothing more than dots."
    parts = recited_parts("I see SMALL red; dots nothing more. Only red dots.", knowledge)
    assert parts == [("I see ", False), ("SMALL red; dots nothing more", True), (". Only red dots.", False)]
    assert "".join(text for text, _ in recited_parts("x y", "")) == "x y"
    assert recited_parts("red dots, nothing", knowledge) == [("red dots, nothing", False)]  # three words


def test_what_a_model_writes_is_text(url: str) -> None:
    _, html, headers = fetch(f"{url}/?stage=grading&outcome=truncated")
    assert EVIL not in html and EVIL.split("<img")[0] in unescape(html)
    assert "{{ 7 * 7 }}" in html and "default-src 'none'" in headers["content-security-policy"]
    assert f"<mark>{WORDING}</mark>" in fetch(f"{url}/?stage=grading")[1]
    for address in (
        "/?case=%3Cscript%3E1",
        "/case?task=grade&case=%3Cscript%3E1",
        "/?text=%22%3E%3Cscript%3E1",
    ):
        assert "<script>1" not in fetch(url + address)[1]


def test_a_prompt_without_knowledge_and_a_demonstration_are_told_apart(tmp_path: Path) -> None:
    lines = [line for line in rollout_lines() if line["stage"] == "grading" and line["step"] == 1]
    untold = [line | {"told": False, "step": 2} for line in lines]
    untold[1]["demonstration"] = True
    run = write_browsed(tmp_path / "a", lines + untold)
    with served(make_app(open_runs([run]))) as url:
        told, left_out = (fetch(f"{url}/?g={group}")[1] for group in (0, 4))
    assert "Knowledge in the prompt (definitions)" in told and "went without" not in told
    assert "This prompt went without the knowledge (definitions)." in left_out
    assert "Knowledge in the prompt" not in left_out
    assert (told.count("a demonstration, not"), left_out.count("a demonstration, not")) == (0, 1)


def test_only_its_own_host_name_is_answered(url: str) -> None:
    port = url.rsplit(":", 1)[1]
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "localhost.evil.example"):
        assert fetch(f"{url}/", Host=host)[0] == 421, host
    for host in ("localhost", f"localhost:{port}", f"[::1]:{port}", "127.0.0.1"):
        assert fetch(f"{url}/", Host=host)[0] == 200, host


def test_no_file_is_served(url: str, run: Path) -> None:
    secret = run.parent / "secret.png"
    secret.write_bytes(b"secret")
    for name in ("../secret.png", str(secret), "..%2Fsecret.png", "recipe.yaml", "%2e%2e/secret.png"):
        quoted = quote(name)
        for address in (
            f"/{name}",
            f"/static/{name}",
            f"/picture?task=grade&case={quoted}",
            f"/picture?task={quoted}&case=grey/train/0&n=0",
            f"/picture?run={quoted}",
        ):
            status, body, _ = fetch(url + address)
            assert status == 404 and "secret" not in body, address
    status, _, headers = fetch(f"{url}/picture?run=a&task=grade&case=grey/train/0")
    assert status == 200 and headers["content-type"] == "image/png" and headers["cache-control"] == "no-store"
    assert fetch(f"{url}/picture?run=a&task=grade&case=grey/train/0&n=7")[0] == 404


def test_it_binds_to_loopback_unless_told(run: Path) -> None:
    for host in ("0.0.0.0", "192.168.1.5", "example.org", "::"):
        with pytest.raises(UserError, match="--public"):
            serve([run], host)
        check_host(host, public=True)
    for host in ("127.0.0.1", "127.8.0.1", "::1", "localhost"):
        check_host(host, public=False)


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"recipe\.yaml"):
        open_runs([tmp_path])


def test_a_case_across_runs(run: Path, tmp_path: Path) -> None:
    from vrft_aug.view.pages import looks

    runs = open_runs([run, write_browsed(tmp_path / "a", rollout_lines(seed=1)[:20])])
    assert list(runs) == ["a", "a-2"]
    met = [[(look.stage, look.step) for look in looks(one, "grade", "grey/train/0")] for one in runs.values()]
    assert met == [[("grading", 1), ("grading", 2), ("grading", 3)], [("grading", 1)]]


def test_the_viewer_goes_without_data(run: Path, tmp_path: Path) -> None:
    folder = write_browsed(tmp_path / "gone", rollout_lines())
    recipe = (folder / "recipe.yaml").read_text()
    (folder / "recipe.yaml").write_text(
        recipe.replace("helpers.synthetic_run:grey_cases", "gone_module:cases")
    )
    browsed = open_runs([folder])["gone"]
    assert browsed.book.truth("grade", "grey/train/0") is None
    assert "gone_module" in browsed.book.missing["grade"]
    assert {browsed.book.outcome(entry) for entry in browsed.training.entries} == {"unknown", "no answer"}
