"""A switch's rules and meters are read to be compared: what somebody changes shows, and nothing that passes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cables import Cables
from switches import Switches

from shutdownlab import library
from shutdownlab.compiler.rules import PipelineTable
from shutdownlab.compiler.standing import altered
from shutdownlab.control.addresses import controller_addresses
from shutdownlab.network.flow_statistics import standing

SWITCH = "southcell-capital-sw"
RULES = (
    "cookie=0xbad,table=2,priority=10,ip,nw_dst=192.0.2.0/24,actions=drop",
    "cookie=0xbad,table=3,priority=10,ip,metadata=0x1/0x1,actions=meter:1,goto_table:7",
    "table=7,priority=1,in_port=1,actions=output:2",
)


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Switches]:
    network = library.network("two-operators")
    addresses = controller_addresses(network.topology.operators, "127.0.0.1")
    with Cables() as cables, Switches(network, addresses, tmp_path_factory.mktemp("ovs"), cables, cables.netns()) as it:
        yield it


@pytest.fixture
def switches(country: Switches, tmp_path: Path) -> Switches:
    """All of them empty but for the switch, which has the rules and a meter."""
    country.ofctl("del-flows", SWITCH)
    country.ofctl("del-meters", SWITCH)
    country.ofctl("add-meter", SWITCH, "meter=1,kbps,burst,band=type=drop,rate=150,burst_size=30")
    for rule in RULES:
        country.ofctl("add-flow", SWITCH, rule)
    return country


@pytest.mark.parametrize(
    ("command", "how", "what"),
    [
        ("mod-flows", "table=2,actions=goto_table:7", "rules of the table BLACKOUT"),
        ("mod-flows", "table=3,actions=goto_table:7", "rules of the table ACCESS_LISTS"),
        ("mod-flows", "table=7,actions=output:3", "rules of the table FORWARD"),
        ("mod-meter", "meter=1,kbps,burst,band=type=drop,rate=9000,burst_size=30", "meters"),
    ],
)
def test_what_is_altered_in_place_shows_where_though_the_number_of_rules_is_the_same(
    switches: Switches, command: str, how: str, what: str
) -> None:
    before = standing(switches.management(SWITCH))
    switches.ofctl(command, SWITCH, how)
    now = standing(switches.management(SWITCH))
    assert now.rules == before.rules == len(RULES)
    assert list(altered(before, now)) == [what]


def test_a_rule_in_place_of_another_shows(switches: Switches) -> None:
    before = standing(switches.management(SWITCH))
    switches.ofctl("del-flows", SWITCH, "table=2")
    switches.ofctl("add-flow", SWITCH, RULES[0].replace("192.0.2.0/24", "192.0.3.0/24"))
    assert list(altered(before, standing(switches.management(SWITCH)))) == ["rules of the table BLACKOUT"]


def test_what_a_box_decides_of_a_connection_does_not_show_nor_its_meter(switches: Switches) -> None:
    before = standing(switches.management(SWITCH))
    switches.ofctl("add-meter", SWITCH, "meter=1000,kbps,burst,band=type=drop,rate=64,burst_size=16")
    for table in (PipelineTable.RESIDUAL, PipelineTable.VERDICTS):
        rule = f"table={int(table)},priority=100,idle_timeout=60,tcp,nw_dst=192.0.2.1,tp_dst=443"
        switches.ofctl("add-flow", SWITCH, f"{rule},actions=meter:1000,goto_table:7")
    now = standing(switches.management(SWITCH))
    assert now.rules == before.rules
    assert list(altered(before, now)) == []


def test_many_rules_that_come_in_many_messages_are_all_read(switches: Switches, tmp_path: Path) -> None:
    rules = [f"table=3,priority=5,tcp,tp_dst={port},actions=drop" for port in range(1, 3001)]
    (tmp_path / "flows").write_text("\n".join(rules))
    switches.ofctl("add-flows", SWITCH, str(tmp_path / "flows"))
    before = standing(switches.management(SWITCH))
    switches.ofctl("mod-flows", SWITCH, "table=3,tcp,tp_dst=1500,actions=goto_table:7")
    now = standing(switches.management(SWITCH))
    assert now.rules == before.rules == len(RULES) + 3000
    assert list(altered(before, now)) == ["rules of the table ACCESS_LISTS"]
