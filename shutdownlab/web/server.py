"""Serves a live page on this machine: guests with their tokens and links, and a server in a thread until `close`."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import secrets
import socket
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal

from shutdownlab.country.lab import Lab
from shutdownlab.model.lookup import refuse
from shutdownlab.system.kernel import MachineCannot
from shutdownlab.web.door import Guest
from shutdownlab.web.source import Source

LOOPBACK: Final = "127.0.0.1"
INSTALL: Final = "pip install 'shutdownlab[web]'"
StudentRole = Literal["follow", "steer", "own"]
_TOKEN_BYTES: Final = 24
_START_S: Final = 20.0
_MOST_STUDENTS: Final = 200


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page is served, and to how many students.

    host: an address of this machine. port: 0 for any free one. students: how many get a link of their own. role: they
    may follow the one country, steer it too, or each steer one of their own.
    """

    host: str = LOOPBACK
    port: int = 0
    students: int = 0
    role: StudentRole = "follow"


def place_of(host: str, port: int, students: int, role: StudentRole = "follow") -> Place:
    """Checks the options of a page; raises `BadInput`."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        refuse("host", repr(host), "an address of this machine, such as 127.0.0.1 or 192.168.1.10")
    if address.is_unspecified:
        refuse(
            "host",
            host,
            "the one address that others reach this machine by",
            "browsers need the port to tell pages apart",
        )
    if role != "follow" and not students:
        refuse("role", role, "--students N as well: the role is what students may do")
    last = port + max(0, students - 1) if role == "own" else port
    if not 0 <= port <= last < 1 << 16:
        refuse("port", str(port), "a port, or 0 for any that is free")
    if not 0 <= students <= _MOST_STUDENTS:
        refuse("students", str(students), f"a number up to {_MOST_STUDENTS}")
    return Place(host, port, students, role)


def needs_web() -> None:
    """Raises `MachineCannot` if the packages that serve pages are not installed."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
        import websockets  # noqa: F401
    except ImportError as error:
        raise MachineCannot("serve a page", f"the Python package {error.name} is not installed", INSTALL) from None


def guests_of(place: Place, *, steers: bool) -> tuple[Guest, ...]:
    """Returns a page's guests, each with a token: a teacher if it `steers`, a follower, and the students."""
    first = [Guest("teacher", _token(), True)] if steers else []
    students = (f"student {number}" for number in range(1, place.students + 1))
    may = steers and place.role == "steer"
    return (*first, Guest("follower", _token(), False), *(Guest(name, _token(), may) for name in students))


def guests_of_own(number: int) -> tuple[Guest, ...]:
    """Returns the guests of a student's own country: that student and the teacher, who steer, and a follower."""
    names = {f"student {number}": True, "teacher": True, "follower": False}
    return tuple(Guest(name, _token(), steers) for name, steers in names.items())


def _token() -> str:
    return secrets.token_urlsafe(_TOKEN_BYTES)


class PageServer:
    """A page that is served from construction until `close`. `links`: each guest's URL."""

    def __init__(self, source: Source, place: Place, guests: Sequence[Guest], lab: Lab | None = None) -> None:
        """Starts the server; raises `BadInput` if it cannot listen at `place`."""
        from uvicorn import Config, Server

        from shutdownlab.web.app import PageApp

        self._socket = _listening(place)
        port = self._socket.getsockname()[1]
        shown = f"[{place.host}]" if ":" in place.host else place.host
        hosts = {f"{shown}:{port}", *(_names(place.host, port))}
        self.links = {guest: f"http://{shown}:{port}/{guest.token}/" for guest in guests}
        app = PageApp(source, guests, hosts, lab)
        config = Config(
            app.asgi, log_config=None, access_log=False, lifespan="off", ws="websockets-sansio", server_header=False,
            proxy_headers=False, timeout_graceful_shutdown=1, ws_max_size=1 << 16,
        )  # fmt: skip
        logging.getLogger("uvicorn.error").addFilter(_is_news)
        self._board, self._server = source.board, Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="web", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Tells viewers that it is over, stops the server and closes all connections."""
        self._board.close()
        self._server.should_exit = True
        self._thread.join(_START_S)
        self._socket.close()

    def __enter__(self) -> PageServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a message of the server is not about a request that it ended itself, as its page closed: an order may
    take half a minute, and nobody waits for it any more."""
    ended = record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not ended and "timeout graceful shutdown exceeded" not in str(record.msg)


def _names(host: str, port: int) -> Iterable[str]:
    """Returns other values of `Host` that browsers may send."""
    return (f"localhost:{port}",) if ipaddress.ip_address(host).is_loopback else ()


def _listening(place: Place) -> socket.socket:
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((place.host, place.port))
        made.listen(128)
    except OSError as error:
        made.close()
        why = (error.strerror or str(error)).lower()
        name = "port" if place.port and error.errno in {errno.EADDRINUSE, errno.EACCES} else "host"
        refuse(
            name,
            f"{place.host}{f':{place.port}' if place.port else ''}, where no server can listen ({why})",
            "an address of this machine, and a free port",
        )
    return made
