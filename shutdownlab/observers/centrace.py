"""CenTrace: locates where on the path a name is blocked, by packets with increasing TTL. Pure.

From Sundara Raman et al., "Network Measurement Methods for Locating and Examining Censorship Devices" (CoNEXT 2022):
two traces, one with the name and one with a control; the box is at the hop of the control's trace with the TTL at which
the name's trace ends. A box that also lets the packet pass is on-path: routers behind it report that the TTL of the
same packet was exceeded. The codes and columns are those of the program's own analysis
(https://github.com/censoredplanet/CenTrace, `pcap_parse.py`).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from shutdownlab.observers.exchanges import Exchange

Kind = Literal["HTTP", "TLS", "RST", "FIN", "ICMP_TTL", "HANDSHAKE_TIMEOUT", "TIMEOUT"]
_ENDS: Final = frozenset({"HTTP", "TLS", "RST", "FIN"})
_TLS_RECORDS: Final = frozenset({0x15, 0x16})
_MOST_PAYLOAD: Final = 64
COLUMNS: Final = (
    "IP Address", "Censored Keyword", "Result Code", "TTL difference", "Censored T_TTL", "Control T_TTL",
    "Control Response Type", "Censorship Response Type", "Payloads Differ", "Control Payload", "Censored Payload",
    "On Path?", "Middlebox IP before", "AS/Country", "Middlebox IP", "AS/Country", "Middlebox IP after", "AS/Country",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hop:
    """The result for one TTL. `router`: the sender of an ICMP time exceeded message, if there was one."""

    kind: Kind
    router: str = ""
    payload: bytes = b""


def hop_of(each: Exchange) -> Hop:
    """Returns the strongest result of an exchange: a reset before an answer, an answer before time exceeded."""
    router = each.exceeded[0] if each.exceeded else ""
    if not each.connected:
        return Hop("HANDSHAKE_TIMEOUT", router)
    if each.reset:
        return Hop("RST", router)
    if each.received:
        return Hop("TLS" if each.received[0] in _TLS_RECORDS else "HTTP", router, each.received)
    if each.error == "EOF":
        return Hop("FIN", router)
    return Hop("ICMP_TTL", router) if router else Hop("TIMEOUT")


@dataclass(frozen=True, slots=True)
class Trace:
    """The traces of a name (`censored`) and of a control: hops by TTL, from 1."""

    address: str
    name: str
    censored: Mapping[int, Hop]
    control: Mapping[int, Hop]

    @property
    def end(self) -> int:
        """The TTL at which the name's trace ends; if that is in silence, the first after the last router's answer."""
        ends = _end(self.censored)
        return ends or max((ttl for ttl, hop in self.censored.items() if hop.router), default=0) + 1

    @property
    def kind(self) -> Kind:
        ends = _end(self.censored)
        return self.censored[ends].kind if ends else "TIMEOUT"

    @property
    def code(self) -> str:
        """The result code of CenTrace's analysis."""
        last = _end(self.control)
        if last is None:
            return "PROBE_TERMINATED_EARLY"
        if self.end > max(self.control) + 1:
            return "TERMINATING_TTL_PAST_CONTROL"
        if self.end == last:
            return "ENDPOINT_FIREWALL" if self._payloads_differ else "NO_OBSERVED_CENSORSHIP"
        if self.middlebox:
            return "NAT_FIREWALL" if self.middlebox == self.address else "CAN_IDENTIFY_SERVER"
        return "CAN_IDENTIFY_POSSIBLE_SERVER" if self._at(-1) or self._at(1) else "NO_CORRESPONDING_RESPONSE"

    @property
    def middlebox(self) -> str:
        """The router at that hop in the control's trace: the box is this router, or on the link before it."""
        return self._at(0)

    @property
    def on_path(self) -> bool:
        """Whether the packet passed the box, although the box answered it."""
        ends = _end(self.censored)
        return bool(ends and self.censored[ends].router)

    def _at(self, beside: int) -> str:
        ttl = self.end + beside
        hop = self.control.get(ttl)
        return "" if hop is None else self.address if hop.kind in _ENDS else hop.router

    @property
    def _payloads_differ(self) -> bool:
        last = _end(self.control)
        ended, ordinary = self.censored.get(self.end), self.control.get(last or 0)
        return ended is None or ordinary is None or ended.kind != ordinary.kind

    def row(self, asn_of: Mapping[str, str]) -> Sequence[object]:
        """Returns a row in the order of `COLUMNS`. asn_of: AS numbers and countries by router address."""
        last = _end(self.control)
        before, here, after = (self._at(beside) for beside in (-1, 0, 1))
        ordinary = self.control[last] if last else Hop("TIMEOUT")
        return (
            self.address, self.name, f"ResponseCode.{self.code}", self.end - last if last else "", self.end, last or "",
            ordinary.kind, self.kind, self._payloads_differ, _payload(ordinary),
            _payload(self.censored.get(self.end, Hop("TIMEOUT"))), self.on_path, before, asn_of.get(before, ""), here,
            asn_of.get(here, ""), after, asn_of.get(after, ""),
        )  # fmt: skip


def _end(hops: Mapping[int, Hop]) -> int | None:
    """Returns the first TTL at which a connection ended, or None."""
    return next((ttl for ttl, hop in sorted(hops.items()) if hop.kind in _ENDS), None)


def _payload(hop: Hop) -> str:
    return hop.payload[:_MOST_PAYLOAD].decode("latin-1").splitlines()[0] if hop.kind == "HTTP" else hop.kind


def analysed(traces: Iterable[Trace], asn_of: Mapping[str, str]) -> bytes:
    """Returns a CSV file in the format of CenTrace's analysis."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(trace.row(asn_of) for trace in traces)
    return out.getvalue().encode()


def raw(traces: Iterable[Trace]) -> bytes:
    """Returns a file in CenTrace's own format: address, name, whether routes were recorded, the hops of both traces."""
    lines = []
    for trace in traces:
        hops = [
            json.dumps([_answers(ttl, hop, trace.address) for ttl, hop in sorted(part.items())])
            for part in (trace.censored, trace.control)
        ]
        lines.append("|".join((trace.address, trace.name, "False", *hops)) + "\n")
    return "".join(lines).encode()


def _answers(ttl: int, hop: Hop, address: str) -> list[tuple[object, ...]]:
    """Returns the answers to one packet: TTL, sender, kind, differences in the quoted headers, payload."""
    found: list[tuple[object, ...]] = [(ttl, hop.router, ["ICMP_TTL"], [], "")] if hop.router else []
    if hop.kind in _ENDS:
        found.append((ttl, address, [hop.kind], [], _payload(hop)))
    return found or [(ttl, None, hop.kind, None, "")]
