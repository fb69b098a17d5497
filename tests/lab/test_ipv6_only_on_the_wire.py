"""Subscribers whose lines carry IPv6 alone: NAT64, DNS64 and 464XLAT with real packets do as the model has it."""

from __future__ import annotations

import ipaddress
import shutil
import sys
from pathlib import Path

import pytest

import shutdownlab as sl

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from ipv6_only import SHARED, STANDING, scenario

from shutdownlab.config.numbers import ICMP
from shutdownlab.inspection.capture import open_capture
from shutdownlab.inspection.links import decode_frame
from shutdownlab.model.scenario import Outcome

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(not shutil.which("tayga", path="/usr/sbin:/sbin:/usr/bin"), reason="tayga is missing"),
]
TOO_BIG = bytes([3, 4])
"""Destination unreachable, fragmentation needed (RFC 792)."""
ASKED = ["sh", "-c", f"getent ahostsv6 e1.whatsapp.net | grep -q ^{STANDING}"]
"""For a name that has IPv4 addresses alone."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> sl.Run:
    made = scenario()
    asking = {"from": {"operators": ["southcell"]}, "timeout": "4s", "during": ["baseline"]}
    made["probes"]["dns64"] = {"test": "command", "command": ASKED} | asking
    return sl.run(made, tmp_path_factory.mktemp("ipv6-only") / "run", trust=True, pcap=True)


def test_packets_of_a_line_of_ipv6_alone_fare_as_the_model_has_it(run: sl.Run) -> None:
    found = {
        (r.phase, r.vantage, r.target, r.family.value): (r.outcome.value, r.failure)
        for r in run.results
        if r.target != "dns64"
    }
    model = {
        (r.phase, r.vantage, r.target, r.family.value): (r.outcome.value, r.failure) for r in sl.verify(scenario())
    }
    assert found == model
    came = {r.phase: r.outcome for r in run.results if (r.operator, r.target) == ("southcell", "ping")}
    assert came["prefix"] is came["standing"] is Outcome.BLOCKED
    assert came["baseline"] is came["allowed"] is Outcome.OK


def test_the_line_carries_no_ipv4_and_beyond_the_border_nothing_stands_for_it(run: sl.Run) -> None:
    standing = ipaddress.ip_network(f"{STANDING}0:0/96")
    seen, too_big = {}, 0
    for switch in ("southcell-capital-sw", "southcell-dpi"):
        packets = [decode_frame(link, frame) for _, link, frame in open_capture(run.path / "pcap" / f"{switch}.pcapng")]
        seen[switch] = {ipaddress.ip_address(a) for p in packets if not p.problem for a in (p.src, p.dst)}
        too_big += sum(p.proto == ICMP and p.frame[p.l4 : p.l4 + 2] == TOO_BIG for p in packets)
    assert not too_big, "nobody sends what is too long for the line once it is translated"
    on_line, beyond = seen["southcell-capital-sw"], seen["southcell-dpi"]
    assert any(a in standing for a in on_line) and not any(a.version == 4 for a in on_line)
    assert ipaddress.ip_address(SHARED) in beyond and not any(a in standing for a in beyond)


def test_the_resolver_gives_names_without_an_ipv6_address_one_that_stands_for_theirs(run: sl.Run) -> None:
    asked = {r.vantage: r.outcome for r in run.results if r.target == "dns64"}
    assert asked == dict.fromkeys(("southcell/capital/ordinary", "southcell/coast/ordinary"), Outcome.OK)
