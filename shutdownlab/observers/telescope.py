"""The network telescope: a dark prefix abroad, and the sources seen in it (`dark`).

Each group's radiation is followed by a packet from its control address, which no policy affects: once that has arrived,
all earlier packets have arrived or are lost.
"""

from __future__ import annotations

import csv
import ctypes
import io
import os
import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network
from typing import ClassVar, Final

from shutdownlab.config.numbers import ETHER_IPV4
from shutdownlab.model.topology import VantageId
from shutdownlab.network import pcapng
from shutdownlab.observers import dark
from shutdownlab.observers.blocks import blocks
from shutdownlab.observers.dark import Radiation
from shutdownlab.observers.instrument import Abroad, CannotSee, Instrument, Moment, Sighting
from shutdownlab.observers.naming import stamp
from shutdownlab.results.reading import Reading, places_of

_SOURCES: Final = 8
"""Radiating addresses per group."""
_AGAIN_S: Final = 1.0
_MOST_CONTROLS: Final = 4
_BEHIND_S: Final = 0.05
_NO_WAY_S: Final = 0.3
_SOL_PACKET, _IGNORE_OUTGOING = 263, 23
"""From linux/socket.h and linux/if_packet.h."""
_ATTACH_FILTER: Final = 26
"""SO_ATTACH_FILTER."""
_AF_INET: Final = 2


