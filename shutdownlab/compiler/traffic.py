"""Sets of packets, and classifiers over them: the algebra that turns policies with exceptions into ordered rules.

A classifier is a list of (traffic, verdict), first match wins, over the packets of one subscriber group in one
direction. Two are composed by the cross product of their entries (Frenetic's `restrict`; Foster et al., ICFP 2011), so
an exception to one policy never shields traffic from another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from heapq import merge
from itertools import chain
from typing import Literal

from shutdownlab.compiler.rules import Match, MatchValue
from shutdownlab.config.addresses import IpPrefix
from shutdownlab.config.numbers import ETHER_TYPES, ICMP, ICMPV6, PROTOCOL_NUMBERS, TCP, UDP
from shutdownlab.config.prefix_table import PrefixTable
from shutdownlab.config.scalars import Ports


@dataclass(frozen=True, slots=True)
class Traffic:
    """Packets of a subscriber by IP protocol, the remote end's ports, and either end's prefix. None: any."""

    protocol: int | None = None
    ports: tuple[int, int] | None = None
    remote: IpPrefix | None = None
    local: IpPrefix | None = None

    def meet(self, other: Traffic) -> Traffic | None:
        """Returns the packets in both sets, or None if there are none."""
        if None not in (self.protocol, other.protocol) and self.protocol != other.protocol:
            return None
        ports = self.ports or other.ports
        if self.ports and other.ports:
            ports = max(self.ports[0], other.ports[0]), min(self.ports[1], other.ports[1])
            if ports[0] > ports[1]:
                return None
        remote, local = narrower(self.remote, other.remote), narrower(self.local, other.local)
        if remote is False or local is False:
            return None
        protocol = self.protocol if self.protocol is not None else other.protocol
        versions = {prefix.version for prefix in (remote, local) if prefix}
        if len(versions) > 1 or (
            protocol in {ICMP, ICMPV6} and versions and versions != {6 if protocol == ICMPV6 else 4}
        ):
            return None
        return Traffic(protocol, ports, remote or None, local or None)

    def covers(self, other: Traffic) -> bool:
        """Whether every packet of `other` is in this set."""
        return (
            self.protocol in {None, other.protocol}
            and (self.ports is None or _within(other.ports, self.ports))
            and _holds(self.remote, other.remote)
            and _holds(self.local, other.local)
        )

    def matches(self, *, inbound: bool) -> Iterator[Match]:
        """Yields OpenFlow matches for these packets, of both IP versions if neither is implied."""
        if self == EVERYTHING:
            yield ()
            return
        near, far = ("dst", "src") if inbound else ("src", "dst")
        for version in self._versions():
            fields: list[tuple[str, MatchValue]] = [("eth_type", ETHER_TYPES[version])]
            for side, prefix in ((far, self.remote), (near, self.local)):
                if prefix is not None:
                    fields.append((f"ipv{version}_{side}", address_and_mask(prefix)))
            if self.protocol is None:
                yield tuple(fields)
                continue
            fields.append(("ip_proto", self.protocol))
            name = {TCP: "tcp", UDP: "udp"}.get(self.protocol)
            if self.ports is None or name is None:
                yield tuple(fields)
                continue
            for value, mask in _masked(*self.ports):
                port: MatchValue = value if mask == 0xFFFF else (value, mask)
                yield (*fields, (f"{name}_{far}", port))

    def _versions(self) -> tuple[int, ...]:
        given = {prefix.version for prefix in (self.remote, self.local) if prefix}
        if given:
            return tuple(given)
        return {ICMP: (4,), ICMPV6: (6,)}.get(self.protocol or 0, (4, 6))


EVERYTHING = Traffic()


@lru_cache(maxsize=4096)
def address_and_mask(prefix: IpPrefix) -> tuple[str, str]:
    """Returns a prefix as OpenFlow matches it: address and mask. Cached, as rules of many groups name the same one."""
    return str(prefix.network_address), str(prefix.netmask)


def of_ports(ports: Ports) -> tuple[Traffic, ...]:
    protocols = {"tcp": (TCP,), "udp": (UDP,)}.get(ports.protocol or "", (TCP, UDP))
    return tuple(Traffic(protocol=protocol, ports=(ports.first, ports.last)) for protocol in protocols)


def of_protocol(name: str) -> tuple[Traffic, ...]:
    """Returns a protocol's traffic. `icmp` is that of both IP versions; `quic` is UDP to port 443 (RFC 9114, 3.1)."""
    if name == "icmp":
        return Traffic(protocol=ICMP), Traffic(protocol=ICMPV6)
    if name == "quic":
        return (Traffic(protocol=UDP, ports=(443, 443)),)
    return (Traffic(protocol=PROTOCOL_NUMBERS[name]),)


@dataclass(frozen=True, slots=True)
class AclVerdict:
    """What an access list does: drop, limit to `kbit` per second, or neither; `policy`: name of the policy enforced."""

    drop: bool = False
    kbit: int | None = None
    policy: str = ""

    def and_then(self, other: AclVerdict) -> AclVerdict:
        """Combines two verdicts: a drop outweighs a rate; the lower of two rates counts."""
        if self.drop or (not other.drop and other.kbit is None):
            return self
        if other.drop or self.kbit is None:
            return other
        return min(self, other, key=lambda verdict: verdict.kbit or 0)


PASS = AclVerdict()
Entry = tuple[Traffic, AclVerdict]
Classifier = tuple[Entry, ...]


