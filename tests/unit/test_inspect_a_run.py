"""`inspect` of what a run has recorded: with the run's chance, and without what its boxes passed on unseen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether
from typer.testing import CliRunner
from wire import Connection, engine, rule

from shutdownlab.cli import app
from shutdownlab.inspection.verdict import Action
from shutdownlab.network.pcapng import packet, section

PORTS = [("s1p1", "border-intl"), ("s1p2", "gateway"), ("s1p3", "box-inside"), ("s1p4", "box-outside")]
CONTROLS = [f"100.64.{subnet}.9" for subnet in range(1, 255)]
CONTROLS += [f"2001:db8:64:{subnet:x}::9" for subnet in range(1, 1200)]


def recorded(place: Path, frames: list[bytes], controls: list[str]) -> Path:
    path = place / "switch.pcapng"
    blocks = [packet(0, 1_700_000_000_000_000_000 + at, frame) for at, frame in enumerate(frames)]
    path.write_bytes(section(PORTS, "what a switch receives", "shutdownlab", controls) + b"".join(blocks))
    return path


def inspected(path: Path, *arguments: str) -> list[dict[str, Any]]:
    done = CliRunner().invoke(app, ["inspect", str(path), "--format", "jsonl", *arguments])
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("named", [CONTROLS, []], ids=["named in the file", "of a file that names none"])
def test_what_a_box_passed_on_unseen_is_not_judged(tmp_path: Path, named: list[str]) -> None:
    echoes = [
        IP(src="100.64.200.9", dst="198.51.100.2") / ICMP(),
        IPv6(src="2001:db8:64:4af::9", dst="2001:db8:71::2") / ICMPv6EchoRequest(),
    ]
    ordinary = IP(src="100.64.200.10", dst="198.51.100.2") / TCP(sport=40000, dport=443, flags="S")
    path = recorded(tmp_path, [bytes(Ether() / each) for each in (*echoes, ordinary)], named)
    (tmp_path / "rules.yaml").write_text("rules: [{name: all, verdict: drop}]\n")
    found = inspected(path, "--policy", str(tmp_path / "rules.yaml"))
    assert len(found) == (1 if named else 3)
    assert {flow["verdict"] for flow in found} == {"drop"}
    assert found[-1]["packet"] == 3, "packets keep the numbers that they have in the file"


def test_what_is_drawn_by_chance_is_drawn_as_in_the_run_of_that_seed(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("rules: [{name: half, when: {probability: 0.5}, verdict: drop}]\n")
    sayings: dict[int, list[str]] = {}
    for seed in (1, 2):
        box, frames, decided = engine("perfect", rule("drop", name="half", probability=0.5), seed=seed), [], []
        for port in range(40000, 40060):
            connection = Connection(box, sport=port)
            frames.append(connection.tcp("S"))
            outcome = connection.send(frames[-1])
            decided.append("drop" if outcome.decision and outcome.decision.action is Action.DROP else "pass")
        path = recorded(tmp_path, frames, [])
        found = inspected(path, "--policy", str(tmp_path / "rules.yaml"), "--seed", str(seed))
        sayings[seed] = [flow["verdict"] for flow in found]
        assert sayings[seed] == decided
    assert sayings[1] != sayings[2]
    assert {*sayings[1]} == {"drop", "pass"}
