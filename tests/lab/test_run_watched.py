"""A run that is watched from abroad: what outside signals show, and the files that their fields' own programs read."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import mrtparse
import pytest
from invocation import Json, Record, invoke, small
from ripe.atlas.sagan import DnsResult, PingResult, Result, SslResult, TracerouteResult
from scapy.layers.inet import IP, TCP
from scapy.utils import rdpcap

from shutdownlab import library
from shutdownlab.model.observatory import peers
from shutdownlab.results.reading import Reading, read_readings
from shutdownlab.runner import launch
from shutdownlab.signals.demand import GAINS
from shutdownlab.verifier.outside import Outside

PHASES = {"baseline": "20300501.0800", "blackout": "20300501.0820", "withdrawn": "20300501.0840"}
MEASURED = ("bgp", "active-probing", "atlas-datacentre", "atlas-home", "telescope")
"""The signals that are read of packets and routes, as the model reads them."""


def watched(scenario: Json) -> None:
    """An ordinary day; packets dropped, with all routes in place; routes of one operator withdrawn besides."""
    scenario["policies"]["withdrawal"] = {
        "title": "Southcell withdraws its routes abroad",
        "withdraw": {"from": "abroad"},
        "where": {"operators": ["southcell"]},
        "source": "FACT",
    }
    scenario["probes"] = {"ping": scenario["probes"]["ping"]}
    baseline, blackout, withdrawn = scenario["timeline"]
    for phase in (baseline, blackout, withdrawn):
        phase["expect"] = []
    withdrawn |= {"phase": "withdrawn", "at": "2030-05-01T08:40Z", "start": ["withdrawal"]}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("watched")
    done = invoke(place, "run", small(place, watched), "--observe", "--out", "run")
    assert done.code == 0, done.output
    yield place


def by_bgpdump(file: Path) -> list[list[str]]:
    if shutil.which("bgpdump") is None:
        pytest.skip("bgpdump is not installed")
    done = subprocess.run(["bgpdump", "-m", file], capture_output=True, text=True, check=True)
    return [line.split("|") for line in done.stdout.splitlines()]


def bgp(place: Path, kind: str, phase: str) -> Path:
    return place / "run" / "observations" / "bgp" / f"{kind}.{PHASES[phase]}.mrt"


def by_place(readings: Iterable[Reading]) -> dict[tuple[str, ...], float]:
    return {(r.signal, r.phase, r.scope, r.of, r.family): r.value for r in readings}


def as_modelled(place: Path) -> dict[tuple[str, ...], float]:
    shutdown = library.load(place / "small.yaml")
    model = Outside(shutdown, {})
    return by_place(reading for phase in shutdown.scenario.timeline for reading in model.of(phase, MEASURED))


def as_measured(place: Path) -> dict[tuple[str, ...], float]:
    readings = read_readings(place / "run")
    return by_place(each for each in readings if each.signal in MEASURED and each.basis == "measured")


def test_what_is_seen_from_outside_is_what_the_model_says(place: Path) -> None:
    assert as_measured(place) == pytest.approx(as_modelled(place))


def by_client(scenario: Json) -> None:
    """An ordinary day; whoever pings more than three times sends nothing any more; only subscribers are spared."""
    north, south = ({"where": {"operators": [name]}} for name in ("northnet", "southcell"))
    pings = {"block": {"protocols": ["icmp"]}, "block_after": {"packets": 3, "within": "60s", "then": "client"}}
    alone = {"block": "everything", "at": "gateway", "allow": [{"inside": ["100.65.1.10"]}]} | south
    scenario["policies"] = {
        name: {"title": name, "source": "FACT"} | policy
        for name, policy in {
            "pings": pings, "dark": {"null_route": {"spare": ["100.64.1.10"]}} | north, "alone": alone,
        }.items()
    }  # fmt: skip
    scenario["probes"] = {"web": {"test": "web", "url": "https://kaspi.kz/"}}
    baseline = scenario["timeline"][0] | {"expect": []}
    scenario["timeline"] = [baseline] + [
        baseline | {"phase": name, "at": f"2030-05-01T08:{minute}Z", "start": [name], "stop": before}
        for name, minute, before in (("pings", 20, []), ("dark", 30, ["pings"]), ("alone", 40, ["dark"]))
    ]


def test_observers_devices_are_clients_of_their_own_beside_the_subscriber_who_is_measured(tmp_path: Path) -> None:
    done = invoke(tmp_path, "run", small(tmp_path, by_client), "--observe", "--verify", "--out", "run")
    assert {row["outcome"] for row in Record(tmp_path / "run").rows if row["phase"] == "pings"} == {"ok"}, done.output
    assert "The model says the same of all" in done.output
    found = as_measured(tmp_path)
    assert found == pytest.approx(as_modelled(tmp_path))
    atlas = {value for (signal, phase, *_), value in found.items() if signal.startswith("atlas") and phase == "pings"}
    assert atlas == {0}, "its probes ping and trace, and lose their controllers by it"
    for operator, phase in (("northnet", "dark"), ("southcell", "alone")):  # the spared one is not whom outsiders probe
        assert found["active-probing", phase, "operator", operator, "ipv4"] == 0


def test_signals_that_cannot_be_observed_are_reported_and_here_all_were_observed(place: Path) -> None:
    observed = Record(place / "run").events_of("observed")
    assert [event["phase"] for event in observed] == list(PHASES)
    assert [event["left_out"] for event in observed] == [{}, {}, {}]
    told = [Reading(**reading) for event in observed for reading in event["readings"]]
    assert told == read_readings(place / "run")


def test_bgpdump_reads_the_tables_of_every_peer(place: Path) -> None:
    numbers = {str(peer.asn) for peer in peers(library.load_topology("two-operators").topology)}
    tables = {phase: by_bgpdump(bgp(place, "rib", phase)) for phase in PHASES}
    for phase, holders in (("baseline", numbers), ("blackout", numbers), ("withdrawn", set())):
        for prefix in ("100.65.0.0/16", "2001:db8:65::/48"):
            assert {entry[4] for entry in tables[phase] if entry[5] == prefix} == holders, (phase, prefix)
        paths = {entry[6] for entry in tables[phase] if entry[5] == "100.64.0.0/16"}
        assert {path.split()[0] for path in paths} == numbers
        assert {path.split()[1] for path in paths} == {"64601", "64602"}, "seen through either transit"


def test_bgpdump_reads_the_withdrawal_as_it_happened_in_the_scenario(place: Path) -> None:
    messages = by_bgpdump(bgp(place, "updates", "withdrawn"))
    gone = [message for message in messages if message[2] == "W" and message[5] == "100.65.0.0/16"]
    assert {message[4] for message in gone} == {
        str(peer.asn) for peer in peers(library.load_topology("two-operators").topology)
    }
    began = 1903855200  # 2030-05-01T08:40Z
    assert all(began <= int(message[1]) < began + 60 for message in gone)


def test_the_record_says_which_routes_the_transits_lost_and_in_which_phase(place: Path) -> None:
    changes = {
        (event["phase"], event["where"], *event["lost"], *event["heard"])
        for event in Record(place / "run").events_of("rerouted")
    }
    lost = ("100.65.0.0/16", "2001:db8:65::/48")
    assert changes == {("withdrawn", transit, *lost) for transit in ("transit-one", "transit-two")}


def test_mrtparse_reads_the_same_tables(place: Path) -> None:
    entries = [entry.data for entry in mrtparse.Reader(str(bgp(place, "rib", "baseline")))]
    index, routes = entries[0], [entry for entry in entries if "prefix" in entry]
    numbers = [peer["peer_as"] for peer in index["peer_entries"]]
    assert sorted(numbers) == [
        "0",
        *sorted(2 * [str(number) for number in range(65537, 65545)]),
    ]  # bird's first is none
    assert {route["prefix"] for route in routes} >= {"100.64.0.0", "100.65.0.0", "2001:db8:64::", "2001:db8:65::"}
    heard = [entry for route in routes for entry in route["rib_entries"]]
    assert all(next(iter(entry["originated_time"])) <= next(iter(index["timestamp"])) for entry in heard)


def atlas(place: Path, kind: str, phase: str) -> str:
    return next((place / "run" / "observations" / "atlas").glob(f"{kind}.{PHASES[phase]}.json*")).read_text()


def test_atlas_own_parser_reads_what_its_probes_tell_and_who_is_away_tells_nothing(place: Path) -> None:
    told = {
        phase: [
            Result.get(line, on_error=Result.ACTION_FAIL, on_malformation=Result.ACTION_FAIL)
            for line in atlas(place, "results", phase).splitlines()
        ]
        for phase in PHASES
    }
    for phase, there in (("baseline", {1, 2, 3}), ("blackout", set()), ("withdrawn", {1, 2, 3})):
        listed = json.loads(atlas(place, "probes", phase))
        assert {probe["id"] for probe in listed if probe["status"]["name"] == "Connected"} == there
        assert {(result.probe_id, type(result)) for result in told[phase]} == {
            (number, kind) for number in there for kind in (PingResult, TracerouteResult, DnsResult, SslResult)
        }
    routes = [result for result in told["baseline"] if isinstance(result, TracerouteResult)]
    assert all(route.destination_ip_responded and route.total_hops == 3 for route in routes)


def test_scapy_reads_the_radiation_that_came_to_the_dark_prefix(place: Path) -> None:
    files = place / "run" / "observations" / "telescope"
    came = {phase: rdpcap(str(files / f"dark.{PHASES[phase]}.pcapng")) for phase in PHASES}
    sources = {phase: {packet[IP].src for packet in packets} for phase, packets in came.items()}
    assert len(sources["baseline"]) == 32 and not sources["blackout"]  # eight of each of four groups
    assert sources["withdrawn"] == sources["baseline"], "packets leave, though no answer would come"
    assert all(packet[TCP].flags == "S" and packet[TCP].dport == 23 for packet in came["baseline"])
    assert all(1903852800 <= float(packet.time) < 1903852860 for packet in came["baseline"])  # 2030-05-01T08:00Z
    counted = (files / f"sources.{PHASES['baseline']}.csv").read_text().splitlines()
    assert counted == ["minute,unique_sources,after_anti_spoofing", "2030-05-01T08:00:00Z,32,32"]


def test_what_nobody_measures_is_worked_out_and_marked_so(place: Path) -> None:
    basis = {(reading.signal, reading.basis) for reading in read_readings(place / "run")}
    assert basis == {(signal, "measured") for signal in (*MEASURED, "hyperquack")} | {
        (signal, "modelled") for signal in ("cdn", "http3", "mobile", "dns-queries", *GAINS)
    }
    files = {path.name for path in (place / "run" / "observations" / "cdn").iterdir()}
    assert files == {f"{who}.{when}.csv" for who in ("ZZ", "AS64501", "AS64502") for when in PHASES.values()}


def test_users_of_tools_are_a_value_a_day_with_the_quiet_days_before(place: Path) -> None:
    file = place / "run" / "observations" / "demand" / "userstats-relay-country.csv"
    rows = [line.split(",") for line in file.read_text().splitlines()[1:]]
    assert rows[0] == ["date", "country", "users", "lower", "upper", "frac"]
    assert (rows[1][0], rows[-1][0]) == ("2030-04-02", "2030-05-01")
    assert int(rows[-1][2]) < int(rows[1][2]) == 1500, "500 of each of three million; a part of the last day is dark"


def counted(run: Path) -> dict[str, Any]:
    """What a run has counted and concluded, without times, captures, certificates and routes."""
    observations = run / "observations"
    blocks = [
        {key: value for key, value in row.items() if key != "wall_time"}
        for file in sorted((observations / "active-probing").iterdir())
        for row in csv.DictReader(file.read_text().splitlines())
    ]
    asked = [
        (each["vp"], each["test_url"], each["anomaly"], each["controls_failed"], len(each["response"]))
        for file in sorted((observations / "censored-planet").glob("hyperquack.*"))
        for each in map(json.loads, file.read_text().splitlines())
    ]
    whole = [
        file.read_text()
        for pattern in ("telescope/sources.*", "cdn/*", "demand/*", "atlas/probes.*")
        for file in sorted(observations.glob(pattern))
    ]
    flows = [
        {key: value for key, value in row.items() if key not in {"time", "wall_time"}}
        for file in sorted((observations / "telescope").glob("flowtuple.*"))
        for row in csv.DictReader(file.read_text().splitlines())
    ]
    told = [
        (each["prb_id"], each["type"], each["dst_name"], each.get("qbuf"))
        for file in sorted((observations / "atlas").glob("results.*"))
        for each in map(json.loads, file.read_text().splitlines())
    ]
    templates = [
        {key: value for key, value in json.loads(line).get("template", {}).items() if key != "Certificate"}
        for file in sorted((observations / "censored-planet").glob("evaluations.*"))
        for line in file.read_text().splitlines()
    ]
    return {
        "outcomes": Record(run).outcomes, "readings": read_readings(run), "blocks": blocks, "asked": asked,
        "flows": flows, "told": told, "templates": templates, "whole": whole,
    }  # fmt: skip


@pytest.mark.thorough
def test_the_same_seed_finds_the_same(place: Path) -> None:
    done = invoke(place, "run", place / "small.yaml", "--observe", "--out", "again")
    assert done.code == 0, done.output
    first, second = counted(place / "run"), counted(place / "again")
    assert all(first.values()) and second == first
    assert launch.usable(place / "again", force=True), "what a watched run has written can be replaced"


def test_the_wall_clock_is_kept_beside(place: Path) -> None:
    lines = (bgp(place, "times", "withdrawn").with_suffix(".csv")).read_text().splitlines()
    assert lines[0] == "file,record,time,wall_time"
    assert lines[1].startswith(f"rib.{PHASES['withdrawn']}.mrt,0,2030-05-01T08:40:")
