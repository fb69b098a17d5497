"""A profile's `parse`: what its parsers forgive, each switch shown by packets that a default box blocks."""

from __future__ import annotations

import dns.message
import pytest
from client_hellos import hello_body, message, openssl_hello, records, sni
from quic_initials import crypto, hello, seal
from tolerated import ANNOUNCED_ANSWERS, COMPRESSED_QUESTION, HTTP, PLAIN
from wire import Connection, engine, rule

from shutdownlab.config.problems import BadInput
from shutdownlab.config.writing import to_yaml
from shutdownlab.inspection.profile import Profile, load_profile, shipped_profile
from shutdownlab.inspection.recognition import Tolerance

HEAD = "format: 1\nname: box\ntitle: A box\nsources: [a test]\n"
HELLO = openssl_hello("twitter.com")
DOTTED = records(message(hello_body(sni(b"twitter.com."))))
QUERY = dns.message.make_query("twitter.com", "A").to_wire()
QUIC = hello(b"twitter.com")
IN_TWO = (seal(crypto(0, QUIC[:40]), 0), seal(crypto(40, QUIC[40:]), 1))
WHOLE = (seal(crypto(0, QUIC), 0),)

Packets = tuple[bytes, ...]
CASES: dict[str, tuple[str, str, Packets, Packets]] = {
    **{name: (f"{name}: false", "tcp/80", (payload,), (PLAIN,)) for name, payload in HTTP.items()},
    "trailing_dot in TLS": ("trailing_dot: false", "tcp/443", (DOTTED,), (HELLO,)),
    "tls_records": ("tls_records: false", "tcp/443", (records(HELLO[5:], 64),), (HELLO,)),
    "tls_partial": ("tls_partial: false", "tcp/443", (HELLO[:-1],), (HELLO,)),
    "dns_counts": ("dns_counts: false", "udp/53", (ANNOUNCED_ANSWERS,), (QUERY,)),
    "dns_counts over TCP": (
        "dns_counts: false",
        "tcp/53",
        (len(ANNOUNCED_ANSWERS).to_bytes(2, "big") + ANNOUNCED_ANSWERS,),
        (len(QUERY).to_bytes(2, "big") + QUERY,),
    ),
    "dns_pointers": ("dns_pointers: false", "udp/53", (COMPRESSED_QUESTION,), (QUERY,)),
    "quic_datagrams": ("quic_datagrams: 1", "udp/443", IN_TWO, WHOLE),
    "quic_datagrams 0": ("quic_datagrams: 0", "udp/443", WHOLE, ()),
}
"""The switch, where the packets go, those that only a default box blocks, and those that both do."""
OFF_BY_DEFAULT = {"proxies", "starttls"}
"""What a box must be told to look for: test_inside.py and test_proxies.py."""


def box(parse: str = "") -> Profile:
    return load_profile(HEAD + (f"parse: {{{parse}}}\n" if parse else ""), "box.yaml")


def blocks(profile: Profile, where: str, packets: Packets) -> bool:
    """Whether the box holds any of the client's packets back."""
    transport, _, port = where.partition("/")
    connection = Connection(engine(profile, rule("drop", name_exact="twitter.com")), dport=int(port))
    if transport == "udp":
        return not all(connection.udp(payload).forward for payload in packets)
    connection.open()
    return not all(connection.data(payload).forward for payload in packets)


@pytest.mark.parametrize("name", CASES)
def test_a_profile_without_the_tolerance_misses_what_a_default_one_blocks(name: str) -> None:
    parse, where, odd, plain = CASES[name]
    assert blocks(box(), where, odd)
    assert not blocks(box(parse), where, odd)
    assert not plain or blocks(box(parse), where, plain)


def test_every_switch_is_shown() -> None:
    assert {parse.partition(":")[0] for parse, _, _, _ in CASES.values()} == set(
        Tolerance.model_fields
    ) - OFF_BY_DEFAULT


def test_every_mistake_is_reported_with_its_line() -> None:
    text = HEAD + "parse:\n  tls_record: false\n  quic_datagrams: 33\n  http_port: maybe\n"
    with pytest.raises(BadInput) as caught:
        load_profile(text, "box.yaml")
    assert str(caught.value).splitlines() == [
        "box.yaml:6: parse.tls_record: found unknown key 'tls_record'; expected one of dns_counts, dns_pointers, "
        "http_absolute, http_any_method, http_bare_lf, http_field_blanks, http_field_case, http_folding, "
        "http_leading, http_line_blanks, http_port, http_value_tabs, proxies, quic_datagrams, starttls, tls_partial, "
        "tls_records, trailing_dot",
        "    hint: did you mean 'tls_records'?",
        "box.yaml:7: parse.quic_datagrams: found 33; expected at most 32",
        "box.yaml:8: parse.http_port: found 'maybe'; expected true or false",
    ]


def test_a_profile_is_printed_with_what_it_does_not_forgive() -> None:
    assert "parse:\n  tls_records: false\n" in to_yaml(shipped_profile("gfw-tls"))
    assert "parse:" not in to_yaml(shipped_profile("naive"))


# -- what was measured -------------------------------------------------------------------------------------------------


def acts(profile: str, where: str, payload: bytes) -> bool:
    """Whether the box of a shipped profile injects, or holds back."""
    transport, _, port = where.partition("/")
    connection = Connection(engine(profile, rule(name_exact="twitter.com")), dport=int(port))
    if transport == "tcp":
        connection.open()
    outcome = connection.data(payload) if transport == "tcp" else connection.udp(payload)
    return bool(outcome.inject) or not outcome.forward


def test_the_gfw_joins_segments_but_not_records() -> None:
    assert acts("gfw-tls", "tcp/443", HELLO)
    assert not acts("gfw-tls", "tcp/443", records(HELLO[5:], 64))
    connection = Connection(engine("gfw-tls", rule(name_exact="twitter.com")))
    connection.open()
    for start in range(0, len(HELLO), 64):
        last = connection.data(HELLO[start : start + 64])
        if last.inject:
            break
    assert last.inject


@pytest.mark.parametrize("name", ["http_folding", "http_line_blanks", "http_leading"])
def test_the_published_http_strategies_evade_turkmenistan(name: str) -> None:
    assert acts("turkmenistan-dns", "tcp/80", PLAIN)
    assert not acts("turkmenistan-dns", "tcp/80", HTTP[name])


def test_a_query_that_announces_answers_evades_turkmenistan() -> None:
    assert acts("turkmenistan-dns", "udp/53", QUERY)
    assert not acts("turkmenistan-dns", "udp/53", ANNOUNCED_ANSWERS)


def test_tspu_2022_knows_no_name_in_quic_and_blocks_it_by_its_shape() -> None:
    short = WHOLE[0]
    assert len(short) < 1001
    assert acts("perfect", "udp/443", short)
    assert not acts("tspu-2022", "udp/443", short)
    assert acts("tspu-2022", "udp/443", seal(crypto(0, hello(b"twitter.com", 900)), 0))


@pytest.mark.parametrize(
    ("budget", "junk", "blocked"),
    [
        ("", 15, True),
        ("", 16, False),
        ("datagrams: 3", 2, True),
        ("datagrams: 3", 3, False),
        ("datagrams: 0", 99, True),
    ],
)
def test_a_name_behind_datagrams_of_nothing_known_is_seen_within_the_budget(
    budget: str, junk: int, blocked: bool
) -> None:
    profile = load_profile(HEAD + (f"budget: {{{budget}}}\n" if budget else ""), "box.yaml")
    assert blocks(profile, "udp/443", (*(b"\x30\x26" + bytes(30),) * junk, *WHOLE)) is blocked
