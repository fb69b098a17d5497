"""Queries a switch for how many packets matched policies' rules, and which rules it holds: OpenFlow 1.3 statistics.

All rules of a policy have its cookie, so packets are counted by cookie. The queries go to the bridge's management
socket, as `ovs-ofctl`'s do, so no controller is involved, and the idle times of flows aren't affected.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, TypeAlias

from shutdownlab.compiler.rules import PipelineTable, policy_cookie
from shutdownlab.compiler.standing import held_digest, meter_digest, summed
from shutdownlab.compiler.verdicts import METER_IDS
from shutdownlab.protocol.messages import Standing

Counts: TypeAlias = Mapping[tuple[str, int], tuple[int, int]]
"""Packets and bytes by policy and table."""
_VERSION, _HELLO, _ERROR, _ECHO, _ECHOED, _ASK, _ANSWER = 4, 0, 1, 2, 3, 18, 19
_FLOWS, _AGGREGATE, _METERS, _ALL_TABLES, _ANY, _MORE = 1, 2, 10, 0xFF, 0xFFFFFFFF, 1
_HEADER: Final = struct.Struct("!BBHI")
_RULES: Final = struct.Struct("!B3xII4xQQHH4x")
"""Which rules are asked for: table, port, group, cookie and its mask, and a match of all."""
_REPLY: Final = struct.Struct("!HH4xQQ")
_PART: Final = struct.Struct("!HH4x")
_FLOW: Final = struct.Struct("!HBx8x2xHH6xQ")
"""Of one rule: its length, table, timeouts, idle and hard, and cookie (OpenFlow 1.3.5, section 7.3.5.2)."""
_PRIORITY: Final = slice(12, 14)
_MATCHED: Final = 48
"""Where its match begins, and then its instructions; before it are its ages and counters."""
_ALL_METERS: Final = 0xFFFFFFFF
_WHICH_METERS: Final = struct.Struct("!I4x")
_METER: Final = struct.Struct("!HHI")
"""Of one meter: its length, flags and number (section 7.3.5.15); then come its bands."""
_PATIENCE_S: Final = 5.0


class StatisticsMissing(Exception):
    """A switch did not return its statistics."""


def rule_counts(bridge: Path, policies: Iterable[str]) -> Counts:
    """Returns the counts of policies' rules since they were installed, without those of 0 packets.

    bridge: the management socket (`BRIDGE.mgmt`). Raises `StatisticsMissing`.
    """
    names = tuple(policies)
    if not names:
        return {}
    with _speaking(bridge) as sock:
        whole = _asked(sock, [(name, _ALL_TABLES) for name in names])
        met = [name for name, _ in whole]
        return _asked(sock, [(name, int(table)) for name in met for table in PipelineTable])


def standing(bridge: Path) -> Standing:
    """Returns the rules and meters that a switch holds, but for those of single connections.

    bridge: as for `rule_counts`. Raises `StatisticsMissing`.
    """
    rules, digests = 0, list[tuple[int | None, int]]()
    with _speaking(bridge) as sock:
        _ask(sock, 1, _FLOWS, _RULES.pack(_ALL_TABLES, _ANY, _ANY, 0, 0, 1, 4))
        _ask(sock, 2, _METERS, _WHICH_METERS.pack(_ALL_METERS))
        for part in _parts(sock):
            place = 0
            while place < len(part):
                length, table, idle, hard, cookie = _FLOW.unpack_from(part, place)
                if not idle and not hard:
                    rules += 1
                    rule = part[place : place + length]
                    digests.append((table, held_digest(table, cookie, rule[_PRIORITY] + rule[_MATCHED:])))
                place += length
        digests += [(None, meter_digest(meter)) for part in _parts(sock) for meter in _meters(part)]
    return summed(rules, digests)


def _meters(part: bytes) -> Iterator[bytes]:
    """Each meter of the policies, as it is written."""
    place = 0
    while place < len(part):
        length, _, number = _METER.unpack_from(part, place)
        if number not in METER_IDS:
            yield part[place : place + length]
        place += length


@contextmanager
def _speaking(bridge: Path) -> Iterator[socket.socket]:
    """A connection to a switch's socket, greeted. Raises `StatisticsMissing` for whatever goes wrong with it."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(_PATIENCE_S)
            sock.connect(str(bridge))
            sock.sendall(_HEADER.pack(_VERSION, _HELLO, _HEADER.size, 0))
            yield sock
    except OSError as error:
        raise StatisticsMissing(f"{bridge}: {error}") from error


