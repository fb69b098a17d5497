"""Lists of names and addresses in files: the forms in which they are published, and how many fit."""

from __future__ import annotations

import cProfile
import gc
import ipaddress
import pickle
import time
from ipaddress import ip_interface, ip_network, summarize_address_range
from itertools import islice
from pathlib import Path
from typing import Any

import idna
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from shutdownlab import library
from shutdownlab.compiler.program import compile_switch
from shutdownlab.compiler.rules import PipelineTable
from shutdownlab.config.addresses import interface, plain_prefix, prefix
from shutdownlab.config.document import quoted
from shutdownlab.config.idn import to_ascii
from shutdownlab.config.problems import BadInput
from shutdownlab.inspection import name_list
from shutdownlab.inspection.address_list import read_addresses
from shutdownlab.inspection.conditions import Conditions
from shutdownlab.inspection.name_list import MAX_BYTES, read_names
from shutdownlab.inspection.policy import load_policy
from shutdownlab.model.means import Means
from shutdownlab.model.policy import Exceptions, Targets

ROOT = Path(__file__).parents[2]


# --- names ---


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param(
            "127.0.0.1 localhost\n::1 ip6-localhost ip6-loopback\nfe80::1%lo0 localhost\n0.0.0.0 0.0.0.0\n"
            "0.0.0.0 Ads.Example.org  www.ads.example.org # both\n:: six.example\n",
            ("ads.example.org", "www.ads.example.org", "six.example"),
            id="a hosts file",
        ),
        pytest.param(
            "[Adblock Plus 2.0]\n! Title: a list\n||example.org^\n||Пример.рф^\nplain.example\n",
            ("example.org", "xn--e1afmkfd.xn--p1ai", "plain.example"),
            id="AdGuard's",
        ),
        pytest.param(
            "address=/one.example/two.example/0.0.0.0\nserver=/three.example/\nlocal=/four.example/\naddress=/five.example/#\n",
            ("one.example", "two.example", "three.example", "four.example", "five.example"),
            id="dnsmasq's",
        ),
        pytest.param(
            "[Adblock Plus]\n||one.example^$important\n||*.two.example^\n||three.example^$all\n",
            ("one.example", "two.example", "three.example"),
            id="AdGuard's with what blocks all the same",
        ),
        pytest.param(
            "$TTL 300\n@ IN SOA localhost. root.localhost. (\n"
            "  2026 ; serial\n   1h\n15m 30d 2h )\n  IN NS localhost.\n"
            "; Title: a list\none.example CNAME .\n*.one.example CNAME .\nTwo.example 60 IN CNAME *. ; why\n"
            "three.example\tIN\tCNAME\trpz-drop.\nfour.example A 192.0.2.1\n*.five.example AAAA 2001:db8::1\n",
            ("one.example", "two.example", "three.example", "four.example", "five.example"),
            id="a response policy zone",
        ),
        pytest.param(
            "$ORIGIN rpz.local.\n@ SOA ns. root. 1 2 3 4 5\none.example.rpz.local. CNAME .\ntwo.example CNAME .\n"
            "three.example. CNAME .\n",
            ("one.example", "two.example", "three.example"),
            id="a zone with an origin",
        ),
        pytest.param(
            "RPZ.local. IN SOA ns. root. 1 2 3 4 5\none.example.rpz.local. CNAME .\n*.two.example.rpz.local. CNAME .\n",
            ("one.example", "two.example"),
            id="a zone whose SOA record has its name",
        ),
        pytest.param(
            "$ORIGIN .\n$TTL 60\nrpz.local IN SOA ns. root. (\n 1 2 3 4 5 )\n  NS ns.\n$ORIGIN org.rpz.local.\n"
            "one CNAME .\n*.one CNAME .\n\t\tA 192.0.2.1\n$ORIGIN rpz.local.\n@ A 192.0.2.1\ntwo.example CNAME .\n",
            ("one.org", "two.example"),
            id="a zone as name servers dump it",
        ),
        pytest.param(
            "## Title: a list\n######\n### Part ##\none.example ## why\n", ("one.example",), id="hashes in comments"
        ),
        pytest.param(
            'server:\n  local-zone: "one.example" always_nxdomain\n\tlocal-zone: "two.example." static # why\n'
            "local-zone: three.example refuse\nlocal-zone: 'four.example' always_null\n"
            'local-data: "five.example. 60 IN A 0.0.0.0"\n',
            ("one.example", "two.example", "three.example", "four.example", "five.example"),
            id="Unbound's",
        ),
    ],
)
def test_lists_that_were_made_for_other_programs_are_read_as_they_are(text: str, names: tuple[str, ...]) -> None:
    assert read_names(text.encode(), "list.txt") == names


