"""What each circumvention tool would find: the functions that their `follows` name. Pure.

For a tool's connection the model has the server's address and port, the first octets of client and server, and the
lengths of their messages; everything encrypted is random octets. An outcome that depends on the shape or timing of
these is undecided.
"""

from __future__ import annotations

from functools import cache
from hashlib import shake_128

from shutdownlab.config.numbers import UDP
from shutdownlab.model.scenario import Outcome
from shutdownlab.model.tool import ToolUse
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.failure import EOF, TIMEOUT, StepFailed
from shutdownlab.probes.kinds import Destination
from shutdownlab.verifier import follow, speech
from shutdownlab.verifier.line import ModelledLine, Open, Undecided
from shutdownlab.verifier.wire import ModelledConnection

_SSH = b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"
_INITIATION, _RESPONSE = 148, 92
"""Octets of WireGuard's handshake messages (Donenfeld, "WireGuard", NDSS 2017, 5.4)."""
_BRIDGE = "www.sqhwjz5jyeiq.com"
"""Tor's TLS server name is random letters (tor-spec, "Negotiating channels"; src/lib/tls/tortls.c)."""


@cache
def _random(seed: str, octets: int) -> bytes:
    """Returns octets that look encrypted; the same for the same arguments."""
    return shake_128(seed.encode()).digest(octets)


def ssh(line: ModelledLine, ask: ToolUse) -> Conclusion:
    stream = _connect(line, ask)
    _exchanged(stream, _SSH, _SSH, "ssh_handshake")
    return _tunnelled(line, stream, ask)


def random_stream(line: ModelledLine, ask: ToolUse) -> Conclusion:
    """Follows a tool whose stream is random from its first octet: Shadowsocks, obfs4."""
    return _tunnelled(line, _connect(line, ask), ask)


def wireguard(line: ModelledLine, ask: ToolUse) -> Conclusion:
    wire = line.wire(UDP, line.locate(ask.host), ask.port)
    initiation = b"\x01\0\0\0" + _random("initiation", _INITIATION - 4)
    response = b"\x02\0\0\0" + _random("response", _RESPONSE - 4)
    _datagrams(line, wire, (initiation,), response, "wireguard_handshake")
    data = b"\x04\0\0\0" + _random("data", 1200)
    _datagrams(line, wire, (data,), data, "http_round_trip")
    return _as_fast(line, wire, ask)


def openvpn(line: ModelledLine, ask: ToolUse) -> Conclusion:
    follow.vpn(line, Destination(ask.host, ask.port, "udp" if ask.transport == "udp" else "tcp"))
    return _as_fast(line, line.wires[-1], ask)


def dot(line: ModelledLine, ask: ToolUse) -> Conclusion:
    stream = _connect(line, ask, by_name=True)
    _shake_hands(stream, ask.host)
    _exchanged(stream, speech.sealed(160), speech.sealed(120), "resolve")
    return Conclusion(Outcome.OK)


def doh(line: ModelledLine, ask: ToolUse) -> Conclusion:
    return dot(line, ask)


def doq(line: ModelledLine, ask: ToolUse) -> Conclusion:
    wire = line.wire(UDP, line.first(line.lookup(ask.host), ask.host), ask.port)
    initial = speech.quic_initial(ask.host) if wire.inspected else (bytes(1200),)
    _datagrams(line, wire, initial, speech.quic_handshake(), "quic_handshake")
    return Conclusion(Outcome.OK)


def tor(line: ModelledLine, ask: ToolUse) -> Conclusion:
    stream = _connect(line, ask)
    _shake_hands(stream, _BRIDGE)
    return _tunnelled(line, stream, ask)


def through_cdn(line: ModelledLine, ask: ToolUse) -> Conclusion:
    """Follows domain fronting, which meek uses too: TLS to `host`, with the true name inside."""
    stream = _connect(line, ask, by_name=True)
    _shake_hands(stream, ask.host)
    _exchanged(stream, speech.sealed(300), speech.sealed(4000), "http_round_trip")
    return _as_fast(line, stream.connection.wire, ask)


def _connect(line: ModelledLine, ask: ToolUse, *, by_name: bool = False) -> Open:
    address = line.first(line.lookup(ask.host), ask.host) if by_name else line.locate(ask.host)
    return line.connect(address, ask.port)


def _shake_hands(stream: Open, name: str) -> None:
    _exchanged(stream, speech.client_hello(name, ()), speech.server_hello(), "tls_handshake")
    if stream.connection.wire.intercepted:
        raise StepFailed("ssl_unknown_authority", "tls_handshake")


def _tunnelled(line: ModelledLine, stream: Open, ask: ToolUse) -> Conclusion:
    """Follows a tunnel's handshake and a page inside it, both random octets."""
    for part in ("handshake", "page"):
        _exchanged(stream, _random(f"{part} of client", 600), _random(f"{part} of server", 3000), f"tunnel_{part}")
    return _as_fast(line, stream.connection.wire, ask)


def _exchanged(stream: Open, request: bytes, answer: bytes, operation: str) -> None:
    heard = stream.connection.exchange(request, answer, operation)
    if stream.connection.wire.intercepted and operation == "tls_handshake":
        return
    if heard != answer:
        raise StepFailed(EOF, operation)


def _datagrams(
    line: ModelledLine, wire: ModelledConnection, sent: tuple[bytes, ...], answer: bytes, operation: str
) -> None:
    if line.datagrams(wire, sent, answer, operation) != answer:
        raise StepFailed(TIMEOUT, operation)


def _as_fast(line: ModelledLine, wire: ModelledConnection, ask: ToolUse) -> Conclusion:
    """Concludes whether the page is throttled.

    Raises `Undecided` if the rate is too close to the limit, or if policies make the line worse.
    """
    if line.country.line_of(line.at.vantage).policies:
        raise Undecided("how fast a tunnel is over a line that policies make worse")
    rate, least = wire.kbit, ask.throttled_below
    if rate is None or rate * follow.SLOWEST >= least:
        return Conclusion(Outcome.OK)
    if rate * follow.FASTEST < least:
        return Conclusion(Outcome.THROTTLED)
    raise Undecided(f"whether {rate} kbit/s bring {least} through a tunnel")
