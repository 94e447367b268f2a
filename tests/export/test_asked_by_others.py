"""An exported model is asked by what is not ours: the card's snippet in a clean process, and a server."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers.finished_run import finished_run, judge_again
from helpers.synthetic_run import GRADES, RECIPE, grade_report
from vrft_aug.data.procedural.drawn_cases import ProceduralImage
from vrft_aug.evaluation.predict import load_predictor, picture_case
from vrft_aug.export.write_export import export_run

pytestmark = pytest.mark.slow
LABELS = ["none", *GRADES[1:]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    task = {**RECIPE["tasks"]["grade"], "labels": LABELS, "knowledge": "fundus"}
    wanted = {"task": "grade", "max_new_tokens": 96, "injection": {"style": "definitions"}}
    return finished_run(tmp_path_factory.mktemp("asked") / "run", tasks={"grade": task}, evaluation=wanted)


@pytest.fixture(scope="module")
def out(run: Path) -> Path:
    folder = run.parent / "out"
    export_run(run, folder)
    return folder


@pytest.fixture(scope="module")
def picture(run: Path) -> Path:
    file = run.parent / "picture.png"
    ProceduralImage("fundus", "test", 3).open().save(file)
    return file


@pytest.fixture(scope="module")
def ours(run: Path) -> str:
    """What `vrft predict` is told of the picture."""
    case = picture_case("picture", ProceduralImage("fundus", "test", 3))
    ((rollout,),) = load_predictor(run).rollouts([case])
    return rollout.completion


def plain(folder: Path, *arguments: str, **variables: str) -> str:
    """What a Python prints that does not know this package, in a folder."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=900,
        env={**kept, "HF_HUB_OFFLINE": "1", **variables},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def snippet(card: Path) -> str:
    (code,) = re.findall(r"^```python\n(.*?)^```$", card.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert "vrft" not in code
    return str(code)


def test_the_cards_snippet_answers_as_predict_does(
    out: Path, picture: Path, ours: str, tmp_path: Path
) -> None:
    """In a clean process and in a copy that lies elsewhere."""
    elsewhere = tmp_path / "handed on"
    shutil.copytree(out, elsewhere)
    shutil.copy(picture, elsewhere / "picture.png")
    (elsewhere / "ask.py").write_text(snippet(elsewhere / "README.md"), "utf-8")
    said = plain(elsewhere, "-I", "ask.py").strip().splitlines()
    assert "\n".join(said[:-1]) == ours
    answer = said[-1].removeprefix("answer: ")
    assert answer in LABELS and f"<answer>{answer}</answer>" in ours


def test_an_adapter_is_asked_by_the_same_snippet(run: Path, picture: Path, ours: str, tmp_path: Path) -> None:
    """With its base in the hub's cache; an untrained adapter answers as the base does."""
    code = (
        "import sys, peft, transformers as t\n"
        "model = t.AutoModelForImageTextToText.from_pretrained(sys.argv[1])\n"
        "lora = peft.LoraConfig(target_modules='all-linear')\n"
        "peft.get_peft_model(model, lora).save_pretrained(sys.argv[2], save_embedding_layers=False)\n"
    )
    adapted = tmp_path / "adapted"
    shutil.copytree(run, adapted)
    plain(tmp_path, "-c", code, str(run / "model"), str(adapted / "model" / "adapter"))
    revision = "0" * 40
    cached = tmp_path / "hub" / "models--my-lab--base"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(revision)
    (cached / "snapshots").mkdir()
    shutil.copytree(run / "model", cached / "snapshots" / revision)
    judge_again(adapted, grade_report())
    export_run(adapted, tmp_path / "out", adapter=True, base="my-lab/base")
    assert not list((tmp_path / "out").glob("model*.safetensors"))
    shutil.copy(picture, tmp_path / "out" / "picture.png")
    (tmp_path / "out" / "ask.py").write_text(snippet(tmp_path / "out" / "README.md"), "utf-8")
    said = plain(tmp_path / "out", "ask.py", HF_HUB_CACHE=str(tmp_path / "hub")).strip().splitlines()
    assert "\n".join(said[:-1]) == ours


def test_the_dockerfiles_command_serves_it_and_the_request_is_answered(
    out: Path, picture: Path, ours: str, tmp_path: Path
) -> None:
    """`transformers serve` as the Dockerfile starts it, but for the folder and the port."""
    pytest.importorskip("fastapi", reason="`transformers serve` needs the extra `dev`")
    (line,) = [one for one in (out / "Dockerfile").read_text().splitlines() if '"transformers"' in one]
    entry = json.loads(line.removeprefix("ENTRYPOINT "))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    swapped = {"transformers": str(Path(sys.executable).with_name("transformers")), "/model": str(out)}
    swapped |= {"0.0.0.0": "127.0.0.1", "8000": port}
    command = [swapped.get(part, part) for part in entry]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--device", "cpu"], stdout=log, stderr=log, env={**os.environ, "HF_HUB_OFFLINE": "1"}
        )
    try:
        until = time.monotonic() + 900
        while time.monotonic() < until and server.poll() is None:
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", int(port))) == 0:
                    break
            time.sleep(0.5)
        asked = [str(out / "request.py"), str(picture), f"http://127.0.0.1:{port}", str(out)]
        said = plain(tmp_path, *asked).splitlines()
    finally:
        server.terminate()
        server.wait(30)
    assert "\n".join(said[:-1]).strip() == ours
    assert said[-1].removeprefix("answer: ") in LABELS
