"""A small real HTTP server with the chat interface: it answers as told and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answer:
    """What to send back; `body` goes first, as it is."""

    text: str = "hello"
    status: int = 200
    body: str | None = None
    finish: str = "stop"
    message: dict[str, Any] = field(default_factory=dict)  # further keys of the message


@dataclass
class Server:
    url: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)  # the Authorization headers


@contextmanager
def serving(answer: Callable[[dict[str, Any], int], Answer]) -> Iterator[Server]:
    """A server on loopback; `answer` gets each request and how many came before it."""
    server = Server(url="")
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                number = len(server.requests)
                server.requests.append(request)
                server.keys.append(self.headers.get("Authorization", ""))
            given = answer(request, number) if self.path == "/v1/chat/completions" else Answer(status=404)
            body = given.body if given.body is not None else _body(given)
            self.send_response(given.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("retry-after-ms", "1")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{listening.server_address[1]}"
    threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()


def _body(given: Answer) -> str:
    if given.status != 200:
        return json.dumps({"error": {"message": given.text}})
    message = {"role": "assistant", "content": given.text, **given.message}
    choice = {"index": 0, "message": message, "finish_reason": given.finish}
    usage = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
    return json.dumps({"id": "1", "object": "chat.completion", "created": 0, "model": "m",
                       "choices": [choice], "usage": usage})  # fmt: skip
