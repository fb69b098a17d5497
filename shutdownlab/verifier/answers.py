"""How clients parse answers: DNS messages and HTTP responses, from servers as well as from DPI boxes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from shutdownlab.probes.failure import StepFailed

_RCODES: Final = {2: "dns_servfail_error", 3: "dns_nxdomain_error", 5: "dns_refused_error"}
_SIZES: Final = {1: 4, 28: 16}


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An HTTP response."""

    code: int
    location: str
    body: bytes

    @property
    def is_fine(self) -> bool:
        return 200 <= self.code < 400


def response_of(data: bytes) -> HttpAnswer:
    """Parses an HTTP response; raises `StepFailed` if it is malformed."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if not first.startswith("HTTP/1.") or len(words) < 2 or not words[1].isdecimal():
        raise StepFailed("unknown_failure: malformed HTTP response", "http_round_trip")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return HttpAnswer(int(words[1]), headers.get("location", ""), body)


def dns_addresses(message: bytes, operation: str) -> tuple[str, ...]:
    """Returns the addresses in a DNS answer (RFC 1035, 4); raises `StepFailed` if there are none."""
    code = message[3] & 0x0F if len(message) > 11 else 1
    if code:
        raise StepFailed(_RCODES.get(code, "dns_server_misbehaving"), operation)
    at, found = 12, []
    while at < len(message) and message[at]:
        at += 1 + message[at]
    wanted = int.from_bytes(message[at + 1 : at + 3], "big")
    at += 5
    for _ in range(int.from_bytes(message[6:8], "big")):
        at += 2  # the record's name, which is a pointer to the question
        kind, size = int.from_bytes(message[at : at + 2], "big"), int.from_bytes(message[at + 8 : at + 10], "big")
        if kind == wanted and size == _SIZES.get(kind):
            found.append(str(ip_address(message[at + 10 : at + 10 + size])))
        at += 10 + size
    if not found:
        raise StepFailed("dns_no_answer", operation)
    return tuple(found)
