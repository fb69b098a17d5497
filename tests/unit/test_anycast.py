"""Services abroad some of whose servers are in the country: who announces them, who reaches which, what that says."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

import shutdownlab as sl
from shutdownlab.library import Shutdown, load
from shutdownlab.model.faults import Damage, Withdrawn
from shutdownlab.model.routing import announcements, anycast, holders, systems
from shutdownlab.reporting.graph import draw
from shutdownlab.servers.routing import bird_config
from shutdownlab.verifier.ways import Ways

ROOT = Path(__file__).parents[2]
INSIDE, ABROAD = "northnet-capital-datacentre", "transit-two-servers"
PREFIX = ip_network("1.1.1.0/24")


def country(tmp_path: Path, **exchange: bool) -> Path:
    data = yaml.safe_load((ROOT / "topologies/two-operators.yaml").read_text())
    data["name"] = "anycast"
    data["operators"]["northnet"]["regions"]["capital"]["datacentre"]["anycast"] = ["cloudflare-dns"]
    for operator, is_there in exchange.items():
        data["operators"][operator]["exchange"] = is_there
    path = tmp_path / "anycast.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


def shutdown(path: Path, *started: str) -> Shutdown:
    own = {"prefixes": ["1.1.1.0/24", "1.0.0.0/24"]}
    policies: dict[str, dict[str, Any]] = {
        "blackout": {"title": "", "block": "everything", "at": "gateway", "source": "x"},
        "gone": {"title": "", "withdraw": own, "where": {"operators": ["northnet"]}, "source": "x"},
    }
    return load(
        {
            "format": 1,
            "name": "any",
            "title": "Any",
            "topology": str(path),
            "policies": policies,
            "faults": {
                "dead": {"title": "", "kill": {"servers": ["northnet"]}, "source": "x"},
                "dark": {"title": "", "cut": ["northnet to northnet/capital"], "source": "x"},
            },
            "probes": {
                "home": {"test": "dns", "host": "kaspi.kz", "resolver": "1.1.1.1"},
                "foreign": {"test": "dns", "host": "www.bbc.com", "resolver": "1.1.1.1"},
            },
            "timeline": [
                {
                    "phase": "now",
                    "at": "2030-05-01T00:00Z",
                    "title": "",
                    "start": [name for name in started if name in policies],
                    "faults": [name for name in started if name not in policies],
                }
            ],
            "ends": "2030-05-02T00:00Z",
        }
    )


def test_the_operator_announces_the_same_prefix_and_it_stays_its_holders_abroad(tmp_path: Path) -> None:
    network = shutdown(country(tmp_path)).network
    assert PREFIX in anycast(network)["northnet-border"]
    told = announcements(network)
    assert PREFIX in told["northnet-border"]
    assert PREFIX in told["transit-two"]
    assert holders(network)[PREFIX] == "transit-two"
    assert PREFIX not in systems(network)[64501]
    config = bird_config(network, network.nodes["northnet-border"])
    upstream = next(line for line in config.split("protocol bgp ") if line.startswith("provider_transit_one_4"))
    assert "!(net ~ [ 1.1.1.0/24, 1.0.0.0/24 ])" in upstream
    assert "route 1.1.1.1/32 via" in config
    gone = Damage(withdrawn=frozenset({Withdrawn("northnet", PREFIX, False)}))
    assert "route 1.1.1.0/24 blackhole" not in bird_config(network, network.nodes["northnet-border"], gone)


@pytest.mark.parametrize(
    ("members", "reached"),
    [({}, INSIDE), ({"southcell": False}, INSIDE), ({"northnet": False, "southcell": False}, INSIDE)],
)
def test_customers_and_members_of_the_exchange_reach_the_servers_inside(
    tmp_path: Path, members: dict[str, bool], reached: str
) -> None:
    ways = Ways(shutdown(country(tmp_path, **members)).network)
    for own in ("northnet-coast", "southcell-coast"):
        way = ways.between(own, "1.1.1.1")
        assert way.arrives
        assert way.nodes[-1] == reached
        assert not any(crossing.switch == "gateway" for crossing in way.crossings) or members
    assert ways.between("transit-one-servers", "1.1.1.1").nodes[-1] == ABROAD
    assert ways.between(INSIDE, "1.1.1.1").nodes == (INSIDE,)


def test_who_is_no_customer_and_no_member_reaches_those_abroad(tmp_path: Path) -> None:
    path = country(tmp_path, southcell=False)
    data = yaml.safe_load(path.read_text())
    data["operators"]["southcell"]["transit"] = ["transit-one"]
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    ways = Ways(shutdown(path).network)
    assert ways.between("southcell-coast", "1.1.1.1").nodes[-1] == ABROAD
    assert ways.between("northnet-coast", "1.1.1.1").nodes[-1] == INSIDE


@pytest.mark.parametrize(
    ("started", "northnet", "southcell"),
    [
        ((), ["ok", "ok"], ["ok", "ok"]),
        (("blackout",), ["ok", "blocked"], ["ok", "blocked"]),
        (("gone",), ["ok", "ok"], ["ok", "ok"]),
        (("blackout", "gone"), ["ok", "blocked"], ["blocked", "blocked"]),
        (("dead",), ["down", "down"], ["down", "down"]),
        (("dead", "gone"), ["down", "down"], ["ok", "ok"]),
        (("dark",), ["down", "down"], ["down", "down"]),
        (("dark", "gone"), ["down", "down"], ["ok", "ok"]),
    ],
)
def test_what_servers_inside_answer_hangs_on_whom_they_reach_and_who_reaches_them(
    tmp_path: Path, started: tuple[str, ...], northnet: list[str], southcell: list[str]
) -> None:
    found = {(r.vantage, r.target): r.outcome.value for r in sl.verify(shutdown(country(tmp_path), *started))}
    for own, wanted in (("northnet/coast/ordinary", northnet), ("southcell/coast/ordinary", southcell)):
        assert [found[own, target] for target in ("home", "foreign")] == wanted


def test_explain_leads_to_the_server_that_is_reached_and_the_drawing_shows_where_it_is(tmp_path: Path) -> None:
    loaded = shutdown(country(tmp_path), "blackout")
    why = sl.explain(loaded, at="now", vantage="southcell/coast", target="home")
    assert why.hops[-1].node == INSIDE
    assert "(anycast)" in draw(loaded.network)


def test_explain_follows_the_query_of_a_server_inside_that_needs_somebody_abroad(tmp_path: Path) -> None:
    loaded = shutdown(country(tmp_path), "blackout")
    why = sl.explain(loaded, at="now", vantage="southcell/coast", target="foreign")
    assert why.connection.endswith("the resolver's own query")
    assert why.hops[0].node == INSIDE
    stopped = next(hop for hop in why.hops if hop.stops)
    assert (stopped.node, stopped.order and stopped.order.policy) == ("gateway", "blackout")
    assert any(mend.policies == ("blackout",) for mend in why.mends)
    met = sl.explain(loaded, at="now", vantage="southcell/coast", target="home")
    assert "own query" not in met.connection
