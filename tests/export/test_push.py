"""`vrft export --push` against a hub that is played: one commit, private unless asked, or one line."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import huggingface_hub
import pytest
from typer.testing import CliRunner, Result

from helpers.finished_run import finished_run
from vrft_aug.cli import app


class Hub:
    """What HfApi is asked for, and what it answers."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.files: set[str] = set()
        self.card = ""
        self.error: Exception | None = None

    def create_repo(self, name: str, *, private: bool, exist_ok: bool) -> str:
        if self.error is not None:
            raise self.error
        self.calls.append(("create", (name, private, exist_ok)))
        return f"https://hub.example/{name}"

    def upload_folder(
        self, *, repo_id: str, folder_path: Path, commit_message: str, delete_patterns: str
    ) -> None:
        self.calls.append(("upload", (repo_id, delete_patterns)))
        self.files = {path.name for path in Path(folder_path).iterdir()}
        self.card = (Path(folder_path) / "README.md").read_text("utf-8")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    made = Hub()
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: made)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_x")
    monkeypatch.setattr(huggingface_hub.constants, "is_offline_mode", lambda: False)
    return made


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return finished_run(tmp_path / "run")


def vrft(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


@pytest.mark.parametrize("public", [False, True])
def test_the_whole_folder_goes_in_one_commit(public: bool, hub: Hub, run: Path) -> None:
    before = sorted(run.parent.iterdir())
    done = vrft(run, "--push", "my-lab/grader", *(["--public"] if public else []))
    assert done.exit_code == 0, done.output
    assert hub.calls == [("create", ("my-lab/grader", not public, True)), ("upload", ("my-lab/grader", "*"))]
    assert {"README.md", "model.safetensors", "recipe.yaml", "SHA256SUMS"} <= hub.files
    assert "# my-lab/grader" in hub.card
    assert done.stdout == "pushed https://hub.example/my-lab/grader\n"
    assert sorted(run.parent.iterdir()) == before


def test_it_may_also_stay_here(hub: Hub, run: Path) -> None:
    done = vrft(run, "--push", "my-lab/grader", "--to", run.parent / "out")
    assert done.exit_code == 0 and hub.files == {path.name for path in (run.parent / "out").iterdir()}


def offline(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "is_offline_mode", lambda: True)


def no_token(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)


def no_network(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    hub.error = httpx.ConnectError("Name or service not known")


def refused(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    answer: Any = SimpleNamespace(headers={}, request=None)
    hub.error = huggingface_hub.errors.HfHubHTTPError("403 Forbidden:\nyou may not", response=answer)


@pytest.mark.parametrize(
    ("arrange", "name", "words"),
    [
        (offline, "my-lab/x", "HF_HUB_OFFLINE is set"),
        (no_token, "my-lab/x", "hf auth login"),
        (no_network, "my-lab/x", "Name or service not known"),
        (refused, "my-lab/x", "403 Forbidden: you may not"),
        (None, "x", "is no name on the hub"),
    ],
)
def test_what_fails_is_one_line(
    arrange: Any, name: str, words: str, hub: Hub, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if arrange is not None:
        arrange(monkeypatch, hub)
    done = vrft(run, "--push", name)
    assert done.exit_code == 2 and done.stderr.count("\n") == 1
    assert words in done.stderr and len(done.stderr) < 500
    assert [path.name for path in run.parent.iterdir()] == ["run"]


def test_public_without_push_is_refused(run: Path) -> None:
    done = vrft(run, "--public")
    assert done.exit_code == 2 and "--public goes with --push" in done.stderr