@pytest.mark.parametrize(
    "line",
    [
        *("0.0.0.0 {}", "127.0.0.1\t{}", ":: {}", "||{}^", "address=/{}/0.0.0.0", "server=/{}/", ".{}", "{}"),
        *("{} CNAME .", "{}\t60\tIN\tCNAME\t.", '  local-zone: "{}" always_nxdomain', 'local-zone: "{}." static'),
        *("{}.", "0.0.0.0 {}.", "{}. CNAME .", "*.{}.\t60\tIN\tCNAME\t."),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_million_names_fit_in_every_form_and_cost_a_few_calls_each(line: str, end: str) -> None:
    names = [f"{number:013x}.example.org" for number in range(2_000)]
    text = b"\xef\xbb\xbf" + "".join(line.format(name) + end for name in names).encode()
    assert 500 * len(text) <= MAX_BYTES
    assert read_names(text, "list.txt") == tuple(names)
    profile = cProfile.Profile()
    profile.runcall(read_names, text, "list.txt")
    assert sum(entry.callcount for entry in profile.getstats()) <= 12 * len(names)


def test_a_zone_as_it_is_transferred_costs_no_more_than_one_of_relative_names() -> None:
    names = [f"{number:013x}.example.org" for number in range(2_000)]
    records = "".join(f"{name}.rpz.example. 60 IN CNAME .\n" for name in names)
    text = f"rpz.example. 60 IN SOA localhost. root. 1 2 3 4 5\n{records}".encode()
    profile = cProfile.Profile()
    assert profile.runcall(read_names, text, "list.txt") == tuple(names)
    assert sum(entry.callcount for entry in profile.getstats()) <= 12 * len(names)


@pytest.mark.parametrize("name", ["яндекс.рф", "вѐћ-1.мкд", "ab--c.рф", "-ё.рф", "ё-.рф", "ё" * 60 + ".рф", "яю--э.рф"])
def test_a_name_in_cyrillic_is_encoded_as_the_whole_of_idna_does(name: str) -> None:
    try:
        expected = ".".join(label if label.isascii() else idna.alabel(label).decode() for label in name.split("."))
    except idna.IDNAError:
        with pytest.raises(UnicodeError):
            to_ascii(name)
        return
    assert to_ascii(name) == expected


@pytest.mark.parametrize(
    "line",
    [
        *("@@||example.org^", "||example.org^$third-party", "||example.org/banner/*", "/ads[0-9]+/"),
        *("example.org##.banner", "example.org#@#.banner", "a.org,b.org#?#div:has(.ad)", "example.org###id", "##.ad"),
    ],
)
def test_what_a_box_cannot_do_of_such_a_list_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(BadInput) as raised:
        read_names(f"||fine.example^\n{line}\n".encode(), "list.txt")
    (problem,) = raised.value.problems
    assert (problem.file, problem.line, problem.found) == ("list.txt", 2, f"'{line}'")
    assert "a name, such as ||example.org^" in problem.expected


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        pytest.param("two.example CNAME rpz-passthru.", "exceptions as separate rules", id="a zone's exception"),
        pytest.param("two.example CNAME rpz-tcp-only.", "exceptions as separate rules", id="a zone's pass over TCP"),
        pytest.param("*.two.example CNAME two.example.", "exceptions as separate rules", id="an old zone's exception"),
        pytest.param("server=/two.example/#", "exceptions as separate rules", id="dnsmasq's exception"),
        pytest.param("32.1.2.0.192.rpz-ip CNAME .", "address_file", id="a zone's address"),
        pytest.param('local-zone: "two.example" nxdomain', "did you mean 'always_nxdomain'", id="a type that is none"),
        pytest.param('local-zone: "two.example"', "one of static, redirect", id="no type"),
        pytest.param('local-zone: "two.example" transparent', "exceptions as separate rules", id="Unbound's exception"),
        pytest.param("address=/#/192.0.2.1", "stands for all names", id="dnsmasq's everything"),
        pytest.param(
            "192.0.2.1 | 192.0.2.2;two.example;https://two.example/a;X;1", "`cut -d';' -f2 FILE`", id="Russian"
        ),
        pytest.param("2,two.example", "`cut -d, -f2 FILE`", id="by rank"),
        pytest.param("two.example\tNEWS", "`cut -f1 FILE`", id="by tab"),
        pytest.param('"two.example","NEWS"', """`cut -d, -f1 FILE | tr -d '"'`""", id="with quotes"),
        pytest.param("two.example,three.example", "`tr , '\\n' < FILE`", id="names side by side"),
        pytest.param('["two.example", "three.example"]', "one name per line", id="JSON"),
    ],
)
def test_what_is_not_one_name_a_line_is_refused_with_its_line_and_what_to_do(text: str, hint: str) -> None:
    with pytest.raises(BadInput) as raised:
        read_names(f"one.example\n{text}\n".encode(), "list.txt")
    (problem,) = raised.value.problems
    assert problem.line == 2
    assert problem.found.startswith(quoted(text)[:40])
    assert hint in problem.hint


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"domain\ntwo.example\n", "leave headings out"),
        (b"Hostname\ntwo.example\n", "leave headings out"),
        (b"# 2024\nDOMAINS\ntwo.example\n", "leave headings out"),
        (b"address=/two.example/0.0.0.0/\n", "0.0.0.0 after the last one"),
        (b"one.example\nno-resolv\n", "leave options out"),
        (b"192.0.2.1\n198.51.100.7\n", "`address_file` takes a list of addresses"),
        (b"\x1f\x8b\x08\x00two.example\n", "compressed by gzip"),
        ("two.example\n".encode("utf-16"), "save the file as UTF-8"),
        ("two.example\n".encode("utf-16-le"), "UTF-16"),
        ("two.example\n".encode("utf-16-be"), "UTF-16"),
    ],
)
def test_a_list_of_which_no_packet_would_have_a_name_is_refused(text: bytes, told: str) -> None:
    with pytest.raises(BadInput) as raised:
        read_names(text, "list.txt")
    assert told in str(raised.value)
    assert read_names(b".host\nname\ntwo.example\n", "list.txt") == ("host", "name", "two.example")


