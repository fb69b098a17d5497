"""What the runner asks a probe agent, and what it gets back."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from shutdownlab.model.scenario import Family, Outcome, Test


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint out of the app catalogue: a host name, or "" where clients use the bare addresses.

    `services` are (kind, port) such as ("https", 443). `addresses` are those it truly has: the control that answers
    are compared with.
    """

    host: str
    addresses: tuple[str, ...] = ()
    services: tuple[tuple[str, int], ...] = ()

    def addresses_of(self, family: Family) -> tuple[str, ...]:
        version = 4 if family is Family.IPV4 else 6
        return tuple(a for a in self.addresses if ipaddress.ip_address(a).version == version)


@dataclass(frozen=True, slots=True)
class Line:
    """A telephone line: its number and the SIP registrar (an address) of its operator."""

    number: str
    registrar: str


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """One probe from one vantage point over one address family. The caller has looked everything up.

    `place`: whose probes share a line with this one, so that a download there has to be alone. `timeout`: seconds
    one step (a lookup, a connect, a handshake, a reply) may take at most; the pool scales it try by try.
    `resolver`: the address that the name questions go to; `secure_resolver`: whom a dns test asks instead,
    `tls://HOST[:PORT]` or `https://HOST[:PORT]/PATH`. `ca`: PEM file of the authority whose certificates count;
    "" trusts none. `addresses`: what `host` or the URL's host truly resolves to, in this family; tcp, tls, vpn and
    ping go to the first of them without asking, other tests compare answers with them. Empty: not known.
    `marker`: text that the genuine page contains; "" takes any page with a status below 400.
    `line` and `peer`: the caller's and the callee's telephone line, `peer_agent` the agent that answers there.
    `max_bytes` and `seconds` limit a throughput download, judged throttled below `throttled_below` kbit/s; the file
    must have `min_bytes` at least, or it says nothing.
    """

    id: str
    name: str
    test: Test
    place: str = ""
    family: Family = Family.IPV4
    timeout: float = 1.2
    resolver: str = ""
    secure_resolver: str = ""
    ca: str = ""
    url: str = ""
    host: str = ""
    port: int = 0
    transport: Literal["tcp", "udp"] = "tcp"
    app: str = ""
    targets: tuple[Target, ...] = ()
    addresses: tuple[str, ...] = ()
    marker: str = ""
    line: Line | None = None
    peer: Line | None = None
    peer_agent: str = ""
    min_bytes: int = 64 * 1024
    max_bytes: int = 512 * 1024
    seconds: float = 1.0
    throttled_below: int = 512


@dataclass(frozen=True, slots=True)
class Measurement:
    """What came of a request. `started` is Unix time, `runtime` seconds; `test_keys` are in OONI data format 0.2.0.

    `failure` is OONI's failure string, None where the block shows otherwise (a block page, a forged DNS answer) or
    nothing failed. `doubtful`: load alone could have caused this outcome. `passes`: how often it was measured.
    """

    outcome: Outcome
    failure: str | None = None
    started: float = 0.0
    runtime: float = 0.0
    test_keys: Mapping[str, Any] = field(default_factory=dict)
    doubtful: bool = False
    passes: int = 1
