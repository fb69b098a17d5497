"""What `verify` says is what real packets find, whatever is ordered: `make differential` does it at length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from differential import Maker, compared, differences

import shutdownlab as sl
from shutdownlab.model.scenario import Outcome

LIE = {"block": {"apps": ["youtube", "bbc", "kaspi", "whatsapp"]}, "by": "dns"}
SOUTHCELL = {"controllers": ["southcell"]}
KEPT: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    # A host of sites that a policy spares had their IPv6 address as the source of its own traffic.
    "own traffic comes from the own address": (
        [
            {
                "block": {"protocols": ["tcp", "icmp"]},
                "direction": "inbound",
                "except": {"apps": ["wikipedia", "egov-kz"]},
                "where": {"operators": ["northnet"]},
            }
        ],
        [],
    ),
    # A router asked for it for three seconds, and then told those who still listened.
    "nobody tells of an address that nobody has in a network that is there": ([{**LIE, "answer": "203.0.113.80"}], []),
    # A resolver went on to name the address of the lie before; a router told each sender five times, then once a
    # second; UDP is not told of a network that is not there.
    "a router tells of a network that is not there": ([{**LIE, "answer": "192.0.2.1"}], []),
    "what a router tells comes back from its port to the subscriber, unless ICMP is blocked": (
        [{**LIE, "answer": "192.0.2.1"}, {"block": {"protocols": ["icmp"]}, "where": {"operators": ["southcell"]}}],
        [],
    ),
    "what a router tells comes from an address that a blackout spares": (
        [{**LIE, "answer": "192.0.2.1"}, {"block": "everything", "except": {"addresses": ["100.64.0.0/15"]}}],
        [],
    ),
    "a false answer is put down to what keeps the true one away": (
        [{**LIE, "answer": "203.0.113.80"}],
        [{"kill": {"routers": ["transit-two"]}}],
    ),
    "a host answers pings, and takes connections, whose servers hang": ([], [{"stop": {"servers": ["transit-two"]}}]),
    "a block of what a kernel answers is a block, though servers hang": (
        [{"block": "everything"}],
        [{"stop": {"servers": ["transit-two"]}}],
    ),
    "a host answers pings whose servers are dead": (
        [{"block": {"protocols": ["icmp"]}}],
        [{"kill": {"servers": ["transit-one"]}}],
    ),
    "a telephone service that hangs connects no calls": ([], [{"stop": {"telephones": ["southcell"]}}]),
    # It was down, as if all of an operator's packets went through its box.
    "a stopped box takes nothing from whom no policy has inspected": (
        [{"block": "everything", "by": "address", "at": "gateway", "where": {"access": ["fixed"]}}],
        [{"stop": {"boxes": ["northnet"]}}],
    ),
    # The order to block calls, given meanwhile, was heard between two faults.
    "a controller is cut off": ([{"block": {"voice": True}, "by": "address"}], [{"partition": SOUTHCELL}]),
    # It was a timeout: that of a resolver that waits for who is cut off from it.
    "a resolver that is dead refuses, though nobody abroad would answer it": (
        [{"withdraw": {"from": "abroad"}, "where": {"operators": ["southcell"]}}],
        [{"kill": {"resolvers": ["southcell"]}}],
    ),
    "a controller that another fault takes away at once is not back in between": ([], [{"kill": SOUTHCELL}]),
}
"""Policies and faults whose measurement once differed from what was verified."""


def test_a_made_up_shutdown_is_measured_as_it_is_verified(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cells, differ = compared(1, 2, tmp_path / "run")
    assert differ == 0, capfd.readouterr().out
    assert cells == 3 * 64


@pytest.mark.thorough
def test_what_once_differed_does_no_longer(tmp_path: Path) -> None:
    made = Maker(1).scenario(0)
    made["probes"] = {
        name: made["probes"][name]
        for name in ("whatsapp", "youtube-http3", "kaspi.kz", "dns", "ping", "bridge-179", "call")
    }
    made["probes"]["www.bbc.com"] = {
        "test": "tls",
        "host": "www.bbc.com",
        "port": "tcp/443",
        "families": ["ipv4", "ipv6"],
    }
    made["faults"] = {}
    before: list[str] = []
    for number, (title, (policies, faults)) in enumerate(KEPT.items(), start=1):
        record = {"title": title, "source": "EXAMPLE"}
        names = [f"policy-{number}-{index}" for index in range(len(policies))]
        broken = [f"fault-{number}-{index}" for index in range(len(faults))]
        made["policies"] |= {name: record | policy for name, policy in zip(names, policies, strict=True)}
        made["faults"] |= {name: record | fault for name, fault in zip(broken, faults, strict=True)}
        phase = {"phase": f"kept-{number}", "at": f"2030-05-02T{number:02}:00Z", "title": title}
        made["timeline"].append(phase | {"start": names, "stop": before, "faults": broken})
        before = names
    made["ends"] = "2030-05-04T00:00Z"
    run = sl.run(made, out=tmp_path / "run")
    assert list(differences(run, sl.verify(made))) == []
    assert not [result for result in run.results if result.outcome in {Outcome.UNKNOWN, Outcome.ERROR}]
