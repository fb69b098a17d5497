"""The app catalogue: what it finds, in which order, and that the shipped one is sound."""

from __future__ import annotations

import re
from importlib.resources import files
from ipaddress import ip_address, ip_network

import pytest

from shutdownlab.config.problems import BadInput
from shutdownlab.inspection.catalogue import AppCatalogue
from shutdownlab.inspection.lookup import PrefixMap, SuffixMap
from shutdownlab.inspection.recognition import Recognition, installed_recognisers

USERS = b"""
format: 1
apps:
  intranet:
    title: Intranet
    suffixes: [intra.wikipedia.org, "xn--e1afmkfd.xn--p1ai"]
    prefixes: [192.0.2.0/24]
    ports: [8443]
    fingerprints: [t13d1516h2, t12d010203_aaaaaaaaaaaa]
    protocols: [sip]
  bbc:
    title: Not that one
    suffixes: [bbc.example]
"""


def shipped_text() -> tuple[bytes, str]:
    return files("shutdownlab.inspection").joinpath("apps.yaml").read_bytes(), "apps.yaml"


@pytest.fixture(scope="module")
def shipped() -> AppCatalogue:
    return AppCatalogue.from_texts(shipped_text())


@pytest.fixture(scope="module")
def with_users() -> AppCatalogue:
    return AppCatalogue.from_texts(shipped_text(), (USERS, "users.yaml"))


def packed(address: str) -> bytes:
    return ip_address(address).packed


ELSEWHERE = packed("198.51.100.1")


def by_name(catalogue: AppCatalogue, name: str) -> str | None:
    """The app of a TLS connection to this name, at an address that says nothing."""
    return catalogue.app_of(Recognition("tls", name), ELSEWHERE, 443)


@pytest.mark.parametrize(
    ("host", "app"),
    [
        ("e7.whatsapp.net", "whatsapp"),
        ("whatsapp.net", "whatsapp"),
        ("notwhatsapp.net", None),
        ("web.telegram.org", "telegram"),
        ("chat.signal.org", "signal"),
        ("edge-mqtt.facebook.com", "facebook"),
        ("t.co", "twitter"),
        ("reddit.com", "reddit"),
        ("mail.google.com", "gmail"),
        ("www.google.com", "google"),
        ("kk.wikipedia.org", "wikipedia"),
        ("com", None),
    ],
)
def test_apps_are_found_by_the_longest_suffix(shipped: AppCatalogue, host: str, app: str | None) -> None:
    assert shipped.app_of(Recognition("tls", host), ELSEWHERE, 443) == app


def test_own_protocol_then_address(shipped: AppCatalogue) -> None:
    assert shipped.app_of(Recognition("mtproto"), ELSEWHERE, 443) == "telegram"
    assert shipped.app_of(Recognition("whatsapp"), ELSEWHERE, 5222) == "whatsapp"
    assert shipped.app_of(None, packed("149.154.175.50"), 80) == "telegram"
    assert shipped.app_of(Recognition("http", "149.154.175.50"), packed("149.154.175.50"), 80) == "telegram"
    assert shipped.app_of(Recognition("tls"), packed("76.223.92.165"), 443) == "signal"
    assert shipped.app_of(None, packed("2001:67c:4e8:f002::a"), 443) == "telegram"
    assert shipped.app_of(None, ELSEWHERE, 443) is None


@pytest.mark.parametrize(
    ("address", "app"),
    [
        ("34.194.71.217", None),
        ("157.240.241.61", "facebook"),
        ("2a03:2880:f208:c5:face:b00c:0:167", "facebook"),
        ("95.161.76.100", "telegram"),
        ("2603:1030:7::1", "signal"),
        ("172.217.16.179", "google"),
        ("142.250.82.1", "google-meet"),
        ("104.18.37.148", "cloudflare"),
        ("162.159.193.1", "cloudflare-warp"),
        ("151.101.0.81", "fastly"),
        ("91.198.174.192", "wikipedia"),
        ("2620:0:862:ed1a::1", "wikipedia"),
        ("2a02:16a8:662:2203::1", "tor"),
        ("128.31.0.34", None),
    ],
)
def test_an_address_alone_belongs_to_the_app_with_the_longest_prefix(
    shipped: AppCatalogue, address: str, app: str | None
) -> None:
    assert shipped.of_address(packed(address), 443) == app


