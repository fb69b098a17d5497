"""A run, from the command line to the files it leaves: what is promised is there, and it is true."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import outside
import pytest
from invocation import Done, Json, Record, finished, invoke, small, under_way, wait_for_event, wall
from scapy.layers.inet import ICMP, IP
from scapy.utils import PcapNgReader
from written import held_to, typed

import shutdownlab as sl
from shutdownlab import library
from shutdownlab.model.network import Role

COLUMNS = (
    "phase,time,operator,region,subscriber,target,family,outcome,failure,expected,"
    "access,class,weight,value,unit,tries,certainty,phase_seconds,column,source,held"
)
PHASES = ["baseline", "messenger", "mobile-throttled", "one-way", "blackout", "allowlist", "restored"]
OONI_KEYS = {
    "annotations", "data_format_version", "input", "measurement_start_time", "probe_asn", "probe_cc", "probe_ip",
    "probe_network_name", "report_id", "resolver_asn", "resolver_ip", "software_name", "software_version",
    "test_keys", "test_name", "test_runtime", "test_start_time", "test_version",
}  # fmt: skip
SWITCHES = {node.name for node in library.network("two-operators").nodes.values() if node.role.is_openflow}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, Record]:
    """The first shutdown, played once for all tests of its record."""
    place = tmp_path_factory.mktemp("whole")
    done = invoke(
        place, "run", "first-shutdown", "--out", "results", "--seed", 7, "--verify", "--junit", "results.xml",
        "--report", "report.html", cold=True,
    )  # fmt: skip
    return done, Record(place / "results")


@pytest.fixture
def record(whole: tuple[Done, Record]) -> Record:
    return whole[1]


def test_a_run_in_which_every_expectation_holds_ends_with_0(whole: tuple[Done, Record]) -> None:
    done, record = whole
    rows = record.rows
    assert [row for row in rows if row["outcome"] != row["expected"]] == []
    assert done.code == 0, done.output
    assert f"All {len(rows)} expectations met." in done.output


def test_a_run_tells_its_phases_and_their_table_in_80_columns(whole: tuple[Done, Record]) -> None:
    lines = whole[0].output.splitlines()
    assert lines[0] == "A first shutdown: Northnet, Southcell"
    assert max(len(line) for line in lines if not line.startswith("The run took")) <= 80, "but that which names files"
    for phase in PHASES:
        told = [line for line in lines if re.match(rf"\d\d May \d\d:00 +{phase} ", line)]
        assert len(told) >= 2, f"{phase}: a line of progress, a row of the table"
    assert [line for line in lines if re.search(r" mobile-throttled +\d+/\d+, \d+ slow ", line)], (
        "slow is not as good as ever"
    )
    heading = next(line for line in lines if line.startswith("UTC") and "WhatsApp" in line)
    _, row, *_ = (line.split() for line in lines if re.match(r"01 May 12:00 +messenger ", line))
    assert dict(zip(heading.split()[2:], row[4:], strict=False))["WhatsApp"] == "0"


def test_the_terminal_s_table_is_recomputed_from_results_csv_alone(whole: tuple[Done, Record]) -> None:
    done, record = whole
    weights: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for row in record.rows:
        total = weights[row["phase"], row["column"]]
        total[0] += float(row["weight"])
        total[1] += float(row["weight"]) * (row["outcome"] in {"ok", "throttled"})
    percent = {place: round(100 * through / all_) for place, (all_, through) in weights.items() if all_}
    table = sl.Run.open(record.path).table
    assert {place: round(100 * (share.fraction or 0)) for place, share in table.shares.items()} == percent
    first = ["WhatsApp", "Telegram", "foreign web", "HTTP/3", "bank", "state site"]
    for phase in ("messenger", "one-way"):
        line = next(
            row for row in done.output.split("Percent")[1].splitlines() if re.match(rf"\d\d May \d\d:00 +{phase} ", row)
        )
        assert [int(figure) for figure in line.split()[4:]] == [percent[phase, column] for column in first]


def test_a_run_says_that_packets_did_what_the_model_says_and_writes_what_a_ci_shows(whole: tuple[Done, Record]) -> None:
    done, record = whole
    assert f"The model says the same of all {len(record.rows)} cells." in done.output
    assert done.output.splitlines()[-1] == "The report: report.html"
    page = (record.path.parent / "report.html").read_text()
    assert "reached nothing but port 179 and calls, for 48 h." in page
    assert "Measured on " in page
    suites = ElementTree.parse(record.path.parent / "results.xml").getroot()
    assert [suite.get("name") for suite in suites] == PHASES
    assert {suite.get(kind) for suite in suites for kind in ("failures", "errors", "skipped")} == {"0"}


def test_results_csv_has_a_row_a_phase_vantage_point_target_and_family(record: Record) -> None:
    text = (record.path / "results.csv").read_text()
    assert text.splitlines()[0] == COLUMNS
    rows = record.rows
    assert len(record.outcomes) == len(rows), "no cell twice"
    assert list(dict.fromkeys(row["phase"] for row in rows)) == PHASES
    assert {row["time"] for row in rows if row["phase"] == "messenger"} == {"2030-05-01T12:00Z"}
    assert {row["outcome"] for row in rows} == {"ok", "blocked", "throttled"}
    assert {row["family"] for row in rows} == {"ipv4", "ipv6"}
    vantages = {(row["operator"], row["region"], row["subscriber"]) for row in rows}
    assert vantages == {tuple(vantage.id) for vantage in library.network("two-operators").vantages}
    assert all((row["failure"] == "") == (row["outcome"] in {"ok", "throttled"}) for row in rows)


@pytest.mark.thorough
def test_under_ryu_every_result_is_as_under_os_ken(
    record: Record, environment: Callable[[str], Path], tmp_path: Path
) -> None:
    python = environment("ryu")
    done = invoke(
        tmp_path, "run", "first-shutdown", "--out", "ryu", "--seed", 7, "--openflow", "ryu", "--ryu-python", python
    )
    assert done.code == 0, done.output
    under_ryu = Record(tmp_path / "ryu")
    columns = COLUMNS.split(",")[:9]
    assert [[row[name] for name in columns] for row in under_ryu.rows] == [
        [row[name] for name in columns] for row in record.rows
    ]
    assert re.fullmatch(r"Ryu 4\.34 under Python 3\.11\.\d+", under_ryu.manifest["emulation"]["openflow"])
    assert record.manifest["emulation"]["openflow"].startswith("os-ken ")


def test_each_means_of_a_shutdown_shows_as_what_it_is(record: Record) -> None:
    seen = {
        (row["phase"], row["operator"], row["region"], row["subscriber"], row["target"]): row["failure"] or "-"
        for row in record.rows
        if row["family"] == "ipv4"
    }
    assert seen["messenger", "northnet", "capital", "ordinary", "whatsapp"] == "connection_reset"
    assert seen["messenger", "southcell", "capital", "ordinary", "whatsapp"] == "generic_timeout_error"
    assert seen["one-way", "southcell", "coast", "ordinary", "ping"] == "generic_timeout_error"
    assert seen["blackout", "northnet", "coast", "ordinary", "bridge-179"] == "-"
    outcomes = record.outcomes
    assert outcomes["mobile-throttled", "southcell", "capital", "ordinary", "speed", "ipv4"] == "throttled"
    assert outcomes["blackout", "northnet", "capital", "government", "www.bbc.com", "ipv6"] == "ok"
    assert outcomes["blackout", "northnet", "capital", "government", "kaspi.kz", "ipv4"] == "blocked"


def test_every_row_has_its_measurement_in_ooni_s_form(record: Record) -> None:
    measurements = record.measurements
    assert len(measurements) == len(record.rows)
    for measurement in measurements:
        assert set(measurement) >= OONI_KEYS
    outcomes = {
        (m["annotations"]["phase"], m["test_keys"]["x_id"].split()[1], *m["test_keys"]["x_id"].split()[2:]): m[
            "test_keys"
        ]["x_outcome"]
        for m in measurements
    }
    assert outcomes == {(c[0], "/".join(c[1:4]), *c[4:]): outcome for c, outcome in record.outcomes.items()}
    times = {m["annotations"]["phase"]: m["measurement_start_time"] for m in measurements}
    assert times["blackout"] == "2030-05-02 12:00:00"


def test_all_that_a_run_writes_is_as_the_schemas_say(record: Record) -> None:
    for event in record.events:
        held_to("event").validate(event)
    measurement, result = held_to("measurement"), held_to("results")
    for line in record.measurements:
        measurement.validate(line)
    for row in record.rows:
        result.validate(typed(row))
    held_to("manifest").validate(record.manifest)


def test_the_manifest_says_what_was_run_on_what(record: Record) -> None:
    manifest = record.manifest
    assert manifest["status"] == "finished"
    assert (manifest["scenario"], manifest["topology"]) == ("first-shutdown", "two-operators")
    assert (manifest["mode"], manifest["choices"]) == ("operators", {"command": "operators"})
    assert (manifest["seed"], manifest["real_time"], manifest["profile"]) == (7, None, "perfect")
    assert (manifest["cells"], manifest["unmet"], manifest["faults"]) == (len(record.rows), 0, [])
    assert set(manifest["seconds"]["phases"]) == set(PHASES)
    assert manifest["seconds"]["total"] >= sum(manifest["seconds"]["phases"].values())
    assert set(manifest["machine"]) >= {"kernel", "architecture", "python", "packages", "processors", "load"}
    assert set(manifest["machine"]["packages"]) >= {"mininet", "os-ken"}
    assert set(manifest["machine"]["daemons"]) >= {"ovs-vswitchd", "bird", "nginx", "unbound", "nsd"}
    emulation = manifest["emulation"]
    assert (emulation["datapath"], emulation["datapath_asked_for"]) in {("userspace", "auto"), ("kernel", "auto")}
    assert emulation["datapath_because"]
    assert emulation["delays"] in {"netem", "userspace delay line"}
    assert re.match(r"\d+\.\d+", emulation["openvswitch"])
    assert emulation["nodes"] == len(library.network("two-operators").nodes)


def test_events_tell_each_order_its_acknowledgements_who_obeyed_and_when_it_was_measured(record: Record) -> None:
    events = record.events
    assert [event["event"] for event in events[:3]] == ["begun", "built", "phase"]
    assert sorted(map(wall, events)) == list(map(wall, events))
    after: list[Json] = events
    for phase in PHASES[1:]:
        kinds = [(event["event"], event.get("phase")) for event in after]
        first, last = kinds.index(("ordered", phase)), kinds.index(("phase", phase))
        between = after[first + 1 : last]
        assert between[-1]["event"] == "confirmed"
        assert {event["switch"] for event in between if event["event"] == "acknowledged"} == SWITCHES
        assert all(event["rules"] > 0 for event in between if event["event"] == "acknowledged")
        obeyed = [event["operator"] for event in between if event["event"] == "obeyed"]
        assert sorted(obeyed) == ["gateway", "northnet", "southcell"]
        for operator in obeyed[1:]:
            done = next(i for i, e in enumerate(between) if e["event"] == "obeyed" and e["operator"] == operator)
            acks = {event["switch"] for event in between[:done] if event["event"] == "acknowledged"}
            assert {name for name in SWITCHES if name.startswith(f"{operator}-")} <= acks
        measured = kinds.index(("phase-measured", phase))
        results = [event["result"] for event in after[last:measured] if event["event"] == "measured"]
        assert len(results) == after[last]["cells"] == after[measured]["cells"]
        after = after[measured + 1 :]
        counted = {event["where"] for event in after if event["event"] == "counters" and event.get("phase") == phase}
        assert counted == {"northnet-box", "southcell-box"}


def test_the_run_directory_holds_nothing_else_but_logs(record: Record) -> None:
    names = {path.name for path in record.path.iterdir()}
    assert names == {"manifest.json", "events.jsonl", "measurements.jsonl", "results.csv", "logs"}
    assert {"controllers", "openvswitch", "services"} <= {path.name for path in (record.path / "logs").iterdir()}


def test_the_logs_are_plain_files_that_anybody_can_copy_when_the_run_is_over(record: Record) -> None:
    """No socket that nobody answers, no link to what was in the sandbox."""
    odd = [path for path in record.path.rglob("*") if path.is_symlink() or not (path.is_file() or path.is_dir())]
    assert odd == []


def test_a_second_run_into_the_same_directory_is_refused_and_loses_nothing(record: Record) -> None:
    files = ("manifest.json", "events.jsonl", "measurements.jsonl", "results.csv")
    before = [(record.path / name).read_bytes() for name in files]
    done = invoke(record.path.parent, "run", "first-shutdown", "--out", "results")
    assert done.code == 2
    assert "--out: found results, which holds the results of a run; expected a new directory" in done.output
    assert [(record.path / name).read_bytes() for name in files] == before


def test_with_force_a_run_takes_the_place_of_another(record: Record, tmp_path: Path) -> None:
    shutil.copytree(record.path, tmp_path / "run")
    done = invoke(tmp_path, "run", small(tmp_path), "--until", "baseline", "--out", "run", "--force")
    assert done.code == 0, done.output
    taken = Record(tmp_path / "run")
    assert {row["phase"] for row in taken.rows} == {"baseline"}
    assert taken.manifest["scenario"] == "small"
    assert [path.name for path in (tmp_path / "run").glob("logs*")] == ["logs"]


def test_an_expectation_that_fails_ends_the_run_with_1_and_is_reported_with_its_source(tmp_path: Path) -> None:
    def mistake(scenario: Json) -> None:
        expect = {"who": {"regions": ["coast"]}, "probes": ["ping"], "outcome": "ok", "source": "FACT"}
        scenario["timeline"][1]["expect"].append(expect)

    done = invoke(tmp_path, "run", small(tmp_path, mistake), "--until", "blackout", "--out", "run")
    assert done.code == 1
    told = [line for line in done.output.splitlines() if line.startswith("not as expected: ")]
    who = "northnet/coast/ordinary, southcell/coast/ordinary"
    saw = "expected ok [FACT], saw blocked (generic_timeout_error)"
    assert told == [f"not as expected: blackout: ping from {who}: {saw}"]
    assert "[FACT] a newspaper of that day" in done.output
    assert "2 of 36 measurements were not as expected." in done.output
    record = Record(tmp_path / "run")
    assert (record.manifest["unmet"], record.manifest["status"]) == (2, "finished")
    unmet = [row for row in record.rows if row["outcome"] != row["expected"]]
    assert [(row["operator"], row["region"], row["target"]) for row in unmet] == [
        ("northnet", "coast", "ping"),
        ("southcell", "coast", "ping"),
    ]
    assert [row["phase"] for row in record.rows][-1] == "blackout", "--until ends it there"


def test_another_account_changes_who_commands_and_which_policies_hold(tmp_path: Path) -> None:
    def accounts(scenario: Json) -> None:
        scenario["policies"]["pings-off"] = {
            "title": "No pings abroad", "block": {"protocols": ["icmp"]}, "source": "FACT",
        }  # fmt: skip
        options = {
            "operators": {"says": "operators", "source": "FACT", "command": "operators"},
            "direct": {"says": "the authority", "source": "FACT", "command": "direct", "without": ["blackout"]},
        }
        scenario["accounts"] = {"command": {"question": "Who?", "default": "operators", "options": options}}
        scenario["timeline"][1]["start"].append("pings-off")
        scenario["timeline"][1]["expect"] = [
            {"outcome": "ok", "source": "FACT", "given": {"command": "direct"}},
            {"probes": ["ping"], "outcome": "blocked", "source": "FACT"},
        ]

    path = small(tmp_path, accounts)
    done = invoke(tmp_path, "run", path, "--choose", "command=direct", "--until", "blackout", "--out", "run")
    assert done.code == 0, done.output
    record = Record(tmp_path / "run")
    assert (record.manifest["mode"], record.manifest["choices"]) == ("direct", {"command": "direct"})
    order = record.events_of("ordered")[0]
    assert (order["mode"], order["policies"]) == ("direct", ["pings-off"])
    for operator in ("northnet", "southcell"):
        assert f"note: {operator}: leaves its switches to the authority" in done.output
    assert {event["operator"] for event in record.events_of("obeyed")} == {"gateway", "northnet", "southcell"}
    assert {event["switch"] for event in record.events_of("acknowledged")} == SWITCHES


def test_in_real_time_phases_and_operators_take_their_time(tmp_path: Path) -> None:
    factor = 600  # 20 minutes between the phases: 2 s; Southcell obeys after 10: 1 s
    path = small(tmp_path)
    done = invoke(tmp_path, "run", path, "--real-time", factor, "--until", "blackout", "--out", "run")
    assert done.code == 0, done.output
    record = Record(tmp_path / "run")
    checked, order = record.events_of("self-check")[0], record.events_of("ordered")[0]
    assert wall(order) - wall(checked) > 1200 / factor - 0.1
    obeyed = {event["operator"]: event for event in record.events_of("obeyed")}
    assert list(obeyed)[-1] == "southcell"
    serial = obeyed["southcell"]["serial"]
    confirmed = record.events_of("confirmed")[0]
    assert {event["serial"] for event in obeyed.values()} == {serial}
    assert wall(confirmed) - wall(order) > 600 / factor - 0.1
    assert record.manifest["real_time"] == factor


@pytest.fixture(scope="module")
def deciphered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The captures, with keys, of a kept run of TLS and QUIC, in which a subscriber's curl went on after its end."""

    def with_quic(scenario: Json) -> None:
        scenario["probes"] |= {"h3": {"test": "http3", "url": "https://www.youtube.com/"}}
        scenario["timeline"][1]["expect"] = []

    place = tmp_path_factory.mktemp("keys")
    arguments = ("run", small(place, with_quic), "--until", "blackout", "--out", "run", "--pcap", "--keys", "--keep")
    typed = "phase baseline\nsouthcell-capital curl -sS -o /dev/null -A after-the-run https://kaspi.kz/curled\nexit\n"
    done = invoke(place, *arguments, stdin=typed)
    assert done.code == 0, done.output
    assert re.search(r"^The run took .*, pcap/$", done.output, re.MULTILINE)
    return place / "run/pcap"


