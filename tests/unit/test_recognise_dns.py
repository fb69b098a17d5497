"""DNS messages made by dnspython, over UDP and TCP, and ones no library makes."""

from __future__ import annotations

import struct

import dns.message
import dns.rdatatype
import dns.rrset
import pytest

from shutdownlab.inspection.recognition import Recognition, recognise_tcp, udp_session


def udp(message: bytes, port: int = 53) -> Recognition:
    return udp_session().feed(message, True, port)


def raw_query(name: bytes, kind: int = 1, tail: bytes = b"") -> bytes:
    return b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + name + struct.pack("!HH", kind, 1) + tail


@pytest.mark.parametrize("kind", ["A", "AAAA", "HTTPS", "SVCB", "TXT", "MX", "NS", "SOA", "ANY", "CAA", "SRV", "DS"])
def test_query_gives_name_and_type(kind: str) -> None:
    found = udp(dns.message.make_query("WwW.Example.ORG.", kind).to_wire())
    assert (found.protocol, found.host, found.qtype, found.method) == ("dns", "www.example.org", kind, "query")
    assert not found.more


def test_unassigned_type_is_shown_by_number() -> None:
    assert udp(raw_query(b"\x01a\x00", 65400)).qtype == "TYPE65400"


def test_every_type_dnspython_knows_has_the_same_name_here() -> None:
    for kind in dns.rdatatype.RdataType:
        if 0 < kind.value < 32768:
            shown = udp(raw_query(b"\x01a\x00", kind.value)).qtype
            assert shown is not None
            assert shown == kind.name.replace("_", "-") or shown == f"TYPE{kind.value}" or kind.value in (249, 250)


def test_edns_and_cookies_do_not_disturb() -> None:
    query = dns.message.make_query("example.org", "A", use_edns=0, payload=4096, want_dnssec=True)
    assert udp(query.to_wire()).host == "example.org"
    assert udp(query.to_wire(), 4444).host == "example.org"


def test_raw_utf8_label_becomes_an_a_label() -> None:
    label = "пример".encode()
    assert udp(raw_query(bytes((len(label),)) + label + b"\x02rf\x00")).host == "xn--e1afmkfd.rf"


def test_compressed_question_is_followed() -> None:
    # The question's last label points at bytes after the question.
    message = raw_query(b"\x03www\xc0\x16", 1, b"\x07example\x03org\x00")
    assert udp(message).host == "www.example.org"


def test_pointer_loop_ends() -> None:
    assert udp(raw_query(b"\xc0\x0c")).host is None
    assert udp(raw_query(b"\x01a\xc0\x0c")).protocol == "unknown"


def test_response_gives_addresses_and_aliases() -> None:
    response = dns.message.make_response(dns.message.make_query("example.org", "A"))
    response.answer.append(dns.rrset.from_text("example.org.", 60, "IN", "CNAME", "web.example.net."))
    response.answer.append(dns.rrset.from_text("web.example.net.", 60, "IN", "A", "192.0.2.1", "192.0.2.2"))
    response.answer.append(dns.rrset.from_text("web.example.net.", 60, "IN", "AAAA", "2001:db8::1"))
    found = udp(response.to_wire())
    assert (found.method, found.host) == ("response", "example.org")
    assert set(found.answers) == {"web.example.net", "192.0.2.1", "192.0.2.2", "2001:db8::1"}


def test_root_has_no_host() -> None:
    found = udp(dns.message.make_query(".", "NS").to_wire())
    assert (found.protocol, found.host, found.qtype) == ("dns", None, "NS")


def test_dns_on_another_port_must_be_flawless() -> None:
    query = dns.message.make_query("example.org", "A").to_wire()
    assert udp(query, 4444).protocol == "dns"
    assert udp(query + b"x", 4444).protocol == "unknown"
    assert udp(query + b"x", 53).protocol == "dns"


def test_multicast_dns_without_a_question() -> None:
    response = dns.message.Message(0)
    response.flags = 0x8400
    response.answer.append(dns.rrset.from_text("printer.local.", 60, "IN", "A", "192.0.2.9"))
    found = udp(response.to_wire(), 5353)
    assert (found.protocol, found.host, found.answers) == ("dns", "printer.local", ("192.0.2.9",))


def test_over_tcp_in_any_cut() -> None:
    query = dns.message.make_query("www.example.org", "AAAA").to_wire()
    stream = struct.pack("!H", len(query)) + query
    for length in range(1, len(stream)):
        found = recognise_tcp(stream[:length], b"", 53)
        assert found.more or found.host == "www.example.org", length
    found = recognise_tcp(stream, b"", 53)
    assert (found.protocol, found.host, found.qtype, found.more) == ("dns", "www.example.org", "AAAA", False)


def test_over_tcp_on_another_port() -> None:
    query = dns.message.make_query("www.example.org", "A").to_wire()
    assert recognise_tcp(struct.pack("!H", len(query)) + query, b"", 5300).protocol == "dns"


def test_zeroes_and_truncations_are_not_dns() -> None:
    query = dns.message.make_query("www.example.org", "A").to_wire()
    assert udp(bytes(40)).protocol == "unknown"
    for length in range(len(query)):
        assert udp(query[:length]).host is None
