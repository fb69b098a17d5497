"""Lists read many lines at once say what they say read line by line: the same entries, the same mistakes."""

from __future__ import annotations

import cProfile
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shutdownlab.config.problems import BadInput
from shutdownlab.inspection import address_list, name_list
from shutdownlab.inspection.address_list import read_addresses
from shutdownlab.inspection.name_list import read_names
from shutdownlab.inspection.punycode import a_label

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


_LABEL = st.sampled_from(["one", "ONE", "a-b", "a_b", "ab--c", "_x", "xn--e1afmkfd", "пример", "ПРИМЕР", "ё" * 60])
_RARE = st.sampled_from(
    ["faß", "ΑΣ", "\uff11", "1", "例え", "א", "a\uff11", "☃", "", "-a", "İ", "x" * 64, "ab--ф", "ip6-a", "localhost"]
)
_NAME = st.lists(st.one_of(_LABEL, _LABEL, _RARE), min_size=1, max_size=3).map(".".join) | st.sampled_from(
    ["example.рф", "example.org", "Example.ORG.", "a。рф", "0.0.0.0"]
)
_NAMES = st.lists(_NAME, min_size=1, max_size=3)
_NAMED = st.one_of(
    _NAME,
    st.builds("{} {}{}".format, st.sampled_from(["0.0.0.0", "::1", "10.0.0.1"]), _NAMES.map(" ".join), st.just("")),
    st.builds("{}=/{}/{}".format, st.sampled_from(["address", "server", "Local"]), _NAMES.map("/".join), st.just("")),
    st.builds("||{}^{}".format, _NAME, st.sampled_from(["", "$important", "$x"])),
    st.builds("{} {} {}".format, _NAME, st.sampled_from(["CNAME", "in cname"]), st.sampled_from([".", "rpz-drop."])),
    st.builds('local-zone: "{}" {}'.format, _NAME, st.sampled_from(["static", "transparent"])),
    st.builds("{}.{} CNAME .".format, _NAME, st.sampled_from(["rpz.example.", "RPZ.example.", "rpz-ip", "RPZ-ip"])),
    st.sampled_from(["", "# why", "! why", "*.example.kz", ".EXAMPLE.kz", "rpz.example. IN SOA ns. root. 1 2 3 4 5"]),
)


@given(
    st.lists(st.builds("{}{}".format, _NAMED, st.sampled_from(["", " # why", ".", "\r", " "])), min_size=1, max_size=4)
)
@example(["0.0.0.0 ip6-a.example one.example"])
@example(["example.org."])
def test_names_read_many_lines_at_once_are_those_read_line_by_line(lines: list[str]) -> None:
    text = "\n".join(["first.example"] * 16 + lines).encode()  # the first sixteen lines are read one by one
    at_once = _said(read_names, text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(name_list, "_FORMS", ())
        assert at_once == _said(read_names, text)


@given(st.text(min_size=1, max_size=70).filter(lambda label: not label.isascii()))
def test_punycode_is_what_pythons_own_codec_makes(label: str) -> None:
    assert a_label(label) == "xn--" + label.encode("punycode").decode("ascii")


@pytest.mark.parametrize("line", ["{}", "0.0.0.0 {0} www.{0}", "address=/{0}/www.{0}/", "||{}^"])
@pytest.mark.parametrize("name", ["{:07x}.Example.ORG", "{:07x}пример.рф"])
def test_a_million_names_in_capitals_or_another_script_or_several_to_a_line_cost_a_few_calls_each(
    line: str, name: str
) -> None:
    names = [name.format(number) for number in range(2_000)]
    profile = cProfile.Profile()
    found = profile.runcall(read_names, "\n".join(map(line.format, names)).encode(), "list.txt")
    assert len(found) == len(names) * line.count("{")
    most = 8 if name.isascii() else 120  # not compiled, each digit of Punycode is several calls
    assert sum(entry.callcount for entry in profile.getstats()) <= most * len(found)


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
