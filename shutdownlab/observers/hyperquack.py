"""Hyperquack: what servers in the country answer to requests from abroad for sites that are not theirs. Pure.

A server answers any name alike, but for what stands in the request; an answer unlike its template (a reset, silence, a
block page) was made on the way (VanderSloot et al., "Quack", USENIX Security 2018; Sundara Raman et al., "Measuring the
Deployment of Network Censorship Filters at Global Scale", NDSS 2020). Only what a box does about connections that come
from abroad is seen so: of a web server in the direction into the country, of an echo server in both.

Written is what Censored Planet publishes of version 2, a JSON object a line
(https://github.com/censoredplanet/censoredplanet/blob/master/docs/hyperquackv2.rst), with the wall clock's time beside
the scenario's, and of whom the server is.
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
"""Headers that differ from answer to answer."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A server asked for a name: `first` is a control before all else, `tries` are of the name.

    `same`: a control from the address from which the tries came, after them, `clean`: one from another; None where a
    try was answered as ever, and none was needed.
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
        """Whether no try was answered as ever."""
        return not any(self._matches(each) for each in self.tries)

    @property
    def controls_failed(self) -> bool:
        """Whether controls were not answered as ever either: it says nothing of the name."""
        controls = [each for each in (self.first, self.same, self.clean) if each is not None]
        return not any(self._matches(each) for each in controls)

    @property
    def stateful_block(self) -> bool:
        """Whether the address from which the tries came is blocked after them, and others are not.

        Hyperquack waits for two minutes and asks again; here another address asks at once, which tells the same.
        """
        return (
            self.same is not None
            and self.clean is not None
            and not self._matches(self.same)
            and self._matches(self.clean)
        )

    @property
    def blocked(self) -> bool:
        """Whether it is the name that makes the difference."""
        return self.anomaly and not self.controls_failed

    def _matches(self, each: Exchange) -> bool:
        return answer_of(each) == self.template

    def line(self, country: tuple[str, str], when: Callable[[float], float]) -> str:
        """The line of a results file. country: name and code; when: the scenario's time of the wall clock's."""
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
    """An answer as Hyperquack describes it, without what changes each time; None: there was none, or no whole one.

    Of an echo: nothing but that it is one.
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
    """The line of a server's evaluation: how it answers names that nobody has heard of."""
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
    """Seconds since the epoch, as the time of a JSON file."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@cache
def _cipher_numbers() -> dict[str, int]:
    context = tls_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return {each["name"]: int(each["id"]) & 0xFFFF for each in context.get_ciphers()}
