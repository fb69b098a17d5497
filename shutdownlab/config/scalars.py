"""The scalar values that every file is written with: durations, rates, prefixes, ports, instants.

Each type knows how it is read and how it is written: what `writing.dump` makes of a value reads as that same value.
Whatever a file has in a value's place, reading it returns the value or raises `Expected`, and nothing else.
"""

from __future__ import annotations

import ipaddress
import math
import re
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    Strict,
    model_serializer,
)
from pydantic_core import CoreSchema

from shutdownlab.config.document import Expected, Record, quoted
from shutdownlab.config.idn import to_ascii

IpPrefix = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

Whole = Annotated[int, Strict()]
"""Neither true, which Python takes for 1, nor text."""
Number = Annotated[float, Strict()]

_DURATION = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_RATE = {"kbit": 1, "mbit": 1000, "gbit": 1_000_000}
_QUANTITY = r"([0-9]{1,15}(?:\.[0-9]{1,40})?)\s*"
_LONGEST_DURATION = 100_000 * 86400.0
_SIZE = {"B": 1, "kB": 1000, "KiB": 1024, "MB": 1_000_000, "MiB": 1 << 20}
_LARGEST_SIZE = 1024 * _SIZE["MiB"]
_HIGHEST_RATE = 1_000 * _RATE["gbit"]
_YEARS = range(1970, 2200)
_LONGEST = 2_000


def written(value: Any) -> str:
    """A scalar as it was written; empty for all else, and for what is longer than any is."""
    if isinstance(value, int) and (isinstance(value, bool) or abs(value) >= 1 << 128):
        return ""
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    text = str(value) if isinstance(value, str | int | float) else ""
    return text if len(text) <= _LONGEST else ""


def whole(value: Any, least: int, most: int) -> int | None:
    """A whole number that was written as such, in quotes or without, if it is in this range."""
    text = written(value)
    if not re.fullmatch(r"[0-9]{1,18}", text) or not least <= int(text) <= most:
        return None
    return int(text)


def duration(value: Any) -> float:
    """`"20ms"`, `"12min"` as seconds."""
    found = re.fullmatch(rf"{_QUANTITY}(ms|s|min|h|d)", written(value))
    if found is None:
        raise Expected("a duration such as 20ms, 90s, 12min, 6h", "write a number and its unit")
    seconds = float(found[1]) * _DURATION[found[2]]
    if seconds > _LONGEST_DURATION:
        raise Expected(f"at most {duration_text(_LONGEST_DURATION)}", "that is more than two centuries")
    return seconds


def duration_text(seconds: float) -> str:
    """`"20ms"`, `"12min"`: seconds in the largest unit that they are a whole number of."""
    for unit, size in reversed(_DURATION.items()):
        count = round(seconds / size)
        if count and count * size == seconds:
            return f"{count}{unit}"
    return f"{Decimal(repr(seconds)).normalize():f}s"


def rate(value: Any) -> int:
    """`"150kbit"`, `"30mbit"` as kbit/s."""
    found = re.fullmatch(rf"{_QUANTITY}(kbit|mbit|gbit)", written(value))
    kbit = round(float(found[1]) * _RATE[found[2]]) if found else 0
    if not 1 <= kbit <= _HIGHEST_RATE:
        hint = f"write a number and its unit, from 1kbit to {rate_text(_HIGHEST_RATE)}"
        raise Expected("a rate such as 150kbit, 30mbit, 1gbit", hint)
    return kbit


def rate_text(kbit: int) -> str:
    """`"150kbit"`, `"30mbit"`: kbit/s in the largest unit that they are a whole number of."""
    unit, size = next((unit, size) for unit, size in reversed(_RATE.items()) if kbit % size == 0)
    return f"{kbit // size}{unit}"


def size(value: Any) -> int:
    """`"16KiB"`, `"500kB"` as bytes."""
    found = re.fullmatch(rf"{_QUANTITY}(B|kB|KiB|MB|MiB)", written(value))
    bytes_ = round(float(found[1]) * _SIZE[found[2]]) if found else 0
    if not 1 <= bytes_ <= _LARGEST_SIZE:
        raise Expected("a size such as 16KiB, 500kB, 1MiB", "write a number and its unit, up to 1024MiB")
    return bytes_


def size_text(bytes_: int) -> str:
    """`"16KiB"`: bytes in the largest unit that they are a whole number of."""
    largest_first = sorted(_SIZE.items(), key=lambda item: -item[1])
    unit, each = next((unit, each) for unit, each in largest_first if bytes_ % each == 0)
    return f"{bytes_ // each}{unit}"