NAME = st.sampled_from(
    [
        *("a.example", "*.b.example", "C.example", "d.example.", "e-f.example", "xn--p1ai", "пример.рф", "com", "a..b"),
        *("1.2.3", "-a.example", "_x.example", "a_.example", "localhost", "1.2.3.4", "g.z.example.", "h.i.rpz-ip"),
        *(f"{'a' * 63}.example", f"{'b' * 64}.example"),
    ]
)
LINE = st.builds(
    "{}{}{}".format,
    st.sampled_from(
        ["", "0.0.0.0 ", "127.0.0.1\t", ":: ", "||", "address=/", "server=/", 'local-zone: "', ".", "#", " ! "]
    ),
    NAME,
    st.sampled_from(
        ["", " # x", "^", "^$important", "/", "/#", "/0.0.0.0", ' static"', '" static', " 60 IN CNAME .", "##x"]
    ),
)


@given(st.lists(LINE, min_size=1, max_size=4), st.integers(1, 20))
def test_lines_that_are_read_together_are_read_as_each_by_itself(lines: list[str], times: int) -> None:
    text = "".join(f"{line}\n" for line in ["first.example", *lines * times])
    if "CNAME" in text:
        text = "$ORIGIN z.example.\n@ SOA a. b. 1 2 3 4 5\n" + text

    def read() -> tuple[tuple[str, ...], list[str]]:
        try:
            return read_names(text.encode(), "list.txt"), []
        except BadInput as error:
            return (), list(error.lines())

    together = read()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(name_list, "_add_alike", lambda *_: False)
        assert read() == together


