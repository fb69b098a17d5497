"""A client for the control socket of a running unbound, as `unbound-control` is."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from shutdownlab.compiler.resolvers import Lies
from shutdownlab.config.addresses import is_address
from shutdownlab.model.answers import SILENCE, Later, Lie
from shutdownlab.servers.zones import TTL
from shutdownlab.system.questions import SocketQuestion, ask_all

_SECONDS: Final = 5.0
_ZONES: Final = {
    "nxdomain": "always_nxdomain",
    "nodata": "always_nodata",
    "refused": "always_refuse",
    SILENCE: "always_deny",
}
"""The unbound zone type for each lie about a whole zone (unbound.conf(5), local-zone)."""
_LIST_ZONES: Final = "view_list_local_zones"
_LIST_DATA: Final = "view_list_local_data"
_AT_ONCE: Final = 64
"""Questions to be asked at once: each holds a file descriptor, and there are as many as groups of subscribers."""


def flush(control: Path) -> None:
    """Flushes a resolver's cached answers, the servers it believes dead, and its pending queries.

    control: its control socket. Raises `OSError`, also if unbound refuses.
    """
    for command in ("flush_requestlist", "flush_zone .", "flush_negative", "flush_infra all"):
        _command_unbound(control, command)


def set_lies(control: Path, view: str, before: Lies, now: Lies) -> None:
    """Changes a resolver's lies to a view from `before` to `now`. Raises `OSError`."""
    for domain in before:
        if before[domain] != now.get(domain):  # an existing zone would keep its old addresses
            _command_unbound(control, f"view_local_zone_remove {view} {domain}.")
    for domain in now:
        if before.get(domain) == now[domain]:
            continue
        lie, _ = now[domain]
        _command_unbound(control, f"view_local_zone {view} {domain}. {_zone_type(lie)}")
        if is_address(str(lie)):
            _command_unbound(control, f"view_local_data {view} {domain}. {TTL} IN {_kind(str(lie))} {lie}")


def lies_told(controls: Mapping[str, Path], lies: Mapping[tuple[str, str], Lies], seconds: float) -> dict[str, str]:
    """Returns of each resolver whose views do not tell exactly these lies what is wrong with it.

    controls: control sockets, by resolver. lies: those ordered, by resolver and view. seconds: how long each round of
    answers may take.
    """
    found: dict[str, str] = {}
    addresses = [told for told, own in lies.items() if any(is_address(str(lie)) for lie, _ in own.values())]
    # Zones of no other kind say what somebody has put there as data.
    for asked, written, command in ((list(lies), _zones_of, _LIST_ZONES), (addresses, _data_of, _LIST_DATA)):
        for first in range(0, len(asked), _AT_ONCE):
            some = {f"{resolver} {view}": (resolver, view) for resolver, view in asked[first : first + _AT_ONCE]}
            replies = ask_all({n: _question(controls[r], f"{command} {v}") for n, (r, v) in some.items()}, seconds)
            for name, told in some.items():
                if name not in replies:
                    found[told[0]] = "does not answer"
                elif _lines(replies[name]) != written(lies[told]):
                    found.setdefault(told[0], "tells a group of subscribers other lies than ordered")
    return found


def _zones_of(lies: Lies) -> frozenset[tuple[str, ...]]:
    """Returns the words of each line in which unbound lists the zones of a view that tells these lies."""
    return frozenset((f"{domain}.", _zone_type(lie)) for domain, (lie, _) in lies.items())


def _data_of(lies: Lies) -> frozenset[tuple[str, ...]]:
    """The same of the zones' data."""
    told = ((domain, str(lie)) for domain, (lie, _) in lies.items() if is_address(str(lie)))
    return frozenset((f"{domain}.", str(TTL), "IN", _kind(lie), lie) for domain, lie in told)


def _lines(reply: bytes) -> frozenset[tuple[str, ...]]:
    lines = (tuple(line.split()) for line in reply.decode(errors="replace").splitlines())
    return frozenset((*start, _one_form(last)) for *start, last in filter(None, lines))


def _one_form(word: str) -> str:
    """Returns an address as we write it: unbound writes those that hold an IPv4 address (::ffff:192.0.2.1) so."""
    return str(ipaddress.ip_address(word)) if is_address(word) else word


def _zone_type(lie: Lie | Later) -> str:
    if isinstance(lie, Later):  # the truth, even below a name that it lies about
        return "always_transparent"
    return _ZONES.get(str(lie), "redirect")


def _kind(address: str) -> str:
    return "A" if ":" not in address else "AAAA"


def _question(control: Path, command: str) -> SocketQuestion:
    return SocketQuestion(control, _request(command), None)


def _request(command: str) -> bytes:
    """Returns a command in unbound-control's protocol, version 1."""
    return f"UBCT1 {command}\n".encode()


def _command_unbound(control: Path, command: str) -> None:
    answer = _ask_unbound(control, command)
    if not answer.startswith("ok"):
        raise OSError(f"{control}: {command}: unbound answered {answer.strip()!r}")


def _ask_unbound(control: Path, command: str) -> str:
    """Sends a command over a Unix socket, and returns the reply."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_SECONDS)
        connection.connect(str(control))
        connection.sendall(_request(command))
        return b"".join(iter(lambda: connection.recv(4096), b"")).decode()