def _parts(sock: socket.socket) -> Iterator[bytes]:
    """The answer to the oldest question that has none, which may come in parts."""
    more = True
    while more:
        _, answer = _answer(sock)
        more = bool(_PART.unpack_from(answer)[1] & _MORE)
        yield answer[_PART.size :]


def since(before: Counts, now: Counts) -> Counts:
    """Returns the difference of two counts, without those of 0 packets.

    A count that has decreased belongs to rules installed in between, and is taken whole.
    """
    found = {}
    for key, (packets, octets) in now.items():
        was = before.get(key, (0, 0))
        more = (packets - was[0], octets - was[1]) if packets >= was[0] else (packets, octets)
        if more[0]:
            found[key] = more
    return found


def settle(controls: Iterable[Path]) -> None:
    """Makes the daemons of switches update their counts, all concurrently; by themselves they do so twice a second.

    controls: their control sockets, as used by `ovs-appctl`. Raises `StatisticsMissing` for the first that fails.
    """
    question = json.dumps({"method": "revalidator/wait", "params": [], "id": 0}).encode()
    with ExitStack() as open_sockets:
        asked = []
        for control in controls:
            sock = open_sockets.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            asked.append((control, sock))
            try:
                sock.settimeout(_PATIENCE_S)
                sock.connect(str(control))
                sock.sendall(question)
            except OSError as error:
                raise StatisticsMissing(f"{control}: {error}") from error
        for control, sock in asked:
            _await_answer(control, sock)


def _await_answer(control: Path, sock: socket.socket) -> None:
    heard = b""
    while not _is_whole(heard):
        try:
            part = sock.recv(4096)
        except OSError as error:
            raise StatisticsMissing(f"{control}: {error}") from error
        if not part:
            raise StatisticsMissing(f"{control}: closed without an answer")
        heard += part


def _is_whole(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _asked(sock: socket.socket, wanted: Sequence[tuple[str, int]]) -> dict[tuple[str, int], tuple[int, int]]:
    """Sends all queries at once, and returns packets and bytes by policy and table, without those of 0 packets."""
    for number, (name, table) in enumerate(wanted, start=1):
        _ask(sock, number, _AGGREGATE, _RULES.pack(table, _ANY, _ANY, policy_cookie(name), 2**64 - 1, 1, 4))
    found = {}
    for _ in wanted:
        number, body = _answer(sock)
        _, _, packets, octets = _REPLY.unpack_from(body)
        if packets:
            found[wanted[number - 1]] = packets, octets
    return found


def _ask(sock: socket.socket, number: int, kind: int, body: bytes) -> None:
    """Send the request of this number for statistics of a kind."""
    sock.sendall(
        _HEADER.pack(_VERSION, _ASK, _HEADER.size + _PART.size + len(body), number) + _PART.pack(kind, 0) + body
    )


def _answer(sock: socket.socket) -> tuple[int, bytes]:
    """Transaction and body of the next answer; what else the switch says meanwhile is seen to."""
    while True:
        kind, number, body = _message(sock)
        if kind == _ECHO:
            sock.sendall(_HEADER.pack(_VERSION, _ECHOED, _HEADER.size + len(body), number) + body)
        elif kind == _ERROR:
            raise OSError(f"the switch refuses to count ({body[:4].hex()})")
        elif kind == _ANSWER:
            return number, body


def _message(sock: socket.socket) -> tuple[int, int, bytes]:
    """Reads the next OpenFlow message: type, transaction id and body."""
    _, kind, length, number = _HEADER.unpack(_exactly(sock, _HEADER.size))
    return kind, number, _exactly(sock, length - _HEADER.size)


def _exactly(sock: socket.socket, octets: int) -> bytes:
    heard = b""
    while len(heard) < octets:
        part = sock.recv(octets - len(heard))
        if not part:
            raise OSError("the switch has closed the connection")
        heard += part
    return heard