@pytest.mark.parametrize(("text", "told"), [(b"\xfd7zXZ\x00", "compressed by xz"), (b"\xff\xfe1\x00", "UTF-16")])
def test_a_list_of_addresses_is_text(text: bytes, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        read_addresses(text, "list.txt")


# --- addresses ---


def test_addresses_prefixes_and_ranges_are_read_with_comments_and_what_is_inside_others_counts_once() -> None:
    text = (
        "# DROP list\n1.10.16.0/20 ; SBL256894\n1.10.17.0/24\n192.0.2.1\n\ncreate bad hash:net family inet\n"
        "add bad 203.0.113.0/24 timeout 300\n198.51.100.1 - 198.51.100.3\n2001:db8::/32\n2001:db8:1::1\n192.0.2.1\n"
    )
    assert read_addresses(b"\xef\xbb\xbf" + text.encode(), "list.txt") == tuple(
        map(
            ip_network,
            ("1.10.16.0/20", "192.0.2.1", "198.51.100.1", "198.51.100.2/31", "203.0.113.0/24", "2001:db8::/32"),
        )
    )


@given(st.integers(0, (1 << 32) - 1), st.integers(0, 1 << 20), st.sampled_from([4, 6]))
def test_a_range_is_the_prefixes_that_python_covers_it_with(first: int, more: int, version: int) -> None:
    kind = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address
    low, high = kind(first), kind(min(first + more, (1 << 32) - 1))
    if version == 6:
        low, high = (kind((0x20010DB8 << 96) + int(end)) for end in (low, high))
    assert read_addresses(f"{low}-{high}\n".encode(), "list.txt") == tuple(summarize_address_range(low, high))


def test_lines_that_are_not_addresses_are_refused_one_by_one_and_the_rest_counted() -> None:
    lines = [
        "10.0.0.1/8",
        "10.0.0.9-10.0.0.1",
        "10.0.0.1-2001:db8::1",
        "example.org",
        "::ffff:10.0.0.1",
        "10.0.0.0/24-1",
    ]
    with pytest.raises(BadInput) as raised:
        read_addresses("\n".join(lines).encode(), "list.txt")
    told = [(problem.line, problem.found) for problem in raised.value.problems]
    assert told == [(number, f"'{line}'") for number, line in enumerate(lines, 1)]
    assert "host" in str(raised.value) or "for the address alone" in str(raised.value)
    with pytest.raises(BadInput, match="4,980 more such lines"):
        read_addresses(b"no address\n" * 5000, "list.txt")
    with pytest.raises(BadInput, match="a list without an address"):
        read_addresses(b"# nothing\n", "list.txt")


def test_lists_of_the_size_of_nations_are_read_in_time_that_grows_with_their_length() -> None:
    """Processor time with much to spare: comparing each entry with each would take minutes."""
    names = "\n".join(f"host{number}.example{number % 977}.org" for number in range(100_000)).encode()
    prefixes = "\n".join(f"{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}.0/24" for n in range(1 << 16, 166_000)).encode()
    begin = time.process_time()
    assert len(read_names(names, "names.txt")) == 100_000
    assert len(read_addresses(prefixes, "addresses.txt")) == 166_000 - (1 << 16)
    assert time.process_time() - begin < 10


_LOOSE = st.text("0123456789abcf:./", max_size=24)
_WRITTEN = st.builds(
    lambda address, length: f"{address}/{length}",
    st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6), st.just("::ffff:10.0.0.0"), st.just("010.0.0.1")),
    st.integers(0, 130) | st.sampled_from(["", "00", "032", "+8"]),
)


@given(st.one_of(_LOOSE, _WRITTEN, st.ip_addresses().map(str)))
def test_what_is_read_in_haste_is_what_python_reads(text: str) -> None:
    quick = plain_prefix(text)
    if quick is not None:
        version, first, length = quick
        slow = ip_network(text)
        assert (slow.version, int(slow.network_address), slow.prefixlen) == (version, first, length)


@given(st.ip_addresses(), st.integers(0, 128))
def test_every_prefix_as_python_writes_it_is_read_in_haste_but_for_ipv4_within_ipv6(address: Any, length: int) -> None:
    prefix = ip_network(f"{address}/{min(length, address.max_prefixlen)}", strict=False)
    is_mapped = prefix.version == 6 and int(prefix.network_address) >> 32 == 0xFFFF
    assert (plain_prefix(str(prefix)) is None) is is_mapped


@given(st.ip_addresses(), st.integers(0, 128))
def test_a_prefix_made_in_haste_is_the_one_that_python_makes(address: Any, length: int) -> None:
    slow = ip_network(f"{address}/{min(length, address.max_prefixlen)}", strict=False)
    quick = prefix(slow.version, int(slow.network_address), slow.prefixlen)
    assert (type(quick), quick, hash(quick), str(quick)) == (type(slow), slow, hash(slow), str(slow))
    assert pickle.loads(pickle.dumps(quick)) == slow
    for each in ("network_address", "broadcast_address", "netmask", "hostmask", "prefixlen", "num_addresses"):
        assert getattr(quick, each) == getattr(slow, each)
    assert list(islice(quick.hosts(), 3)) == list(islice(slow.hosts(), 3))
    assert vars(quick).keys() == vars(slow).keys()