class Telescope(Instrument):
    """Sends radiation from each group of ordinary subscribers, and captures at the router of the dark prefix."""

    name: ClassVar[str] = "telescope"
    signals: ClassVar[tuple[str, ...]] = ("telescope",)

    def __init__(self, abroad: Abroad) -> None:
        super().__init__(abroad)
        network, net = abroad.network, abroad.net
        found = dark.dark_prefix(network)
        if found is None:
            raise CannotSee("no transit abroad has a /27 in which nothing is")
        router, self._prefix = found
        self._router = router.name
        with net.get(router.name).namespace.netlink() as netlink:
            netlink.route("add", dst=str(self._prefix), type="blackhole", family=_AF_INET)  # dark networks never answer
        with net.get(router.name).namespace.entered():
            kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK
            self._capture = socket.socket(socket.AF_PACKET, kind, socket.htons(ETHER_IPV4))
        self._capture.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
        _only_to(self._capture, self._prefix)
        self._sources = {
            block.vantage: [address for address in block.known if address in block.awake][:_SOURCES]
            for block in blocks(network, abroad.seed)
            if block.version == 4
        }
        ordinary = [v for v in network.vantages if v.is_ordinary]
        self._weights = {v.id: v.weight for v in ordinary if v.id in self._sources}
        self._senders = {}
        for vantage in self._weights:
            with net.get(network.subscriber(vantage).name).namespace.entered():
                self._senders[vantage] = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def look(self, moment: Moment) -> Sighting:
        token = int.from_bytes(os.urandom(4))
        self._caught()  # drops packets since the last look
        for vantage, sources in self._sources.items():
            if vantage in self._weights:
                for number, source in enumerate(sources):
                    self._send(vantage, IPv4Address(source), number, token)
        radiation, unknown = self._wait(moment, token)
        radiating = {
            vantage: len({each.source for each in radiation} & set(self._sources[vantage])) for vantage in self._weights
        }
        left_out = [f"{len(unknown)} groups of subscribers: their controls failed"] if unknown else []
        readings = self._readings(moment.phase.phase, radiating, unknown)
        controls = {self._control(vantage) for vantage in self._weights}
        seen = [each for each in radiation if each.source not in controls]
        return Sighting(tuple(readings), self._files(moment, seen), tuple(left_out))

    def _control(self, vantage: VantageId) -> IPv4Address:
        every = self.abroad.network.control_addresses(vantage)
        return next(address for address in every if isinstance(address, IPv4Address))

    def _send(self, vantage: VantageId, source: IPv4Address, number: int, token: int) -> None:
        target = self._prefix[1 + number % (self._prefix.num_addresses - 2)]
        with suppress(OSError):  # there is no route
            self._senders[vantage].sendto(dark.syn(source, target, 40000 + number, token), (str(target), 0))

    def _wait(self, moment: Moment, token: int) -> tuple[list[Radiation], set[VantageId]]:
        """Returns the packets that arrive until every group's control has, and the groups whose control is lost."""
        network, radiation = self.abroad.network, list[Radiation]()
        open_ = {self._control(vantage): vantage for vantage in self._weights}
        for control, vantage in open_.items():
            self._send(vantage, control, _SOURCES, token)
        sent, again, done = 1, time.monotonic() + _AGAIN_S, time.monotonic() + _NO_WAY_S
        ways = {v: moment.is_there_a_way(network.subscriber(v).name, self._servers, 4) for v in self._weights}
        unknown = set[VantageId]()
        while open_ or time.monotonic() < done:
            now = time.monotonic()
            if now >= again and open_:
                again = now + _AGAIN_S
                if sent == _MOST_CONTROLS:
                    unknown = set(open_.values())
                    break
                sent += 1
                for control, vantage in open_.items():
                    self._send(vantage, control, _SOURCES, token)
            if now >= done:
                open_ = {control: vantage for control, vantage in open_.items() if ways[vantage]}
            until = again if open_ and now >= done else done
            self._ready(until - now)
            for each in (each for each in self._caught() if each.sequence == token):
                radiation.append(each)
                if open_.pop(each.source, None) is not None:
                    done = max(done, time.monotonic() + _BEHIND_S)
        return radiation, unknown

    @property
    def _servers(self) -> str:
        """The name of the server node behind the router of the dark prefix."""
        owner = self.abroad.network.nodes[self._router].owner
        return next(n.name for n in self.abroad.network.nodes.values() if n.owner == owner and n.name != self._router)

    def _ready(self, seconds: float) -> None:
        poller = select.poll()
        poller.register(self._capture, select.POLLIN)
        poller.poll(max(0.0, 1000 * seconds))

    def _caught(self) -> list[Radiation]:
        found = []
        with suppress(BlockingIOError):
            while True:
                frame = self._capture.recv(2048)
                if radiation := dark.seen(time.time(), frame):
                    found.append(radiation)
        return found

    def _readings(self, phase: str, radiating: dict[VantageId, int], unknown: set[VantageId]) -> Iterator[Reading]:
        """Yields the share of sources that were seen, weighted by subscribers."""
        for place in places_of(self.abroad.network.topology):
            vantages = [v for v in radiating if place.covers(v)]
            if vantages and unknown.isdisjoint(vantages):
                parts = {v: radiating[v] / len(self._sources[v]) for v in vantages}
                share = sum(self._weights[v] * parts[v] for v in vantages) / sum(self._weights[v] for v in vantages)
                yield Reading(self.name, phase, place.scope, place.of, "ipv4", round(share, 9), "share", "measured")

    def _files(self, moment: Moment, radiation: list[Radiation]) -> dict[str, bytes]:
        when, time_of = stamp(moment.phase.at), self.abroad.time.of
        timed = [(time_of(each.at), each) for each in radiation]
        walls = [datetime.fromtimestamp(each.at, UTC).isoformat(timespec="milliseconds") for each in radiation]
        about = f"dark prefix {self._prefix}, in the scenario's time"
        capture = pcapng.section([(self._router, "dark prefix")], about, "shutdownlab")
        for (at, each), wall in zip(timed, walls, strict=True):
            capture += pcapng.packet(0, int(at * 1_000_000_000), each.frame, [f"wall time {wall}"])
        flows = [(at, wall, each) for (at, each), wall in zip(timed, walls, strict=True)]
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("minute", "unique_sources", "after_anti_spoofing"))
        for minute, sources in dark.minutes(timed):
            true = sum(dark.asn_of(self.abroad.network, source) is not None for source in sources)
            writer.writerow((f"{datetime.fromtimestamp(minute, UTC):%Y-%m-%dT%H:%M:%SZ}", len(sources), true))
        return {
            f"dark.{when}.pcapng": capture,
            f"flowtuple.{when}.csv": dark.flow_tuples(self.abroad.network, flows),
            f"sources.{when}.csv": out.getvalue().encode(),
        }


def _only_to(sock: socket.socket, prefix: IPv4Network) -> None:
    """Attaches a filter that passes only packets to a prefix, in Ethernet frames (classic BPF, linux/filter.h)."""
    load, mask, equal, give = 0x20, 0x54, 0x15, 0x06
    program = [
        (load, 0, 0, 30),  # the destination address
        (mask, 0, 0, int(prefix.netmask)),
        (equal, 0, 1, int(prefix.network_address)),
        (give, 0, 0, 0xFFFF),
        (give, 0, 0, 0),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    sock.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HP", len(program), ctypes.addressof(code)))
