"""Reads public routing data: RouteViews' and RIPE RIS's tables (MRT), and RIPEstat's replies (JSON).

It only reads files that the user has downloaded, and doesn't use the network. Sources of the formats: RFC 6396 (MRT,
TABLE_DUMP_V2), RFC 4271 (path attributes), RIPEstat's Data API (announced-prefixes, asn-neighbours, as-overview).
"""

from __future__ import annotations

import ipaddress
import json
import struct
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from shutdownlab.config.addresses import IpPrefix
from shutdownlab.config.problems import BadInput, Problem
from shutdownlab.config.wording import on_one_line
from shutdownlab.inspection.unpacking import LEFT_OUT, LONGEST_MAGIC, Packing, Unpacked, packing_of

_TABLE_DUMP_V2: Final = 13
_KINDS: Final = {
    12: "a table in the old format TABLE_DUMP",
    _TABLE_DUMP_V2: "a table without routes",
    16: "updates, BGP4MP",
    17: "updates, BGP4MP_ET",
}
"""What a file has instead of a table of routes, by the type of its records (RFC 6396, section 4)."""
_RIBS: Final = {2: (4, False), 4: (6, False), 8: (4, True), 10: (6, True)}
"""Subtypes of unicast tables: IP version, and whether entries have path identifiers (RFC 8050)."""
_AS_PATH, _EXTENDED, _SEQUENCE = 2, 0x10, 2
_MOST_RECORD: Final = 1 << 24
_EXPECTED: Final = "a table of routes in MRT (TABLE_DUMP_V2), or an answer of RIPEstat's in JSON"
_HINT: Final = (
    "RIS: https://data.ris.ripe.net/rrc00/latest-bview.gz; RIPEstat: announced-prefixes, asn-neighbours, as-overview"
)
_MOST_JSON: Final = 64 * 1024 * 1024
_NOBODYS: Final = frozenset({0, 23456, 65535, 4_294_967_295})
"""AS numbers that no network has, but paths may: reserved (RFC 7607, RFC 7300), and AS_TRANS (RFC 6793)."""


@dataclass(slots=True)
class Autonomous:
    """An autonomous system in the routing data. neighbours: the ASes next to it on its routes' paths, with counts."""

    title: str = ""
    prefixes: set[IpPrefix] = field(default_factory=set)
    neighbours: Counter[int] = field(default_factory=Counter)

    @property
    def addresses(self) -> int:
        """How many IPv4 addresses it announces; overlapping prefixes are counted once."""
        ipv4 = [prefix for prefix in self.prefixes if isinstance(prefix, ipaddress.IPv4Network)]
        return sum(prefix.num_addresses for prefix in ipaddress.collapse_addresses(ipv4))


