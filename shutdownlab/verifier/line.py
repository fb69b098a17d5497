"""A subscriber's line: the steps of probes that use it, each with the result that the client would see. Pure.

The steps are those of `probes.dns`, `probes.stream` and `probes.http`, and raise `StepFailed` in the same cases.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import SplitResult, urljoin, urlsplit

from shutdownlab.compiler.counting import Counted
from shutdownlab.compiler.resolvers import lie_about
from shutdownlab.config.addresses import is_address
from shutdownlab.config.numbers import TCP, UDP
from shutdownlab.model.answers import Later, Lie
from shutdownlab.model.listening import Listener, Servers
from shutdownlab.model.network import Role
from shutdownlab.model.probe import Family, Need, Surroundings
from shutdownlab.probes.failure import EOF, TIMEOUT, StepFailed
from shutdownlab.verifier import speech
from shutdownlab.verifier.answers import HttpAnswer, dns_addresses, response_of
from shutdownlab.verifier.chance import Chances
from shutdownlab.verifier.equipment import ModelledCountry
from shutdownlab.verifier.outages import is_answered
from shutdownlab.verifier.packets import ECHO, ECHO_REPLY, UNREACHABLE, FiveTuple, Segment, icmp_of
from shutdownlab.verifier.tcp import REFUSED, Connection, raise_if_unreachable
from shutdownlab.verifier.wire import EPHEMERAL, Arrival, ModelledConnection, Undecided

_MOST_REDIRECTS: Final = 3
_AGAIN_S: Final = 0.6
OWN_SERVER: Final = "what a server of the user's own answers"


@dataclass(slots=True)
class Open:
    """An open TCP connection. `secure`: whether a TLS handshake has succeeded."""

    connection: Connection
    address: str
    port: int
    service: Listener
    secure: bool = False


@dataclass(slots=True)
class ModelledLine:
    """The line of one measurement. `wires`: every connection it has made, in order."""

    country: ModelledCountry
    servers: Servers
    at: Surroundings
    resolver: str
    chances: Chances
    first_port: int = EPHEMERAL
    client_address: str = ""
    """Of a device that is not the subscriber's; "": the subscriber's address."""
    wires: list[ModelledConnection] = field(default_factory=list)
    asked: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The addresses answered for each name."""
    unanswered: ModelledConnection | None = None
    """The query of a resolver's own that policies stopped, so that the client waits in vain."""
    echoes_besides: int = 0
    """Echo requests that the client sends for other measurements at about the same time."""
    _is_late: bool | None = None
    """Whether they are sent before this measurement's; None until that matters."""
    _too_many: bool = False
    """Whether this measurement has sent more echo requests than a router's count lets pass."""

    @property
    def family(self) -> Family:
        return self.at.family

    @property
    def version(self) -> int:
        return self.at.family.version

    @property
    def node(self) -> str:
        return self.at.network.subscriber(self.at.vantage.id).name

    def wire(
        self, proto: int, server: str, port: int = 0, kinds: tuple[int, int] = (0, 0), client_port: int | None = None,
        client: str = "",
    ) -> ModelledConnection:  # fmt: skip
        """Returns a new connection between this subscriber (or the node `client`) and a server's port."""
        source = "" if client else self.client_address
        client = client or self.node
        source = source or self.country.equipment.address_of(client, self.version)
        own = self.first_port + len(self.wires) if client_port is None else client_port
        stream = FiveTuple(proto, source, server, own if proto in (TCP, UDP) else 0, port, kinds)
        host = self.country.ways.reached(client, server)
        now = self.wires[-1].now + 0.01 if self.wires else 0.0
        made = ModelledConnection(self.country, stream, client, host.name if host else None, self.chances, now)
        if (catching := made.catching) is not None and self._is_caught(catching):
            made.counted_out = catching
        self.wires.append(made)
        return made

    def _is_caught(self, by: Counted) -> bool:
        """Whether the client has already exceeded a router's count."""
        return self._too_many or (self.echoes_besides > by.count.packets and self._comes_late())

    def _comes_late(self) -> bool:
        if self._is_late is None:
            self._is_late = self.chances.choose(2, "whether the same client has sent other pings before") == 1
        return self._is_late

    def listener(self, address: str, port: int, protocol: Literal["tcp", "udp"]) -> Listener | None:
        """Returns the server that listens on a port; None if the port is closed."""
        host = self.country.ways.reached(self.node, address)
        if host is not None and host.name in self.country.damage.closed:
            return None
        return self.servers.at(address, port, protocol)

    def hangs(self, address: str) -> bool:
        """Whether a host's servers hang: its kernel accepts connections and datagrams, but nothing answers."""
        host, damage = self.country.ways.reached(self.node, address), self.country.damage
        return host is not None and host.name in damage.silent and host.name not in damage.closed

    # -- names --------------------------------------------------------------------------------------------------------

    def lookup(self, host: str, operation: str = "resolve") -> tuple[str, ...]:
        """Returns the addresses in the resolver's answer, genuine or forged; raises `StepFailed` if there are none."""
        if is_address(host):
            return (host,)
        if not self._is_resolved(host):
            raise StepFailed(TIMEOUT, operation)
        lied_about = self._says(host) is not None and not isinstance(self._says(host), Later)
        listens = self.listener(self.resolver, 53, "udp") is not None  # a dead resolver refuses
        if self.country.damage and listens and not lied_about and not self._is_answered(host):
            raise StepFailed(TIMEOUT, operation)  # the resolver's timeout is longer than the client's
        answers = self._asks(host, operation)
        self.asked[host] = answers
        return answers

    def _asks(self, host: str, operation: str) -> tuple[str, ...]:
        answer = speech.dns_answer(host, self.version, self.servers.addresses(host, self.version))
        lie = self._says(host)
        if isinstance(lie, Later):
            answer = b"" if lie.is_too_late else answer
        elif lie is not None:
            answer = speech.dns_lie(host, self.version, lie)
        wire = self.wire(UDP, self.resolver, 53)
        return dns_addresses(self.datagrams(wire, (speech.dns_query(host, self.version),), answer), operation)

    def _says(self, host: str) -> Lie | Later | None:
        """Returns the operator's resolver's false answer about a name, or its delay; None if it answers as usual."""
        own = self.at.network.one(Role.RESOLVER, self.at.vantage.id.operator)
        if self.country.ways.host_of(self.resolver) is not own:
            return None
        lie = lie_about(host, self.country.lies_to(self.at.vantage))
        return lie[0] if lie is not None else None

    def _is_answered(self, host: str) -> bool:
        """Whether the resolver has a path to the name's authoritative server."""
        ways, hosted = self.country.ways, self.at.network.hosted_as(host)
        resolver = ways.reached(self.node, self.resolver)
        return hosted is None or resolver is None or is_answered(ways, resolver, hosted)

    def _is_resolved(self, host: str) -> bool:
        """Whether policies let the resolver query a name's authoritative server.

        They affect only the resolver of an anycast address that is a subscriber's host in the country; True for others.
        """
        resolver, hosted = self.country.ways.reached(self.node, self.resolver), self.at.network.hosted_as(host)
        if resolver is None or resolver.vantage is None or hosted is None:
            return True
        network = self.at.network
        there = next(network.by_role(Role.RESOLVER)) if hosted.domestic else network.nodes[hosted.node]
        versions = sorted({*there.versions} & {*resolver.versions})
        if any(self._asks_on(resolver.name, str(there.address(version)), host, version) for version in versions):
            self.unanswered = None
            return True
        return False

    def _asks_on(self, resolver: str, authority: str, host: str, version: int) -> bool:
        source = self.country.equipment.address_of(resolver, version)
        stream = FiveTuple(UDP, source, authority, self.first_port, 53, (0, 0))
        server = self.country.ways.host_of(authority)
        wire = ModelledConnection(self.country, stream, resolver, server.name if server else None, self.chances, 0.0)
        there = wire.send(Segment(speech.dns_query(host, version)), by_client=True)
        answer = speech.dns_answer(host, version, self.servers.addresses(host, version))
        arrived = any(not arrival.at_client for arrival in there)
        if arrived and any(each.at_client for each in wire.send(Segment(answer), by_client=False)):
            return True
        self.unanswered = self.unanswered or wire
        return False

    def locate(self, host: str) -> str:
        """Returns a host's true address if the network has one, else the resolver's answer."""
        true = self.at.addresses(host)
        return true[0] if true else self.first(self.lookup(host), host)

    def first(self, addresses: tuple[str, ...], host: str) -> str:
        """Returns the address that the resolver returns first: a choice that the model enumerates."""
        unlike = self.country.equipment.unlike(addresses)
        return unlike[self.chances.choose(len(unlike), f"which address of {host} the resolver names first")]

    def failed_by(self, names: Collection[str], failure: str | None) -> tuple[Need, ...]:
        """Returns the needs that a measurement that looks up `names` may have failed by.

        If a lookup failed and no other connection was made: only the lookup. If all lookups succeeded: the path or the
        server. If no step failed (`failure` is None): any of them, as in `measure.controls.vouching_for`.
        """
        if failure is None:
            return ("way", "lookup", "server")
        failed = not self.asked.keys() >= set(names)
        if failed and all(wire.stream.server == self.resolver for wire in self.wires):
            return ("lookup",)
        return ("way", "lookup", "server") if failed else ("way", "server")

    # -- datagrams ----------------------------------------------------------------------------------------------------

    def datagrams(
        self, wire: ModelledConnection, sent: tuple[bytes, ...], answer: bytes, operation: str = "resolve"
    ) -> bytes:
        """Sends datagrams and returns the first one that comes back; raises `StepFailed` if none does.

        They are sent twice if a DPI box is on the path.
        """
        service = self.listener(wire.stream.server, wire.stream.server_port, "udp")
        for _ in range(2 if wire.inspected else 1):
            for data in sent:
                arrivals = wire.send(Segment(data), by_client=True)
                heard = _heard(arrivals)
                if heard is not None:
                    return heard
                if not any(not arrival.at_client for arrival in arrivals):
                    self._unreachable(wire, operation)
                    continue
                if service is None:
                    self._refuse(wire, REFUSED, operation)
                    continue
                if data is sent[-1] and answer and not self.hangs(wire.stream.server):
                    heard = _heard(wire.send(Segment(answer), by_client=False))
                    if heard is not None:
                        return heard
            wire.now += _AGAIN_S
        raise StepFailed(TIMEOUT, operation)

    def _unreachable(self, wire: ModelledConnection, operation: str) -> None:
        raise_if_unreachable(wire, operation)

    def _refuse(self, wire: ModelledConnection, failure: str, operation: str) -> None:
        """Raises `failure` if the server's ICMP error, which reports it, reaches the client."""
        if self._comes_back(wire.stream.server):
            raise StepFailed(failure, operation)

    def _comes_back(self, server: str) -> bool:
        kind = UNREACHABLE[self.version]
        errors = self.wire(icmp_of(self.version), server, kinds=(kind, kind))
        return any(arrival.at_client for arrival in errors.send(Segment(), by_client=False))

    def ping(self, address: str, count: int = 1, needed: int = 1) -> None:
        """Sends `count` echo requests; raises `StepFailed` if fewer than `needed` are answered."""
        kinds = ECHO[self.version], ECHO_REPLY[self.version]
        wire = self.wire(icmp_of(self.version), address, kinds=kinds)
        counted, passing = wire.counted, count
        if counted is not None and counted.count.packets < count + self.echoes_besides:
            before = self.echoes_besides if self.echoes_besides and self._comes_late() else 0
            passing = max(0, counted.count.packets - before)
        answered = 0
        for number in range(count):
            if number == passing:
                wire.counted_out, self._too_many = counted, True
            answered += self._echo(wire, tries=2 if wire.inspected and count == 1 else 1)
        if answered < needed:
            raise StepFailed(TIMEOUT, "ping")

    def _echo(self, wire: ModelledConnection, tries: int) -> bool:
        """Whether an echo request is answered."""
        for _ in range(tries):
            arrivals = wire.send(Segment(bytes(48)), by_client=True)
            if any(not arrival.at_client for arrival in arrivals):
                if any(arrival.at_client for arrival in wire.send(Segment(bytes(48)), by_client=False)):
                    return True
            elif wire.counted_out is None and (not wire.inspected or wire.rejected(True)):
                self._unreachable(wire, "ping")
            wire.now += _AGAIN_S
        return False

    # -- streams ------------------------------------------------------------------------------------------------------

    def connect(self, address: str, port: int) -> Open:
        """Opens a TCP connection; raises `StepFailed`."""
        service = self.listener(address, port, "tcp")
        connection = Connection(self.wire(TCP, address, port), listens=service is not None, hangs=self.hangs(address))
        connection.open()
        assert service is not None
        return Open(connection, address, port, service)

    def connect_first(self, addresses: tuple[str, ...], port: int) -> Open:
        """Opens a TCP connection to the first address that accepts it; raises the last `StepFailed` if none does."""
        failed: StepFailed | None = None
        for address in addresses:
            try:
                return self.connect(address, port)
            except StepFailed as failure:
                failed = failure
        assert failed is not None
        raise failed

    def shake_hands(self, stream: Open, name: str, alpn: tuple[str, ...] = ()) -> None:
        """Performs a TLS handshake and verifies the certificate's name; raises `StepFailed`."""
        hello = speech.client_hello(name, alpn)
        if stream.service.kind == "own":
            self._own_program()
        answer = speech.server_hello() if stream.service.speaks_tls else speech.http_response(b"", 400)
        reply = stream.connection.exchange(hello, answer, "tls_handshake")
        if stream.connection.wire.intercepted:
            raise StepFailed("ssl_unknown_authority", "tls_handshake")
        if not reply:
            raise StepFailed(EOF, "tls_handshake")
        if not reply.startswith(b"\x16"):
            raise StepFailed("ssl_failed_handshake", "tls_handshake")
        if reply != answer:
            raise StepFailed(EOF if stream.connection.ended else TIMEOUT, "tls_handshake")
        if stream.service.site(name) is None:
            raise StepFailed("ssl_invalid_hostname", "tls_handshake")
        stream.secure = True

    def round_trip(self, stream: Open, method: str, parts: SplitResult, body: Callable[[], bytes]) -> HttpAnswer:
        """Sends an HTTP request and returns the response; `body` returns the genuine one's. Raises `StepFailed`."""
        if stream.service.kind == "own":
            self._own_program()
        request = speech.http_request(method, parts)
        answer = self._answer(stream, parts, body)
        if stream.secure:
            sealed = speech.sealed(len(answer))
            finished = b"\x14\x03\x03\0\1\1" + speech.sealed(52)
            reply = stream.connection.exchange(finished + speech.sealed(len(request)), sealed, "http_round_trip")
            reply = answer if reply == sealed else reply[:0]
        else:
            reply = stream.connection.exchange(request, answer, "http_round_trip")
        if not reply:
            raise StepFailed(EOF, "http_round_trip")
        return response_of(reply)

    def _answer(self, stream: Open, parts: SplitResult, body: Callable[[], bytes]) -> bytes:
        site = stream.service.site(parts.hostname or "")
        speaks_501 = any(s.kind == "http" and s.port == 443 for h in stream.service.hosted for s in h.services)
        if speaks_501:  # Telegram's data centres
            return speech.http_response(b"", 501)
        if site is None:
            return speech.http_response(b"<html><title>another site</title></html>")
        return speech.http_response(body())

    def fetch(self, url: str, body: Callable[[SplitResult], bytes]) -> HttpAnswer:
        """Fetches a page with GET, following at most `_MOST_REDIRECTS` - 1 redirects; raises `StepFailed`."""
        for _ in range(_MOST_REDIRECTS):
            response = self._fetch_once(url, body)
            if not 300 <= response.code < 400 or not response.location:
                return response
            url = urljoin(url, response.location)
        return response

    def _fetch_once(self, url: str, body: Callable[[SplitResult], bytes]) -> HttpAnswer:
        parts = urlsplit(url)
        host, secure = parts.hostname or "", parts.scheme == "https"
        addresses = self.lookup(host)
        stream = self.connect_first(addresses, parts.port or (443 if secure else 80))
        if secure:
            self.shake_hands(stream, host, ("http/1.1",))
        response = self.round_trip(stream, "GET", parts, lambda: body(parts))
        stream.connection.close()
        return response

    def _own_program(self) -> None:
        raise Undecided(OWN_SERVER)


def _heard(arrivals: list[Arrival]) -> bytes | None:
    """Returns the first datagram that has arrived at the client, or None."""
    return next((arrival.segment.data for arrival in arrivals if arrival.at_client), None)


def resolver_of(at: Surroundings, own: str | None) -> str:
    """Returns the resolver's address: the probe's `own`, else the operator's (for roaming lines, their home's)."""
    return own or str(at.network.resolver_of(at.vantage).address(at.family.version))


__all__ = ["ModelledLine", "Open", "Undecided", "resolver_of"]
