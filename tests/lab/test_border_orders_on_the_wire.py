"""Border routers discard and reject, cables and masts are off by order, operators obey halfway: as the model has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from foretold import run_as_foretold

from shutdownlab.model.scenario import Outcome
from shutdownlab.results.events import Notice

pytestmark = pytest.mark.thorough

MADE_UP = {"title": "Made up", "source": "made up"}
NORTH = {"where": {"operators": ["northnet"]}}


def scenario() -> dict[str, Any]:
    phases = [
        {"phase": "discarded", "start": ["dark"]},
        {"phase": "rejected", "stop": ["dark"], "start": ["prohibited", "reset"]},
        {"phase": "cut", "stop": ["prohibited", "reset"], "start": ["fibre", "masts"]},
        {
            "phase": "halfway",
            "stop": ["fibre", "masts"],
            "start": ["blackout"],
            "obey": {"southcell": {"spares": {"blackout": {"regions": ["coast"]}}}},
        },
        {"phase": "late", "stop": ["blackout"], "obey": {"northnet": {"keeps": ["blackout"]}}},
        {"phase": "back"},
    ]
    return {
        "format": 1, "name": "border-orders", "title": "Orders to border routers", "topology": "two-operators",
        "policies": {
            "blackout": MADE_UP | {"block": "everything"},
            "dark": MADE_UP | {"null_route": {"spare": ["100.64.4.0/24"]}},
            "prohibited": MADE_UP | NORTH | {
                "block": {"addresses": ["8.8.8.8"], "ports": ["443"]}, "action": "reject",
                "except": {"apps": ["kaspi"]},
            },
            "reset": MADE_UP | {
                "block": "everything", "action": "reject", "reject_with": "tcp-reset",
                "where": {"operators": ["southcell"]},
                "except": {"protocols": ["icmp"], "ports": ["udp/53"]},
            },
            "fibre": MADE_UP | {"cut": {"links": ["northnet to northnet/coast"]}},
            "masts": MADE_UP | {"switch_off": {"regions": ["coast"]}},
        },
        "probes": {
            "whatsapp": {"test": "app", "app": "whatsapp"},
            "bbc": {"test": "web", "url": "https://www.bbc.com/", "families": ["ipv4", "ipv6"]},
            "kaspi": {"test": "web", "url": "https://kaspi.kz/", "families": ["ipv4", "ipv6"]},
            "dns": {"test": "dns", "host": "www.bbc.com", "resolver": "8.8.8.8"},
            "quic": {"test": "http3", "url": "https://www.youtube.com/"},
            "ping": {"test": "ping", "host": "8.8.8.8"},
            "call": {"test": "call"},
        },
        "observations": {"routes": {"observer": "bgp", "families": ["ipv4", "ipv6"]}},
        "timeline": [
            {"at": f"2030-05-01T{hour:02}:00Z", "title": "", **phase} for hour, phase in enumerate(phases, 1)
        ],
        "ends": "2030-05-02T00:00Z",
    }  # fmt: skip


def test_border_routers_and_cables_do_what_they_are_ordered_as_the_model_has_it(tmp_path: Path) -> None:
    made = scenario()
    measured = run_as_foretold(made, tmp_path)
    assert {r.outcome for r in measured.results if (r.phase, r.target) == ("discarded", "routes")} == {Outcome.OK}
    came = {
        (r.phase, r.operator, r.region, r.target): r.failure for r in measured.results if r.subscriber == "ordinary"
    }
    assert came["discarded", "northnet", "coast", "ping"] is None  # spared
    assert came["discarded", "northnet", "capital", "ping"] == "generic_timeout_error"
    assert (
        came["rejected", "northnet", "coast", "ping"]
        == came["rejected", "northnet", "coast", "quic"]
        == "host_unreachable"
    )
    assert came["rejected", "southcell", "coast", "bbc"] == "connection_refused"
    assert came["cut", "southcell", "coast", "ping"] == "order: masts"
    assert came["cut", "northnet", "coast", "ping"] == "order: fibre"
    assert came["halfway", "southcell", "coast", "ping"] is None
    assert came["halfway", "southcell", "capital", "ping"] == came["late", "northnet", "coast", "ping"] is not None
    assert came["late", "southcell", "coast", "ping"] is None
    told = "\n".join(event.text for event in measured.events() if isinstance(event, Notice))
    assert "carries blackout out in part" in told
    assert "keeps blackout" in told
    assert {r.outcome for r in measured.results if r.phase == "back"} == {Outcome.OK}


def counted() -> dict[str, Any]:
    pings = {"test": "ping", "host": "www.bbc.com"}
    block = MADE_UP | {"block": {"protocols": ["icmp"]}}
    return {
        "format": 1, "name": "counted", "title": "Pings that are counted", "topology": "two-operators",
        "policies": {
            "few": block | {"block_after": {"packets": 3, "within": "2s"}, "where": {"operators": ["southcell"]}},
            "whole": block | NORTH | {"block_after": {"packets": 3, "within": "2s", "then": "client"}},
        },
        "probes": {
            "three": pings | {"count": 3, "then": "tcp/443", "from": {"regions": ["coast"]}},
            "five": pings | {
                "count": 5, "answered": 2, "then": "tcp/443",
                "from": {"regions": ["capital"], "subscribers": ["ordinary"]},
            },
            "all-five": pings | {
                "count": 5, "families": ["ipv6"], "from": {"operators": ["southcell"], "regions": ["capital"]},
            },
        },
        "timeline": [
            {"phase": "counted", "at": "2030-05-01T01:00Z", "title": "", "start": ["few", "whole"]},
            {"phase": "anew", "at": "2030-05-01T02:00Z", "title": ""},
            {"phase": "back", "at": "2030-05-01T03:00Z", "title": "", "stop": ["few", "whole"]},
        ],
        "ends": "2030-05-02T00:00Z",
    }  # fmt: skip


def test_border_routers_count_the_pings_of_each_client_as_the_model_has_it(tmp_path: Path) -> None:
    made = counted()
    measured = run_as_foretold(made, tmp_path)
    came = {(r.phase, r.operator, r.target): r.failure for r in measured.results if r.subscriber == "ordinary"}
    for phase in ("counted", "anew"):
        assert came[phase, "northnet", "three"] is came[phase, "southcell", "three"] is None
        assert came[phase, "southcell", "five"] is None  # two of its pings came back, and TCP is left alone
        assert came[phase, "northnet", "five"] == came[phase, "southcell", "all-five"] == "generic_timeout_error"
    assert {r.outcome for r in measured.results if r.phase == "back"} == {Outcome.OK}