class RoutingData:
    """The data of all files read, by AS number. From routing tables, only the ASes in `wanted` are kept."""

    def __init__(self, wanted: Collection[int] = ()) -> None:
        self.wanted = frozenset(wanted)
        self.systems: dict[int, Autonomous] = {}
        self._whole: set[int] = set()
        """The AS numbers of which an answer has all prefixes."""
        self._tables: set[int] = set()
        """The IP versions of which a table has been read."""
        self.warnings: list[str] = []
        """What the files have beside the data."""

    def is_without_ipv6(self, asn: int) -> bool:
        """Returns whether an AS announces IPv4 prefixes and none of IPv6: False if the data has nothing of IPv6."""
        own = {prefix.version for prefix in self.systems[asn].prefixes} if asn in self.systems else set[int]()
        return own == {4} and (asn in self._whole or 6 in self._tables)

    def of(self, asn: int) -> Autonomous:
        """Returns an AS's entry, adding an empty one if there is none."""
        return self.systems.setdefault(asn, Autonomous())

    def read(self, path: Path) -> None:
        """Adds the data of a file. Raises `BadInput` if its format isn't supported or it can't be read."""
        try:
            with path.open("rb") as file:
                start = file.read(max(LONGEST_MAGIC, 12)).removeprefix(BOM_UTF8)
                packing = packing_of(start)
                if packing is None:
                    self._content(path, start, file)
                else:
                    self._unpacked(path, start, file, packing)
        except OSError as error:
            refuse(path, f"a file that cannot be read ({(error.strerror or str(error)).lower()})")

    def _unpacked(self, path: Path, start: bytes, file: BinaryIO, packing: Packing) -> None:
        """Adds the data of a compressed file, if that is whole: what is missing from a table, nobody could tell."""
        found = list[str]()
        stream = Unpacked(start, file, packing, found, str(path))
        try:
            self._content(path, stream.read(12).removeprefix(BOM_UTF8), stream)
        except BadInput:
            refuse_damaged(path, found)
            raise
        refuse_damaged(path, found)
        self.warnings += found

    def _content(self, path: Path, start: bytes, stream: Any) -> None:
        again, first = _Again(start, stream), start.lstrip()[:1]
        if first in {b"{", b"["}:
            self._json(path, again.read(_MOST_JSON))
        elif first == b"<":
            refuse(path, "a web page (HTML), or XML")
        else:
            self._table(path, again)

    def _json(self, path: Path, text: bytes) -> None:
        try:
            answer = json.loads(text)
            if isinstance(answer, dict) and answer.get("status") == "error":
                refuse(path, f"RIPEstat's report of an error ({_error_in(answer)})")
            call, data = str(answer["data_call_name"]), answer["data"]
            if call == "announced-prefixes":
                found = self.of(_asn(data["resource"]))
                found.prefixes |= {ipaddress.ip_network(each["prefix"]) for each in data["prefixes"]}
                self._whole.add(_asn(data["resource"]))
            elif call == "asn-neighbours":
                found = self.of(_asn(data["resource"]))
                left = (each for each in data["neighbours"] if each["type"] == "left")
                known = {int(each["asn"]): int(each.get("power") or 1) for each in left}
                found.neighbours.update({asn: power for asn, power in known.items() if asn not in _NOBODYS})
            elif call == "as-overview":
                self.of(_asn(data["resource"])).title = str(data["holder"] or "")
            else:
                refuse(path, f"RIPEstat's answer to {call}")
        except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
            match error:
                case KeyError():
                    why = f"without {error}"
                case TypeError():
                    why = "with values of other types"
                case _:
                    why = on_one_line(str(error))
            refuse(path, f"JSON, but not an answer of RIPEstat that can be used ({why})")

    def _table(self, path: Path, stream: Any) -> None:
        records, tables, kinds = 0, 0, set[int]()
        for kind, subtype, record in _records(path, stream):
            if not self.wanted:
                found, expected = f"{path}, a table of routes, and no --operator", "--operator NAME:ASN"
                hint = "a table has all autonomous systems of the world: name those of the country"
                raise BadInput([Problem("--from-ripe", 0, "", found, expected, hint)])
            records += 1
            kinds.add(kind)
            if kind == _TABLE_DUMP_V2 and subtype in _RIBS:
                try:
                    self._tables.add(_RIBS[subtype][0])
                    self._routes(record, *_RIBS[subtype])
                except (IndexError, ValueError, struct.error):
                    refuse(path, f"a damaged table: record {records:,}")
                tables += 1
        if not records:
            refuse(path, "an empty file")
        if not tables:
            other = ", ".join(_KINDS.get(kind, f"records of type {kind}") for kind in sorted(kinds))
            refuse(path, f"MRT, but no table of routes ({other})")

    def _routes(self, record: bytes, version: int, identified: bool) -> None:
        """Parses a RIB record: a prefix, and its path from each peer of the collector.

        Raises IndexError, ValueError or struct.error if it is damaged.
        """
        length = record[4]
        octets = (length + 7) // 8
        place = 5 + octets
        (entries,) = struct.unpack_from("!H", record, place)
        place += 2
        prefix: IpPrefix | None = None
        for _ in range(entries):
            place += 10 if identified else 6
            (size,) = struct.unpack_from("!H", record, place)
            place += 2
            if place + size > len(record):
                raise IndexError
            sequence = _path(record[place : place + size])
            place += size
            if sequence and sequence[-1] in self.wanted:
                if prefix is None:
                    whole = record[5 : 5 + octets].ljust(4 if version == 4 else 16, b"\0")
                    # Bits after the length are irrelevant (RFC 4271, 4.3).
                    prefix = (
                        ipaddress.IPv4Network((int.from_bytes(whole, "big"), length), strict=False)
                        if version == 4
                        else ipaddress.IPv6Network((int.from_bytes(whole, "big"), length), strict=False)
                    )
                found = self.of(sequence[-1])
                found.prefixes.add(prefix)
                before = next((asn for asn in reversed(sequence) if asn not in {sequence[-1], *_NOBODYS}), None)
                if before is not None:
                    found.neighbours[before] += 1


