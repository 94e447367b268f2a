"""The client of OpenAI-compatible servers, on a small real one: requests, retries, cache, failures."""

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from helpers.chat_server import Answer, serving
from helpers.synthetic_run import Disc
from vrft_aug.errors import UserError
from vrft_aug.policy.endpoint import Endpoint, Reply

pytest.importorskip("openai", reason="the extra `endpoint` is not installed")
ASK = [{"role": "user", "content": "How many?"}]
SHOW = [
    {"role": "system", "content": [{"type": "text", "text": "Be short."}]},
    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]},
]


def test_a_request_holds_the_picture_without_loss_and_only_settings_that_were_given() -> None:
    with serving(lambda request, n: Answer("a disc")) as server:
        reply = Endpoint(server.url, "m").chat(SHOW, [Disc(1)], seed=3, temperature=0.0, max_tokens=9)
    assert reply == Reply("a disc", 11, 3, True)
    (sent,) = server.requests
    assert {k: v for k, v in sent.items() if k != "messages"} == {
        "model": "m", "seed": 3, "temperature": 0.0, "max_tokens": 9,
    }  # fmt: skip
    image, text = sent["messages"][1]["content"]
    assert text == {"type": "text", "text": "What is it?"}
    data = base64.b64decode(image["image_url"]["url"].removeprefix("data:image/png;base64,"))
    assert Image.open(io.BytesIO(data)).tobytes() == Disc(1).open().tobytes()


def test_a_schema_and_a_cut_reply_and_split_off_reasoning() -> None:
    answer = Answer("<answer>2</answer>", finish="length", message={"reasoning_content": "one, two"})
    with serving(lambda request, n: answer) as server:
        reply = Endpoint(server.url, "m").chat(ASK, schema={"type": "object"})
    assert server.requests[0]["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert reply.text == "<think>one, two</think><answer>2</answer>" and not reply.finished


def test_what_passes_is_tried_again() -> None:
    with serving(lambda request, n: Answer("busy", status=(429, 503, 200)[n])) as server:
        assert Endpoint(server.url, "m").chat(ASK).text == "busy"
    assert len(server.requests) == 3


def test_the_same_request_is_sent_once_and_a_broken_cache_file_is_asked_again(tmp_path: Path) -> None:
    with serving(lambda request, n: Answer(str(n))) as server:
        endpoint = Endpoint(server.url, "m", cache=tmp_path)
        first = [endpoint.chat(SHOW, [Disc(i)], seed=s).text for i in (0, 1) for s in (0, 1)]
        assert first == ["0", "1", "2", "3"]
        assert [endpoint.chat(SHOW, [Disc(i)], seed=s).text for i in (0, 1) for s in (0, 1)] == first
        for path in tmp_path.rglob("*.json"):
            path.write_text("{")
        assert endpoint.chat(SHOW, [Disc(0)], seed=0).text == "4"
        assert Endpoint(server.url, "other", cache=tmp_path).chat(SHOW, [Disc(0)], seed=0).text == "5"


def test_the_key_is_sent_and_neither_kept_nor_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "secret-key")
    with serving(lambda request, n: Answer(status=401 if n else 200)) as server:
        endpoint = Endpoint(server.url, "m", "MY_KEY", cache=tmp_path)
        endpoint.chat(ASK)
        with pytest.raises(UserError, match="MY_KEY") as error:
            endpoint.chat(SHOW, [Disc(0)])
    assert server.keys == ["Bearer secret-key"] * 2
    kept = "".join(path.read_text() for path in tmp_path.rglob("*.json"))
    assert "secret-key" not in kept + str(error.value) + repr(endpoint)


def test_the_limit_is_renamed_where_a_server_asks_for_it() -> None:
    def answer(request: dict[str, Any], n: int) -> Answer:
        if "max_tokens" in request:
            return Answer("Unsupported parameter: use 'max_completion_tokens' instead.", status=400)
        return Answer(str(request["max_completion_tokens"]))

    with serving(answer) as server:
        assert Endpoint(server.url, "m").chat(ASK, max_tokens=7).text == "7"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer("no such model", status=404), "does not know 'm'"),
        (Answer("too long", status=400), "answers 400.*too long"),
        (Answer("on fire", status=500), "answers 500.*on fire"),
        (Answer(body="<html>"), "something else than a chat completion"),
        (Answer(body="[]"), "something else than a chat completion"),
        (Answer(body='{"choices": []}'), "something else than a chat completion"),
    ],
)
def test_what_fails_is_one_line_and_not_kept(answer: Answer, says: str, tmp_path: Path) -> None:
    with (
        serving(lambda request, n: answer) as server,
        pytest.raises(UserError, match=says) as error,
    ):
        Endpoint(server.url, "m", cache=tmp_path, retries=1).chat(ASK)
    assert "\n" not in str(error.value) and not list(tmp_path.rglob("*.json"))


def test_a_server_that_is_not_there_or_no_url() -> None:
    with pytest.raises(UserError, match="is not reached"):
        Endpoint("http://127.0.0.1:9", "m", retries=0).chat(ASK)
    with pytest.raises(UserError, match="is no URL"):
        Endpoint("localhost:8000", "m").chat(ASK)