@given(st.ip_addresses(), st.integers(0, 128))
def test_an_interface_made_in_haste_is_the_one_that_python_makes(address: Any, length: int) -> None:
    slow = ip_interface(f"{address}/{min(length, address.max_prefixlen)}")
    quick = interface(int(address), slow.network)
    assert (type(quick), quick, hash(quick), str(quick)) == (type(slow), slow, hash(slow), str(slow))
    assert (quick.ip, quick.network, quick.with_netmask) == (slow.ip, slow.network, slow.with_netmask)
    assert pickle.loads(pickle.dumps(quick)) == slow
    assert vars(quick) == vars(slow)


def test_reading_a_list_leaves_the_search_for_garbage_as_it_was() -> None:
    for wanted in (True, False):
        (gc.enable if wanted else gc.disable)()
        try:
            read_addresses(b"192.0.2.0/24", "list.txt")
            with pytest.raises(BadInput):
                read_names(b"", "list.txt")
            assert gc.isenabled() is wanted
        finally:
            gc.enable()


# --- in rules ---


def test_a_rule_has_the_addresses_of_its_files_beside_its_own(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("192.0.2.0/25\n")
    (tmp_path / "two.txt").write_text("2001:db8::/32\n")
    text = "rules:\n  - name: r\n    when: {address: 10.0.0.0/8, address_file: [one.txt, two.txt]}\n    verdict: drop\n"
    (rule,) = load_policy(text, str(tmp_path / "rules.yaml")).rules
    assert rule.when.address == tuple(map(ip_network, ("10.0.0.0/8", "192.0.2.0/25", "2001:db8::/32")))
    assert rule.when.address_file == ()


def test_a_list_that_is_not_there_or_wrong_is_reported_with_what_names_it(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("192.0.2.0/25\nexample.org\n")
    text = "rules:\n  - name: r\n    when: {address_file: [none.txt, bad.txt]}\n    verdict: drop\n"
    with pytest.raises(BadInput) as raised:
        load_policy(text, str(tmp_path / "rules.yaml"))
    told = str(raised.value)
    assert f"{tmp_path}/rules.yaml:3: rules[0].when.address_file[0]: found 'none.txt', which does not exist" in told
    assert f"{tmp_path}/bad.txt:2: found 'example.org'; expected an IPv4 or IPv6 prefix" in told


def test_where_no_file_can_be_read_the_key_is_refused_and_not_forgotten() -> None:
    for made in (Conditions, Targets, Exceptions):
        with pytest.raises(ValueError, match="address") as raised:
            made(address_file=("list.txt",))
        (error,) = raised.value.errors()  # type: ignore[attr-defined]
        assert (error["ctx"]["error"].key, error["ctx"]["error"].found) == ("address_file", "a file")


# --- in scenarios ---


def scenario(place: Path, block: dict[str, Any], spare: dict[str, Any]) -> Path:
    loaded = yaml.safe_load((ROOT / "scenarios/first-shutdown.yaml").read_text())
    loaded["policies"]["blackout"] |= {"block": block, "except": spare}
    (place / "scenario.yaml").write_text(yaml.safe_dump(loaded, sort_keys=False))
    return place / "scenario.yaml"


def test_a_policy_blocks_and_spares_the_addresses_of_files(tmp_path: Path) -> None:
    (tmp_path / "blocked.txt").write_text("151.101.0.0/16\n2001:db8:72::/48\n")
    (tmp_path / "spared.txt").write_text("151.101.0.81\n")
    path = scenario(tmp_path, {"address_file": "blocked.txt"}, {"address_file": ["spared.txt"]})
    policy = library.load(path).scenario.policies["blackout"]
    assert policy.targets.addresses == tuple(map(ip_network, ("151.101.0.0/16", "2001:db8:72::/48")))
    assert policy.except_.addresses == (ip_network("151.101.0.81"),)
    (tmp_path / "spared.txt").write_text("who knows\n")
    with pytest.raises(BadInput, match=r"spared.txt:1: found 'who knows'"):
        library.load(path)


@pytest.mark.thorough
def test_an_access_list_of_thousands_is_compiled_in_time_that_grows_with_its_length(tmp_path: Path) -> None:
    """Each prefix is a rule for each group and direction; which lie in which is found without trying all pairs."""
    lines = [f"{n >> 16}.{n >> 8 & 255}.{n & 255}.0/24" for n in range(90 << 16, (90 << 16) + 4_000)]
    (tmp_path / "blocked.txt").write_text("\n".join([*lines, "91.0.0.0/16", "91.0.1.0/24"]))
    (tmp_path / "spared.txt").write_text("\n".join(line.replace(".0/24", ".7") for line in lines[:1000]))
    shutdown = library.load(scenario(tmp_path, {"address_file": "blocked.txt"}, {"address_file": "spared.txt"}))
    active = {"blackout": shutdown.scenario.policies["blackout"]}
    begin = time.process_time()
    program = compile_switch(shutdown.network, shutdown.apps, active, "southcell-coast-sw", on_path=False)
    assert time.process_time() - begin < 10, "sixteen million pairs would take minutes"
    lists = [rule for rule in program.rules if rule.table is PipelineTable.ACCESS_LISTS and len(rule.match) > 1]
    blocking, sparing = [[rule for rule in lists if (rule.goto is None) is drops] for drops in (True, False)]
    assert (len(blocking), len(sparing)) == (2 * 4_001, 2 * 1000)
    assert {rule.policy for rule in blocking} == {"blackout"}
    assert min(rule.priority for rule in sparing) > max(rule.priority for rule in blocking)


def test_a_policy_blocks_and_spares_the_sites_of_its_files_beside_those_it_names(tmp_path: Path) -> None:
    (tmp_path / "blocked.txt").write_text("*.BBC.com # and what is below it\nfaß.de\n")
    (tmp_path / "spared.txt").write_text("0.0.0.0 kaspi.kz\n")
    block, spare = {"sites": ["example.org"], "site_file": "blocked.txt"}, {"site_file": ["spared.txt"]}
    policy = library.load(scenario(tmp_path, block, spare)).scenario.policies["blackout"]
    assert policy.block is not None
    assert policy.block.sites == ("example.org", "bbc.com", "xn--fa-hia.de")
    assert (policy.except_.sites, policy.block.site_file) == (("kaspi.kz",), ())


def test_a_list_of_sites_that_is_wrong_is_reported_with_its_lines_and_its_place(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("kaspi.kz\nno_such name\n")
    with pytest.raises(BadInput) as raised:
        library.load(scenario(tmp_path, {"site_file": ["none.txt", "bad.txt"]}, {}))
    told = str(raised.value)
    assert "policies.blackout.block.site_file[0]: found 'none.txt', which does not exist" in told
    assert f"{tmp_path}/bad.txt:2: found 'no_such name'" in told


def test_fifty_thousand_sites_are_worked_out_in_the_time_that_reading_them_takes(tmp_path: Path) -> None:
    """What `check` and a switch's program cost: each site is not held against each name that is served."""
    (tmp_path / "few.txt").write_text("bbc.com\n")
    (tmp_path / "many.txt").write_text("bbc.com\n" + "".join(f"host{n}.example{n % 977}.org\n" for n in range(50_000)))
    programs = {}
    for name in ("few.txt", "many.txt"):
        shutdown = library.load(scenario(tmp_path, {"site_file": name}, {}))
        counting = cProfile.Profile()
        active = {"blackout": shutdown.scenario.policies["blackout"].model_copy(update={"by": Means.ADDRESS})}
        counting.enable()
        compiled = compile_switch(shutdown.network, shutdown.apps, active, "southcell-coast-sw")
        counting.disable()
        programs[name] = compiled, sum(each.callcount for each in counting.getstats())
    (few, calls), (many, more_calls) = programs.values()
    assert few == many  # nobody serves the others
    assert more_calls < 2 * calls


def test_what_is_let_through_is_named_by_files_too(tmp_path: Path) -> None:
    (tmp_path / "spared.txt").write_text("kaspi.kz\n")
    path = scenario(tmp_path, {"everything": True}, {})
    loaded = yaml.safe_load(path.read_text())
    loaded["policies"]["blackout"]["allow"] = [{"site_file": "spared.txt"}]
    path.write_text(yaml.safe_dump(loaded, sort_keys=False))
    (allowed,) = library.load(path).scenario.policies["blackout"].allow
    assert (allowed.sites, allowed.site_file) == (("kaspi.kz",), ())
