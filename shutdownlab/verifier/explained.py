"""Formats an explanation: as text, as JSON and as a Mermaid diagram."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import asdict

from shutdownlab.model.scenario import Outcome
from shutdownlab.verifier.explanation import DecidingPolicy, Explanation, Hop

_WIDTH, _MOST_FRAMES, _FIRST_FRAMES = 100, 6, 2


def explanation_lines(explanation: Explanation) -> Iterator[str]:
    """Yields the lines of text; together they fit on a screen."""
    yield from _verdict_lines(explanation)
    for order in explanation.elsewhere:
        yield from _order_lines(order)
    if explanation.hops:
        yield ""
        yield from _way_lines(explanation)
        yield ""
        orders = (hop.order for hop in explanation.hops if hop.order is not None)
        for order in dict.fromkeys(order for order in orders if order not in explanation.elsewhere):
            yield from _order_lines(order)
        for line in explanation.saw:
            yield f"The box saw: {line}"
        if explanation.bypassed:
            names = ", ".join(explanation.bypassed)
            dpi = "there is none between lines of one operator: block by address, perhaps"
            yield f"DPI boxes carry out {names}, and {dpi}"
        yield f"The server: {explanation.server}"
        yield from _frame_lines(explanation)
    elif explanation.elsewhere:
        yield "It cannot open any connection."
    yield from _mend_lines(explanation)


def _verdict_lines(explanation: Explanation) -> Iterator[str]:
    """Yields the outcome, what was expected and measured, and what faults take away."""
    verdict = explanation.verdict
    outcome = f"{verdict.outcome}{f' ({verdict.failure})' if verdict.failure else ''}"
    where = f"{explanation.target} from {explanation.vantage} in {explanation.phase}, {explanation.family}"
    yield f"{where}: {outcome}"
    if verdict.outcome is Outcome.UNKNOWN and verdict.text:
        yield f"  {verdict.text}"
    if explanation.expected is not None:
        yield f"  expected: {explanation.expected.outcome} [{explanation.expected.source}]"
    if explanation.measured is not None:
        found = explanation.measured
        result = f"{found.outcome}{f' ({found.failure})' if found.failure else ''}"
        agrees = found.outcome is verdict.outcome and found.failure == verdict.failure
        often = f" in {found.tries} tries" if found.tries > 1 else ""
        how = "held, not measured" if found.held else f"measured: {result}, {found.certainty}{often}"
        yield f"  {how}{'' if agrees else ', which differs'}"
    for fault in explanation.faults:
        place = f", {fault.place}" if fault.place else ""
        yield f"  {'Order' if fault.is_order else 'Fault'} {fault.fault}: {fault.title} [{fault.source}]{place}"
        yield f"    takes away its {' and its '.join(fault.needs)}"
    if explanation.departs:
        yield f"  {'Not yet' if explanation.waits else 'Not'} as ordered: {explanation.departs}"


def _way_lines(explanation: Explanation) -> Iterator[str]:
    """Yields the hops of the connection that decided, and the smallest TTL and longest packet that get through."""
    more = f", one of {explanation.others + 1} connections" if explanation.others > 0 else ""
    yield f"The way of {'the answers to ' if explanation.back else ''}{explanation.connection}{more}:"
    width = max(len(hop.node) for hop in explanation.hops)
    for hop in explanation.hops:
        mark = "✗" if hop.stops else "│"
        action = f"  {hop.did}" if hop.did else ""
        by = f" for {hop.order.policy}" if hop.order else ""
        yield f"  {mark} {hop.node:<{width}}  {hop.role}{':' if action else ''}{action}{by}".rstrip()
        if hop.rule:
            yield f"    {'':<{width}}  {hop.rule}"
        if hop.met is not None:
            yield f"    {'':<{width}}  {_met(hop)}"
    if any(hop.role.startswith("on the ") for hop in explanation.hops):
        reached = ", ".join(f"{node} {ttl}" for node, ttl in explanation.ttls)
        yield f"  The smallest TTL that gets there: {reached}"
    if (longest := explanation.longest) is not None:
        yield f"  The longest packet that gets there: {longest.octets:,} octets ({longest.link})"
        if not longest.is_told:
            yield f"    {longest.router} reports longer ones to the sender, but the reports are lost: it waits"


def _mend_lines(explanation: Explanation) -> Iterator[str]:
    for number, mend in enumerate(explanation.mends):
        first = "To let it through:" if number == 0 else "or:"
        cells = f"{mend.cells:,} cell{'s' if mend.cells != 1 else ''}" if mend.cells else "none of the cells"
        changed = f"{cells} of the phase would change"
        yield f"{first} {mend.change} in {', '.join(mend.policies)} ({changed})"


def _order_lines(order: DecidingPolicy) -> Iterator[str]:
    place = f", {order.place}" if order.place else ""
    yield f"Policy {order.policy}: {order.title} [{order.source}]{place}"
    ordered = f", {order.ordered}" if order.ordered else ""
    yield f"  in force since {order.since}{ordered}"
    if order.account:
        yield from textwrap.wrap(f"account {order.account}", _WIDTH, initial_indent="  ", subsequent_indent="    ")


def _frame_lines(explanation: Explanation) -> Iterator[str]:
    if not explanation.captured_at:
        return
    frames = explanation.frames
    if not frames:
        yield f"Captured at {explanation.captured_at}: no packet of it"
        return
    left_out = len(frames) - _MOST_FRAMES
    shown = [*frames[:_FIRST_FRAMES], *frames[_FIRST_FRAMES + left_out :]] if left_out > 0 else frames
    yield f"Captured at {explanation.captured_at} in its last try (pcap/{explanation.captured_at}.pcapng):"
    for number, each in enumerate(shown):
        if left_out > 0 and number == _FIRST_FRAMES:
            yield f"  {left_out:,} more"
        yield f"  {each.at:7.3f} s  {each.source} → {each.target}  {each.what}, {each.octets:,} octets"


def _met(hop: Hop) -> str:
    """Describes a hop's counter: packets or connections of all subscribers in the phase."""
    if hop.table is None:
        return f"decided {hop.met:,} connection{'' if hop.met == 1 else 's'} in the phase"
    return f"its policy's rules there matched {hop.met:,} packet{'' if hop.met == 1 else 's'} in the phase"


