"""Lists read many lines at once say what they say read line by line: the same entries, the same mistakes."""

from __future__ import annotations

import cProfile
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shutdownlab.config.problems import BadInput
from shutdownlab.inspection import address_list
from shutdownlab.inspection.address_list import read_addresses

_V4 = st.integers(0, 255).map("192.0.2.{}".format) | st.sampled_from(["10.0.0.0", "0.0.0.0", "255.255.255.255"])
_V6 = st.integers(0, 99).map("2001:db8::{:x}".format) | st.sampled_from(["::", "::ffff:10.0.0.1", "fe80::1%x"])
_ODD = st.sampled_from(["01.2.3.4", "1.2.3", "1.2.3.256", "٣.2.3.4", "a::b::c", "1.2.3.4:80", ":"])
_IP = st.one_of(_V4, _V4, _V6, _ODD)
_LENGTH = st.sampled_from(["32", "24", "31", "8", "0", "33", "128", "64", "129", "024", ""])
_PREFIX = st.builds("{}/{}".format, _IP, _LENGTH)
_RANGE = st.builds("{}{}{}".format, _IP, st.sampled_from(["-", " - ", "--"]), _IP)
_ENTRY = st.one_of(_IP, _PREFIX, _RANGE)
_SET = st.sampled_from(["set", "a#b", "s  "])
_ADDED = st.builds("add {} {}{}".format, _SET, _ENTRY, st.sampled_from(["", " timeout 9"]))
_LINE = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", " ", "\t", "\f"]),
    st.one_of(_ENTRY, _ADDED, st.sampled_from(["", "create set hash:net", "COMMIT", "add", "# 1.2.3.4", "; x"])),
    st.sampled_from(["", " # why", ";why", "#", " ", "\r", ","]),
)


def _said(read: Callable[[bytes, str], object], text: bytes) -> object:
    try:
        return read(text, "list.txt")
    except BadInput as error:
        return str(error)


@given(st.lists(_LINE, min_size=1, max_size=4))
@example(["192.0.2.0-192.0.2.255", "198.51.100.1-198.51.100.6"])
def test_addresses_read_many_lines_at_once_are_those_read_line_by_line(lines: list[str]) -> None:
    text = "\n".join(lines).encode()
    at_once = _said(read_addresses, text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(address_list, "_FORMS", ())
        assert at_once == _said(read_addresses, text)


@pytest.mark.parametrize(
    "line",
    ["{0}/{1}", "{0}", " {0} # why", "{0}-{0}", "{0} - {0}", "add set {0}/{1}", "add set {0} timeout 60", "# a\n{0}"],
)
@pytest.mark.parametrize("version", [4, 6])
def test_a_million_prefixes_cost_a_few_calls_each_in_every_form(line: str, version: int) -> None:
    pattern, length = ("198.{}.{}.9", 32) if version == 4 else ("2001:db8:{:x}:1:{:x}::9", 128)
    addresses = [pattern.format(1 + (number >> 7), 1 + (number & 127)) for number in range(2_000)]
    text = "".join(line.format(address, length) + "\n" for address in addresses)
    profile = cProfile.Profile()
    found = profile.runcall(read_addresses, text.encode(), "list.txt")
    assert [str(each.network_address) for each in found] == addresses
    assert sum(entry.callcount for entry in profile.getstats()) <= 14 * len(addresses)
