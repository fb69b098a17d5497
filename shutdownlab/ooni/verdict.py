"""What is concluded of a website: the fields that web_connectivity writes, and why each is as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Blocking = str | Literal[False] | None
"""`dns`, `tcp_ip`, `http-failure`, `http-diff`; False: not blocked; None: it cannot be told."""
WEB_FIELDS = ("blocking", "accessible", "dns_consistency", "dns_experiment_failure", "http_experiment_failure")


@dataclass(slots=True)
class OoniVerdict:
    """The fields of a test that were worked out, by name, and the rule behind each.

    `assumed`: fields that the raw observations do not decide, taken over from the file, and what is missing.
    `either`: fields for which the probe's own order of events decided between several values, each as good.
    """

    fields: dict[str, object]
    why: dict[str, str] = field(default_factory=dict)
    assumed: dict[str, str] = field(default_factory=dict)
    either: Mapping[str, frozenset[object]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SiteVerdict:
    """Of a website: blocked or not, and the rule that says so. Not accessible and not blocked: it is down."""

    blocking: Blocking
    accessible: bool | None
    why: str


def web_verdict(
    concluded: SiteVerdict,
    consistency: str | None,
    dns_failure: str | None,
    http_failure: str | None,
    why: dict[str, str],
) -> OoniVerdict:
    """The verdict in the order of `WEB_FIELDS`."""
    found = (concluded.blocking, concluded.accessible, consistency, dns_failure, http_failure)
    told = {"blocking": concluded.why, "accessible": concluded.why}
    return OoniVerdict(dict(zip(WEB_FIELDS, found, strict=True)), told | why)
