"""A meek server. Usage: `meek_server.py PORT TARGET-ADDRESS TARGET-PORT`.

Each POST carries upstream data of the client's Tor, and its response the data received from the bridge (the target)
since; `X-Session-Id` identifies the session. The protocol: https://gitlab.torproject.org/legacy/trac/-/wikis/doc/meek.
nginx in front of it terminates TLS, as a CDN does. It imports none of our modules.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress
from functools import partial

import h11

_MOST = 65_536
_TURNAROUND_S = 0.02
"""Seconds that a response waits for data from the bridge."""
_SILENCE_S = 120.0
"""Seconds after which an idle session is closed."""


class _Session:
    """A client's connection to the bridge."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.used = asyncio.get_running_loop().time()
        self._order = asyncio.Lock()

    async def exchange(self, upstream: bytes) -> bytes:
        """Sends upstream data to the bridge; returns data received from it. Raises OSError, EOFError."""
        async with self._order:
            self.used = asyncio.get_running_loop().time()
            if upstream:
                self._writer.write(upstream)
                await self._writer.drain()
            with suppress(TimeoutError):
                async with asyncio.timeout(_TURNAROUND_S):
                    data = await self._reader.read(_MOST)
                    if not data:
                        raise EOFError
                    return data
            return b""

    def close(self) -> None:
        self._writer.close()


class _Meek:
    """All sessions."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._sessions: dict[str, _Session] = {}

    async def answer(self, request: h11.Request, body: bytes) -> tuple[int, bytes]:
        """Returns the status and body of the response."""
        headers = {name: value.decode("latin-1") for name, value in request.headers}
        name = headers.get(b"x-session-id", "")
        if request.method != b"POST" or not name:
            return 200, b"I'm just a happy little web server.\n"
        self._forget()
        try:
            if name not in self._sessions:
                self._sessions[name] = _Session(*await asyncio.open_connection(*self._target))
            return 200, await self._sessions[name].exchange(body)
        except (OSError, EOFError):
            if ended := self._sessions.pop(name, None):
                ended.close()
            return 500, b""

    def _forget(self) -> None:
        oldest = asyncio.get_running_loop().time() - _SILENCE_S
        for name in [name for name, session in self._sessions.items() if session.used < oldest]:
            self._sessions.pop(name).close()


async def _serve_one(meek: _Meek, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serves one connection from nginx."""
    connection = h11.Connection(h11.SERVER)
    request: h11.Request | None = None
    body = b""
    try:
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(_MOST))
            elif isinstance(event, h11.Request):
                request, body = event, b""
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                status, text = await meek.answer(request, body)
                head = h11.Response(status_code=status, headers=[("Content-Length", str(len(text)))])
                for part in (head, h11.Data(data=text), h11.EndOfMessage()):
                    writer.write(connection.send(part) or b"")
                await writer.drain()
                if connection.our_state is h11.MUST_CLOSE:
                    return
                connection.start_next_cycle()
            else:  # the connection is closed
                return
    except (OSError, h11.RemoteProtocolError):
        return
    finally:
        writer.close()


async def _serve(port: int, target: tuple[str, int]) -> None:
    server = await asyncio.start_server(partial(_serve_one, _Meek(target)), "127.0.0.1", port)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.close)
    with suppress(asyncio.CancelledError):
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), (sys.argv[2], int(sys.argv[3]))))
