"""Property tests draw the same examples each time and never fail for being slow; a policy, and one served."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

from helpers.random_policy import save_random_policy
from vrft_aug.recipe.model_folder import TINY_FOLDER

if find_spec("vllm"):  # TRL imports it where it is there, and it warns of much that is not ours to mend
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import trl.trainer.grpo_trainer  # noqa: F401
settings.register_profile("vrft", derandomize=True, deadline=None, database=None)
settings.load_profile("vrft")
# Read when trackio is imported, by whichever test is first; not the data base of whoever runs the tests.
os.environ["TRACKIO_DIR"] = tempfile.mkdtemp(prefix="vrft-trackio-")


@pytest.fixture(scope="session")
def random_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformers folder with a very small random Qwen2.5-VL."""
    return save_random_policy(tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="session")
def transformers_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`transformers serve` with the embedded tiny model; its URL."""
    pytest.importorskip("fastapi", reason="`transformers serve` needs the extra `dev`")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [Path(sys.executable).with_name("transformers"), "serve", TINY_FOLDER, "--host", "127.0.0.1"]
    log = tmp_path_factory.mktemp("serve") / "log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [*map(str, command), "--port", str(port), "--device", "cpu"],
            stdout=out, stderr=out, start_new_session=True, env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )  # fmt: skip
    try:
        until = time.monotonic() + 240
        while time.monotonic() < until and server.poll() is None:
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.5)
        else:
            pytest.fail(f"transformers serve did not start: {log.read_text()[-500:]}")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