def classifier(targets: Iterable[Traffic], exceptions: Iterable[Traffic], verdict: AclVerdict) -> Classifier:
    """Returns the classifier of one policy: its exceptions pass, its targets get the verdict, the rest passes."""
    wanted, spares = tuple(targets), tuple(exceptions)
    candidates = _Candidates(spares)
    met = (target.meet(spares[place]) for target in wanted for place in candidates.for_(target))
    spared = (traffic for traffic in met if traffic is not None)
    return _without_shadowed((*((t, PASS) for t in spared), *((t, verdict) for t in wanted), (EVERYTHING, PASS)))


def both(first: Classifier, second: Classifier) -> Classifier:
    """Combines two classifiers that apply to the same packets."""
    candidates = _Candidates([traffic for traffic, _ in second])
    return _without_shadowed(
        (met, verdict.and_then(second[place][1]))
        for traffic, verdict in first
        for place in candidates.for_(traffic)
        if (met := traffic.meet(second[place][0])) is not None
    )


def in_all(sets: Iterable[Iterable[Traffic]]) -> tuple[Traffic, ...]:
    """Returns the packets that are in every one of the sets, each set being the union of its members."""
    return _in_all(tuple([tuple(members) for members in sets]))


@lru_cache(maxsize=64)
def _in_all(sets: tuple[tuple[Traffic, ...], ...]) -> tuple[Traffic, ...]:
    """Computes `in_all`; cached, as it is called for both directions of a group, and in successive phases."""
    return reduce(_in_both, map(_maximal, sets))


def _in_both(first: tuple[Traffic, ...], second: tuple[Traffic, ...]) -> tuple[Traffic, ...]:
    shared = set(first) & set(second)  # their intersections with others lie within them
    others = [b for b in second if b not in shared]
    candidates = _Candidates(others)
    met = (a.meet(others[place]) for a in first if a not in shared for place in candidates.for_(a))
    return _maximal([*(a for a in first if a in shared), *(traffic for traffic in met if traffic is not None)])


def _maximal(members: Iterable[Traffic]) -> tuple[Traffic, ...]:
    """Returns the members that no other member covers."""
    kept = _Kept()
    return tuple(traffic for traffic in sorted(dict.fromkeys(members), key=_narrowness) if kept.add(traffic))


def _narrowness(traffic: Traffic) -> tuple[int, int, bool, int]:
    """A sort key: a traffic that covers another one sorts before it."""
    lengths = [-1 if prefix is None else prefix.prefixlen for prefix in (traffic.remote, traffic.local)]
    first, last = traffic.ports or (0, 0xFFFF)
    return lengths[0], lengths[1], traffic.protocol is not None, first - last


def _without_shadowed(entries: Iterable[Entry]) -> Classifier:
    """Returns the entries that no earlier entry covers."""
    kept = _Kept()
    return tuple(entry for entry in entries if kept.add(entry[0]))


class _Candidates:
    """Finds the traffics that another one may intersect: remote prefixes must be nested; without one, any may."""

    def __init__(self, traffics: Sequence[Traffic]) -> None:
        self.count = len(traffics)
        self.by_remote: dict[IpPrefix, list[int]] = {}
        self.others: list[int] = []
        for place, traffic in enumerate(traffics):
            if traffic.remote is None:
                self.others.append(place)
            else:
                self.by_remote.setdefault(traffic.remote, []).append(place)
        self.table = PrefixTable(self.by_remote)

    def for_(self, traffic: Traffic) -> Iterable[int]:
        """Returns the candidates' places in the sequence, in order."""
        remote = traffic.remote
        if remote is None:
            return range(self.count)
        near = chain(self.table.around(remote), self.table.inside(remote))
        return merge(self.others, *(self.by_remote[prefix] for prefix in near))


class _Kept:
    """The traffics kept so far, by remote prefix: there are many, and only those that contain a new one are tried."""

    def __init__(self) -> None:
        self.anywhere: list[Traffic] = []
        self.by_remote: dict[IpPrefix, list[Traffic]] = {}
        self.table = PrefixTable()

    def add(self, traffic: Traffic) -> bool:
        """Keeps a traffic and returns True; returns False if a kept one covers it."""
        remote = traffic.remote
        if any(kept.covers(traffic) for kept in self.anywhere):
            return False
        if remote is None:
            self.anywhere.append(traffic)
            return True
        if any(kept.covers(traffic) for prefix in self.table.around(remote) for kept in self.by_remote[prefix]):
            return False
        if remote not in self.by_remote:
            self.table.add(remote)
        self.by_remote.setdefault(remote, []).append(traffic)
        return True


def narrower(a: IpPrefix | None, b: IpPrefix | None) -> IpPrefix | Literal[False] | None:
    """Returns the prefix that is inside the other (None: any address); False if they are disjoint."""
    if a is None or b is None:
        return a or b
    if a.version != b.version or not a.overlaps(b):
        return False
    return a if a.prefixlen >= b.prefixlen else b


def _within(inner: tuple[int, int] | None, outer: tuple[int, int]) -> bool:
    return inner is not None and outer[0] <= inner[0] and inner[1] <= outer[1]


def _holds(outer: IpPrefix | None, inner: IpPrefix | None) -> bool:
    if outer is None or inner is None:
        return outer is None
    return outer.prefixlen <= inner.prefixlen and inner.network_address in outer


def _masked(first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yields a port range as (value, mask) pairs, as OpenFlow has no ranges."""
    while first <= last:
        size = first & -first or 1 << 16
        while first + size - 1 > last:
            size >>= 1
        yield first, 0x10000 - size & 0xFFFF
        first += size
