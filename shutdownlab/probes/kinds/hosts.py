"""Probes of a host: a port, its answer to pings, its name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from shutdownlab.config.addresses import endpoint, is_address
from shutdownlab.config.document import Expected, quoted
from shutdownlab.config.domains import url
from shutdownlab.config.scalars import Whole
from shutdownlab.model.probe import Asked, HostProbe, PortProbe, ServerControl, SinglePort, Surroundings, asked_by_url


@dataclass(frozen=True, slots=True)
class Destination:
    """A host, with a port if the test has one, and its transport."""

    host: str
    port: int = 0
    transport: Literal["tcp", "udp"] = "tcp"


class _ToPort(PortProbe):
    def ask(self, at: Surroundings) -> Destination:
        return Destination(self.host, self.port.first, "udp" if self.port.protocol == "udp" else "tcp")


class _ToTcpPort(_ToPort):
    @field_validator("port")
    @classmethod
    def _of_tcp(cls, value: SinglePort) -> SinglePort:
        if value.protocol == "udp":
            raise Expected("a port of TCP, such as tcp/443", found=str(value))
        return value


class Tcp(_ToTcpPort):
    """A TCP connection to `port` of `host`, by its true address."""

    runs = "shutdownlab.probes.steps:tcp_test"
    follows = "shutdownlab.verifier.follow:tcp"
    answered_by = "port"
    ooni_test = "urlgetter"

    def ooni_input(self, at: Surroundings) -> str:
        return f"tcpconnect://{endpoint(self.host, self.port.first)}"


class Tls(_ToTcpPort):
    """A TLS handshake with `host`, by its true address."""

    runs = "shutdownlab.probes.steps:tls_test"
    follows = "shutdownlab.verifier.follow:tls"
    ooni_test = "urlgetter"

    @property
    def asked(self) -> tuple[Asked, ...]:
        return tuple(replace(each, kinds=("https", "tls")) for each in super().asked)

    def ooni_input(self, at: Surroundings) -> str:
        return f"tlshandshake://{endpoint(self.host, self.port.first)}"


class Vpn(_ToPort):
    """The first exchange of an OpenVPN session with `host`, by its true address."""

    runs = "shutdownlab.probes.vpn:vpn_test"
    follows = "shutdownlab.verifier.follow:vpn"
    ooni_test = "openvpn"

    @property
    def asked(self) -> tuple[Asked, ...]:
        (there,) = super().asked
        if there.transport == "udp":
            return (replace(there, kinds=("openvpn",)),)
        return replace(there, kinds=("tcp",)), Asked("host", self.host, 1194, "udp", ("openvpn",))

    def ooni_input(self, at: Surroundings) -> str:
        asked = self.ask(at)
        return f"openvpn://{endpoint(asked.host, asked.port)}/?transport={asked.transport}"


@dataclass(frozen=True, slots=True)
class Echoes:
    """How many echo requests to send to a host, and how many must be answered.

    `then`: the TCP port to connect to afterwards; 0: none.
    """

    host: str
    count: int = 1
    answered: int = 1
    then: int = 0


_Echoes = Annotated[Whole, Field(ge=1, le=100)]


class Ping(HostProbe):
    """ICMP echoes from `host`, by its true address."""

    count: _Echoes = 1
    """How many echo requests are sent, one after another."""
    answered: _Echoes | None = None
    """How many of them must be answered; left out: all."""
    then: SinglePort | None = None
    """A TCP port of the host to which a connection must succeed as well, once all requests are sent."""

    runs = "shutdownlab.probes.steps:ping_test"
    follows = "shutdownlab.verifier.follow:ping"
    answered_by = "host"
    ooni_test = "x_ping"

    @model_validator(mode="after")
    def _can_be_answered(self) -> Ping:
        if self.answered is not None and self.answered > self.count:
            hint = "there cannot be more answers than pings"
            raise Expected(f"at most `count`, {self.count}", hint, found=str(self.answered), key="answered")
        if self.then is not None and self.then.protocol == "udp":
            raise Expected("a port of TCP, such as tcp/443", found=str(self.then), key="then")
        return self

    @property
    def waits_for(self) -> Literal["host", "port", "program"]:
        return "host" if self.then is None else "port"

    @property
    def asked(self) -> tuple[Asked, ...]:
        return () if self.then is None else (Asked("then", self.host, self.then.first),)

    @property
    def echoes(self) -> int:
        return self.count

    def ask(self, at: Surroundings) -> Echoes:
        return Echoes(self.host, self.count, self.answered or self.count, self.then.first if self.then else 0)

    def control(self, at: Surroundings) -> ServerControl:
        """Returns a control of one echo, which the server's kernel answers, and the port as well if there is one."""
        return ServerControl(self.runs, replace(self.ask(at), count=1, answered=1))

    def ooni_input(self, at: Surroundings) -> str:
        return f"ping://{self.host}"


