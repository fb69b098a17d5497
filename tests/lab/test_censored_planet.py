"""Censored Planet's instruments beside a run: what they find blocked from abroad, where, and what evades it."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from invocation import SMALL, Json, Record, invoke
from scapy.layers.tls.handshake import TLSClientHello
from scapy.layers.tls.record import TLS

from shutdownlab import library
from shutdownlab.results.reading import read_readings
from shutdownlab.verifier.outside import Outside

pytestmark = pytest.mark.thorough

SITE = "www.bbc.com"
WATCHED = ("before", "resets", "drops", "blackout")
BLOCK = {"title": "The BBC", "block": {"sites": [SITE]}, "by": "dpi", "source": "FACT"}
PHASES = {
    "before": "20300501.0800",
    "resets": "20300502.0800",
    "as-ever": "20300502.0800",
    "drops": "20300503.0800",
    "blackout": "20300504.0800",
}
WIKI = {"test": "web", "url": "https://www.wikipedia.org/"}
POLICIES: Json = {
    "as-ever": BLOCK,
    "resets": {**BLOCK, "action": "reset"},
    "drops": {**BLOCK, "action": "drop"},
    "blackout": {"title": "Everything", "block": "everything", "source": "FACT"},
}


def far_country(place: Path, profile: str = "naive", phases: tuple[str, ...] = WATCHED) -> Path:
    """Two operators, three routers on a fixed line and two on a transit's; a site reset, then dropped, then all."""
    topology = yaml.safe_load((Path(__file__).parents[2] / "topologies/two-operators.yaml").read_text())
    for kind, count in (("fixed", 3), ("transit", 2)):
        topology["links"][kind]["hops"] = count
    (place / "far.yaml").write_text(yaml.safe_dump(topology, sort_keys=False))
    timeline: list[Json] = []
    for day, phase in enumerate(phases, 1):
        stopped = [timeline[-1]["phase"]] if len(timeline) > 1 else []
        started = [phase] if phase in POLICIES else []
        at = f"2030-05-{day:02}T08:00Z"
        timeline.append({"phase": phase, "at": at, "title": phase, "start": started, "stop": stopped, "expect": []})
    made = {
        **{key: SMALL[key] for key in ("format", "name", "title", "sources")},
        "topology": "far.yaml",
        "profile": profile,
        "policies": {phase: POLICIES[phase] for phase in phases if phase in POLICIES},
        "probes": {"ping": SMALL["probes"]["ping"], "bbc": {"test": "web", "url": f"https://{SITE}/"}, "wiki": WIKI},
        "timeline": timeline,
        "ends": "2030-05-05T08:00Z",
    }
    path = place / "far-country.yaml"
    path.write_text(yaml.safe_dump(made, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("planet")
    done = invoke(place, "run", far_country(place), "--observe", "--out", "run")
    assert done.code == 0, done.output
    yield place


def lines(place: Path, kind: str, phase: str, run: str = "run") -> list[dict[str, Any]]:
    file = place / run / "observations" / "censored-planet" / f"{kind}.{PHASES[phase]}.json"
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_name_that_is_blocked_is_an_anomaly_and_a_blackout_fails_the_controls_too(place: Path) -> None:
    found = {
        phase: {
            (trial["service"], trial["anomaly"], trial["controls_failed"], trial["stateful_block"])
            for trial in lines(place, "hyperquack", phase)
        }
        for phase in WATCHED
    }
    services = ("http", "https", "echo")
    assert found["before"] == {(service, False, False, False) for service in services}
    assert found["resets"] == found["drops"] == {(service, True, False, False) for service in services}
    assert found["blackout"] == {(service, True, True, False) for service in services}


def test_an_answer_that_is_none_is_reported_by_its_error(place: Path) -> None:
    errors = {
        phase: {
            each["error"].rpartition(": ")[2]
            for trial in lines(place, "hyperquack", phase)
            for each in trial["response"]
            if "error" in each
        }
        for phase in ("resets", "drops")
    }
    assert errors == {"resets": {"connection reset by peer"}, "drops": {"i/o timeout"}}


def test_servers_are_evaluated_before_anything_is_asked_of_them(place: Path) -> None:
    found = lines(place, "evaluations", "before")
    assert {each["service"] for each in found} == {"http", "https", "echo"}
    assert not any("issue" in each for each in found)
    assert [each["service"] for each in found if "template" not in each] == ["echo"], "it says what it is told"
    [https] = [each["template"] for each in found if each["service"] == "https"]
    assert https["status_line"] == "200 OK" and https["TlsVersion"] == 0x304 and https["Certificate"]


def traces(place: Path, phase: str, run: str = "run") -> list[dict[str, str]]:
    file = place / run / "observations" / "censored-planet" / f"centrace.{PHASES[phase]}.csv"
    return list(csv.DictReader(file.read_text().splitlines()))


def test_traces_end_at_the_hop_behind_the_box(place: Path) -> None:
    """First come the transit's router and the two on its link, then the box, and behind it the border router; this one
    resets both ends and lets the packet go on, so that the border router tells of its TTL as well."""
    for trace in traces(place, "resets"):
        assert (trace["Result Code"], trace["Censorship Response Type"]) == ("ResponseCode.CAN_IDENTIFY_SERVER", "RST")
        assert (trace["Censored T_TTL"], trace["Control T_TTL"], trace["TTL difference"]) == ("4", "8", "-4")
        assert trace["Control Response Type"] in {"HTTP", "TLS"} and trace["Payloads Differ"] == "True"
        assert (trace["Middlebox IP before"], trace["On Path?"]) == ("198.18.48.1", "True")
    raw = place / "run" / "observations" / "censored-planet" / f"centrace-raw.{PHASES['resets']}.txt"
    address, name, recorded, censored, control = raw.read_text().splitlines()[0].split("|")
    assert (name, recorded) == (SITE, "False")
    assert [answers[-1][2] for answers in json.loads(censored)][:4] == [["ICMP_TTL"]] * 3 + [["RST"]]
    assert json.loads(control)[-1][0][:2] == [8, address]


@pytest.fixture(scope="module")
def on_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A box that gets copies, and goes on blocking who has asked."""
    place = tmp_path_factory.mktemp("on-path")
    done = invoke(place, "run", far_country(place, "gfw-tls", ("before", "as-ever")), "--observe", "--out", "run")
    assert done.code == 0, done.output
    yield place


def test_a_box_beside_the_path_lets_the_packet_go_on_and_blocks_whoever_asked(on_path: Path) -> None:
    https = next(trial for trial in lines(on_path, "hyperquack", "as-ever") if trial["service"] == "https")
    assert https["stateful_block"] and https["anomaly"] and not https["controls_failed"]
    http = next(trial for trial in lines(on_path, "hyperquack", "as-ever") if trial["service"] == "http")
    assert not http["anomaly"], "this one reads TLS alone"
    [trace] = traces(on_path, "as-ever")
    assert (trace["On Path?"], trace["Censorship Response Type"]) == ("True", "RST")


def test_permutations_of_the_name_tell_what_the_box_recognises(place: Path) -> None:
    found = lines(place, "cenfuzz", "resets")
    assert [each["TestName"] for each in found if each["IsNormal"]] == ["Normal", "Normal"]
    assert not any(each["MatchesUncensored"] for each in found if each["IsNormal"])
    evade = {each["TestName"] for each in found if each["MatchesUncensored"]}
    assert {"SNI TLD Alternate", "Hostname TLD Alternate", "Host Word | Alternate"} <= evade
    hellos = [TLS(bytes.fromhex(each["Request"])) for each in found if each["TestName"] == "SNI Padding"]
    assert len(hellos) == 3 and all(isinstance(hello.msg[0], TLSClientHello) for hello in hellos)


def test_what_was_looked_into_once_is_not_again(place: Path) -> None:
    files = {path.name for path in (place / "run" / "observations" / "censored-planet").iterdir()}
    assert {name for name in files if name.startswith("cenfuzz")} == {f"cenfuzz.{PHASES['resets']}.json"}


def test_the_share_that_is_answered_as_ever_is_read_and_nothing_is_left_out(place: Path) -> None:
    read = {r.phase: r.value for r in read_readings(place / "run") if (r.signal, r.scope) == ("hyperquack", "country")}
    assert read == {"before": 1, "resets": 0, "drops": 0, "blackout": 0}
    assert read == by_the_model(place)
    assert [event["left_out"] for event in Record(place / "run").events_of("observed")] == [{}] * 4


def by_the_model(place: Path) -> dict[str, float]:
    shutdown = library.load(place / "far-country.yaml")
    model = Outside(shutdown, {})
    readings = [reading for phase in shutdown.scenario.timeline for reading in model.of(phase, ["hyperquack"])]
    return {reading.phase: reading.value for reading in readings if reading.scope == "country"}


def test_a_box_that_reads_one_protocol_leaves_the_other_to_the_model_too(on_path: Path) -> None:
    read = {
        r.phase: r.value for r in read_readings(on_path / "run") if (r.signal, r.scope) == ("hyperquack", "country")
    }
    assert read == by_the_model(on_path) == pytest.approx({"before": 1, "as-ever": 2 / 3})


def test_a_cdn_s_volume_is_what_probes_got_of_sites_that_nobody_blocks(place: Path) -> None:
    read = [r for r in read_readings(place / "run") if (r.signal, r.scope) == ("cdn", "country")]
    assert {(r.phase, r.value, r.basis) for r in read} == {
        (phase, float(phase != "blackout"), "measured") for phase in WATCHED
    }


def test_verdicts_are_those_of_a_run_that_nobody_watches(place: Path) -> None:
    done = invoke(place, "run", place / "far-country.yaml", "--out", "unwatched")
    assert done.code == 0, done.output
    assert Record(place / "unwatched").outcomes == Record(place / "run").outcomes
