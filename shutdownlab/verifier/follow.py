"""What each kind of probe would find: the functions that `Probe.follows` names, from a line to a conclusion. Pure.

Each has the same steps as the kind's function that `runs` names.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final
from urllib.parse import SplitResult, urlsplit

from shutdownlab.config.numbers import UDP
from shutdownlab.model.pages import page
from shutdownlab.model.scenario import Outcome
from shutdownlab.model.telephony import MEDIA, SMS, VOICE
from shutdownlab.probes.answer import Answer
from shutdownlab.probes.attempts import Attempt, Connect, Fetch, Post, attempts_of, conclusion_of, untested
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.failure import EOF, TIMEOUT, StepFailed
from shutdownlab.probes.kinds import (
    AppTargets,
    Destination,
    Download,
    Echoes,
    NameQuestion,
    Page,
    TelephoneLine,
    TelephoneLines,
)
from shutdownlab.probes.openvpn import SESSION_ID_SIZE, client_reset
from shutdownlab.signals.atlas import ECHOES_ABROAD
from shutdownlab.verifier import speech
from shutdownlab.verifier.line import ModelledLine, Open, Undecided
from shutdownlab.verifier.packets import MOST_DATA, Segment

_SECURE_PORTS: Final = {"tls": 853, "https": 443}
_FIRST_OCTETS, _FEW_LOST = 10 * MOST_DATA, 0.001
SLOWEST, FASTEST = 0.6, 1.4
"""A download's measured rate is within these multiples of the line's: TCP has to find the rate, and a meter allows a
burst first."""


def dns(line: ModelledLine, ask: NameQuestion) -> Conclusion:
    answer = Answer(_securely(line, ask) if ask.secure_resolver else line.lookup(ask.host))
    if answer.is_bogon:
        raise StepFailed("dns_bogon_error", "resolve")
    return Conclusion(Outcome.OK if answer.agrees_with(line.at.addresses(ask.host)) else Outcome.BLOCKED)


def _securely(line: ModelledLine, ask: NameQuestion) -> tuple[str, ...]:
    """Resolves a name by DNS over TLS or HTTPS; returns its addresses."""
    parts = urlsplit(ask.secure_resolver)
    name = parts.hostname or ""
    stream = line.connect_first(line.lookup(name), parts.port or _SECURE_PORTS[parts.scheme])
    line.shake_hands(stream, name, ("http/1.1",) if parts.scheme == "https" else ())
    answer = speech.sealed(120)
    if stream.connection.exchange(speech.sealed(160), answer, "resolve") != answer:
        raise StepFailed(EOF, "resolve")
    found = line.servers.addresses(ask.host, line.version)
    if not found:
        raise StepFailed("dns_nxdomain_error" if found is None else "dns_no_answer", "resolve")
    return found


def tcp(line: ModelledLine, ask: Destination) -> Conclusion:
    line.connect(line.locate(ask.host), ask.port).connection.close()
    return Conclusion(Outcome.OK)


def tls(line: ModelledLine, ask: Destination) -> Conclusion:
    stream = line.connect(line.locate(ask.host), ask.port)
    line.shake_hands(stream, ask.host)
    return Conclusion(Outcome.OK)


def ping(line: ModelledLine, ask: Echoes) -> Conclusion:
    address = line.locate(ask.host)
    line.ping(address, ask.count, ask.answered)
    if ask.then:
        line.connect(address, ask.then).connection.close()
    return Conclusion(Outcome.OK)


def atlas_probe(line: ModelledLine, ask: Destination) -> Conclusion:
    """A TCP connection of an Atlas probe, which pings and traces meanwhile, as a client of its own."""
    line.echoes_besides, line.client_address = 0, str(line.at.network.atlas_address(line.at.vantage))
    if line.country.equipment.counting:
        with suppress(StepFailed):
            line.ping(line.locate(ask.host), ECHOES_ABROAD)
    return tcp(line, ask)


def web(line: ModelledLine, ask: Page) -> Conclusion:
    response = line.fetch(ask.url, lambda parts: _body(line, parts))
    return _judged(response.is_fine and ask.marker.encode() in response.body)


def _judged(genuine: bool) -> Conclusion:
    return Conclusion(Outcome.OK if genuine else Outcome.BLOCKED)


def _body(line: ModelledLine, parts: SplitResult) -> bytes:
    """Returns the genuine site's page; raises `Undecided` for a user's own server."""
    hosted = line.at.hosted(parts.hostname)
    if hosted is None or hosted.program is not None:
        raise Undecided("what a server of the user's own answers")
    return page(hosted.site_name, hosted.app).encode()


def http3(line: ModelledLine, ask: Page) -> Conclusion:
    parts = urlsplit(ask.url)
    host = parts.hostname or ""
    address = line.first(line.lookup(host), host)
    port = parts.port or 443
    service = line.listener(address, port, "udp")
    wire = line.wire(UDP, address, port)
    initial = speech.quic_initial(host) if wire.inspected else (bytes(1200),)
    answer = speech.quic_handshake()
    reply = line.datagrams(wire, initial, answer, "quic_handshake")
    if reply != answer:
        raise StepFailed(TIMEOUT, "quic_handshake")
    if service is None or service.kind == "own":
        raise Undecided("what a server of the user's own answers")
    if service.site(host) is None:
        raise StepFailed("ssl_invalid_hostname", "quic_handshake")
    request, response = bytes([0x45, *range(1, 180)]), bytes([0x45, *range(180, 1, -1)])
    line.datagrams(wire, (request,), response, "http_round_trip")
    return _judged(ask.marker.encode() in _body(line, parts))


def vpn(line: ModelledLine, ask: Destination) -> Conclusion:
    address = line.locate(ask.host)
    reset = client_reset(bytes(range(1, SESSION_ID_SIZE + 1)))
    answer = bytes([8 << 3]) + bytes(range(9, 9 + SESSION_ID_SIZE)) + b"\1" + bytes(4) + reset[1:9] + bytes(4)
    operation = "openvpn_handshake"
    if ask.transport == "udp":
        wire = line.wire(UDP, address, ask.port)
        if line.datagrams(wire, (reset,), answer, operation) != answer:
            raise StepFailed(TIMEOUT, operation)
        return Conclusion(Outcome.OK)
    stream = line.connect(address, ask.port)
    speaks = any(service.kind == "openvpn" for hosted in stream.service.hosted for service in hosted.services)
    if not speaks:
        raise Undecided("what answers an OpenVPN client there")
    prefixed = len(answer).to_bytes(2, "big") + answer
    if stream.connection.exchange(len(reset).to_bytes(2, "big") + reset, prefixed, operation) != prefixed:
        raise StepFailed(EOF, operation)
    return Conclusion(Outcome.OK)


def throughput(line: ModelledLine, ask: Download) -> Conclusion:
    parts = urlsplit(ask.url)
    secure, host = parts.scheme == "https", parts.hostname or ""
    address = line.first(line.lookup(host), host)
    stream = line.connect(address, parts.port or (443 if secure else 80))
    if secure:
        line.shake_hands(stream, host, ("http/1.1",))
    line.round_trip(stream, "GET", parts, lambda: bytes(ask.min_bytes))
    rate = _rate(line, stream)
    slow, fast = _by_the_line(line, ask.seconds)
    if slow is not None and fast is not None and (rate is None or slow < rate):
        if slow >= ask.throttled_below:
            return Conclusion(Outcome.OK)
        if fast >= ask.throttled_below and (rate is None or rate * FASTEST >= ask.throttled_below):
            raise Undecided(f"how fast a download gets over a line that is {_as_long_and_lossy(line)}")
        return Conclusion(Outcome.THROTTLED)
    if rate is None or rate * SLOWEST >= ask.throttled_below:
        return Conclusion(Outcome.OK)
    if rate * FASTEST < ask.throttled_below:
        return Conclusion(Outcome.THROTTLED)
    condition = f"whether {rate} kbit/s bring {ask.throttled_below} of a download"
    slow = line.chances.choose(2, condition)
    return Conclusion(Outcome.THROTTLED if slow else Outcome.OK)


def _by_the_line(line: ModelledLine, seconds: float) -> tuple[float | None, float | None]:
    """Returns bounds (kbit/s) of TCP's mean rate in a download of so many seconds over a line that policies degrade.

    Both are None over any other line. Slow start begins with ten segments and doubles them every round trip (RFC 6928;
    RFC 5681, 3.1); the rate under loss follows Mathis et al., "The macroscopic behavior of the TCP congestion avoidance
    algorithm" (1997), which is only rough so early in a connection.
    """
    quality = line.country.line_of(line.at.vantage)
    if not quality.policies:
        return None, None
    there_and_back = max(2 * quality.delay, 0.001)
    rounds = min(int(seconds / there_and_back) + 1, 20)
    begun = _FIRST_OCTETS * (2**rounds - 1) * 8 / 1000 / seconds
    bounds = [begun / 2, begun * 1.2]
    if quality.loss >= _FEW_LOST:
        lasting = 1.22 * MOST_DATA * 8 / 1000 / (there_and_back * quality.loss**0.5)
        bounds = [min(bounds[0], lasting / 4), min(bounds[1], lasting * 4)]
    return bounds[0], bounds[1]


def _as_long_and_lossy(line: ModelledLine) -> str:
    quality = line.country.line_of(line.at.vantage)
    return f"{round(1000 * quality.delay)} ms long and loses {100 * quality.loss:g} %"


def _rate(line: ModelledLine, stream: Open) -> int | None:
    """Returns the rate to which the line and the meters limit a download (kbit/s); None if there is no limit."""
    kind = line.at.network.topology.links.get(line.at.vantage.access.value)
    rates = [stream.connection.wire.kbit, kind.bandwidth if kind else None]
    return min((rate for rate in rates if rate is not None), default=None)


def app(line: ModelledLine, ask: AppTargets) -> Conclusion:
    attempts = attempts_of(ask, line.family)
    if not attempts:
        return untested(ask, line.family)
    failures = {name: _failure(line, attempt) for name, attempt in attempts.items()}
    true = {target.host: set(target.addresses) for target in ask.targets}
    misled = {name for name, seen in line.asked.items() if name in true and true[name].isdisjoint(seen)}
    return conclusion_of(ask, failures, misled)


def _failure(line: ModelledLine, attempt: Attempt) -> str | None:
    try:
        _make(line, attempt)
    except StepFailed as failed:
        return failed.failure
    return None


def _make(line: ModelledLine, attempt: Attempt) -> None:
    match attempt:
        case Fetch():
            line.fetch(attempt.url, lambda parts: _body(line, parts))
        case Post():
            stream = line.connect(attempt.address, attempt.port)
            line.round_trip(stream, "POST", urlsplit(attempt.url), lambda: b"")
        case Connect():
            address = line.first(line.lookup(attempt.name), attempt.name)
            _any_port(line, address, attempt.ports)


def _any_port(line: ModelledLine, address: str, ports: tuple[int, ...]) -> None:
    failed: StepFailed | None = None
    for port in ports:
        try:
            line.connect(address, port).connection.close()
        except StepFailed as failure:
            failed = failure
        else:
            return
    if failed is not None:
        raise failed


# -- the telephone: no DPI box is on its path -------------------------------------------------------------------------


def call(line: ModelledLine, ask: TelephoneLines) -> Conclusion:
    _signal(line, ask, VOICE.first)
    if ask.peer is not None:
        callee = _address_of(line, ask.peer)
        _both_ways(line, line.node, callee, MEDIA.first, "rtp")
    return Conclusion(Outcome.OK)


def sms(line: ModelledLine, ask: TelephoneLines) -> Conclusion:
    _signal(line, ask, SMS.first)
    return Conclusion(Outcome.OK)


def _signal(line: ModelledLine, ask: TelephoneLines, port: int) -> None:
    """Sends the caller's signalling to its operator's service, and the service's to the callee, already registered."""
    _both_ways(line, line.node, ask.line.registrar, port, "sip_register")
    service = line.country.ways.host_of(ask.line.registrar)  # also the callee's service
    assert service is not None
    if service.name in line.country.damage.silent:
        raise StepFailed(TIMEOUT, "sip_register")
    if ask.peer is not None:
        _both_ways(line, service.name, _address_of(line, ask.peer), port, "sip_invite")


def _address_of(line: ModelledLine, peer: TelephoneLine) -> str:
    """Returns a telephone's address: the last seven digits of its number are its vantage point's index."""
    vantage = line.at.network.vantages[int(peer.number[-7:])]
    return str(line.at.network.subscriber(vantage.id).address(line.version))


def _both_ways(line: ModelledLine, caller: str, to: str, port: int, operation: str) -> None:
    wire = line.wire(UDP, to, port, client_port=port, client=caller)
    for by_client in (True, False):
        if not any(a.at_client is not by_client for a in wire.send(Segment(b"."), by_client=by_client)):
            raise StepFailed(TIMEOUT, operation)