class _Again:
    """A stream whose beginning has been read already, and is read again first."""

    def __init__(self, start: bytes, stream: BinaryIO | Unpacked) -> None:
        self._left, self._stream = start, stream

    def read(self, size: int) -> bytes:
        """Returns `size` bytes, or fewer at the end of the stream."""
        while len(self._left) < size and (more := self._stream.read(max(size - len(self._left), 1 << 16))):
            self._left += more
        given, self._left = self._left[:size], self._left[size:]
        return given


def _records(path: Path, stream: Any) -> Iterator[tuple[int, int, bytes]]:
    """Yields type, subtype and content of each record in an MRT file. Raises `BadInput`."""
    while header := stream.read(12):
        if len(header) < 12:
            refuse(path, "a file that ends in the middle of a record")
        _, kind, subtype, length = struct.unpack("!IHHI", header)
        if not 11 <= kind <= 64 or length > _MOST_RECORD:
            refuse(path, "neither MRT nor JSON")
        record = stream.read(length)
        if len(record) < length:
            refuse(path, "a file that ends in the middle of a record")
        yield kind, subtype, record


def _path(attributes: bytes) -> list[int]:
    """Returns the AS path in a route's attributes, without AS_SETs, which end the paths of aggregated routes."""
    place, found = 0, list[int]()
    while place + 3 <= len(attributes):
        flags, kind = attributes[place], attributes[place + 1]
        wide = flags & _EXTENDED
        size = struct.unpack_from("!H", attributes, place + 2)[0] if wide else attributes[place + 2]
        place += 4 if wide else 3
        if kind == _AS_PATH:
            at, end = place, place + size
            while at + 2 <= end:
                segment, count = attributes[at], attributes[at + 1]
                numbers = struct.unpack_from(f"!{count}I", attributes, at + 2)
                found += numbers if segment == _SEQUENCE else ()
                at += 2 + 4 * count
        place += size
    return found


def _asn(text: Any) -> int:
    asn = int(str(text).upper().removeprefix("AS"))
    if not 0 < asn < 1 << 32:
        raise ValueError(f"{asn} is no AS number")
    return asn


def _error_in(answer: Mapping[str, Any]) -> str:
    """Returns the message with which RIPEstat reports an error: the first of its `messages`, [kind, text] each."""
    match answer.get("messages"):
        case [[_, str(text), *_], *_]:
            return on_one_line(text)
    return "without a message"


def refuse_damaged(path: Path, found: Sequence[str]) -> None:
    """Raises `BadInput` if decompressing a file has found damage. `found`: the warnings, prefixed with its name."""
    damage = [text.removeprefix(f"{path}: ") for text in found if not text.endswith(LEFT_OUT)]
    if damage:
        refuse(path, f"a damaged file: {damage[0]}")


def refuse(path: Path, found: str) -> None:
    """Raises `BadInput` for a file, saying what was found and what is expected."""
    raise BadInput([Problem(str(path), 0, "", found, _EXPECTED, _HINT)])