def as_json(explanation: Explanation) -> str:
    """Returns the whole explanation as one JSON object."""
    data = asdict(explanation)
    for key in ("expected", "measured"):
        record = getattr(explanation, key)
        data[key] = record.model_dump(mode="json", by_alias=True) if record is not None else None
    return json.dumps(data, indent=2)


def as_mermaid(explanation: Explanation) -> str:
    """Returns the path as a flowchart; the node that stops the packets is red."""
    lines = ["flowchart LR"]
    if not explanation.hops:
        verdict = explanation.verdict.outcome.value
        why = [
            f"for {name}"
            for name in (*(f.fault for f in explanation.faults), *(o.policy for o in explanation.elsewhere))
        ]
        lines.append(f'  n0["{_quoted([explanation.vantage, f"{explanation.target}: {verdict}", *why])}"]')
    for number, hop in enumerate(explanation.hops):
        lines.append(f'  n{number}["{_label(hop)}"]')
        if number:
            lines.append(f"  n{number - 1} {'-.->' if _after_stop(explanation, number) else '-->'} n{number}")
        if hop.stops:
            lines.append(f"  style n{number} stroke:#c00,stroke-width:3px")
    return "\n".join(lines)


def _label(hop: Hop) -> str:
    parts = [hop.node, hop.role, hop.did, hop.order.policy if hop.order else ""]
    parts += [_met(hop)] if hop.met is not None else []
    return _quoted(parts)


def _quoted(parts: Iterable[str]) -> str:
    return "<br/>".join(part.replace('"', "#quot;") for part in parts if part)


def _after_stop(explanation: Explanation, number: int) -> bool:
    return any(hop.stops for hop in explanation.hops[:number])
