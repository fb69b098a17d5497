"""A client for the control socket of a running bird, as `birdc` is."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from shutdownlab.system.questions import SocketQuestion

_SECONDS = 5.0
_END = re.compile(rb"^(\d{4}) ", re.MULTILINE)
"""A reply's last line has a space after its code, the lines before it a hyphen (bird's doc/reply_codes)."""
_ROUTE = re.compile(r"^(?:1007-)?\s*(\S+/\d+)\s.*\[(\S+) [^]]*\]\s+([*!])")

_ORIGIN = re.compile(r"\[AS(\d+)[ie?]\]")
_VIA = re.compile(r"^\s+via (\S+) on ")

_TOLD = re.compile(r"^(?:1007-)?\s*(\S+/\d+)?\s.*\[(\S+) [^]]*\]")

_NO_ROUTE = 8001
SESSIONS = "show protocols"


class BestRoute(NamedTuple):
    """The best route to a prefix.

    teller: the protocol that it comes from, such as a BGP session. origin: the AS number that announces it; None if it
    is the router's own. via: the next hop's address; "" if there is none.
    """

    teller: str
    origin: int | None
    via: str


class BirdRefused(OSError):
    """Bird replied to a command with an error; `code` is its number."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def ask(control: Path, command: str) -> list[str]:
    """Sends a command; returns the reply's lines. Raises `OSError` if bird is not there, `BirdRefused` for errors."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_SECONDS)
        connection.connect(str(control))
        _read(connection)
        connection.sendall(f"{command}\n".encode())
        code, text = _read(connection)
    if code >= 8000:  # 8xxx: run-time error, 9xxx: parse-time error
        raise BirdRefused(code, f"{control}: {command}: {text.strip()}")
    return text.splitlines()


def sessions_up(control: Path) -> frozenset[str]:
    """Returns the names of the BGP sessions that are established."""
    return frozenset(_established(ask(control, SESSIONS)))


def sessions_question(control: Path) -> SocketQuestion:
    """Returns the query of `sessions_up` for sending together with others; `sessions_in` parses the reply."""
    return SocketQuestion(
        control, f"{SESSIONS}\n".encode(), lambda data: len(_END.findall(data)) > 1 and data.endswith(b"\n")
    )


def sessions_in(reply: bytes) -> frozenset[str]:
    """Parses the reply to `sessions_question`; returns the names of the BGP sessions that are established."""
    return frozenset(_established(reply.decode(errors="replace").splitlines()))


def sessions_since(reply: bytes) -> dict[str, float]:
    """Parses the reply to `sessions_question`; returns since when each BGP session is established, in s since 1970.

    Bird computes it anew for each reply, from how long ago that was: the same moment differs by some milliseconds.
    """
    established = _established(reply.decode(errors="replace").splitlines())
    return {name: datetime.fromisoformat(since).timestamp() for name, since in established.items()}


def _established(lines: Iterable[str]) -> dict[str, str]:
    words = (line.removeprefix("1002-").split() for line in lines)
    return {
        each[0]: " ".join(each[4 : each.index("Established", 5)])
        for each in words
        if len(each) > 5 and each[1] == "BGP" and "Established" in each[5:]
    }


def kernel_routes(control: Path, version: int) -> dict[str, str]:
    """Returns the prefixes whose best route is in the kernel (bird marks those the kernel rejected with `!`), each with
    the name of the route's protocol, such as a BGP session.
    """
    found = (_ROUTE.match(line) for line in ask(control, f"show route table master{version} primary"))
    return {match[1]: match[2] for match in found if match and match[3] == "*"}


def best_routes(control: Path, version: int) -> dict[str, BestRoute]:
    """Returns the selected route to every prefix of a table, which is also the kernel's."""
    found: dict[str, BestRoute] = {}
    prefix = ""
    for line in ask(control, f"show route table master{version} primary"):
        if match := _ROUTE.match(line):
            prefix = match[1]
            origin = _ORIGIN.search(line)
            found[prefix] = BestRoute(match[2], int(origin[1]) if origin else None, "")
        elif (via := _VIA.match(line)) and prefix:
            found[prefix] = found[prefix]._replace(via=via[1])
    return found


def announced_routes(control: Path, version: int) -> dict[str, set[str]]:
    """Returns every prefix with any route in a table, best or not, usable or not, and the protocols it came from."""
    found: dict[str, set[str]] = {}
    prefixes: set[str] = set()
    for line in ask(control, f"show route table master{version}"):
        if match := _TOLD.match(line):
            prefixes = found.setdefault(match[1], set()) if match[1] else prefixes
            prefixes.add(match[2])
    return found


def dump_tables(control: Path, pattern: str, to: Path) -> None:
    """Dumps tables to a new MRT file (TABLE_DUMP_V2, RFC 6396), with all peers' routes; returns when it is complete."""
    ask(control, f'mrt dump table "{pattern}" to "{to}"')


def as_path(control: Path, prefix: str) -> tuple[int, ...]:
    """Returns the AS path of the best route to a prefix or address; empty if it is the router's own. Raises
    `LookupError`."""
    try:
        lines = ask(control, f"show route for {prefix} primary all")
    except BirdRefused as refusal:
        if refusal.code != _NO_ROUTE:
            raise
        lines = []
    if not any(_ROUTE.match(line) for line in lines):
        raise LookupError(f"{control}: no route to {prefix}")
    path = next((line for line in lines if "BGP.as_path:" in line), "BGP.as_path:")
    return tuple(int(number) for number in path.partition("BGP.as_path:")[2].split())


def _read(connection: socket.socket) -> tuple[int, str]:
    data = b""
    while (end := _END.search(data)) is None or not data.endswith(b"\n"):
        block = connection.recv(65536)
        if not block:
            raise ConnectionResetError("bird closed its control socket")
        data += block
    return int(end[1]), data.decode()
