"""Hyperquack: how servers in the country answer requests from abroad for sites that they do not host. Pure.

A server answers all unknown names alike; an answer unlike its template (a reset, silence, a block page) was caused on
the path (VanderSloot et al., "Quack", USENIX Security 2018; Sundara Raman et al., "Measuring the Deployment of Network
Censorship Filters at Global Scale", NDSS 2020). This detects only boxes that act on connections from abroad: with a web
server in the direction into the country, with an echo server in both.

The files have Censored Planet's format of version 2, one JSON object per line
(https://github.com/censoredplanet/censoredplanet/blob/master/docs/hyperquackv2.rst), with wall-clock times beside the
scenario's, and the server's vantage point as tag.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from shutdownlab.model.remote_measurement import PORTS, Server
from shutdownlab.observers.exchanges import Exchange, tls_context

_CHANGES: Final = frozenset({"date", "set-cookie"})
"""Headers that differ between answers."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Requests for a name to a server: `first` is a control before all others, `tries` are for the name.

    `same`: a control after the tries from their source address, `clean`: one from another address; None if a try
    matched the template, so that no control was needed.
    """

    server: Server
    name: str
    first: Exchange
    tries: tuple[Exchange, ...]
    same: Exchange | None
    clean: Exchange | None
    template: Mapping[str, Any]

    @property
    def anomaly(self) -> bool:
        """Whether no try matched the template."""
        return not any(self._matches(each) for each in self.tries)

    @property
    def controls_failed(self) -> bool:
        """Whether no control matched the template either, so that the trial shows nothing about the name."""
        controls = [each for each in (self.first, self.same, self.clean) if each is not None]
        return not any(self._matches(each) for each in controls)

    @property
    def stateful_block(self) -> bool:
        """Whether the tries' source address is blocked after them, and another is not.

        Hyperquack waits for two minutes and asks again; here another address asks at once, which is equivalent.
        """
        return (
            self.same is not None
            and self.clean is not None
            and not self._matches(self.same)
            and self._matches(self.clean)
        )

    @property
    def blocked(self) -> bool:
        """Whether the name is blocked: the tries failed, and not all controls did."""
        return self.anomaly and not self.controls_failed

    def _matches(self, each: Exchange) -> bool:
        return answer_of(each) == self.template

    def line(self, country: tuple[str, str], when: Callable[[float], float]) -> str:
        """Returns the line of a results file. country: name and code; when: converts wall-clock to scenario time."""
        response = [_probe(self.first, self._matches(self.first), when, "control.example.com")]
        response += [_probe(each, self._matches(each), when) for each in self.tries]
        for control in (self.same, self.clean):
            if control is not None:
                response.append(_probe(control, self._matches(control), when, "control.example.com"))
        found = {
            "vp": self.server.address,
            "location": {"country_name": country[0], "country_code": country[1]},
            "service": self.server.service,
            "test_url": self.name,
            "response": response,
            "anomaly": self.anomaly,
            "controls_failed": self.controls_failed,
            "stateful_block": self.stateful_block,
            "tag": "/".join(self.server.vantage),
        }
        return json.dumps(found, separators=(",", ":"), ensure_ascii=False) + "\n"


def answer_of(each: Exchange) -> dict[str, Any] | None:
    """Returns an answer in Hyperquack's form, without volatile headers; None if there was none, or not a complete one.

    A correct echo gives an empty mapping.
    """
    if each.port == PORTS["echo"] and not each.error:
        return {} if each.received == each.request else {"body": each.received.decode("utf-8", "replace")}
    head, between, body = each.received.partition(b"\r\n\r\n")
    if each.error or not between or not head.startswith(b"HTTP/"):
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    headers: dict[str, list[str]] = {}
    for name, _, value in (line.partition(":") for line in lines):
        if name.strip().lower() not in _CHANGES:
            headers.setdefault(name.strip(), []).append(value.strip())
    found: dict[str, Any] = {
        "status_line": first.partition(" ")[2],
        "headers": headers,
        "body": body.decode("utf-8", "replace"),
    }
    if each.server_name is not None:
        found |= {
            "TlsVersion": {"TLSv1.2": 0x303, "TLSv1.3": 0x304}.get(each.tls_version, 0),
            "CipherSuite": _cipher_numbers().get(each.cipher, 0),
            "Certificate": base64.b64encode(each.certificate).decode(),
        }
    return found


def evaluation(server: Server, asked: Sequence[Exchange], when: Callable[[float], float]) -> str:
    """Returns the line of a server's evaluation: its answers to control names."""
    found: dict[str, Any] = {
        "vp": server.address,
        "service": server.service,
        "response": [{"test_url": "control.example.com", **_probe(each, False, when)} for each in asked],
    }
    answers = [answer_of(each) for each in asked]
    if answers[0]:
        found["template"] = answers[0]
    if any(answer != answers[0] for answer in answers) or answers[0] is None:
        found["issue"] = "no answer" if answers[0] is None else "answers differ"
    for each in found["response"]:
        each.pop("matches_template")
    found["tag"] = "/".join(server.vantage)
    return json.dumps(found, separators=(",", ":"), ensure_ascii=False) + "\n"


def _probe(each: Exchange, matches: bool, when: Callable[[float], float], control: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {"matches_template": matches}
    answer = answer_of(each)
    if not matches and answer is not None:
        found["response"] = answer
    if each.error:
        found["error"] = each.error
    if control:
        found["control_url"] = control
    begins = when(each.began)
    return found | {
        "start_time": iso(begins),
        "end_time": iso(begins + each.ended - each.began),
        "wall_time": iso(each.began),
    }


def iso(moment: float) -> str:
    """Formats seconds since the epoch as a time in ISO 8601, UTC, with milliseconds."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@cache
def _cipher_numbers() -> dict[str, int]:
    context = tls_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return {each["name"]: int(each["id"]) & 0xFFFF for each in context.get_ciphers()}
