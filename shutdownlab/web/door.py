"""Access control of the live page: a token in the path, Host and Origin checks, and security headers. Plain ASGI.

Another site's page in the same browser can send requests here, and can point its own name here (DNS rebinding). But it
has no token, its Host or Origin differs, and browsers enforce the headers sent with each response.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page's Content-Security-Policy. Styles may be inline, as the terminal's script creates some; scripts may not."""
_HEADERS: Final = (
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


@dataclass(frozen=True, slots=True)
class Guest:
    """A viewer with a token, and whether it may give orders."""

    name: str
    token: str
    steers: bool


class Door:
    """Passes requests with a valid token on to `app`, with `scope["guest"]` and without the token; refuses others."""

    def __init__(self, app: App, guests: Iterable[Guest], hosts: Iterable[str]) -> None:
        """`hosts`: the permitted values of `Host`, with the port, such as `127.0.0.1:8765`."""
        self._app, self._guests = app, tuple(guests)
        self._hosts = frozenset(host.lower() for host in hosts)
        self._origins = frozenset(f"http://{host}" for host in self._hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        status, why, guest = self._judged(scope)
        if guest is None:
            await _refuse(scope, receive, send, status, why)
            return

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message.get("headers", ())}
                message["headers"] = [*message.get("headers", ()), *(h for h in _HEADERS if h[0] not in own)]
            await send(message)

        _, _, rest = scope["path"].lstrip("/").partition("/")
        await self._app({**scope, "path": f"/{rest}", "raw_path": None, "guest": guest}, receive, send_with_headers)

    def _judged(self, scope: Scope) -> tuple[int, str, Guest | None]:
        headers: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value.decode("latin-1"))
        host = headers.get(b"host", [])
        if len(host) != 1 or host[0].lower() not in self._hosts:
            return 421, "This page has another host name.", None
        origin = headers.get(b"origin", [])
        changes = scope["type"] == "websocket" or scope["method"] not in {"GET", "HEAD"}
        if any(each.lower() not in self._origins for each in origin) or (changes and len(origin) != 1):
            return 403, "Only the page itself may send requests.", None
        # Another site may link to the page, but may make no other request.
        followed = not changes and headers.get(b"sec-fetch-mode") == ["navigate"]
        if not followed and any(e not in {"same-origin", "none"} for e in headers.get(b"sec-fetch-site", ())):
            return 403, "Only the page itself may send requests.", None
        token = scope["path"].lstrip("/").partition("/")[0].encode()
        found = None
        for guest in self._guests:  # compares all tokens, so that the time taken reveals nothing
            if hmac.compare_digest(guest.token.encode(), token):
                found = guest
        return 404, "There is nothing here.", found


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, why: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    body = f"{why}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body)), *_HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body if scope["method"] != "HEAD" else b""})