@dataclass(frozen=True, slots=True)
class NameQuestion:
    """The name to look up, and the resolver to ask over TLS or HTTPS; "": the request's resolver, unencrypted."""

    host: str
    secure_resolver: str = ""


class Dns(HostProbe):
    """A lookup of `host`, at the operator's resolver or the one given by `resolver`."""

    resolver: str | None = None
    """The resolver to ask instead of the operator's: an address, `tls://HOST[:PORT]` (DNS over TLS) or
    `https://HOST[:PORT]/PATH` (DNS over HTTPS); a name in it is looked up at the operator's.
    """

    runs = "shutdownlab.probes.steps:dns_test"
    follows = "shutdownlab.verifier.follow:dns"
    ooni_test = "urlgetter"

    @field_validator("resolver")
    @classmethod
    def _known_way(cls, value: str | None) -> str | None:
        if value is None or is_address(value):
            return value
        found = _secure_resolver(value)
        if found is None:
            wanted = "an address, tls://HOST or https://HOST/PATH"
            raise Expected(wanted, "such as 8.8.8.8 or https://dns.google/dns-query", found=quoted(value))
        return found

    @property
    def resolver_address(self) -> str | None:
        return self.resolver if self.resolver is not None and is_address(self.resolver) else None

    @property
    def _secure_resolver(self) -> str:
        return self.resolver if self.resolver is not None and not is_address(self.resolver) else ""

    @property
    def _secure_host(self) -> str | None:
        return urlsplit(self._secure_resolver).hostname

    def far_ends(self, at: Surroundings) -> tuple[tuple[str, str], ...]:
        """Returns the resolver that is asked, if not the operator's: nothing is sent to `host` itself."""
        hosted = at.hosted(self.resolver_address or self._secure_host)
        return ((at.network.subscriber(at.vantage.id).name, at.node_of(hosted)),) if hosted is not None else ()

    def looked_up(self, at: Surroundings) -> tuple[str, ...]:
        if self.resolver is None:
            return (self.host,)
        return (self._secure_host,) if self._secure_host and not is_address(self._secure_host) else ()

    def control(self, at: Surroundings) -> ServerControl | None:
        return None if self.resolver is None else super().control(at)

    @property
    def hosts(self) -> dict[str, str]:
        return {"host": self.host} | ({"resolver": self._secure_host} if self._secure_host else {})

    @property
    def asked(self) -> tuple[Asked, ...]:
        if self.resolver_address is not None:
            return (Asked("resolver", self.resolver_address, 53, "udp", ("dns",)),)
        return (asked_by_url("resolver", self._secure_resolver),) if self._secure_resolver else ()

    def ask(self, at: Surroundings) -> NameQuestion:
        return NameQuestion(self.host, self._secure_resolver)

    def ooni_input(self, at: Surroundings) -> str:
        return f"dnslookup://{self.host}"


def _secure_resolver(text: str) -> str | None:
    """Returns a normalised `tls://HOST` or `https://HOST/PATH`; None if it is neither."""
    try:
        parts = url(text, ("tls", "https"))
    except Expected:
        return None
    sound = not (parts.query or parts.fragment) and (parts.scheme == "https" or parts.path in {"", "/"})
    return parts.geturl() if sound else None