def test_a_name_on_a_shared_address_is_its_own_app(shipped: AppCatalogue) -> None:
    meta = packed("31.13.86.51")
    names = {"web.whatsapp.com": "whatsapp", "www.instagram.com": "instagram", "star.c10r.facebook.com": "facebook"}
    assert {name: shipped.app_of(Recognition("tls", name), meta, 443) for name in names} == names
    assert shipped.app_of(Recognition("whatsapp"), meta, 443) == "whatsapp"


def test_a_name_outranks_the_address_it_was_asked_at(shipped: AppCatalogue) -> None:
    assert shipped.app_of(Recognition("dns", "web.whatsapp.com"), packed("8.8.8.8"), 53) == "whatsapp"
    assert shipped.app_of(Recognition("dns", "unlisted.example"), packed("8.8.8.8"), 53) == "google-dns"


def test_certificate_names_stand_in_for_a_missing_name(shipped: AppCatalogue) -> None:
    hidden = Recognition("tls")
    hidden.certificate_names = ("cdn.example", "*.netflix.com")
    assert shipped.app_of(hidden, ELSEWHERE, 443) == "netflix"
    hidden.host = "unlisted.example"
    assert shipped.app_of(hidden, ELSEWHERE, 443) is None


def test_ports_narrow_an_address(shipped: AppCatalogue) -> None:
    assert shipped.of_address(packed("8.8.8.8"), 853) == "google-dns"
    assert shipped.of_address(packed("8.8.8.8"), 25) is None


def test_users_apps_extend_and_replace(with_users: AppCatalogue) -> None:
    assert by_name(with_users, "x.intra.wikipedia.org") == "intranet"
    assert by_name(with_users, "en.wikipedia.org") == "wikipedia"
    assert by_name(with_users, "bbc.example") == "bbc"
    assert by_name(with_users, "www.bbc.com") is None
    assert with_users.app_of(Recognition("sip"), ELSEWHERE, 5060) == "intranet"
    assert with_users.of_address(packed("192.0.2.9"), 8443) == "intranet"


def test_fingerprints_match_whole_or_by_their_first_parts(with_users: AppCatalogue) -> None:
    assert with_users.of_fingerprint("t13d1516h2_8daaf6152771_e5627efa2ab1") == "intranet"
    assert with_users.of_fingerprint("t12d010203_aaaaaaaaaaaa_bbbbbbbbbbbb") == "intranet"
    assert with_users.of_fingerprint("t12d010203_cccccccccccc_bbbbbbbbbbbb") is None
    assert with_users.of_fingerprint(None) is None


def test_a_bad_catalogue_names_file_and_line() -> None:
    with pytest.raises(BadInput, match=r"mine\.yaml:4"):
        AppCatalogue.from_texts((b"format: 1\napps:\n  x:\n    tytle: X\n", "mine.yaml"))


def test_shipped_catalogue_has_no_contradictions(shipped: AppCatalogue) -> None:
    assert len(shipped.apps) >= 100
    seen: dict[str, str] = {}
    for key, app in shipped.apps.items():
        assert app.source, key
        assert set(app.protocols) <= set(installed_recognisers().protocols), key
        for suffix in app.suffixes:
            assert seen.setdefault(suffix, key) == key, suffix
        for endpoint in app.endpoints:
            assert endpoint.names or endpoint.addresses, key
            assert endpoint.ports, key
            for name in endpoint.names:
                assert by_name(shipped, name) is not None, name


def test_facts_about_addresses_say_when_they_were_true(shipped: AppCatalogue) -> None:
    dated = re.compile(r"20\d\d|, [0-9a-f]{8}\b|nDPI|RouteViews")
    for key, app in shipped.apps.items():
        if app.prefixes or any(endpoint.addresses for endpoint in app.endpoints):
            assert dated.search(app.source), key


