"""Descriptions in words of connections, flow entries, lines and what DPI boxes recognised. Pure."""

from __future__ import annotations

from shutdownlab.compiler.counting import Counted
from shutdownlab.compiler.lines import LineQuality
from shutdownlab.compiler.rejections import AtBorder, Rejected
from shutdownlab.compiler.rules import Rule
from shutdownlab.config.addresses import endpoint
from shutdownlab.config.numbers import PROTOCOL_NAMES, TCP
from shutdownlab.model.answers import Rejection
from shutdownlab.verifier.wire import ModelledConnection, Seen


def line_text(line: LineQuality) -> str:
    """Describes a line's quality."""
    parts = [f"{1000 * line.delay:g} ms one way"] + [f"{1000 * line.jitter:g} ms of jitter"] * bool(line.jitter)
    parts += [f"{100 * line.loss:g} % lost"] * bool(line.loss)
    return f"a line of {', '.join(parts)}"


ANSWERED = {
    Rejection.ICMP: "answers ICMP: communication administratively prohibited",
    Rejection.TCP_RESET: "answers TCP with a reset, everything else with ICMP",
}
ACTS = {
    "drop": "drops it",
    "reset": "resets it",
    "dns": "answers in the resolver's name",
    "block-page": "sends a block page",
    "redirect": "redirects it",
    "throttle": "slows it",
    "freeze": "freezes it",
    "intercept": "intercepts it",
}


def border_text(dropped: AtBorder) -> tuple[str, str]:
    """Returns what a border router does with a packet that it drops, and the details: its answer, or its count."""
    if isinstance(dropped, Rejected):
        return "rejects it", ANSWERED[dropped.answer]
    assert isinstance(dropped, Counted), "a router rejects or counts"
    what = "all that its client sends" if dropped.count.then == "client" else "its client's pings"
    return "drops it", f"{what}, {dropped.count.text}"


def recognised(seen: Seen) -> str:
    decision = seen.decision
    parts = [decision.protocol if decision.protocol != "unknown" else "nothing known"]
    parts += [f"name {decision.host}"] if decision.host else []
    parts += [f"app {decision.app}"] if decision.app else []
    return ", ".join(parts)


def described(wire: ModelledConnection) -> str:
    stream = wire.stream
    protocol = PROTOCOL_NAMES.get(stream.proto, str(stream.proto))
    if not stream.server_port:
        return f"{protocol.upper()} to {stream.server}"
    what = "DNS over UDP" if stream.server_port == 53 and stream.proto != TCP else protocol.upper()
    return f"{what} to {endpoint(stream.server, stream.server_port)}"


def server_text(wire: ModelledConnection) -> str:
    if not wire.way(True).arrives:
        return "nobody has the address"
    if not wire.reached:
        return "received nothing"
    if not wire.answered:
        return "answered, and the answer did not arrive"
    if wire.counted_out is not None:
        return "answered the first ones; the rest never arrived"
    cut = any(stop.at.endswith("-box") for stop in wire.stops) or any(s.decision.action != "pass" for s in wire.seen)
    return "answered until the box stepped in" if cut else "answered"


def rule_text(rule: Rule | None) -> str:
    """Describes a flow entry: table, priority and match; "" for None."""
    if rule is None:
        return ""
    wanted = []
    for name, value in rule.match:
        if name in {"metadata", "eth_type", "in_port"}:
            continue
        text = "/".join(map(str, value)) if isinstance(value, tuple) else str(value)
        if name == "ip_proto" and isinstance(value, int):
            name, text = "protocol", PROTOCOL_NAMES.get(value, text)
        wanted.append(f"{name} {text}")
    table = rule.table.name.lower().replace("_", " ")
    return (
        f"table {rule.table.value} {table}, priority {rule.priority}: {', '.join(wanted) or 'everything of its group'}"
    )