def network(value: Any) -> IpPrefix:
    """`"100.64.0.0/16"` or `"2001:db8::/32"`; a bare address is a network of one."""
    if isinstance(value, ipaddress.IPv4Network | ipaddress.IPv6Network):
        return value
    if isinstance(value, str) and (plain := plain_prefix(value)) is not None:
        version, *first_and_length = plain
        kind = ipaddress.IPv4Network if version == 4 else ipaddress.IPv6Network
        return kind(tuple(first_and_length))
    expected = "an IPv4 or IPv6 prefix such as 100.64.0.0/16 or 2001:db8::/32"
    text = str(value) if isinstance(value, ipaddress.IPv4Address | ipaddress.IPv6Address) else written(value)
    if "%" in text:
        raise Expected(expected, "without a zone (what follows the %)")
    try:
        found = ipaddress.ip_network(text)
    except ValueError as error:
        hint = "the bits after the prefix length must be zero" if "host bits" in str(error) else ""
        raise Expected(expected, hint) from None
    if found.version == 6 and found.subnet_of(_MAPPED):
        inside = ipaddress.IPv4Address(int(found.network_address) & 0xFFFFFFFF)
        raise Expected(expected, f"no packet has such an address: write {inside}/{found.prefixlen - _MAPPED.prefixlen}")
    return found


def plain_prefix(text: str) -> tuple[int, int, int] | None:
    """IP version, first address and length of a prefix in its usual form, which lists have by the hundred thousand, in
    a fifth of `ip_network`'s time; None for whatever else it is."""
    start, slash, length = text.partition("/")
    bits = _LENGTHS.get(length, -1) if slash else 128
    try:
        if ":" not in start:
            number = int.from_bytes(socket.inet_pton(socket.AF_INET, start), "big")
            bits = bits if slash else 32
            return None if not 0 <= bits <= 32 or number & (0xFFFFFFFF >> bits) else (4, number, bits)
        number = int.from_bytes(socket.inet_pton(socket.AF_INET6, start), "big")
    except (OSError, ValueError):
        return None
    if bits < 0 or number & (_ALL_ONES >> bits) or number >> 32 == _MAPPED_ABOVE:
        return None
    return 6, number, bits


_LENGTHS = {str(length): length for length in range(129)}
_ALL_ONES = (1 << 128) - 1
_MAPPED_ABOVE = 0xFFFF
"""What is above the IPv4 address in an IPv6 address that stands for one."""


def address(value: Any) -> Address:
    """`"192.0.2.1"` or `"2001:db8::1"`."""
    if isinstance(value, ipaddress.IPv4Address | ipaddress.IPv6Address):
        return value
    text = written(value)
    if not is_address(text):
        raise Expected("an IPv4 or IPv6 address such as 192.0.2.1 or 2001:db8::1")
    found = ipaddress.ip_address(text)
    if found.version == 6 and found.ipv4_mapped is not None:
        raise Expected("an IPv4 or IPv6 address", f"no packet has such an address: write {found.ipv4_mapped}")
    return found


def is_for_hosts(prefix: IpPrefix) -> bool:
    """Whether hosts can have its addresses: it holds none of this host, loopback, link-local, multicast or reserved.

    Source: IANA's special-purpose address registries (RFC 6890).
    """
    return not any(overlap(prefix, special) for special in _SPECIAL)


_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
"""How IPv6 sockets show IPv4 addresses (RFC 4291 §2.5.5.2); never on the wire."""

_SPECIAL = tuple(
    ipaddress.ip_network(block)
    for block in (
        *("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"),
        *("::/96", "::ffff:0:0/96", "fe80::/10", "ff00::/8"),
    )
)


def overlap(a: IpPrefix, b: IpPrefix) -> bool:
    return a.version == b.version and a.overlaps(b)


