"""The scalar types of files: durations, rates, sizes, ports, instants.

Each type has a parser and a formatter: the output of `writing.dump` parses as an equal value. For any input, a parser
returns the value or raises `Expected`, and nothing else.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    Strict,
    model_serializer,
)
from pydantic_core import CoreSchema

from shutdownlab.config.document import Expected, Record
from shutdownlab.config.wording import is_visible

Whole = Annotated[int, Strict()]
"""A whole number; neither `true`, which Python treats as 1, nor text."""
Number = Annotated[float, Strict()]


def _asn(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"(?i)as *[0-9]{1,10}", value):
        raise Expected("the number of an autonomous system, such as 9198", "without AS before it")
    return value


_NO_SYSTEMS = frozenset({23456, 65535})
"""Stands for numbers of four bytes where only two fit (RFC 6793), and the last one of two bytes (RFC 7300)."""


def _of_a_system(number: int) -> int:
    if number in _NO_SYSTEMS:
        raise Expected("the number of an autonomous system, such as 64500", "that one is reserved")
    return number


Asn = Annotated[Whole, Field(ge=1, le=4_294_967_294), BeforeValidator(_asn), AfterValidator(_of_a_system)]
"""The number of an autonomous system (RFC 6793); 0 and the last one are reserved (RFC 7607, RFC 7300)."""


def _title(value: Any) -> Any:
    """Returns a title on one line, as tables and drawings show it; what is not text is refused elsewhere."""
    if not isinstance(value, str):
        return value
    text = " ".join(value.split())
    if not is_visible(text):
        raise Expected("a title in letters that can be seen")
    return text


Title = Annotated[str, BeforeValidator(_title)]
"""What people call something: one line of text, however many it is written on."""

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
    """Returns a scalar as text; "" for anything else, and for text longer than any valid value."""
    if isinstance(value, int) and (isinstance(value, bool) or abs(value) >= 1 << 128):
        return ""
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    text = str(value) if isinstance(value, str | int | float) else ""
    return text if len(text) <= _LONGEST else ""


def whole(value: Any, least: int, most: int) -> int | None:
    """Returns a whole number from `least` to `most`, written with or without quotes; None for anything else."""
    text = written(value)
    if not re.fullmatch(r"[0-9]{1,18}", text) or not least <= int(text) <= most:
        return None
    return int(text)


def duration(value: Any) -> float:
    """Parses a duration such as `"20ms"` or `"12min"`; returns seconds."""
    found = re.fullmatch(rf"{_QUANTITY}(ms|s|min|h|d)", written(value))
    if found is None:
        raise Expected("a duration such as 20ms, 90s, 12min, 6h", "write a number and its unit")
    seconds = float(found[1]) * _DURATION[found[2]]
    if seconds > _LONGEST_DURATION:
        raise Expected(f"at most {duration_text(_LONGEST_DURATION)}", "that is more than two centuries")
    return seconds


def duration_text(seconds: float) -> str:
    """Formats seconds in the largest unit that gives a whole number: `"20ms"`, `"12min"`."""
    for unit, size in reversed(_DURATION.items()):
        count = round(seconds / size)
        if count and count * size == seconds:
            return f"{count}{unit}"
    return f"{Decimal(repr(seconds)).normalize():f}s"


def rate(value: Any) -> int:
    """Parses a rate such as `"150kbit"` or `"30mbit"`; returns kbit/s."""
    found = re.fullmatch(rf"{_QUANTITY}(kbit|mbit|gbit)", written(value))
    kbit = round(float(found[1]) * _RATE[found[2]]) if found else 0
    if not 1 <= kbit <= _HIGHEST_RATE:
        hint = f"write a number and its unit, from 1kbit to {rate_text(_HIGHEST_RATE)}"
        raise Expected("a rate such as 150kbit, 30mbit, 1gbit", hint)
    return kbit


def rate_text(kbit: int) -> str:
    """Formats kbit/s in the largest unit that gives a whole number: `"150kbit"`, `"30mbit"`."""
    unit, size = next((unit, size) for unit, size in reversed(_RATE.items()) if kbit % size == 0)
    return f"{kbit // size}{unit}"


def size(value: Any) -> int:
    """Parses a size such as `"16KiB"` or `"500kB"`; returns bytes."""
    found = re.fullmatch(rf"{_QUANTITY}(B|kB|KiB|MB|MiB)", written(value))
    bytes_ = round(float(found[1]) * _SIZE[found[2]]) if found else 0
    if not 1 <= bytes_ <= _LARGEST_SIZE:
        raise Expected("a size such as 16KiB, 500kB, 1MiB", "write a number and its unit, up to 1024MiB")
    return bytes_


def size_text(bytes_: int) -> str:
    """Formats bytes in the largest unit that gives a whole number: `"16KiB"`."""
    largest_first = sorted(_SIZE.items(), key=lambda item: -item[1])
    unit, each = next((unit, each) for unit, each in largest_first if bytes_ % each == 0)
    return f"{bytes_ // each}{unit}"


def instant(value: Any) -> datetime:
    """Parses an ISO 8601 time with a zone, such as `2022-01-05T10:30Z`; returns it in UTC."""
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(written(value))
    except ValueError:
        moment = datetime.min
    if moment.tzinfo is None:
        raise Expected("a time with its zone such as 2022-01-05T10:30Z", "add Z for UTC, or an offset such as +06:00")
    if moment.year not in _YEARS:
        raise Expected(f"a time in the years {_YEARS.start} to {_YEARS.stop - 1}")
    return moment.astimezone(UTC)


def instant_text(moment: datetime) -> str:
    """Formats a time in UTC: `"2022-01-05T10:30Z"`."""
    exact = bool(moment.second or moment.microsecond)
    text = moment.astimezone(UTC).isoformat(timespec="auto" if exact else "minutes")
    return text.replace("+00:00", "Z")


def hours(value: Any) -> tuple[time, time]:
    """Parses hours such as `"08:00-20:00"`, `"22:00-06:00"` or `"18:00-24:00"`; returns the first minute, and the
    minute after the last."""
    clock = r"([01][0-9]|2[0-3]):([0-5][0-9])"
    found = re.fullmatch(rf"{clock}-{clock}", re.sub(r"-24:00\Z", "-00:00", written(value)))
    if found is None:
        raise Expected("hours of the day such as 08:00-20:00 or 22:00-06:00", "two digits each; may run over midnight")
    first, after = time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
    if first == after:
        raise Expected("an end that differs from the beginning", "leave `hours` out for the whole day")
    return first, after


def hours_text(span: tuple[time, time]) -> str:
    """Formats hours of the day: `"22:00-06:00"`."""
    start, end = span
    return f"{start:%H:%M}-{end:%H:%M}"


def utc_offset(value: Any) -> int:
    """Parses an offset such as `"+06:00"`, from -12:00 to +14:00; returns seconds east of UTC."""
    found = re.fullmatch(r"([-+])(0[0-9]|1[0-4]):([0-5][0-9])", written(value))
    seconds = int(f"{found[1]}1") * (int(found[2]) * 3600 + int(found[3]) * 60) if found else -(1 << 31)
    if not -12 * 3600 <= seconds <= 14 * 3600:
        raise Expected("an offset from UTC such as +06:00", "-12:00 to +14:00, in hours and minutes with their sign")
    return seconds


def utc_offset_text(seconds: int) -> str:
    """Formats seconds east of UTC: `"+06:00"`."""
    hour, minute = divmod(abs(seconds) // 60, 60)
    return f"{'-' if seconds < 0 else '+'}{hour:02}:{minute:02}"


class Ports(Record):
    """A range of ports of one transport protocol, or of both if `protocol` is None. Source: RFC 6335 for the range."""

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
    """Parses ports such as `443`, `"tcp/443"` or `"udp/1024-65535"`."""
    found = re.fullmatch(r"(?:(tcp|udp)/)?([0-9]{1,5})(?:-([0-9]{1,5}))?", written(value))
    if isinstance(value, Ports):
        return value
    if found is None or not 0 < int(found[2]) <= int(found[3] or found[2]) <= 65535:
        raise Expected(
            "a port such as 443, tcp/443 or udp/16384-16399",
            "a number, 1 to 65535, or two, low to high; tcp/ or udp/ comes first",
        )
    return Ports(protocol=found[1], first=int(found[2]), last=int(found[3] or found[2]))


@dataclass(frozen=True, slots=True, eq=False)
class ReadAs:
    """The JSON Schema of a value as written in a file; without it, the schema would describe the form in memory."""

    form: dict[str, Any]

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return dict(self.form) if handler.mode == "validation" else handler(schema)


@dataclass(frozen=True, slots=True, eq=False)
class OrElse:
    """The JSON Schema of a form that a file may use instead of the value's own."""

    form: dict[str, Any]

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        own = handler(schema)
        return {"anyOf": [own, dict(self.form)]} if handler.mode == "validation" else own


def text_like(title: str, *examples: str, pattern: str = "") -> ReadAs:
    """Returns the schema of a value that is written as text."""
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


def part(value: object) -> object:
    """Parses a share, above 0 and at most 1; raises `Expected`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise Expected("a share above 0 and up to 1", "such as 0.9")
    return float(value)
