"""The scalar values that every file is written with: durations, rates, prefixes, ports, instants.

Each type knows how it is read and how it is written: what `writing.dump` makes of a value reads as that same value.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, model_serializer

from shutdownlab.config.document import Expected, Record

IpPrefix = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_DURATION = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_RATE = {"kbit": 1, "mbit": 1000, "gbit": 1_000_000}


def duration(value: Any) -> float:
    """`"20ms"`, `"12min"` as seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)", str(value))
    if found is None:
        raise Expected("a duration such as 20ms, 90s, 12min, 6h", "write a number and its unit")
    return float(found[1]) * _DURATION[found[2]]


def duration_text(seconds: float) -> str:
    """`"20ms"`, `"12min"`: seconds in the largest unit that they are a whole number of."""
    for unit, size in reversed(_DURATION.items()):
        count = round(seconds / size)
        if count and count * size == seconds:
            return f"{count}{unit}"
    return f"{Decimal(repr(seconds)).normalize():f}s"


def rate(value: Any) -> int:
    """`"150kbit"`, `"30mbit"` as kbit/s."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(kbit|mbit|gbit)", str(value))
    if found is None or float(found[1]) * _RATE[found[2]] < 1:
        raise Expected("a rate such as 150kbit, 30mbit, 1gbit", "write a number and its unit, at least 1kbit")
    return round(float(found[1]) * _RATE[found[2]])


def rate_text(kbit: int) -> str:
    """`"150kbit"`, `"30mbit"`: kbit/s in the largest unit that they are a whole number of."""
    unit, size = next((unit, size) for unit, size in reversed(_RATE.items()) if kbit % size == 0)
    return f"{kbit // size}{unit}"


def network(value: Any) -> IpPrefix:
    """`"100.64.0.0/16"` or `"2001:db8::/32"`; a bare address is a network of one."""
    try:
        return ipaddress.ip_network(str(value))
    except ValueError as error:
        hint = "the bits after the prefix length must be zero" if "host bits" in str(error) else ""
        raise Expected("an IPv4 or IPv6 prefix such as 100.64.0.0/16 or 2001:db8::/32", hint) from None


def overlap(a: IpPrefix, b: IpPrefix) -> bool:
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


def instant_text(moment: datetime) -> str:
    """`"2022-01-05T10:30Z"`."""
    exact = bool(moment.second or moment.microsecond)
    text = moment.astimezone(UTC).isoformat(timespec="auto" if exact else "minutes")
    return text.replace("+00:00", "Z")


def hours(value: Any) -> tuple[time, time]:
    """`"08:00-20:00"`, `"22:00-06:00"` as its first minute and the one after its last."""
    found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", str(value))
    if found is None:
        raise Expected("hours of the day such as 08:00-20:00 or 22:00-06:00", "two digits each; may run over midnight")
    return time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))


def hours_text(span: tuple[time, time]) -> str:
    """`"22:00-06:00"`."""
    start, end = span
    return f"{start:%H:%M}-{end:%H:%M}"


def utc_offset(value: Any) -> int:
    """`"+06:00"` as seconds east of UTC."""
    found = re.fullmatch(r"([-+])(0\d|1[0-4]):([0-5]\d)", str(value))
    if found is None:
        raise Expected("an offset from UTC such as +06:00", "write it in quotes")
    seconds = int(found[2]) * 3600 + int(found[3]) * 60
    return -seconds if found[1] == "-" else seconds


def utc_offset_text(seconds: int) -> str:
    """`"+06:00"`."""
    hour, minute = divmod(abs(seconds) // 60, 60)
    return f"{'-' if seconds < 0 else '+'}{hour:02}:{minute:02}"


class Ports(Record):
    """A range of ports of one transport, or of both (`protocol` None). Source: RFC 6335 for the range."""

    protocol: str | None
    first: int
    last: int

    @model_serializer
    def _text(self) -> str:
        span = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        return f"{self.protocol}/{span}" if self.protocol else span

    def __str__(self) -> str:
        return self._text()

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


Seconds = Annotated[float, BeforeValidator(duration), PlainSerializer(duration_text)]
Kbit = Annotated[int, BeforeValidator(rate), PlainSerializer(rate_text)]
Prefix = Annotated[IpPrefix, BeforeValidator(network)]
Instant = Annotated[datetime, BeforeValidator(instant), PlainSerializer(instant_text)]
Hours = Annotated[tuple[time, time], BeforeValidator(hours), PlainSerializer(hours_text)]
UtcOffset = Annotated[int, BeforeValidator(utc_offset), PlainSerializer(utc_offset_text)]
Port = Annotated[Ports, BeforeValidator(ports)]
HostName = Annotated[str, BeforeValidator(host_name)]


def endpoint(ip: str, port: int) -> str:
    """`192.0.2.1:443`, `[2001:db8::1]:443`."""
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
