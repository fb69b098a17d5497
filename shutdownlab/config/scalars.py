"""The scalar values that topologies and scenarios are written with: durations, rates, prefixes, ports, instants."""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BeforeValidator

from shutdownlab.config.document import Expected, Record

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_DURATION = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_RATE = {"kbit": 1, "mbit": 1000, "gbit": 1_000_000}
PROTOCOL_NUMBERS = {"icmp": 1, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "icmp6": 58}


def duration(value: Any) -> float:
    """`"20ms"`, `"12min"` as seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)", str(value))
    if found is None:
        raise Expected("a duration such as 20ms, 90s, 12min, 6h", "write a number and its unit")
    return float(found[1]) * _DURATION[found[2]]


def rate(value: Any) -> int:
    """`"150kbit"`, `"30mbit"` as kbit/s."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(kbit|mbit|gbit)", str(value))
    if found is None or float(found[1]) * _RATE[found[2]] < 1:
        raise Expected("a rate such as 150kbit, 30mbit, 1gbit", "write a number and its unit, at least 1kbit")
    return round(float(found[1]) * _RATE[found[2]])


def network(value: Any) -> Network:
    """`"100.64.0.0/16"` or `"2001:db8::/32"`; a bare address is a network of one."""
    try:
        return ipaddress.ip_network(str(value))
    except ValueError as error:
        hint = "the bits after the prefix length must be zero" if "host bits" in str(error) else ""
        raise Expected("an IPv4 or IPv6 prefix such as 100.64.0.0/16 or 2001:db8::/32", hint) from None


def overlap(a: Network, b: Network) -> bool:
    return a.version == b.version and a.overlaps(b)


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def instant(value: Any) -> datetime:
    """ISO 8601 with a zone: `2022-01-05T10:30Z`; kept in UTC."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        moment = datetime.min
    if moment.tzinfo is None:
        raise Expected("a time with its zone such as 2022-01-05T10:30Z", "append Z for UTC, +06:00 for Almaty in 2022")
    return moment.astimezone(UTC)


class Ports(Record):
    """A range of ports of one transport, or of both (`protocol` None). Source: RFC 6335 for the range."""

    protocol: str | None
    first: int
    last: int

    def __str__(self) -> str:
        span = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        return f"{self.protocol}/{span}" if self.protocol else span

    def contains(self, protocol: str, port: int) -> bool:
        return self.protocol in {None, protocol} and self.first <= port <= self.last


def ports(value: Any) -> Ports:
    """`443`, `"tcp/443"`, `"udp/1024-65535"`."""
    found = re.fullmatch(r"(?:(tcp|udp)/)?(\d{1,5})(?:-(\d{1,5}))?", str(value))
    if isinstance(value, Ports):
        return value
    if found is None or not 0 < int(found[2]) <= int(found[3] or found[2]) <= 65535:
        raise Expected("a port such as 443, tcp/443 or udp/16384-16399", "ports are 1 to 65535, low to high")
    return Ports(protocol=found[1], first=int(found[2]), last=int(found[3] or found[2]))


def host_name(value: Any) -> str:
    """A domain name, lower case, no trailing dot. Source: RFC 1035, RFC 5891 for its form on the wire."""
    name = str(value).rstrip(".").lower()
    label = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?"
    if len(name) > 253 or not re.fullmatch(rf"{label}(\.{label})*", name):
        raise Expected("a domain name such as kaspi.kz", "letters, digits and hyphens, labels of at most 63")
    return name


Seconds = Annotated[float, BeforeValidator(duration)]
Kbit = Annotated[int, BeforeValidator(rate)]
Prefix = Annotated[Network, BeforeValidator(network)]
Instant = Annotated[datetime, BeforeValidator(instant)]
Port = Annotated[Ports, BeforeValidator(ports)]
HostName = Annotated[str, BeforeValidator(host_name)]


def endpoint(ip: str, port: int) -> str:
    """`192.0.2.1:443`, `[2001:db8::1]:443`."""
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
