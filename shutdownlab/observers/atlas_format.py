"""RIPE Atlas' result format (its documentation, "Data formats", firmware 5000 and later), and its list of probes. Pure.

A result is a JSON object; times are seconds since the epoch, in scenario time; round-trip times are in ms. Keys that
are not in the format begin with `x_`.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

Json: TypeAlias = dict[str, Any]
FIRMWARE: Final = 5080
PACKET_BYTES: Final = 28
PING, TRACEROUTE, DNS, SSLCERT = 1001, 5001, 10001, 1_000_001
"""Measurement ids: those of Atlas' built-in measurements of a root server; for TLS there is none."""


@dataclass(frozen=True, slots=True)
class Sender:
    """The probe that reports, by number and address, and the time `at`; `public`: its address after NAT; `wall`: the
    wall-clock time (ISO 8601)."""

    number: int
    address: str
    public: str
    at: int
    wall: str


@dataclass(frozen=True, slots=True)
class Echo:
    """An answer to a packet: the sender's address, and the round-trip time in ms."""

    address: str
    rtt: float


def ping(sender: Sender, name: str, address: str, answers: Sequence[Echo | None]) -> Json:
    """Returns the result of a ping. answers: one per echo, None for those that were not answered."""
    rtts = [answer.rtt for answer in answers if answer is not None]
    figures = {"min": min(rtts), "max": max(rtts), "avg": sum(rtts) / len(rtts)} if rtts else {}
    every = {"min": -1, "max": -1, "avg": -1, **figures}
    return {
        **_common(sender, "ping", PING, name, address),
        "proto": "ICMP", "size": PACKET_BYTES, "sent": len(answers), "rcvd": len(rtts), "dup": 0, "step": 240,
        **{key: round(value, 3) for key, value in every.items()},
        "result": [{"x": "*"} if answer is None else {"rtt": round(answer.rtt, 3)} for answer in answers],
    }  # fmt: skip


def traceroute(sender: Sender, name: str, address: str, hops: Mapping[int, Sequence[Echo | None]]) -> Json:
    """Returns the result of an ICMP traceroute. hops: the answers of each hop (three packets), by TTL."""
    result = [
        {
            "hop": ttl,
            "result": [
                {"x": "*"} if echo is None else {"from": echo.address, "rtt": round(echo.rtt, 3), "size": PACKET_BYTES}
                for echo in echoes
            ],
        }
        for ttl, echoes in sorted(hops.items())
    ]
    own = {"proto": "ICMP", "size": PACKET_BYTES, "paris_id": 1, "endtime": sender.at + 1, "result": result}
    return {**_common(sender, "traceroute", TRACEROUTE, name, address), **own}


def dns(sender: Sender, resolver: str, query: bytes, response: bytes | None, rtt: float) -> Json:
    """Returns the result of a query to the probe's resolver, over UDP. `response` None: it timed out after `rtt` ms."""
    found = {**_common(sender, "dns", DNS, resolver, resolver), "proto": "UDP"}
    found["qbuf"] = base64.b64encode(query).decode()
    if response is None:
        return {**found, "error": {"timeout": round(rtt)}}
    answer = {"rt": round(rtt, 3), "size": len(response), "abuf": base64.b64encode(response).decode()}
    counts = [int.from_bytes(response[place : place + 2]) for place in (4, 6, 8, 10)]
    names = dict(zip(("QDCOUNT", "ANCOUNT", "NSCOUNT", "ARCOUNT"), counts, strict=True))
    return {**found, "result": {**answer, "ID": int.from_bytes(response[:2]), **names}}


def sslcert(
    sender: Sender, name: str, address: str, certificate: bytes | None, failure: str, connecting: float, rtt: float
) -> Json:
    """Returns the result of a TLS handshake: the server's certificate (DER), or `failure` if there is none. connecting,
    rtt: ms to connect, and in total."""
    found = {**_common(sender, "sslcert", SSLCERT, name, address), "dst_port": "443", "method": "TLS", "ver": "1.2"}
    if certificate is None:
        return {**found, "err": failure}
    pem = ssl.DER_cert_to_PEM_cert(certificate)
    return {**found, "ttc": round(connecting, 3), "rt": round(rtt, 3), "cert": [pem]}


def probe(number: int, asn: int, country: str, address: str, *, tags: Sequence[str], connected: bool) -> Json:
    """Returns an entry of the list of probes (RIPE Atlas API, /api/v2/probes)."""
    status = {"id": 1, "name": "Connected"} if connected else {"id": 2, "name": "Disconnected"}
    return {
        "id": number, "asn_v4": asn, "country_code": country, "address_v4": address, "is_anchor": "datacentre" in tags,
        "status": status, "tags": [{"name": tag, "slug": tag} for tag in tags],
    }  # fmt: skip


def _common(sender: Sender, kind: str, measurement: int, name: str, address: str) -> Json:
    return {
        "fw": FIRMWARE, "mver": "2.6.2", "lts": 0, "type": kind, "msm_id": measurement, "msm_name": kind.capitalize(),
        "prb_id": sender.number, "timestamp": sender.at, "from": sender.public, "src_addr": sender.address,
        "dst_name": name, "dst_addr": address, "af": 4, "x_wall_time": sender.wall,
    }  # fmt: skip
