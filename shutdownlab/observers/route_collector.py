"""The route collector: the country's routes as received by networks abroad, as in RIPE RIS and Route Views.

It has full-feed peers, IPv4 and IPv6 (`model.observatory`), dumps its table in every phase, and all messages in
between, as MRT. A prefix is visible if more than half of the peers have a route to it (`visibility`).

Its control: the collector's routes from a peer are those of that peer's transits, and every session that should be up
is up. It waits for this to hold; if it does not come to hold, there are no readings.
"""

from __future__ import annotations

import csv
import io
import subprocess
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final

from shutdownlab.model import observatory
from shutdownlab.model.network import Network, Role
from shutdownlab.observers import feeds, mrt
from shutdownlab.observers.instrument import Abroad, CannotSee, Instrument, Moment, Sighting
from shutdownlab.observers.naming import stamp
from shutdownlab.observers.visibility import visibility
from shutdownlab.results.reading import Reading
from shutdownlab.servers import birdc
from shutdownlab.servers.start import executable
from shutdownlab.system.child_process import ending
from shutdownlab.system.namespace import LOOPBACK

_NO_PROGRESS_S: Final = 15.0
_LOOK_S: Final = 0.05


class RouteCollector(Instrument):
    """Two birds at the observatory: the collector, and all its peers."""

    name: ClassVar[str] = "bgp"
    signals: ClassVar[tuple[str, ...]] = ("bgp",)

    def __init__(self, abroad: Abroad) -> None:
        super().__init__(abroad)
        node = observatory.observatory(abroad.network)
        if node is None:
            raise CannotSee("the country was built without an observatory")
        self._node = abroad.net.get(node.name)
        self._peers = observatory.peers(abroad.network.topology)
        self._updates = abroad.logs / "updates.mrt"
        self._read = self._from = 0
        self._looked_at = ""
        configs = {"peers": feeds.peers_config(abroad.network)}
        configs["collector"] = feeds.collector_config(abroad.network, self._updates)
        with self._node.namespace.netlink() as netlink:
            for address in _addresses(abroad.network):
                netlink.addr("replace", index=LOOPBACK, address=str(address), prefixlen=address.max_prefixlen)
        self._program = executable("bird", abroad.logs)
        for name, config in configs.items():
            (abroad.logs / f"{name}.conf").write_text(config)
        self._running = {name: self._start(name) for name in configs}

    def look(self, moment: Moment) -> Sighting:
        left_out = self._wait_until_announced(moment)
        if self._looked_at != moment.phase.phase:
            self._looked_at, self._from = moment.phase.phase, self._read
        when = stamp(moment.phase.at)
        tables = self._tables()
        messages = mrt.heard_in(self._messages(), moment.phase.at.timestamp(), self.abroad.time.of)
        files = {f"rib.{when}.mrt": self._in_scenario_time(tables)}
        files |= {f"updates.{when}.mrt": self._in_scenario_time(messages)} if messages else {}
        files[f"times.{when}.csv"] = self._times({f"rib.{when}.mrt": tables[:1], f"updates.{when}.mrt": messages})
        routes = {version: birdc.announced_routes(self._control("collector"), version) for version in (4, 6)}
        return Sighting(tuple(self._readings(moment.phase.phase, routes)), files, tuple(left_out))

    def _readings(self, phase: str, routes: Mapping[int, Mapping[str, set[str]]]) -> Iterator[Reading]:
        """Yields the share of operators' prefixes to which more than half of the peers have a route."""
        visible = {
            version: {prefix for prefix, tellers in by_prefix.items() if self._is_visible(tellers)}
            for version, by_prefix in routes.items()
        }
        return visibility(self.abroad.network, self.abroad.blocks, phase, visible)

    def _is_visible(self, tellers: set[str]) -> bool:
        return 2 * len(tellers) > len(self._peers)

    # -- the two birds ------------------------------------------------------------------------------------------------

    def _control(self, name: str) -> Path:
        return self.abroad.runtime / f"bird-{name}"

    def _start(self, name: str) -> subprocess.Popen[Any]:
        self._control(name).unlink(missing_ok=True)
        paths = ["-c", str(self.abroad.logs / f"{name}.conf"), "-s", str(self._control(name))]
        paths += ["-P", str(self.abroad.runtime / f"{name}.pid")]
        with (self.abroad.logs / f"{name}.log").open("ab") as log:
            process: subprocess.Popen[Any] = self._node.spawn([self._program, "-f", *paths], stdout=log, stderr=log)
        return process

    def _wait_until_announced(self, moment: Moment) -> list[str]:
        """Waits until the collector has from all peers what their transits have; raises `CannotSee`.

        Restarts a bird that has ended; returns a sentence for each restart about the messages missed.
        """
        missed: dict[str, str] = {}
        deadline, before = time.monotonic() + _NO_PROGRESS_S, None
        while problems := [*self._started_again(missed), *self._unannounced(moment)]:
            if problems != before:
                before, deadline = problems, time.monotonic() + _NO_PROGRESS_S
            elif time.monotonic() > deadline:
                raise CannotSee(problems[0])
            time.sleep(_LOOK_S)
        return list(missed.values())

    def _started_again(self, missed: dict[str, str]) -> Iterator[str]:
        """Restarts each bird that has ended, and yields a sentence about it. Raises `CannotSee` if it ends again."""
        for name, process in self._running.items():
            if process.poll() is None:
                continue
            how = f"the {name} {ending(process.returncode)}"
            if name in missed:
                raise CannotSee(f"{how}, after it had been started again")
            self._running[name] = self._start(name)
            missed[name] = f"{how}, and was started again: the messages until it was back are missing"
            yield missed[name]

    def _unannounced(self, moment: Moment) -> Iterator[str]:
        """Yields the differences between the collector's routes and the transits'."""
        try:
            up = birdc.sessions_up(self._control("peers"))
            lost = set(self._lost_homes(moment)) & up
            for session in lost:  # rather than wait for the hold timer
                birdc.ask(self._control("peers"), f"restart {session}")
            if lost:
                yield f"the peers still hold {', '.join(sorted(lost))}"
                return
            heard = {version: birdc.announced_routes(self._control("collector"), version) for version in (4, 6)}
        except OSError as error:
            yield f"the collector or its peers do not answer: {error}"
            return
        known = {name: self._known_to(name, moment) for name in self.abroad.network.topology.transits}
        for peer in self._peers:
            for version in (4, 6):
                feed = feeds.feed_name(peer, version)
                own = {prefix for prefix, tellers in heard[version].items() if feed in tellers}
                expected = {p for home in peer.homes for p in known[home] if (":" in p) == (version == 6)}
                if feed not in up:
                    yield f"AS{peer.asn} has no session with the collector"
                elif own != expected:
                    odd = sorted(own ^ expected)
                    yield f"AS{peer.asn} and its transits differ in {len(odd)} routes: {', '.join(odd[:3])}"

    def _lost_homes(self, moment: Moment) -> Iterator[str]:
        """Yields the peers' sessions with transits whose routers are stopped or dead."""
        network = self.abroad.network
        routers = (node for node in network.by_role(Role.TRANSIT) if node.name in moment.damage.routers)
        dead = {address for node in routers for address in node.addresses}
        for peer in self._peers:
            yield from (each.name for each in observatory.homes_of(network, peer) if each.neighbour in dead)

    def _known_to(self, transit: str, moment: Moment) -> set[str]:
        """Returns the prefixes that a transit's router exports to customers: all except routes to its own servers."""
        node = self.abroad.network.one(Role.TRANSIT, transit)
        control = self.abroad.services.find("bird", node.name).control
        if node.name in moment.damage.routers or control is None:
            return set()
        tables = [birdc.kernel_routes(control, version) for version in (4, 6)]
        return {prefix for table in tables for prefix, teller in table.items() if not teller.startswith("hosts")}

    # -- MRT ----------------------------------------------------------------------------------------------------------

    def _tables(self) -> list[mrt.Record]:
        file = self.abroad.runtime / "tables.mrt"
        file.unlink(missing_ok=True)
        birdc.dump_tables(self._control("collector"), feeds.TABLES, file)
        found, _ = mrt.records(file.read_bytes())
        return found

    def _messages(self) -> list[mrt.Record]:
        """Returns the messages received since the previous phase's look."""
        with self._updates.open("rb") as file:
            file.seek(self._from)
            found, size = mrt.records(file.read())
        self._read = self._from + size
        return found

    def _in_scenario_time(self, records: list[mrt.Record]) -> bytes:
        return b"".join(mrt.put_into(record, self.abroad.time.of) for record in records)

    def _times(self, files: Mapping[str, list[mrt.Record]]) -> bytes:
        """Returns a CSV file of the records' scenario and wall-clock times; for a table only the first record's."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("file", "record", "time", "wall_time"))
        for name, records in files.items():
            for number, record in enumerate(records):
                moments = (self.abroad.time.of(record.at), record.at)
                writer.writerow((name, number, *(datetime.fromtimestamp(at, UTC).isoformat() for at in moments)))
        return out.getvalue().encode()


def _addresses(network: Network) -> Iterator[Any]:
    for peer in observatory.peers(network.topology):
        for version in (4, 6):
            yield observatory.collector_address(peer, version)
            yield observatory.feed_address(peer, version)
