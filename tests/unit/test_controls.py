"""Which controls vouch for a cell."""

from __future__ import annotations

from functools import cache

from shutdownlab import library
from shutdownlab.measure.controls import CHECKS, Control, checks_request, controls_of, vouching_for
from shutdownlab.measure.requests import request_at
from shutdownlab.model.network import Network
from shutdownlab.model.probe import Family, Surroundings, probe
from shutdownlab.model.scenario import Outcome, vantage_named
from shutdownlab.probes.kinds import Call, Tcp, TelephoneLines
from shutdownlab.protocol.probing import Measurement


@cache
def country() -> Network:
    return library.network("two-operators")


def controls(test: str, where: str = "northnet/coast", family: Family = Family.IPV4, **fields: object) -> list[Control]:
    network, kind = country(), probe(test, **fields)
    vantage = vantage_named(network.topology, where)
    assert vantage is not None
    at = Surroundings(network, vantage, family)
    return list(controls_of(kind, at, request_at(kind, "mine", at, "ca.pem")))


def test_a_page_abroad_needs_the_paths_to_its_server_and_resolver_and_both_of_these() -> None:
    path, to_resolver, resolver, server = controls("web", url="https://www.bbc.com/")
    assert path.name == "path northnet-coast to transit-two-servers, ipv4"
    assert to_resolver.name == "path northnet-coast to northnet-resolver, ipv4"
    assert [each.of for each in (path, to_resolver, resolver, server)] == ["way", "lookup", "lookup", "server"]
    assert resolver.name == "resolver of northnet for www.bbc.com, ipv4"
    assert server.name == "server of mine, ipv4"


def test_a_path_is_proven_from_the_vantage_points_own_address_that_no_policy_touches() -> None:
    path, *_ = controls("ping", host="www.bbc.com", family=Family.IPV6)
    assert path.agent == "northnet-coast"
    assert path.check is not None
    vantage = vantage_named(country().topology, "northnet/coast")
    assert vantage is not None
    assert path.check.source in {str(a) for a in country().control_addresses(vantage.id)}
    assert path.check.address == str(country().nodes["transit-two-servers"].address(6))
    assert path.check.size == country().mtu(vantage) == 1500, "what loses large packets alone is no way either"


def test_what_subscribers_host_is_reached_at_their_control_address() -> None:
    host = next(hosted for hosted in country().hosted if hosted.domestic)
    path, *_ = controls("web", url=f"https://{host.names[0]}/")
    server = country().nodes[host.node]
    assert path.check is not None and server.vantage is not None
    assert path.check.address in {str(a) for a in country().control_addresses(server.vantage.id)}


def test_a_server_is_asked_the_very_same_on_its_own_node_for_all() -> None:
    cells = [controls("web", where, url="https://www.bbc.com/")[-1] for where in ("northnet/coast", "southcell/coast")]
    assert cells[0] == cells[1]
    assert cells[0].agent == "transit-two-servers"
    asked = cells[0].request
    assert asked is not None
    assert asked.runs == probe("web", url="https://www.bbc.com/").runs
    assert not asked.looks_up, "the resolver has a control of its own"


def test_a_server_that_answers_names_is_asked_for_them_on_its_own_node() -> None:
    *_, server = controls("dns", host="www.bbc.com", resolver="8.8.8.8")
    assert server.request is not None
    asked = server.request
    assert (server.agent, asked.resolver, asked.looks_up) == ("transit-one-servers", "8.8.8.8", True)


def test_a_lookup_needs_whom_it_asks_and_not_what_it_asks_about() -> None:
    def names(**fields: object) -> list[str]:
        return [control.name for control in controls("dns", host="www.bbc.com", **fields)]

    lookups = ["path northnet-coast to northnet-resolver, ipv4", "resolver of northnet for www.bbc.com, ipv4"]
    assert names() == lookups
    there = ["path northnet-coast to transit-one-servers, ipv4", "server of mine, ipv4"]
    assert names(resolver="8.8.8.8") == there
    secure = [there[0], lookups[0], "resolver of northnet for dns.google, ipv4", there[1]]
    assert names(resolver="https://dns.google/dns-query") == secure


PATH, TO_RESOLVER, RESOLVER, SERVER = controls("web", url="https://www.bbc.com/")
CELL = (PATH, TO_RESOLVER, RESOLVER, SERVER)


