"""The parts of an OONI measurement (data format 0.2.0) that verdicts depend on; the rest is not decoded.

Each class has the keys of the record of its name in ooni/spec, data-formats: df-002-dnst, df-005-tcpconnect,
df-006-tlshandshake, df-001-httpt; the control's are those of nettests/ts-017-web-connectivity.md.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Raw, Struct, field

_VERSION: Final = re.compile(r"\d+(\.\d+)*", re.ASCII)
_DEPTH: Final = re.compile(r"depth=\d{1,9}", re.ASCII)

Failed = str | bool | None
"""OONI's failure string; null, or false in files of old probes, if nothing failed."""


class AnswerRecord(Struct):
    answer_type: str | None = None
    ipv4: str | None = None
    ipv6: str | None = None
    asn: int | None = None

    @property
    def address(self) -> str:
        """The address of an A or AAAA record; "" for other records."""
        if self.answer_type == "A":
            return self.ipv4 or ""
        return (self.ipv6 or "") if self.answer_type == "AAAA" else ""


class StepRecord(Struct):
    """Fields common to the records of all steps. `tags` and `transaction_id` exist since web_connectivity 0.5."""

    failure: Failed = None
    tags: list[str] | None = None
    transaction_id: int | None = None

    @property
    def depth(self) -> int | None:
        """Number of redirects before this step; None if it has no such tag."""
        return next((int(tag[6:]) for tag in self.tags or () if _DEPTH.fullmatch(tag)), None)

    @property
    def fetches_body(self) -> bool:
        return "fetch_body=true" in (self.tags or ())


class QueryRecord(StepRecord):
    hostname: str | None = None
    query_type: str | None = None
    engine: str | None = None
    answers: list[AnswerRecord] | None = None

    @property
    def addresses(self) -> list[str]:
        return [address for answer in self.answers or () if (address := answer.address)]

    @property
    def by_system(self) -> bool:
        """Whether the system's resolver was used, which is the default if the record has no engine (df-002-dnst)."""
        return self.engine in {None, "", "system", "getaddrinfo", "golang_net_resolver"}

    @property
    def no_aaaa(self) -> bool:
        """Whether it only shows that a name has no IPv6 address, which is not a failure."""
        return self.query_type == "AAAA" and self.failure == "dns_no_answer"


class StatusRecord(Struct):
    failure: Failed = None
    success: bool | None = None


class ConnectRecord(StepRecord):
    ip: str = ""
    port: int = 0
    status: StatusRecord = field(default_factory=StatusRecord)

    @property
    def endpoint(self) -> str:
        """Address and port, such as `1.2.3.4:443` or `[2001:db8::1]:443`."""
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"

    @property
    def broken(self) -> str | None:
        """The failure; None if it succeeded."""
        return named(self.status.failure)

    @property
    def without_ipv6(self) -> bool:
        """Whether it only shows that the probe has no IPv6 (https://github.com/ooni/probe/issues/2284)."""
        return ":" in self.ip and self.broken in {"network_unreachable", "host_unreachable"}


class HandshakeRecord(StepRecord):
    address: str | None = None
    server_name: str | None = None


class Binary(Struct):
    """A body that isn't text."""

    data: str = ""
    format: str = "base64"


class Sent(Struct):
    url: str = ""
    method: str | None = None


class ResponseRecord(Struct):
    code: int | None = None
    body: str | Binary | None = None
    body_is_truncated: bool | None = None
    headers: dict[str, Any] | None = None

    @property
    def octets(self) -> bytes:
        """The body's bytes; b"" for invalid base64."""
        if isinstance(self.body, Binary):
            try:
                return base64.b64decode(self.body.data)
            except (binascii.Error, ValueError):
                return b""
        return (self.body or "").encode("utf-8", "surrogatepass")

    @property
    def location(self) -> object:
        """Where the response redirects to; None if it does not."""
        return next((value for name, value in (self.headers or {}).items() if name.lower() == "location"), None)


class RequestRecord(StepRecord):
    request: Sent = field(default_factory=Sent)
    response: ResponseRecord | None = None

    @property
    def url(self) -> str:
        return self.request.url

    @property
    def host(self) -> str:
        return host_of(self.url)


class ControlStep(Struct):
    failure: Failed = None
    status: bool | None = None
    server_name: str | None = None


class ControlLookup(Struct):
    failure: Failed = None
    addrs: list[str] | None = None


class ControlPage(Struct):
    failure: Failed = None
    status_code: int | None = None
    body_length: int | None = None
    title: str | None = None
    headers: dict[str, Any] | None = None


class AddressInfo(Struct):
    asn: int | None = None


class ControlRecord(Struct):
    """The test helper's observations of the same page, made from a network without blocking."""

    dns: ControlLookup = field(default_factory=ControlLookup)
    tcp_connect: dict[str, ControlStep] | None = None
    tls_handshake: dict[str, ControlStep] | None = None
    http_request: ControlPage = field(default_factory=ControlPage)
    ip_info: dict[str, AddressInfo | None] | None = None

    @property
    def addresses(self) -> list[str]:
        return self.dns.addrs or []


class ControlRequest(Struct):
    http_request: str | None = None


class Keys(Struct):
    """`test_keys`: the raw observations. `requests` are newest first."""

    queries: list[QueryRecord] | None = None
    tcp_connect: list[ConnectRecord] | None = None
    tls_handshakes: list[HandshakeRecord] | None = None
    requests: list[RequestRecord] | None = None
    control: ControlRecord | None = None
    control_failure: Failed = None
    x_control_request: ControlRequest | None = None


class PublishedMeasurement(Struct):
    """A measurement, with its test keys not yet decoded."""

    test_name: str
    test_version: str = ""
    software_name: str = ""
    input: str | None = None
    test_keys: Raw = field(default_factory=lambda: Raw(b"null"))


def is_tagged(keys: Keys) -> bool:
    """Whether steps are tagged with the number of redirects, as those of web_connectivity 0.5.27 are."""
    steps = (*(keys.queries or ()), *(keys.tcp_connect or ()), *(keys.requests or ()))
    return not steps or any(step.depth is not None for step in steps)


def named(failure: Failed) -> str | None:
    """Returns the failure string; None if nothing failed."""
    return failure if isinstance(failure, str) and failure else ("unknown_failure" if failure is True else None)


def version_of(text: str) -> tuple[int, ...] | None:
    """Returns a dotted version's numbers: (0, 9, 0) for "0.9.0"; None if it is none."""
    return tuple(int(part[:9]) for part in text.split(".")) if _VERSION.fullmatch(text) else None


def host_of(url: str) -> str:
    """Returns the host of a URL; "" if it has none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
