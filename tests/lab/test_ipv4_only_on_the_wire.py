"""An operator without IPv6 beside one with both and one with lines of IPv6 alone, with real packets and real BGP."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import shutdownlab as sl

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from three_kinds import POLICIES, scenario

from shutdownlab.results.result import Result

pytestmark = pytest.mark.thorough
SHOWN = ("ipv6-withdrawn", "ipv6-discarded", "by-address", "rejected", "lies", "hijacked", "old-withdrawn")


@pytest.fixture(scope="module")
def lab() -> Iterator[sl.Lab]:
    dead = {"title": "Dead", "source": "made up", "kill": {"resolvers": ["oldnet"]}}
    with sl.lab(scenario({}) | {"faults": {"dead": dead}}, at="baseline") as opened:
        yield opened


def by_cell(results: Iterable[Result]) -> dict[tuple[str, str, str, str], tuple[str, str | None]]:
    return {(r.phase, r.vantage or r.operator, r.target, r.family.value): (r.outcome.value, r.failure) for r in results}


def test_every_cell_comes_out_as_the_model_has_it_and_none_is_over_ipv6_from_there(tmp_path: Path) -> None:
    made = scenario({name: POLICIES[name] for name in SHOWN})
    run = sl.run(made, tmp_path / "run", observe=True)
    found = by_cell(run.results)
    assert found == by_cell(sl.verify(made))
    at_old = [key for key in found if key[1].startswith("oldnet") and "visitors" not in key[1]]
    assert at_old and {family for *_, family in at_old} == {"ipv4"}
    seen = {(r.signal, r.of) for r in run.readings if r.family == "ipv6" and r.scope == "operator"}
    assert {of for _, of in seen} == {"bothnet", "newcell"}
    assert {signal for signal, _ in seen} == {"bgp", "active-probing"}
    quiet = {(r.signal, r.of, r.value) for r in run.readings if r.phase == "baseline" and r.scope == "operator"}
    for signal in ("active-probing", "telescope"):  # whom a NAT hides from outside is no less there
        assert {(of, value) for name, of, value in quiet if name == signal} == {
            (of, 1.0) for of in ("oldnet", "bothnet", "newcell")
        }
    old = [r.value for r in run.readings if (r.signal, r.of, r.phase) == ("bgp", "oldnet", "ipv6-withdrawn")]
    assert old == [1.0]


def test_its_nodes_have_no_ipv6_address_but_their_link_local_one_and_no_route_beyond(lab: sl.Lab) -> None:
    for node in ("oldnet-valley", "oldnet-border", "oldnet-resolver"):
        shown = lab.exec(node, ["ip", "-6", "-o", "addr", "show", "scope", "global"], check=True)
        assert shown.stdout == ""
        routes = lab.exec(node, ["ip", "-6", "route", "show", "default"], check=True)
        assert routes.stdout == ""
        refused = lab.exec(node, ["ip", "route", "get", "2001:db8:71::2"])
        assert refused.returncode != 0 and "unreachable" in refused.stderr
    assert "2001:db8:65:" in lab.exec("bothnet-valley", ["ip", "-6", "-o", "addr"], check=True).stdout


def test_its_resolver_gives_ipv6_addresses_as_any_does_and_clients_fall_back_to_ipv4(lab: sl.Lab) -> None:
    named = lab.exec("oldnet-valley", ["getent", "ahostsv6", "www.bbc.com"], check=True)
    assert ":" in named.stdout.split()[0]
    came = ["curl", "-sS", "-m", "8", "-o", "/dev/null", "-w", "%{remote_ip}", "https://www.bbc.com/"]
    assert ":" not in lab.exec("oldnet-valley", came, check=True).stdout
    assert ":" in lab.exec("bothnet-valley", [*came[:1], "-6", *came[1:]], check=True).stdout


def test_no_table_of_its_border_has_a_prefix_of_ipv6_and_its_neighbours_have(lab: sl.Lab) -> None:
    tables = lab.routes()
    of_ipv6 = {"2001:db8:65::/48", "2001:db8:66::/48"}
    assert all(of_ipv6 <= tables[name] for name in ("transit-one", "transit-two"))
    kernel = lab.exec("bothnet-border", ["ip", "-6", "route"], check=True).stdout
    assert "2001:db8:66::/48 via" in kernel and "proto bird" in kernel
    assert "proto bird" not in lab.exec("oldnet-border", ["ip", "-6", "route"], check=True).stdout


def test_a_probe_over_ipv6_from_there_or_to_there_is_refused(lab: sl.Lab) -> None:
    with pytest.raises(sl.BadInput, match="oldnet/valley/ordinary, which is IPv4-only"):
        lab.probe("oldnet/valley", "bbc", family="ipv6")
    with pytest.raises(sl.BadInput, match="ipv6 to oldnet-valley-datacentre, which is IPv4-only; expected ipv4"):
        lab.probe("bothnet/valley", "bank", family="ipv6")
    assert lab.probe("oldnet/valley", "bbc").outcome == "ok"
    assert lab.probe("bothnet/valley", "bbc", family="ipv6").outcome == "ok"


ASKING = """
import socket, sys
told = 0
for _ in range(20):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(2)
        asking.connect((sys.argv[1], 53))
        asking.send(bytes(20))
        try:
            asking.recv(100)
        except ConnectionRefusedError:
            told += 1
        except TimeoutError:
            break
print(told)
"""


def test_a_dead_resolver_refuses_every_query_however_many_there_are(lab: sl.Lab) -> None:
    lab.throw("dead")
    assert lab.exec("oldnet-valley", [sys.executable, "-c", ASKING, "100.64.0.53"], check=True).stdout == "20\n"
