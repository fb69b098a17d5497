"""Digests of the rules and meters that stand on a switch: of a program, and of what the switch says it holds.

Both are brought to one form first, as OpenFlow 1.3.5 writes them (sections 7.2.3 to 7.2.4), with a match's fields in
order of their numbers: a switch writes what it was sent in other words.
"""

from __future__ import annotations

import socket
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from typing import Final

from shutdownlab.compiler.rules import Match, MatchValue, Meter, PipelineTable, Rule, SwitchProgram
from shutdownlab.protocol.messages import Standing

FIELDS: Final = {
    "in_port": (0x8000, 0, 4), "metadata": (0x8000, 2, 8), "eth_dst": (0x8000, 3, 6), "eth_src": (0x8000, 4, 6),
    "eth_type": (0x8000, 5, 2), "ip_proto": (0x8000, 10, 1), "ipv4_src": (0x8000, 11, 4), "ipv4_dst": (0x8000, 12, 4),
    "tcp_src": (0x8000, 13, 2), "tcp_dst": (0x8000, 14, 2), "udp_src": (0x8000, 15, 2), "udp_dst": (0x8000, 16, 2),
    "icmpv4_type": (0x8000, 19, 1), "icmpv4_code": (0x8000, 20, 1), "ipv6_src": (0x8000, 26, 16),
    "ipv6_dst": (0x8000, 27, 16), "icmpv6_type": (0x8000, 29, 1), "icmpv6_code": (0x8000, 30, 1),
    **{f"reg{number}": (1, number, 4) for number in range(16)},
    **{f"xxreg{number}": (1, 111 + number, 16) for number in range(4)},
}  # fmt: skip
"""Class, number and length of a match field: OpenFlow 1.3.5, table 12, and for registers Open vSwitch's meta-flow.h."""

_NICIRAS: Final = {
    (0, 7): "ipv4_src", (0, 8): "ipv4_dst", (0, 9): "tcp_src", (0, 10): "tcp_dst", (0, 11): "udp_src",
    (0, 12): "udp_dst", (1, 19): "ipv6_src", (1, 20): "ipv6_dst",
}  # fmt: skip
"""The other names, by class and number, under which Open vSwitch copies fields (its nicira-ext.h)."""

_GOTO, _METADATA, _APPLY, _METER = 1, 2, 4, 6
_OUTPUT, _EXPERIMENTER = 0, 0xFFFF
_NICIRA, _REG_MOVE = 0x00002320, 6
_MOVE: Final = struct.Struct("!IHHHHII")
_TYPE: Final = struct.Struct("!HH")
_FIELD: Final = struct.Struct("!HBB")
_METER_HEAD: Final = struct.Struct("!HHI")
_BAND: Final = struct.Struct("!HHII4x")
_DROP, _KBPS_WITH_BURST = 1, 5
METERS: Final = "meters"
_TABLES: Final = frozenset(map(int, PipelineTable))
_KEPT: Final = 1 << 16
_ALL: Final = 1 << 64


def standing_of(program: SwitchProgram) -> Standing:
    """Returns what a switch that has carried out a program holds, without rules that expire."""
    lasting = [rule for rule in program.rules if not rule.idle_timeout and not rule.hard_timeout]
    return summed(
        len(lasting),
        chain(
            ((rule.table, _rule_digest(rule)) for rule in lasting),
            ((None, meter_digest(_meter_bytes(meter))) for meter in program.meters),
        ),
    )


def summed(rules: int, digests: Iterable[tuple[int | None, int]]) -> Standing:
    """Returns what single digests come to. digests: each with its table; None: it is a meter's."""
    sums: defaultdict[int | None, int] = defaultdict(int)
    for table, digest in digests:
        sums[table] += digest
    return Standing(rules, {_part(table): total % _ALL for table, total in sums.items()})


def _part(table: int | None) -> str:
    """Returns a table's name; its number if it is none of the pipeline's: somebody else has put rules there."""
    if table is None:
        return METERS
    return PipelineTable(table).name if table in _TABLES else str(table)


