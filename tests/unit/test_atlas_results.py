"""RIPE Atlas' results, as Atlas' own parser (ripe.atlas.sagan) reads them."""

from __future__ import annotations

import json
import ssl
from datetime import UTC, datetime
from typing import Any

import dns.message
import dns.rrset
import pytest
import trustme
from countries import country, small_country
from ripe.atlas.sagan import Result

from shutdownlab.observers import atlas_format as form
from shutdownlab.observers.atlas import hosts
from shutdownlab.observers.atlas_format import Echo, Json
from shutdownlab.observers.atlas_probe import Round, first_open

AT = datetime(2022, 1, 5, 10, 30, tzinfo=UTC)
SENDER = form.Sender(7, "100.64.1.10", "100.64.1.3", int(AT.timestamp()), "2026-11-30T15:00:00.000+00:00")
SITE = ("www.example.org", "192.0.2.80")


def read(result: Json) -> Any:
    return Result.get(json.dumps(result), on_error=Result.ACTION_FAIL, on_malformation=Result.ACTION_FAIL)


def test_a_ping_has_its_round_trips_and_its_losses() -> None:
    found = read(form.ping(SENDER, *SITE, [Echo(SITE[1], 40.0), None, Echo(SITE[1], 50.0)]))
    assert (found.probe_id, found.created, found.destination_address) == (7, AT, SITE[1])
    assert (found.packets_sent, found.packets_received, found.rtt_min, found.rtt_max) == (3, 2, 40.0, 50.0)
    assert [packet.rtt for packet in found.packets] == [40.0, None, 50.0]


def test_a_ping_that_nobody_answers_has_no_round_trip() -> None:
    found = read(form.ping(SENDER, *SITE, [None] * 3))
    assert (found.packets_received, found.rtt_average) == (0, None)


@pytest.mark.parametrize(
    ("opened", "chosen", "decided"),
    [
        ({}, None, False),
        ({"third": 1}, "third", False),
        ({"first": None, "third": 1}, "third", False),
        ({"first": None, "second": 2, "third": 1}, "second", True),
        ({"first": 3}, "first", True),
        ({"first": None, "second": None, "third": None}, None, True),
    ],
)
def test_a_probe_connects_to_the_first_in_the_list_that_opens_however_fast_others_are(
    opened: dict[str, int | None], chosen: str | None, decided: bool
) -> None:
    names = [(name, "192.0.2.1") for name in ("first", "second", "third")]
    found = first_open(names, {each: opened[each[0]] for each in names if each[0] in opened})
    assert found == ((chosen, "192.0.2.1") if chosen else None, decided)


def test_a_probe_behind_a_nat_knows_its_own_address_and_the_platform_the_public_one() -> None:
    told = form.ping(SENDER, *SITE, [None] * 3)
    assert (told["src_addr"], told["from"]) == ("100.64.1.10", "100.64.1.3")


def played(hops: dict[int, list[Echo | None]]) -> Round:
    return Round(SITE, b"", hops=hops)


def test_a_traceroute_ends_at_its_target() -> None:
    hops: dict[int, list[Echo | None]] = {1: [Echo("100.64.1.1", 3.0)], 2: [None], 3: [Echo(SITE[1], 50.0)]}
    hops |= {4: [Echo(SITE[1], 51.0)], 5: [None]}
    found = read(form.traceroute(SENDER, *SITE, played(hops).route))
    assert found.destination_ip_responded and found.total_hops == 3
    assert found.ip_path == [["100.64.1.1"], [None], [SITE[1]]]


def test_a_traceroute_that_is_cut_ends_one_hop_after_the_last_answer() -> None:
    hops: dict[int, list[Echo | None]] = {1: [Echo("100.64.1.1", 3.0)], **{ttl: [None] for ttl in range(2, 7)}}
    found = read(form.traceroute(SENDER, *SITE, played(hops).route))
    assert not found.destination_ip_responded and found.ip_path == [["100.64.1.1"], [None]]


def test_an_answer_of_the_resolver_is_there_as_it_came() -> None:
    query = dns.message.make_query(SITE[0], "A")
    response = dns.message.make_response(query)
    response.answer.append(dns.rrset.from_text(f"{SITE[0]}.", 60, "IN", "A", SITE[1]))
    [found] = read(form.dns(SENDER, "100.64.0.53", query.to_wire(), response.to_wire(), 4.5)).responses
    assert (found.abuf.header.return_code, found.response_time) == ("NOERROR", 4.5)
    assert [answer.address for answer in found.abuf.answers] == [SITE[1]]


def test_a_resolver_that_does_not_answer_is_an_error() -> None:
    result = Result.get(form.dns(SENDER, "100.64.0.53", b"?", None, 1500.0), on_error=Result.ACTION_IGNORE)
    assert result.is_error and result.error_message == "Timeout: 1500"


def test_a_handshake_has_the_certificate() -> None:
    pem = trustme.CA().issue_cert(SITE[0]).cert_chain_pems[0].bytes().decode()
    der = ssl.PEM_cert_to_DER_cert(pem)
    found = read(form.sslcert(SENDER, *SITE, der, "", 20.0, 65.0))
    assert (found.response_time, found.time_to_connect) == (65.0, 20.0)
    assert SITE[0] in found.certificates[0].extensions["subjectAltName"]


def test_a_handshake_that_fails_says_how() -> None:
    result = form.sslcert(SENDER, *SITE, None, "timeout reading hello", 20.0, 0.0)
    found = Result.get(result, on_error=Result.ACTION_IGNORE)
    assert found.is_error and found.error_message == "timeout reading hello"


def test_data_centres_and_ordinary_fixed_lines_have_a_probe() -> None:
    found = {(str(host.vantage.id), host.signal) for host in hosts(small_country().vantages)}
    assert found == {
        ("northnet/capital/datacentre", "atlas-datacentre"),
        ("northnet/capital/ordinary", "atlas-home"),
        ("northnet/coast/ordinary", "atlas-home"),
    }


def test_where_all_are_mobile_they_have_probes() -> None:
    vantages = tuple(v.model_copy(update={"access": "mobile"}) for v in country([(["t0"], True)]).vantages)
    assert [host.signal for host in hosts(vantages)] == ["atlas-home"]
