"""Path MTU black holes: policies that drop the ICMP errors about packets too long for a link (RFC 2923, 2.1). Pure."""

from __future__ import annotations

from collections.abc import Iterator

from shutdownlab.model.scenario import Outcome, Phase
from shutdownlab.results.cells import Cell, cells_of
from shutdownlab.verifier.chance import Chances
from shutdownlab.verifier.leaks import Told, some
from shutdownlab.verifier.line import Undecided
from shutdownlab.verifier.narrowest import Narrowest, narrowest
from shutdownlab.verifier.verdicts import Verifier


def black_holes(verifier: Verifier, name: str, phases: list[Phase]) -> Iterator[Told]:
    """Yields a warning for each narrow link whose ICMP errors the policy `name` drops, though cells that use it are ok.

    Verdicts cannot show this: the model does not know how long an endpoint's packets are. A path that is narrowest at
    a subscriber's line is skipped: the two ends of a TCP connection have agreed on its segment size.
    """
    if not verifier.network.is_narrow:
        return
    found: dict[str, dict[str, None]] = {}
    for phase in phases:
        active = verifier.classes.active(phase)
        without = verifier.classes.imagine(phase, {key: each for key, each in active.items() if key != name})
        for cell in cells_of(verifier.shutdown, phase):
            if cell.vantage is None or verifier.verdict(phase, cell).outcome is not Outcome.OK:
                continue
            there = dict(_untold(verifier, phase, cell))
            otherwise = dict(_untold(verifier, without, cell)) if there else {}
            for (link, by_client), cable in there.items():
                if (link, by_client) in otherwise:
                    continue
                way = "to" if by_client else "of"
                text = f"{link} carries at most {cable.octets:,} octets: longer packets {way}"
                found.setdefault(text, {})[cell.target] = None
    for text, targets in found.items():
        warning = f"`{name}` drops the ICMP errors that tell senders that {text} {some(list(targets))} never arrive"
        yield ("policies", name), f"{warning}; verdicts do not consider this"


def _untold(verifier: Verifier, phase: Phase, cell: Cell) -> Iterator[tuple[tuple[str, bool], Narrowest]]:
    """Yields the narrowest links of a cell's connections whose ICMP errors do not reach the sender.

    The key is the link's name and whether the client is the sender.
    """
    assert cell.vantage is not None, "only what is measured in the country takes a way of its own"
    if not verifier.shutdown.scenario.probes[cell.target].follows:
        return
    try:
        line, _ = verifier.line(phase, cell, cell.vantage, Chances())
    except Undecided:
        return
    for wire in line.wires:
        for by_client in (True, False):
            cable = narrowest(verifier.network, wire.way(by_client)) if wire.server else None
            if cable is None or cable.is_line or wire.icmp_reaches_sender(cable.router, client=by_client):
                continue
            yield (cable.link, by_client), cable