def test_no_prefix_is_two_apps(shipped: AppCatalogue) -> None:
    owners: dict[str, str] = {}
    for key, app in shipped.apps.items():
        assert len(set(app.prefixes)) == len(app.prefixes), key
        for prefix in app.prefixes:
            assert owners.setdefault(str(prefix), key) == key, prefix
            outer = [p for p in app.prefixes if p != prefix and p.version == prefix.version]
            assert not any(prefix.subnet_of(p) for p in outer), f"{prefix} is within another of {key}"  # type: ignore[arg-type]


def test_the_messengers_and_the_sites_of_the_scenarios_have_their_real_addresses(shipped: AppCatalogue) -> None:
    at = {name: set(map(str, e.addresses)) for app in shipped.apps.values() for e in app.endpoints for name in e.names}
    assert at["e16.whatsapp.net"] == at["e1.whatsapp.net"] >= {"34.194.71.217/32"}
    assert at["web.whatsapp.com"] == {"31.13.86.51/32", "2a03:2880:f208:c5:face:b00c:0:167/128"}
    assert at["web.telegram.org"] == {"149.154.167.99/32", "2001:67c:4e8:f004::9/128"}
    assert at["chat.signal.org"] >= {"76.223.92.165/32", "13.248.212.111/32"}
    assert at["www.wikipedia.org"] == {"91.198.174.192/32", "2620:0:862:ed1a::1/128"}
    for name in ("cdsi.signal.org", "storage.signal.org", "www.facebook.com", "www.instagram.com", "www.youtube.com"):
        assert {":" in address for address in at[name]} == {False, True}, name


def test_what_ooni_measures_is_hosted(shipped: AppCatalogue) -> None:
    hosted = {
        (name, str(port))
        for app in shipped.apps.values()
        for e in app.endpoints
        for name in e.names
        for port in e.ports
    }
    assert {(f"e{i}.whatsapp.net", kind) for i in range(1, 17) for kind in ("https/443", "tcp/5222")} <= hosted
    assert {(f"{n}.signal.org", "https/443") for n in ("cdsi", "chat", "sfu.voip", "storage")} <= hosted
    assert {(f"{n}.facebook.com", "https/443") for n in ("b-api", "b-graph", "edge-mqtt", "star.c10r")} <= hosted
    centres = {str(a) for e in shipped.apps["telegram"].endpoints for a in e.addresses}
    assert {
        f"{a}/32"
        for a in (
            "149.154.175.50",
            "149.154.167.51",
            "149.154.175.100",
            "149.154.167.91",
            "149.154.171.5",
            "95.161.76.100",
        )
    } <= centres


def test_suffix_map_takes_any_spelling_and_prefers_the_longest() -> None:
    names = SuffixMap([("*.Example.ORG.", 1), ("a.example.org", 2), ("пример.рф", 3), ("no name", 4)])
    assert [names.find(name) for name in ("example.org", "b.example.org", "x.a.example.org")] == [1, 1, 2]
    assert names.find("www.xn--e1afmkfd.xn--p1ai") == 3
    assert names.find("badexample.org") is None
    assert len(names) == 3


def test_prefix_map_prefers_the_longest() -> None:
    prefixes = PrefixMap(
        [(ip_network(text), text) for text in ("0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32")]
    )
    assert prefixes.find(packed("10.1.2.3")) == "10.1.0.0/16"
    assert prefixes.find(packed("10.2.2.3")) == "10.0.0.0/8"
    assert prefixes.find(packed("192.0.2.1")) == "0.0.0.0/0"
    assert prefixes.find(packed("2001:db8::1")) == "2001:db8::/32"
    assert prefixes.find(packed("2001:db9::1")) is None
    assert len(prefixes) == 4


def test_a_hundred_thousand_names_are_found_each() -> None:
    names = SuffixMap((f"host{i}.example", i + 1) for i in range(100_000))
    assert all(names.find(f"www.host{i}.example") == i + 1 for i in range(0, 100_000, 997))
    assert names.find("host100000.example") is None
