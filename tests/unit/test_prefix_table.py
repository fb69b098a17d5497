"""Prefixes that hold others and lie in others: the table finds what trying all of them finds."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from shutdownlab.config.addresses import IpPrefix, overlap
from shutdownlab.config.prefix_table import PrefixTable


def blocks(width: int, lengths: range) -> st.SearchStrategy[IpPrefix]:
    """Prefixes of the first 256 addresses."""
    places = st.tuples(st.integers(0, 255), st.sampled_from(lengths))
    return places.map(lambda place: ip_network((place[0] >> (width - place[1]) << (width - place[1]), place[1])))


ANY = blocks(32, range(24, 33)) | blocks(128, range(120, 129))
PREFIXES = st.lists(ANY, max_size=30)


def holds(outer: IpPrefix, inner: IpPrefix) -> bool:
    return overlap(outer, inner) and outer.prefixlen <= inner.prefixlen


@given(PREFIXES, ANY)
def test_around_and_inside_a_prefix_is_what_trying_each_finds(prefixes: list[IpPrefix], asked: IpPrefix) -> None:
    table = PrefixTable(prefixes)
    assert list(table.around(asked)) == sorted({p for p in prefixes if holds(p, asked)}, key=lambda p: p.prefixlen)
    assert set(table.inside(asked)) == {p for p in prefixes if holds(asked, p) and p != asked}
    assert set(table.around_address(asked.network_address)) == {p for p in prefixes if asked.network_address in p}


def test_what_is_added_later_is_found() -> None:
    table = PrefixTable([ip_network("10.0.0.0/8")])
    assert list(table.inside(ip_network("0.0.0.0/0"))) == [ip_network("10.0.0.0/8")]
    table.add(ip_network("10.1.0.0/16"))
    table.add(ip_network("::/0"))
    assert list(table.inside(ip_network("10.0.0.0/8"))) == [ip_network("10.1.0.0/16")]
    assert list(table.around_address(ip_address("10.1.2.3"))) == [ip_network("10.0.0.0/8"), ip_network("10.1.0.0/16")]