@lru_cache(_KEPT)
def held_digest(table: int, cookie: int, rule: bytes) -> int:
    """Returns the digest of a rule that a switch holds: its priority, match and instructions as it writes them."""
    length = _TYPE.unpack_from(rule, 2)[1]
    fields = _one_form(_fields(rule[6 : 2 + length]))
    return _digest(table, cookie, rule[:2], fields, _instructions(rule[2 + (length + 7) // 8 * 8 :]))


def meter_digest(meter: bytes) -> int:
    """Returns the digest of a meter, as a switch writes it (section 7.3.5.15)."""
    return int.from_bytes(blake2b(meter, digest_size=8).digest(), "big")


def altered(ordered: Standing, held: Standing) -> Iterator[str]:
    """Yields what is held otherwise than it was ordered: tables, and the meters."""
    for part in dict.fromkeys((*(table.name for table in PipelineTable), *held.digests, METERS)):
        if ordered.digests.get(part, 0) != held.digests.get(part, 0):
            yield part if part == METERS else f"rules of the table {part}"


@lru_cache(_KEPT)
def _rule_digest(rule: Rule) -> int:
    fields = _one_form(_match_fields(rule.match))
    return _digest(rule.table, rule.cookie, rule.priority.to_bytes(2, "big"), fields, _ordered_instructions(rule))


def _digest(table: int, cookie: int, priority: bytes, fields: bytes, instructions: tuple[object, ...]) -> int:
    text = repr((int(table), cookie, priority, fields, instructions)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


# --- matches -------------------------------------------------------------------------------------------------------


def _match_fields(match: Match) -> Iterator[tuple[int, int, bytes, bytes]]:
    """Yields class, number, value and mask of each field of a match."""
    for name, value in match:
        kind, number, length = FIELDS[name]
        given, mask = value if isinstance(value, tuple) else (value, None)
        exact = b"\xff" * length
        yield kind, number, _octets(given, length), exact if mask is None else _octets(mask, length)


def _octets(value: MatchValue, length: int) -> bytes:
    """Returns a number, an Ethernet address or an IP address as a field of so many bytes."""
    if isinstance(value, int):
        return value.to_bytes(length, "big")
    assert isinstance(value, str), "a mask is told apart before"
    if length == 6:
        return bytes.fromhex(value.replace(":", ""))
    return socket.inet_pton(socket.AF_INET if length == 4 else socket.AF_INET6, value)


def _fields(match: bytes) -> Iterator[tuple[int, int, bytes, bytes]]:
    """Yields class, number, value and mask of each field of an OXM list (section 7.2.3.2)."""
    place = 0
    while place < len(match):
        kind, number, length = _FIELD.unpack_from(match, place)
        place += _FIELD.size
        body = match[place : place + length]
        place += length
        half = length // 2 if number & 1 else length
        yield kind, number >> 1, body[:half], body[half:] or b"\xff" * half


def _one_form(fields: Iterable[tuple[int, int, bytes, bytes]]) -> bytes:
    """Returns fields in order, each with its mask, the bits outside of it 0; one that is masked as a whole is none."""
    parts = []
    for kind, number, value, mask in fields:
        if any(mask):
            inside = bytes(v & m for v, m in zip(value, mask, strict=True))
            parts.append(_FIELD.pack(kind, number, len(value)) + inside + mask)
    return b"".join(sorted(parts))


# --- instructions --------------------------------------------------------------------------------------------------


def _ordered_instructions(rule: Rule) -> tuple[object, ...]:
    """Returns a rule's instructions as `_instructions` does."""
    found: list[object] = []
    if rule.meter is not None:
        found.append((_METER, rule.meter))
    actions: list[object] = [("move", _length(source) * 8, _header(source), _header(to)) for source, to in rule.moves]
    actions += [("output", port) for port in rule.outputs]
    if actions:
        found.append((_APPLY, tuple(actions)))
    if rule.metadata is not None:
        value, mask = rule.metadata
        found.append((_METADATA, value & mask, mask))
    if rule.goto is not None:
        found.append((_GOTO, int(rule.goto)))
    return tuple(sorted(found, key=repr))


def _instructions(octets: bytes) -> tuple[object, ...]:
    """Returns the instructions that a switch writes, in one order; those that no program has, as they are."""
    found: list[object] = []
    for kind, body in _typed(octets):
        if kind == _METER:
            found.append((kind, int.from_bytes(body[:4], "big")))
        elif kind == _APPLY:
            found.append((kind, tuple(map(_action, _typed(body[4:])))))
        elif kind == _METADATA:
            value, mask = struct.unpack_from("!4xQQ", body)
            found.append((kind, value & mask, mask))
        elif kind == _GOTO:
            found.append((kind, body[0]))
        else:
            found.append((kind, body))
    return tuple(sorted(found, key=repr))


def _action(written: tuple[int, bytes]) -> object:
    kind, body = written
    if kind == _OUTPUT:
        return ("output", int.from_bytes(body[:4], "big"))
    if kind == _EXPERIMENTER and len(body) == _MOVE.size:
        vendor, subtype, bits, from_, to, source, target = _MOVE.unpack(body)
        if (vendor, subtype, from_, to) == (_NICIRA, _REG_MOVE, 0, 0):
            return ("move", bits, _usual(source), _usual(target))
    return written


def _usual(header: int) -> int:
    """Returns the header of a field as OpenFlow has it, where it has it."""
    name = _NICIRAS.get((header >> 16, header >> 9 & 0x7F))
    return header if name is None else _header(name)


def _typed(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields type and body of each instruction or action."""
    place = 0
    while place < len(octets):
        kind, length = _TYPE.unpack_from(octets, place)
        yield kind, octets[place + _TYPE.size : place + length]
        place += max(length, _TYPE.size)


def _length(field: str) -> int:
    return FIELDS[field][2]


def _header(field: str) -> int:
    kind, number, length = FIELDS[field]
    return kind << 16 | number << 9 | length


# --- meters --------------------------------------------------------------------------------------------------------


def _meter_bytes(meter: Meter) -> bytes:
    """Returns a meter as a switch writes it that was sent it by `control.openflow`."""
    head = _METER_HEAD.pack(_METER_HEAD.size + _BAND.size, _KBPS_WITH_BURST, meter.id)
    return head + _BAND.pack(_DROP, _BAND.size, meter.kbit, meter.burst)