def lookups(**failures: str | None) -> list[dict[str, str | None]]:
    return [{"hostname": name.replace("_", "."), "failure": failure} for name, failure in failures.items()]


def vouching(failure: str | None, **test_keys: object) -> tuple[str, ...]:
    return vouching_for(CELL, Measurement(Outcome.BLOCKED, failure, test_keys=test_keys))


def test_what_failed_beyond_its_lookups_needs_its_path_and_its_server() -> None:
    keys: dict[str, object] = {"queries": lookups(www_bbc_com=None), "tcp_connect": [{}]}
    assert vouching("connection_reset", **keys, failed_operation="tls_handshake") == (PATH.name, SERVER.name)


def test_what_failed_in_its_lookups_alone_needs_its_resolver_and_the_path_there() -> None:
    keys = {"queries": lookups(www_bbc_com="generic_timeout_error")}
    for told in ({"failed_operation": "resolve"}, {}):  # the tests of apps tell of no single operation
        assert vouching("generic_timeout_error", **keys, **told) == (TO_RESOLVER.name, RESOLVER.name)


def test_what_was_sent_to_a_false_address_needs_its_resolver_too() -> None:
    def answered(address: str) -> dict[str, object]:
        return {"hostname": "www.bbc.com", "failure": None, "answers": [{"answer_type": "A", "ipv4": address}]}

    assert RESOLVER.check is not None
    (true, *_) = RESOLVER.check.answers
    keys: dict[str, object] = {"tcp_connect": [{}], "failed_operation": "connect"}
    assert vouching("generic_timeout_error", queries=[answered("192.0.2.99")], **keys) == tuple(c.name for c in CELL)
    assert vouching("generic_timeout_error", queries=[answered(true)], **keys) == (PATH.name, SERVER.name)


def test_what_failed_in_lookups_and_elsewhere_needs_all_its_controls() -> None:
    keys: dict[str, object] = {"queries": lookups(www_bbc_com="generic_timeout_error"), "tcp_connect": [{}]}
    assert vouching("generic_timeout_error", **keys) == tuple(control.name for control in CELL)


def test_all_its_controls_vouch_for_what_does_not_tell_what_it_failed_by() -> None:
    everything = tuple(control.name for control in CELL)
    assert vouching("generic_timeout_error") == everything, "a program may look up names itself"
    assert vouching(None, queries=lookups(www_bbc_com=None)) == everything, "the answer itself may be what is wrong"
    keys = {"queries": lookups(elsewhere_example="dns_nxdomain_error"), "failed_operation": "resolve"}
    assert SERVER.name in vouching("dns_nxdomain_error", **keys), "no control asks the resolver for that name"
    keys = {"queries": lookups(www_bbc_com="generic_timeout_error"), "failed_operation": "ping"}
    assert SERVER.name in vouching("generic_timeout_error", **keys), "it went on without an answer"


def test_a_call_needs_the_paths_of_both_its_ends_and_the_operators_telephone_service() -> None:
    found = controls("call", where="northnet/capital", to="coast")
    assert [control.name for control in found] == [
        "path northnet-capital to northnet-telephone, ipv4",
        "path northnet-coast to northnet-telephone, ipv4",
        "path northnet-capital to northnet-coast, ipv4",
        "server of mine of northnet, ipv4",
    ]
    registers = found[-1].request
    assert registers is not None
    assert (registers.runs, registers.errand) == (Call.runs, None)
    assert isinstance(registers.ask, TelephoneLines) and registers.ask.peer is None


def test_a_program_of_ones_own_is_not_run_by_a_control_subscriber() -> None:
    assert [control.name for control in controls("command", command=["true"])] == ["agent of northnet-coast"]
    *_, server = controls("command", command=["true"], host="www.bbc.com")
    assert server.request is not None
    assert server.request.runs == Tcp.runs


def test_the_checks_of_an_agent_go_in_one_request() -> None:
    path, _, resolver, _ = controls("web", url="https://www.bbc.com/")
    assert path.check is not None and resolver.check is not None
    asked = checks_request("northnet-coast", (path.check,), 0.5)
    assert (asked.runs, asked.ask, asked.timeout) == (CHECKS, (path.check,), 0.5)