def test_captures_hold_what_subscribers_sent(deciphered: Path) -> None:
    assert {path.name for path in deciphered.glob("*.pcapng")} == {f"{name}.pcapng" for name in SWITCHES}
    network = library.network("two-operators")
    subscribers = [node for node in network.by_role(Role.SUBSCRIBER) if node.name.startswith("southcell-capital")]
    sources = {str(port.addresses[0].ip) for node in subscribers for port in node.ports.values()}
    pings = {}
    for switch in ("southcell-capital-sw", "gateway"):
        with PcapNgReader(str(deciphered / f"{switch}.pcapng")) as reader:
            packets = [packet for packet in reader if ICMP in packet and packet[ICMP].type == 8]
        pings[switch] = [packet for packet in packets if packet[IP].src in sources]
    assert pings["southcell-capital-sw"], "the access switch hears the subscriber"
    assert pings["gateway"], "on an ordinary day they reach the gateway"
    assert len(pings["gateway"]) < len(pings["southcell-capital-sw"]), "in the blackout they do not"


def comments_of(capture: Path) -> list[str]:
    with PcapNgReader(str(capture)) as reader:
        return [bytes(comment).decode() for packet in reader for comment in packet.comments or ()]


def test_a_capture_tells_what_happened_and_when_in_the_scenario_and_by_the_wall_clock(deciphered: Path) -> None:
    told = comments_of(deciphered / "southcell-dpi.pcapng")
    order = [next((n for n, text in enumerate(told) if part in text), -1) for part in (
        "2030-05-01 08:00:00 UTC in the scenario: baseline is measured from here on",
        "2030-05-01 08:20:00 UTC in the scenario: order for blackout, in mode operators: blackout in force",
        "southcell-dpi has obeyed order ",
        "2030-05-01 08:20:00 UTC in the scenario: blackout is measured from here on: All off",
        "by hand: no policy in force, as in baseline",
    )]  # fmt: skip
    assert order == sorted(order) and order[0] >= 0, told
    wall = {text.rpartition("[")[2] for text in told if "by the wall clock" in text}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC by the wall clock\]", text) for text in wall)
    assert not any("northnet-dpi has obeyed" in text for text in told), "each switch tells of itself"


