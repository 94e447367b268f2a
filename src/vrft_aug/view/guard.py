"""What keeps the viewer to itself: where it may listen, whose requests it answers, what pages may load."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

from vrft_aug.errors import UserError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",  # pictures of patients do not stay on a disk
}


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_host(host: str, public: bool) -> None:
    """Raises UserError for an address that others reach, unless they are meant to (`public`)."""
    if not public and not is_loopback(host):
        raise UserError(
            f"--host {host} would show the run, pictures included, to whoever reaches this machine; expected "
            "127.0.0.1 (reach it through ssh -L), or --public if that is meant"
        )


class Guard:
    """Refuses requests that name another host than this server's, and adds `HEADERS` to every response.

    A web page from elsewhere can make a browser talk to a loopback server under a name of its own (DNS
    rebinding); such requests carry that name. Addresses are numbers, which nobody can rebind.
    """

    def __init__(self, app: ASGIApp, public: bool) -> None:
        self.app = app
        self.public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", []), *extra]}
            await send(message)

        if not self._is_ours(dict(scope["headers"]).get(b"host", b"").decode("latin-1")):
            from starlette.responses import PlainTextResponse

            refusal = PlainTextResponse("This host name is not the viewer's.", status_code=421)
            await refusal(scope, receive, send_guarded)
            return
        await self.app(scope, receive, send_guarded)

    def _is_ours(self, host: str) -> bool:
        name = host.rsplit("]", 1)[0].removeprefix("[") if host.startswith("[") else host.split(":")[0]
        if is_loopback(name):
            return True
        if not self.public:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name.casefold() in (socket.gethostname().casefold(), socket.getfqdn().casefold())
        return True