def is_address(text: str) -> bool:
    """Without a zone: `fe80::1%eth0`, or whatever else Python takes after a `%`, is none."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def instant(value: Any) -> datetime:
    """ISO 8601 with a zone: `2022-01-05T10:30Z`; kept in UTC."""
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(written(value))
    except ValueError:
        moment = datetime.min
    if moment.tzinfo is None:
        raise Expected("a time with its zone such as 2022-01-05T10:30Z", "append Z for UTC, +06:00 for Almaty in 2022")
    if moment.year not in _YEARS:
        raise Expected(f"a time of the years {_YEARS.start} to {_YEARS.stop - 1}")
    return moment.astimezone(UTC)


def instant_text(moment: datetime) -> str:
    """`"2022-01-05T10:30Z"`."""
    exact = bool(moment.second or moment.microsecond)
    text = moment.astimezone(UTC).isoformat(timespec="auto" if exact else "minutes")
    return text.replace("+00:00", "Z")


def hours(value: Any) -> tuple[time, time]:
    """`"08:00-20:00"`, `"22:00-06:00"`, `"18:00-24:00"` as its first minute and the one after its last."""
    clock = r"([01][0-9]|2[0-3]):([0-5][0-9])"
    found = re.fullmatch(rf"{clock}-{clock}", re.sub(r"-24:00\Z", "-00:00", written(value)))
    if found is None:
        raise Expected("hours of the day such as 08:00-20:00 or 22:00-06:00", "two digits each; may run over midnight")
    first, after = time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
    if first == after:
        raise Expected("hours that end at another time than they begin", "leave `hours` out for the whole day")
    return first, after


def hours_text(span: tuple[time, time]) -> str:
    """`"22:00-06:00"`."""
    start, end = span
    return f"{start:%H:%M}-{end:%H:%M}"


def utc_offset(value: Any) -> int:
    """`"+06:00"` as seconds east of UTC, -12:00 to +14:00."""
    found = re.fullmatch(r"([-+])(0[0-9]|1[0-4]):([0-5][0-9])", written(value))
    seconds = int(f"{found[1]}1") * (int(found[2]) * 3600 + int(found[3]) * 60) if found else -(1 << 31)
    if not -12 * 3600 <= seconds <= 14 * 3600:
        raise Expected("an offset from UTC such as +06:00", "-12:00 to +14:00, in hours and minutes with their sign")
    return seconds


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
    found = re.fullmatch(r"(?:(tcp|udp)/)?([0-9]{1,5})(?:-([0-9]{1,5}))?", written(value))
    if isinstance(value, Ports):
        return value
    if found is None or not 0 < int(found[2]) <= int(found[3] or found[2]) <= 65535:
        raise Expected("a port such as 443, tcp/443 or udp/16384-16399", "ports are 1 to 65535, low to high")
    return Ports(protocol=found[1], first=int(found[2]), last=int(found[3] or found[2]))


_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?"
NAME = rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*"
"""A host name in its one spelling, as a regular expression."""
_NAME = re.compile(NAME)


def is_host_name(text: str) -> bool:
    """Whether it is a name in its one spelling already: as `host_name` returns it."""
    return _NAME.fullmatch(text) is not None


def host_name(value: Any) -> str:
    """The name of one host, in its one spelling: lower case, A-labels, no dot at the end.

    It may be written as people do: capitals, a final dot, letters of any script. Source: RFC 1035; see `idn`.
    """
    text = written(value)
    name = text.rstrip(".").lower()
    if not name.isascii():
        try:
            name = to_ascii(name).rstrip(".")
        except UnicodeError as error:
            raise Expected("a domain name such as kaspi.kz", f"no client could look that up: {error}") from None
    if not is_host_name(name):
        hint = "letters, digits and hyphens, labels of at most 63"
        if name.startswith(("*.", ".")) and is_host_name(name.lstrip("*").removeprefix(".")):
            hint = "the name of one host; what is below a name is meant where whole domains are, as in `sites`"
        elif "://" in name or "/" in name:
            hint = "the name alone, without https:// and without a path"
        raise Expected("a domain name such as kaspi.kz", hint)
    return name


def domain(value: Any) -> str:
    """A name with everything below it: `kaspi.kz`, `.kaspi.kz` and `*.kaspi.kz` are the same, spelt as `host_name`."""
    text = written(value)
    return host_name(text.removeprefix("*").removeprefix(".") if text.startswith(("*.", ".")) else text)


def host(value: Any) -> str:
    """A host's name or its address, each in its one spelling."""
    text = written(value)
    if is_address(text):
        return str(address(text))
    try:
        return host_name(text)
    except Expected as error:
        hint = "without a zone (what follows the %)" if "%" in text else error.hint
        raise Expected("a domain name such as kaspi.kz, or an address", hint) from None


def url(value: Any, schemes: tuple[str, ...] = ("http", "https")) -> SplitResult:
    """`"https://kaspi.kz/"` in its parts: a host name (in its one spelling) or address, a port or none, no user."""
    text = written(value)
    scheme, _, rest = text.partition("://")
    authority = re.match(r"[^/?#]*", rest)[0]  # type: ignore[index]  # it matches whatever there is
    if not re.fullmatch(r"[!-~]*", scheme + rest.removeprefix(authority)) or re.search(r"[\s\x00-\x1f]", authority):
        raise Expected("a URL in ASCII but for its host's name, without spaces", "write %20 for a space, %C3%A9 for é")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise Expected("a URL such as https://kaspi.kz/", "ports are 1 to 65535, IPv6 addresses stand in []") from None
    if parts.scheme not in schemes or not host:
        raise Expected(f"a URL that starts with {' or '.join(f'{scheme}://' for scheme in reversed(schemes))}")
    if port == 0:
        raise Expected("a URL such as https://kaspi.kz/", "ports are 1 to 65535")
    if "@" in parts.netloc:
        raise Expected("a URL without a user's name")
    if not is_address(host):
        suffix = "" if port is None else f":{port}"
        parts = parts._replace(netloc=host_name(host) + suffix)
    return parts