def test_captures_hold_the_secrets_of_every_handshake_that_clients_finished(deciphered: Path) -> None:
    with_keys = {path.name for path in deciphered.glob("keys-*.log")}
    assert {"keys-northnet.log", "keys-southcell.log"} <= with_keys
    lines = [line for path in deciphered.glob("keys-*.log") for line in path.read_text().splitlines()]
    logged = {line.split()[1] for line in lines if not line.startswith("#")}
    embedded = {name: secrets_of(deciphered / f"{name}.pcapng") for name in ("gateway", "southcell-dpi")}
    assert len(logged) > 10 and embedded["gateway"] == logged
    assert embedded["southcell-dpi"] < embedded["gateway"], "an operator's captures have its own subscribers' alone"


def secrets_of(capture: Path) -> set[str]:
    """The client randoms of a capture's Decryption Secrets Blocks, which stand ahead of its packets."""
    data, at, found = capture.read_bytes(), 0, set[str]()
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        if kind == 6:
            break
        if kind == 10:
            assert data[at + 8 : at + 12] == b"KSLT"
            size = int.from_bytes(data[at + 12 : at + 16], "little")
            lines = data[at + 16 : at + 16 + size].decode().splitlines()
            found |= {line.split()[1] for line in lines if not line.startswith("#")}
        at += length
    return found


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_shows_what_a_box_could_not(deciphered: Path) -> None:
    """Probes' TLS and QUIC, and a curl that somebody typed."""

    def shown(fields: str, of: str) -> set[str]:
        argv = ["tshark", "-r", str(deciphered / "southcell-dpi.pcapng"), "-Y", of, "-T", "fields", "-e", fields]
        return set(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines())

    assert "kaspi.kz" in shown("http.host", "tls && http.request")
    assert "after-the-run" in shown("http.user_agent", 'tls && http.request.uri == "/curled"') | shown(
        "http2.headers.user_agent", 'http2.headers.path == "/curled"'
    )
    assert shown("frame.number", "http3"), "what QUIC carries"


