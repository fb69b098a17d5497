"""The services of a small country, asked as its subscribers ask them. One sandbox serves the whole file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shutdownlab.system.kernel import MachineCannot
from shutdownlab.system.sandbox import run_in_sandbox


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    directory: Path = tmp_path_factory.mktemp("services")
    try:
        status = run_in_sandbox("services_observed:observe", {"directory": str(directory)}, run_dir=directory)
    except MachineCannot as problem:
        pytest.skip(str(problem))
    assert status == 0
    found: dict[str, Any] = json.loads((directory / "observed.json").read_text())
    return found


def test_everything_is_up_within_seconds(observed: dict[str, Any]) -> None:
    assert observed["ready seconds"] < 10


def test_the_way_abroad_goes_through_the_carrier_that_sells_it(observed: dict[str, Any]) -> None:
    assert observed["routes"]["southcell to 8.8.8.8"] == [64501, 64601]
    assert observed["routes"]["transit-one to southcell"] == [64501, 64502]
    assert observed["routes"]["transit-two to southcell"] == [64501, 64502]
    assert observed["routes"]["transit-one to 1.1.1.1"] == [64602]


def test_packets_abroad_take_each_operators_own_link(observed: dict[str, Any]) -> None:
    assert observed["routes"]["southcell to 8.8.8.8 by"] == "intl 198.18.32.1"
    assert observed["routes"]["transit-one to southcell by"] == "gateway 198.18.0.12"


def test_domestic_traffic_takes_the_exchange_whose_number_is_not_in_the_path(observed: dict[str, Any]) -> None:
    assert observed["routes"]["southcell to northnet"] == [64501]
    assert observed["routes"]["southcell to northnet by"] == "ix 198.18.64.11"
    assert observed["routes"]["southcell to northnet by IPv6"] == "ix 2001:db8:ffff:2::b"
    assert observed["routes"]["northnet to southcell by"] == "ix 198.18.64.12"


def test_every_name_resolves_to_where_it_is_hosted(observed: dict[str, Any]) -> None:
    assert observed["names"]["wrong"] == {}


def test_names_that_do_not_exist_are_denied(observed: dict[str, Any]) -> None:
    assert observed["names"]["absent"] == "NXDOMAIN"
    assert observed["names"]["absent domain"] == "NXDOMAIN"


def test_an_operators_resolver_serves_its_own_subscribers_only(observed: dict[str, Any]) -> None:
    assert observed["names"]["another operator's resolver"] == "REFUSED"


@pytest.mark.parametrize("way", ["8.8.8.8", "8.8.8.8 over IPv6", "8.8.8.8 over TLS"])
def test_foreign_public_resolvers_resolve_domestic_names(observed: dict[str, Any], way: str) -> None:
    assert observed["names"][way] == observed["names"]["kaspi.kz"]


@pytest.mark.parametrize(
    ("way", "version"), [("8.8.8.8 over HTTPS", "2"), ("8.8.8.8 over HTTP/1.1", "1.1"), ("1.1.1.1 over HTTPS", "2")]
)
def test_public_resolvers_resolve_over_https(observed: dict[str, Any], way: str, version: str) -> None:
    assert observed["names"][way] == [version, *observed["names"]["kaspi.kz"]]


def test_the_second_public_resolver_resolves_too(observed: dict[str, Any]) -> None:
    assert observed["names"]["1.1.1.1"] == observed["names"]["www.youtube.com"]


@pytest.mark.parametrize(
    ("page", "title"),
    [
        ("domestic", "kaspi.kz"),
        ("foreign", "www.youtube.com"),
        ("over IPv6", "www.wikipedia.org"),
        ("plain", "kaspi.kz"),
        ("TLS 1.2", "kaspi.kz"),
        ("registration", "web.whatsapp.com"),  # names that share an endpoint share its page
        ("chat port", "e1.whatsapp.net"),
    ],
)
def test_each_site_shows_its_own_page(observed: dict[str, Any], page: str, title: str) -> None:
    assert observed["web"][page]["code"] == 200, observed["web"][page]["complaint"]
    assert f"<title>{title}</title>" in observed["web"][page]["body"]


def test_https_is_http_2_and_announces_http_3(observed: dict[str, Any]) -> None:
    assert observed["web"]["foreign"]["version"] == "2"
    assert "alt-svc: h3=" in observed["web"]["foreign"]["body"].lower()
    assert "alt-svc" not in observed["web"]["domestic"]["body"].lower()


def test_a_certificate_is_good_for_its_own_names_only(observed: dict[str, Any]) -> None:
    assert observed["web"]["wrong name"]["status"] == 60  # CURLE_PEER_FAILED_VERIFICATION


def test_downloads_have_the_size_they_are_named_after(observed: dict[str, Any]) -> None:
    assert observed["web"]["download"]["size"] == 1_000_000


def test_telegrams_data_centres_tell_plain_http_that_it_is_not_implemented(observed: dict[str, Any]) -> None:
    assert observed["web"]["telegram"]["code"] == 501


def test_the_bridge_listens_on_the_ports_that_were_left_open(observed: dict[str, Any]) -> None:
    assert observed["web"]["bridge"] == [200, 200, 200]


@pytest.mark.parametrize("host", ["www.youtube.com", "www.facebook.com"])
def test_foreign_sites_speak_http_3(observed: dict[str, Any], host: str) -> None:
    assert observed["http3"][host]["status"] == "200"
    assert f"<title>{host}</title>" in observed["http3"][host]["body"]


def test_http_3_serves_downloads(observed: dict[str, Any]) -> None:
    assert observed["http3"]["download"] == 10_000


def test_a_call_is_set_up_through_the_operator_and_heard_both_ways(observed: dict[str, Any]) -> None:
    call = observed["telephone"]
    assert call["registered"] == [200, 200]
    assert call["through the proxy"] == 1
    assert call["answered"] == 200
    assert call["acknowledged"] == "ACK"
    assert call["media both ways"] == [True, True]
    assert call["ended"] == ["BYE", 200]
    assert call["nobody"] == 404


def test_sms_is_a_service_of_its_own(observed: dict[str, Any]) -> None:
    sms = observed["sms"]
    assert sms["not registered for SMS"] == 404
    assert sms["registered"] == [200, 200]
    assert (sms["heard"], sms["sent"]) == ("hello again", 200)
    assert sms["on the voice port"] == 405


@pytest.mark.parametrize("way", ["UDP AF_INET", "UDP AF_INET6", "TCP AF_INET", "TCP AF_INET6"])
def test_the_vpn_server_answers_a_handshake(observed: dict[str, Any], way: str) -> None:
    assert observed["vpn"][way] == [8, True]


def test_without_abroad_domestic_names_resolve_and_foreign_ones_are_forgotten(observed: dict[str, Any]) -> None:
    alone = observed["isolation"]
    assert alone["cached"] == observed["names"]["www.youtube.com"]
    assert alone["foreign"] in ("timeout", "SERVFAIL")
    assert alone["domestic"] not in ("timeout", "SERVFAIL")
    assert alone["domestic page"] == 200


def test_when_the_links_return_so_do_routes_and_names(observed: dict[str, Any]) -> None:
    assert observed["isolation"]["again"] == observed["names"]["www.youtube.com"]


def test_a_server_that_dies_is_named(observed: dict[str, Any]) -> None:
    assert observed["deaths"]["before"] == []
    assert [text.partition(":")[0] for text in observed["deaths"]["after"]] == [
        "bird on transit-two was killed by SIGKILL"
    ]
