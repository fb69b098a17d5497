"""Verdicts: the fields that OONI's tests write, with the reason for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Blocking = str | Literal[False] | None
"""`dns`, `tcp_ip`, `http-failure` or `http-diff`; False: not blocked; None: unknown."""
WEB_FIELDS = ("blocking", "accessible", "dns_consistency", "dns_experiment_failure", "http_experiment_failure")


@dataclass(slots=True)
class OoniVerdict:
    """The recomputed fields of a test, by name, and the reason for each.

    `assumed`: fields that the raw observations don't decide, copied from the file, and what is missing.
    `either`: fields for which several values are valid, because the order of events in the probe decided.
    """

    fields: dict[str, object]
    why: dict[str, str] = field(default_factory=dict)
    assumed: dict[str, str] = field(default_factory=dict)
    either: Mapping[str, frozenset[object]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SiteVerdict:
    """The verdict on a website, and the reason. Neither accessible nor blocked means that the site is down."""

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
    """Builds a website's `OoniVerdict`, with the fields of `WEB_FIELDS` in their order."""
    found = (concluded.blocking, concluded.accessible, consistency, dns_failure, http_failure)
    reasons = {"blocking": concluded.why, "accessible": concluded.why}
    return OoniVerdict(dict(zip(WEB_FIELDS, found, strict=True)), reasons | why)