def test_keys_without_captures_are_refused(tmp_path: Path) -> None:
    done = invoke(tmp_path, "run", small(tmp_path), "--keys")
    assert done.code == 2
    assert (
        "--keys: found keys without pcap; expected pcap as well: the secrets are added to the captures" in done.output
    )


@pytest.mark.thorough
def test_two_runs_side_by_side_end_alike_and_leave_no_process(tmp_path: Path) -> None:
    places = [tmp_path / "one", tmp_path / "other"]
    for place in places:
        place.mkdir()
        small(place)
    with under_way(places[0], "small.yaml") as one, under_way(places[1], "small.yaml") as other:
        for process, record in (one, other):
            wait_for_event(process, record, "built", "")  # not later: one may be far ahead of the other
        spaces = [outside.namespaces(outside.descendants(process.pid)) for process, _ in (one, other)]
        done = [finished(process) for process, _ in (one, other)]
    assert [each.code for each in done] == [0, 0], "\n".join(each.output for each in done)
    rows = [[list(row.values())[:10] for row in Record(place / "run").rows] for place in places]
    assert rows[0] == rows[1]
    assert min(map(len, spaces)) > 20
    assert not spaces[0] & spaces[1]
    assert not outside.in_namespaces(spaces[0] | spaces[1])


def test_oonis_rules_say_of_the_raw_observations_what_the_probes_said(record: Record) -> None:
    done = invoke(record.path.parent, "judge", "results/measurements.jsonl")
    assert done.code == 0, done.output
    assert re.search(r"^\d+ measurements judged, all as the file says; \d+ of other tests skipped$", done.output, re.M)


def test_the_report_of_oonis_view_says_where_it_would_mislead(record: Record) -> None:
    """Slowed lines let every page through, which OONI's tests take for accessible."""
    done = invoke(record.path.parent, "report", "results", "--as", "ooni")
    assert done.code == 0, done.output
    told = [line for line in done.output.splitlines() if ", though " in line]
    assert [line.partition(": ")[0] for line in told] == ["mobile-throttled"]
    assert told[0].endswith(": accessible, though the line is throttled")
    assert "WhatsApp (1)" in told[0]
    assert "Percent for whom OONI would conclude accessible" in done.output
