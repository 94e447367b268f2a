"""What the servers of pages share: where they listen, and the scripts and style sheets that pages load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vrft_aug.errors import UserError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

STATIC = {
    "palette.css": "text/css",
    "viewer.js": "text/javascript",
    "viewer.css": "text/css",
    "reading.js": "text/javascript",
    "picture.js": "text/javascript",
    "reading.css": "text/css",
    "icon.svg": "image/svg+xml",
}


def listen(app: ASGIApp, host: str, port: int) -> None:
    """Answer requests until interrupted, and say under which address; port 0 is any free one.

    Raises UserError where it cannot listen.
    """
    import socket

    import uvicorn

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)  # who comes before the server is ready waits, and is not refused
    except OSError as error:
        listener.close()
        raise UserError(f"cannot listen on {host}:{port}: {error.strerror}; try --port 0 for any") from None
    name = f"[{host}]" if ":" in host else host
    print(f"http://{name}:{listener.getsockname()[1]}/  (Ctrl-C ends)", flush=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, server_header=False))
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        listener.close()


def static_file(request: Request) -> Response:
    """A script or style sheet, by its name."""
    from starlette.responses import PlainTextResponse, Response

    name = request.path_params["name"]
    if name not in STATIC:
        return PlainTextResponse("not found", status_code=404)
    return Response((Path(__file__).parent / "static" / name).read_bytes(), media_type=STATIC[name])
