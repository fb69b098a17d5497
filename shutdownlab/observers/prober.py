"""The active prober: ICMP echoes from abroad to the country's blocks, judged as Trinocular does (`signals.trinocular`).

A site's belief in a block is kept between phases: if nothing changes one answer confirms it, and only changes take many
probes. A block with few answering addresses takes several rounds of ten minutes until it is believed down, as in
Trinocular; the files show how many. The reading of a phase is the belief finally reached, even if the phase is too
short for that many rounds. A block is up if any site believes so.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import ClassVar, Final, TypeAlias

from shutdownlab.model.network import Role
from shutdownlab.model.scenario import Family
from shutdownlab.observers.addresses import add_addresses
from shutdownlab.observers.blocks import Block, blocks
from shutdownlab.observers.echo import Ask, EchoResult, Site
from shutdownlab.observers.instrument import Abroad, Instrument, Moment, Sighting
from shutdownlab.observers.naming import stamp
from shutdownlab.observers.watched_block import WatchedBlock
from shutdownlab.results.reading import Reading, places_of
from shutdownlab.signals import trinocular

_MOST_SITES: Final = 3
_MOST_ROUNDS: Final = 40
"""More rounds than any block takes."""
Row: TypeAlias = tuple[object, ...]
COLUMNS: Final = (
    "time", "block", "operator", "region", "subscriber", "site", "availability", "probes", "answers", "belief",
    "state", "wall_time",
)  # fmt: skip


class ActiveProber(Instrument):
    """Probes the country's blocks from the servers behind up to three transits."""

    name: ClassVar[str] = "active-probing"
    signals: ClassVar[tuple[str, ...]] = ("active-probing",)

    def __init__(self, abroad: Abroad) -> None:
        super().__init__(abroad)
        nodes = list(abroad.network.by_role(Role.SERVERS))[:_MOST_SITES]
        self._blocks = blocks(abroad.network, abroad.seed)
        for block in self._blocks:
            add_addresses(abroad, block.vantage, block.prefix, block.awake)
        self._sites = [Site(node.name, abroad.net.get(node.name).namespace) for node in nodes]
        self._watched = {
            site.name: [WatchedBlock(block, site.name, trinocular.Block(block.availability)) for block in self._blocks]
            for site in self._sites
        }
        self._phase, self._before = "", _copy(self._watched)

    def look(self, moment: Moment) -> Sighting:
        """Probes in rounds from all sites at once, until each has decided for every block whether it is up.

        A repeated look at the same phase starts from the beliefs before that phase.
        """
        if moment.phase.phase == self._phase:
            self._watched = self._before
        self._phase, self._before = moment.phase.phase, _copy(self._watched)
        with ThreadPoolExecutor(len(self._sites), "site") as pool:
            rows = list(chain.from_iterable(pool.map(partial(self._probe, moment), self._sites)))
        everything = [each for found in self._watched.values() for each in found]
        up = {each.block for each in everything if each.state == "up" and not each.refuted}
        unknown = {each.block for each in everything if each.refuted} - up
        left_out = [f"{len(unknown)} blocks could not be probed, for their controls failed"] if unknown else []
        readings = self._readings(moment.phase.phase, up, unknown)
        return Sighting(tuple(readings), {f"blocks.{stamp(moment.phase.at)}.csv": _csv(rows)}, tuple(left_out))

    def _probe(self, moment: Moment, site: Site) -> list[Row]:
        """Runs rounds, each for ten minutes of scenario time; returns the rows of those that begin in the phase."""
        rows, todo = list[Row](), list(self._watched[site.name])
        for each in todo:
            each.begin_phase()
        for number in range(_MOST_ROUNDS):
            self._round(site, todo, moment)
            at = moment.phase.at + number * timedelta(seconds=trinocular.ROUND_S)
            if not number or at < moment.ends:
                rows += [_row(each, at) for each in todo]
            todo = [each for each in todo if not each.refuted and not each.is_settled]
            if not todo:
                break
        return rows

    def _round(self, site: Site, watched: Iterable[WatchedBlock], moment: Moment) -> None:
        """Probes each block until its belief is certain, all blocks in parallel."""
        todo = list(watched)
        for each in todo:
            each.begin_round()
        while todo:
            hungry = [each for each in todo if not each.results]
            asks = [Ask(e.asked_next, e.block.control, self._way(site, e.block, moment)) for e in hungry]
            site.ask(asks)
            for each, ask in zip(hungry, asks, strict=True):
                each.refuted = ask.result is EchoResult.NOTHING
                each.take(address in ask.answered for address in ask.addresses)
            for each in (each for each in todo if not each.refuted):
                each.count()
            todo = [each for each in todo if not each.refuted and each.belief.wants_a_probe]

    def _way(self, site: Site, block: Block, moment: Moment) -> bool:
        return moment.is_there_a_way(site.name, self.abroad.network.subscriber(block.vantage).name, block.version)

    def _readings(self, phase: str, up: set[Block], unknown: set[Block]) -> Iterator[Reading]:
        """Yields the share of blocks that are up, weighted by /24s; none for a scope with an unknown block."""
        places = places_of(self.abroad.network.topology)
        for family in Family:
            there = [block for block in self._blocks if block.version == family.version]
            for place in places:
                blocks = [block for block in there if place.covers(block.vantage)]
                if blocks and unknown.isdisjoint(blocks):
                    weights = {block: self.abroad.blocks[block.vantage] for block in blocks}
                    share = sum(weights[block] for block in blocks if block in up) / sum(weights.values())
                    yield Reading(
                        self.name, phase, place.scope, place.of, family.value, round(share, 9), "share", "measured"
                    )


def _copy(watched: Mapping[str, list[WatchedBlock]]) -> dict[str, list[WatchedBlock]]:
    """Returns a copy, with independent beliefs."""
    return {
        site: [replace(each, belief=copy(each.belief), results=deque()) for each in all_]
        for site, all_ in watched.items()
    }


def _row(each: WatchedBlock, at: datetime) -> Row:
    block, state = each.block, "unknown" if each.refuted else each.state
    return (
        f"{at:%Y-%m-%dT%H:%M:%SZ}", block.subnet, *block.vantage, each.site, f"{block.availability:.4f}",
        each.belief.probes, each.answers, f"{each.belief.belief:.4f}", state,
        datetime.now(UTC).isoformat(timespec="milliseconds"),
    )  # fmt: skip


def _csv(rows: list[Row]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    in_order: list[Row] = sorted(rows, key=itemgetter(0))
    writer.writerows(in_order)
    return out.getvalue().encode()