def _url(value: str) -> str:
    try:
        return url(value).geturl()
    except Expected as error:
        raise Expected(error.expected, error.hint, found=quoted(value)) from None


@dataclass(frozen=True, slots=True, eq=False)
class ReadAs:
    """How a file writes a value, as JSON Schema says it; without, that would be the form that is kept in memory."""

    form: dict[str, Any]

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return dict(self.form) if handler.mode == "validation" else handler(schema)


@dataclass(frozen=True, slots=True, eq=False)
class OrElse:
    """What a file may have in a value's place beside its own form, as JSON Schema says it."""

    form: dict[str, Any]

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        own = handler(schema)
        return {"anyOf": [own, dict(self.form)]} if handler.mode == "validation" else own


def text_like(title: str, *examples: str, pattern: str = "") -> ReadAs:
    """A value that is written as text of a certain form."""
    form = {"title": title, "type": "string"} | ({"pattern": f"^{pattern}$"} if pattern else {})
    return ReadAs(form | {"examples": list(examples)})


_NUMBER = r"[0-9]{1,15}(\.[0-9]{1,40})? *"
_CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9]"

Seconds = Annotated[
    float,
    BeforeValidator(duration),
    PlainSerializer(duration_text),
    text_like("duration", "20ms", "90s", "12min", "6h", "2d", pattern=f"{_NUMBER}(ms|s|min|h|d)"),
]
Kbit = Annotated[
    int,
    BeforeValidator(rate),
    PlainSerializer(rate_text),
    text_like("rate", "512kbit", "30mbit", "1gbit", pattern=f"{_NUMBER}(kbit|mbit|gbit)"),
]
Size = Annotated[
    int,
    BeforeValidator(size),
    PlainSerializer(size_text),
    text_like("size", "16KiB", "500kB", "1MiB", pattern=f"{_NUMBER}(B|kB|KiB|MB|MiB)"),
]
# Not `BeforeValidator`: after it pydantic would try an IPv6 prefix as an IPv4 one, which takes longer than reading it.
Prefix = Annotated[IpPrefix, PlainValidator(network), text_like("prefix or address", "100.64.0.0/16", "2001:db8::/32")]
AnAddress = Annotated[Address, BeforeValidator(address), text_like("address", "192.0.2.1", "2001:db8::1")]
Url = Annotated[str, AfterValidator(_url), text_like("URL", "https://www.bbc.com/", pattern="https?://.+")]
Instant = Annotated[
    datetime,
    BeforeValidator(instant),
    PlainSerializer(instant_text),
    text_like("time with its zone", "2022-01-05T10:30Z", "2022-01-05T16:30+06:00"),
]
Hours = Annotated[
    tuple[time, time],
    BeforeValidator(hours),
    PlainSerializer(hours_text),
    text_like("hours of the day", "08:00-20:00", "22:00-06:00", pattern=f"{_CLOCK}-{_CLOCK}"),
]
UtcOffset = Annotated[
    int,
    BeforeValidator(utc_offset),
    PlainSerializer(utc_offset_text),
    text_like("offset from UTC", "+06:00", pattern="[-+](0[0-9]|1[0-4]):[0-5][0-9]"),
]
Port = Annotated[
    Ports,
    BeforeValidator(ports),
    ReadAs(
        {
            "title": "port or ports",
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 65535},
                {"type": "string", "pattern": "^((tcp|udp)/)?[0-9]{1,5}(-[0-9]{1,5})?$"},
            ],
            "examples": [443, "tcp/443", "udp/16384-16399"],
        }
    ),
]
HostName = Annotated[str, BeforeValidator(host_name), text_like("host name", "www.bbc.com", "пример.рф")]
Domain = Annotated[str, BeforeValidator(domain), text_like("domain", "kaspi.kz", "*.kaspi.kz", ".kaspi.kz")]
Host = Annotated[str, BeforeValidator(host), text_like("host name or address", "www.bbc.com", "8.8.8.8")]


def endpoint(ip: str, port: int) -> str:
    """`192.0.2.1:443`, `[2001:db8::1]:443`."""
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def is_part(inner: IpPrefix, outer: IpPrefix) -> bool:
    """Whether a prefix is another one, or lies within it."""
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def part(value: object) -> object:
    """A share of something, as a number; raises `Expected`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise Expected("a share above 0 and up to 1", "such as 0.9")
    return float(value)
