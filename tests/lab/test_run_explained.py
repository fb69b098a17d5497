"""`explain` of a run: what was measured, what the switches and boxes have counted, and the frames of the connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import shutdownlab as sl
from shutdownlab.verifier.explained import as_mermaid, explanation_lines
from shutdownlab.verifier.explanation import Explanation

SCENARIO: dict[str, Any] = {
    "format": 1,
    "name": "counted",
    "title": "Rules are counted",
    "topology": "two-operators",
    "policies": {
        "off": {"title": "Off", "block": "everything", "except": {"ports": ["tcp/179"]}, "source": "made up"},
        "dpi": {"title": "DPI", "block": {"apps": ["bbc"]}, "by": "dpi", "action": "drop", "source": "made up"},
    },
    "probes": {
        "bbc": {"test": "web", "url": "https://www.bbc.com/"},
        "more": {"test": "ping", "host": "8.8.8.8", "during": ["whole", "off"]},
        "bridge": {"test": "tcp", "host": "bridge.example.net", "port": "tcp/179"},
    },
    "timeline": [
        {"phase": "whole", "at": "2030-05-01T00:00Z", "title": ""},
        {"phase": "off", "at": "2030-05-01T01:00Z", "title": "", "start": ["off"]},
        {"phase": "still", "at": "2030-05-01T02:00Z", "title": ""},
        {"phase": "dpi", "at": "2030-05-01T03:00Z", "title": "", "stop": ["off"], "start": ["dpi"]},
    ],
    "ends": "2030-05-01T04:00Z",
}
AT = "northnet-capital-sw"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run with captures."""
    folder = tmp_path_factory.mktemp("explained")
    file = folder / "counted.yaml"
    file.write_text(yaml.safe_dump(SCENARIO, sort_keys=False))
    sl.run(file, out=folder / "run", pcap=True)
    return folder / "run"


def explained(run: Path, at: str, target: str) -> Explanation:
    return sl.explain(run, at=at, vantage="northnet/capital", target=target)


def met(explanation: Explanation) -> int:
    (found,) = [hop.met for hop in explanation.hops if hop.met is not None]
    return found


def test_a_drop_tells_the_packets_of_its_phase_alone_and_the_frames_that_met_it(run: Path) -> None:
    off, still = explained(run, "off", "bbc"), explained(run, "still", "bbc")
    assert off.measured is not None
    assert (off.measured.outcome, off.captured_at) == ("blocked", AT)
    assert {(frame.target, frame.what) for frame in off.frames} == {("100.64.0.53:53", "UDP")}
    for explanation in (off, still):
        # Three groups are behind the switch, each tries twice at least, and each try sends its question again.
        assert met(explanation) >= 3 * 2 * len(explanation.frames)
    assert met(still) < met(off), "pings are sent in one of the phases"
    text = "\n".join(explanation_lines(off))
    assert f"its policy's rules there matched {met(off):,} packets in the phase" in text
    assert "Captured at northnet-capital-sw in its last try (pcap/northnet-capital-sw.pcapng):" in text
    assert len(text.split("\n")) <= 40, "one screen"
    assert f"matched {met(off):,} packets" in as_mermaid(off)


def test_what_is_spared_is_counted_where_it_is_spared(run: Path) -> None:
    bridge = explained(run, "off", "bridge")
    flags = [frame.what for frame in bridge.frames]
    assert flags[:3] == ["TCP SYN", "TCP SYN ACK", "TCP ACK"]
    assert met(bridge) >= len(flags)


def test_a_boxs_rule_tells_its_connections_and_the_frames_beside_it(run: Path) -> None:
    dpi = explained(run, "dpi", "bbc")
    assert dpi.captured_at == "northnet-dpi"
    assert met(dpi) >= 4, "each of Northnet's groups once at least"
    hellos = [frame for frame in dpi.frames if frame.what == "TCP PSH ACK"]
    assert hellos, "the ClientHello comes to the switch"
    assert {frame.target for frame in hellos} == {"151.101.0.81:443"}


def test_nothing_is_counted_where_nothing_is_in_force(run: Path) -> None:
    assert all(hop.met is None for hop in explained(run, "whole", "bbc").hops)
    told = [line for line in (run / "events.jsonl").read_text().split("\n") if '"rule-counters"' in line]
    assert told
    assert not [line for line in told if '"phase":"whole"' in line]


def test_of_a_run_whose_switches_were_not_asked_nothing_is_said_of_their_rules(run: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    for name in ("manifest.json", "results.csv", "measurements.jsonl"):
        (plain / name).write_bytes((run / name).read_bytes())
    events = (run / "events.jsonl").read_text().splitlines(keepends=True)
    (plain / "events.jsonl").write_text("".join(line for line in events if '"event":"rule-counters"' not in line))
    explanation = explained(plain, "off", "bbc")
    assert explanation.measured is not None
    assert [hop.met for hop in explanation.hops if hop.table is not None] == [None]
