"""What a user names is found, and what is misspelt is told with what was meant."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shutdownlab import library
from shutdownlab.config.problems import BadInput
from shutdownlab.model.lookup import choices_of, known, node_named, phase_named, target_named, vantage_point
from shutdownlab.model.probe import Family

SHUTDOWN = library.load("first-shutdown")
NETWORK, SCENARIO = SHUTDOWN.network, SHUTDOWN.scenario
V4, V6 = (Family.IPV4,), (Family.IPV6,)
BOTH = (*V4, *V6)


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(BadInput) as error:
        call()
    return str(error.value)


def target(text: str) -> tuple[object, ...]:
    """Test, what it is about, families."""
    name, probe = target_named(NETWORK, SCENARIO.probes, text, "--to")
    assert name == text
    about = " ".join(str(getattr(probe, key)) for key in probe.own_fields() if key in probe.model_fields_set)
    return probe.test, about, probe.families


def test_a_target_may_be_a_probe_an_app_a_site_or_an_address() -> None:
    assert target_named(NETWORK, SCENARIO.probes, "bridge-179", "--to")[1] is SCENARIO.probes["bridge-179"]
    assert target("protonvpn")[:2] == ("app", "protonvpn")
    assert target("www.wikipedia.org")[:2] == ("web", "https://www.wikipedia.org/")
    assert target("http://kaspi.kz/credit")[:2] == ("web", "http://kaspi.kz/credit")
    assert target("8.8.8.8:53") == ("tcp", "8.8.8.8 tcp/53", V4)
    assert target("[2001:4860:4860::8888]:53") == ("tcp", "2001:4860:4860::8888 tcp/53", V6)
    assert target("KASPI.kz:443") == ("tcp", "kaspi.kz tcp/443", BOTH)
    assert target("192.0.2.7") == ("ping", "192.0.2.7", V4)


def test_a_probe_of_the_scenario_comes_before_the_app_of_the_same_name() -> None:
    assert target_named(NETWORK, SCENARIO.probes, "whatsapp", "--to")[1].column == "WhatsApp"
    assert target_named(NETWORK, {}, "whatsapp", "--to")[1].column == ""


def test_every_host_that_a_country_serves_is_a_target() -> None:
    for hosted in NETWORK.hosted:
        for name in hosted.names:
            assert target(name)[0] in {"web", "ping"}, name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "whatsap",
            "--to: found unknown target 'whatsap'; expected a probe of the scenario, an app, a site "
            "(a host name or a URL) or ADDRESS:PORT\n    hint: did you mean 'whatsapp'?",
        ),
        (
            "https://kapsi.kz/",
            "--to: found 'kapsi.kz', which no server in two-operators answers for; expected a host that "
            "the topology serves\n    hint: did you mean 'kaspi.kz'?",
        ),
        (
            "kaspi.kz:70000",
            "--to: found 'kaspi.kz:70000'; expected ADDRESS:PORT such as 8.8.8.8:53 or [2001:db8::1]:443",
        ),
        ("ftp://kaspi.kz/", "--to: found 'ftp://kaspi.kz/'; expected a URL that starts with https:// or http://"),
    ],
)
def test_a_target_that_is_none_is_refused_with_what_was_meant(text: str, message: str) -> None:
    assert refused(lambda: target(text)) == message


def test_a_node_is_found_by_its_name_and_a_vantage_point_by_its_id_too() -> None:
    assert node_named(NETWORK, "transit-one-servers", "node").name == "transit-one-servers"
    assert node_named(NETWORK, "northnet/capital/government", "node").name == "northnet-capital-government"
    assert node_named(NETWORK, "southcell/coast", "node").name == "southcell-coast"
    message = refused(lambda: node_named(NETWORK, "transit-one-server", "node"))
    assert message.startswith("node: found unknown node 'transit-one-server'; expected a vantage point, or one of ")
    assert message.endswith("hint: did you mean 'transit-one-servers'?")


def test_where_a_country_has_many_nodes_the_refusal_tells_what_lists_them() -> None:
    network = library.load("kazakhstan-2022").network
    assert "more (`nodes` in `shutdownlab lab` lists them)" in refused(lambda: node_named(network, "nobody", "node"))
    message = refused(lambda: known("node", "nobody", network.nodes, "--node"))
    assert "more (`nodes` in `shutdownlab lab` lists them)" in message


def test_phases_accounts_and_vantage_points_are_found_or_refused() -> None:
    assert phase_named(SCENARIO, "blackout", "at").phase == "blackout"
    assert "hint: did you mean 'blackout'?" in refused(lambda: phase_named(SCENARIO, "black-out", "at"))
    assert choices_of(SCENARIO, {}, "choose") == {"command": "operators"}
    assert choices_of(SCENARIO, {"command": "direct"}, "choose") == {"command": "direct"}
    assert "unknown account 'comand'" in refused(lambda: choices_of(SCENARIO, {"comand": "direct"}, "choose"))
    assert "the authority takes" in refused(lambda: choices_of(SCENARIO, {"command": "x"}, "choose"))
    assert str(vantage_point(SHUTDOWN.topology, "northnet/coast", "node").id) == "northnet/coast/ordinary"
    assert "did you mean 'southcell/coast'?" in refused(
        lambda: vantage_point(SHUTDOWN.topology, "southcel/coast", "vantage")
    )
