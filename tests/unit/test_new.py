"""`shutdownlab new`: files to start from pass `check`; a country takes its networks from public routing data."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import pty
import struct
import subprocess
import sys
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import mrtparse
import pytest
from typer.testing import CliRunner, Result

from shutdownlab import library
from shutdownlab.cli import app
from shutdownlab.starting.routing_data import RoutingData

P4 = "92.46.0.0/15"
NORTH, SOUTH = "northnet:64501:0.6", "southcell:AS64502:0.4:mobile"


def new(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["new", *map(str, arguments)])


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", ["scenario", "policy", "profile"])
def test_what_is_written_passes_check_as_it_is(kind: str) -> None:
    assert new(kind, "mine").exit_code == 0
    done = CliRunner().invoke(app, ["check", "mine.yaml"])
    assert done.exit_code == 0, done.stderr
    assert done.output.startswith("ok mine.yaml: ")
    assert "SCHEMA/" not in Path("mine.yaml").read_text()


@pytest.mark.parametrize("kind", ["country", "scenario", "policy", "profile"])
@pytest.mark.parametrize("name", ["on", "null", "2022", "2022-01-05", "1e5"])
def test_a_name_that_yaml_would_read_as_something_else_is_written_as_text(kind: str, name: str) -> None:
    given = ["--operator", f"{name}:64501", "--operator", "yes:64502"] if kind == "country" else []
    made = new(kind, name, *given)
    assert made.exit_code == 0, made.stderr
    done = CliRunner().invoke(app, ["check", f"{name}.yaml"])
    assert done.exit_code == 0, done.stderr
    if kind == "country":
        assert new("scenario", "in-it", "--country", f"{name}.yaml").exit_code == 0
        assert CliRunner().invoke(app, ["check", "in-it.yaml"]).exit_code == 0


def test_a_country_of_nobody_is_refused() -> None:
    done = new("country", "empty", "--operator", NORTH, "--subscribers", "0")
    assert done.exit_code == 2
    assert "--subscribers: found 0; expected more than 0" in done.stderr


def test_the_last_as_number_is_reserved() -> None:
    done = new("country", "last", "--operator", "northnet:4294967295")
    assert done.exit_code == 2
    assert (
        "--operator: found 'northnet:4294967295'; expected an AS number after the name, 1 to 4294967294" in done.stderr
    )


def test_a_new_scenario_in_a_new_country_holds_what_it_expects() -> None:
    assert new("country", "land", "--operator", NORTH, "--operator", SOUTH, "--subscribers", "5").exit_code == 0
    assert new("scenario", "mine", "--country", "land.yaml").exit_code == 0
    done = CliRunner().invoke(app, ["verify", "mine.yaml"])
    assert done.exit_code == 0, done.output
    assert "expectations hold" in done.output
    topology = library.load_topology("land.yaml").topology
    assert {name: (o.asn, o.subscribers) for name, o in topology.operators.items()} == {
        "northnet": (64501, 3.0),
        "southcell": (64502, 2.0),
    }
    assert {v.access.value for v in topology.vantages() if v.id.operator == "southcell"} == {"mobile"}


def test_a_new_country_may_have_an_operator_by_satellite() -> None:
    given = ("--operator", "dishes:64510:0.1:satellite", "--operator", NORTH)
    assert new("country", "land", *given).exit_code == 0
    topology = library.load_topology("land.yaml").topology
    assert topology.by_satellite == {"dishes"}
    assert topology.operators["dishes"].exchange is False
    assert topology.operators["dishes"].transit == topology.operators["northnet"].transit == ("as64601",)
    assert "  satellite: {delay: 25ms" in Path("land.yaml").read_text()
    assert new("scenario", "mine", "--country", "land.yaml").exit_code == 0
    assert CliRunner().invoke(app, ["verify", "mine.yaml"]).exit_code == 0


def test_foreigners_phones_are_a_group_that_a_new_country_says_how_to_add() -> None:
    assert new("country", "land", "--operator", NORTH, "--operator", SOUTH).exit_code == 0
    written = Path("land.yaml").read_text().splitlines()
    said = [line for line in written if "foreigners' phones" in line]
    assert len(said) == 1, "only a mobile operator has guests"
    region = written.index(said[0]) + 1
    group = said[0].partition("`ordinary`: ")[2]
    written[region] = written[region].replace("{ordinary", f"{{{group}, ordinary")
    Path("land.yaml").write_text("\n".join(written))
    guests = [vantage for vantage in library.load_topology("land.yaml").topology.vantages() if vantage.home]
    assert [(str(vantage.id), vantage.home) for vantage in guests] == [("southcell/capital/guests", "as64601")]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("country", "mine", "--operator", "a:1:0.5:roaming"), "found 'a:1:0.5:roaming'; expected NAME:ASN[:SHARE]"),
        (("country", "Mine"), "NAME: found 'Mine'; expected at most 40 lower-case letters"),
        (("country", "mine"), "--operator: found none, and no terminal to ask for them; expected NAME:ASN"),
        (("country", "mine", "--operator", "a"), "--operator: found 'a'; expected NAME:ASN"),
        (("country", "mine", "--operator", "a:b"), "--operator: found 'a:b'; expected an AS number after the name"),
        (("country", "mine", "--operator", "A:1"), "found the name 'A' in 'A:1'; expected lower-case letters"),
        (("country", "mine", "--operator", "a:1:60"), "found 'a:1:60'; expected NAME:ASN[:SHARE]"),
        (("country", "mine", "--operator", "a:1:most"), "found 'a:1:most'; expected NAME:ASN[:SHARE]"),
        (("country", "mine", "--operator", "a:1:0.5:dialup"), "found 'a:1:0.5:dialup'; expected NAME:ASN"),
        (("country", "mine", "--operator", "a:0"), "expected an AS number after the name"),
        (("country", "mine", "--operator", "a:1:0.7", "--operator", "b:2:0.7"), "found shares of 1.4 in all"),
        (("country", "mine", "--operator", "a:1", "--operator", "b:1"), "found 1 twice; expected a different AS"),
        (("country", "mine", "--operator", "a:1", "--code", "kz"), "--code: found 'kz'; expected two capital letters"),
        (("country", "mine", "--from-ripe", "no.mrt"), "no.mrt: found a file that cannot be read"),
        (("scenario", "mine", "--operator", "a:1"), "--operator: found `new scenario`"),
        (("scenario", "mine", "--country", "nowhere"), "nowhere: found no such file"),
        (("policy", "mine", "--country", "two-operators"), "--country: found `new policy`"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_made_is_reported_and_nothing_is_written(arguments: tuple[str, ...], told: str) -> None:
    done = new(*arguments)
    assert done.exit_code == 2
    assert told in done.stderr
    assert not Path("mine.yaml").exists()


def test_a_file_that_is_there_is_never_written_over() -> None:
    Path("mine.yaml").write_text("mine")
    assert new("policy", "mine").exit_code == 2
    assert Path("mine.yaml").read_text() == "mine"
    assert new("policy", "mine", "--out", "other.yaml").exit_code == 0


def test_at_a_terminal_the_operators_are_asked_for() -> None:
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-c", "from shutdownlab.cli import main; main()", "new", "country", "mine"]
    with subprocess.Popen(argv, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as asked:
        os.write(ours, f"{NORTH}\n{SOUTH}\n\n".encode())
        out, _ = asked.communicate(timeout=60)
    assert asked.returncode == 0, out
    assert set(library.load_topology("mine.yaml").topology.operators) == {"northnet", "southcell"}


# --- routing data ---


def table(routes: list[tuple[str, list[list[int]]]]) -> bytes:
    """A table of routes in MRT, as RIS has them (RFC 6396): prefixes, each with AS paths."""

    def record(subtype: int, body: bytes) -> bytes:
        return struct.pack("!IHHI", 1_700_000_000, 13, subtype, len(body)) + body

    peer = struct.pack("!B4s4sI", 2, ip_address("192.0.2.1").packed, ip_address("192.0.2.1").packed, 64499)
    made = record(1, ip_address("192.0.2.1").packed + struct.pack("!HH", 0, 1) + peer)
    for number, (text, paths) in enumerate(routes):
        prefix = ip_network(text)
        body = (
            struct.pack("!IB", number, prefix.prefixlen) + prefix.network_address.packed[: (prefix.prefixlen + 7) // 8]
        )
        body += struct.pack("!H", len(paths))
        for path in paths:
            segment = struct.pack(f"!BB{len(path)}I", 2, len(path), *path)
            attributes = b"\x40\x01\x01\x00" + struct.pack("!BBH", 0x50, 2, len(segment)) + segment
            body += struct.pack("!HIH", 0, 1_700_000_000, len(attributes)) + attributes
        made += record(2 if prefix.version == 4 else 4, body)
    return made


ROUTES = [
    ("45.112.176.0/22", [[64499, 3356, 9988], [64499, 7473, 9988, 9988]]),
    ("45.112.176.0/24", [[64499, 3356, 9988]]),
    ("2400:5f40::/32", [[64499, 7473, 9988]]),
    ("37.111.0.0/20", [[64499, 7473, 9988, 133385]]),
    ("8.8.8.0/24", [[64499, 15169]]),
]


def test_a_table_gives_the_prefixes_of_those_asked_for_and_whom_their_routes_come_through() -> None:
    Path("bview.gz").write_bytes(gzip.compress(table(ROUTES)))
    data = RoutingData({9988, 133385})
    data.read(Path("bview.gz"))
    assert set(map(str, data.of(9988).prefixes)) == {"45.112.176.0/22", "45.112.176.0/24", "2400:5f40::/32"}
    assert data.of(9988).neighbours == {3356: 2, 7473: 2}
    assert data.of(9988).addresses == 1024
    assert data.of(133385).neighbours == {9988: 1}
    assert 15169 not in data.systems


def test_bits_of_a_prefix_beyond_its_length_are_irrelevant() -> None:
    whole = table([("45.112.128.0/17", [[64499, 9988]])])
    assert whole.count(bytes([17, 45, 112, 128])) == 1
    Path("bview").write_bytes(whole.replace(bytes([17, 45, 112, 128]), bytes([17, 45, 112, 0xFF])))
    data = RoutingData({9988})
    data.read(Path("bview"))
    assert set(map(str, data.of(9988).prefixes)) == {"45.112.128.0/17"}


def test_an_operator_gets_no_prefix_with_an_address_of_what_is_reached_abroad() -> None:
    """8.8.8.8 is Google's resolver: served through a transit, it cannot be in the country too."""
    routes = [("8.8.0.0/16", [[6939, 64510]]), ("45.112.176.0/22", [[6939, 64510]])]
    Path("bview").write_bytes(table([*routes, ("2a00:1450::/32", [[6939, 64510]])]))
    made = new("country", "mine", "--from-ripe", "bview", "--operator", "one:64510")
    assert made.exit_code == 0, made.output
    prefixes = library.load_topology("mine.yaml").topology.operators["one"].prefixes
    assert list(map(str, prefixes)) == ["45.112.176.0/22", "2001:db8:100::/48"]


def test_another_reader_reads_the_same_out_of_that_table() -> None:
    Path("bview").write_bytes(table(ROUTES))
    found: dict[int, set[str]] = {}
    for entry in mrtparse.Reader("bview"):
        for route in entry.data.get("rib_entries", ()):
            path = next(a["value"][0]["value"] for a in route["path_attributes"] if 2 in a["type"])
            found.setdefault(int(path[-1]), set()).add(f"{entry.data['prefix']}/{entry.data['length']}")
    data = RoutingData(found)
    data.read(Path("bview"))
    assert {asn: set(map(str, data.of(asn).prefixes)) for asn in found} == found


def answer(call: str, **data: Any) -> str:
    return json.dumps({"data_call_name": call, "data": data})


def test_a_country_has_the_real_prefixes_and_neighbours_of_its_operators() -> None:
    Path("bview").write_bytes(table(ROUTES))
    Path("mpt.json").write_text(answer("as-overview", resource="9988", holder='MPT-AP Myanma Posts: "MPT"'))
    operators = ("--operator", "mpt:9988:0.7:mobile", "--operator", "telenor:133385:0.3:mobile")
    done = new("country", "land", *operators, "--code", "MM", "--from-ripe", "bview", "--from-ripe", "mpt.json")
    assert done.exit_code == 0, done.stderr
    topology = library.load_topology("land.yaml").topology
    mpt, telenor = topology.operators["mpt"], topology.operators["telenor"]
    assert (mpt.title, list(map(str, mpt.prefixes))) == (
        'MPT-AP Myanma Posts: "MPT"',
        ["45.112.176.0/22", "2400:5f40::/32"],
    )
    assert set(mpt.transit) == {"as3356", "as7473"}
    assert telenor.transit == ("mpt",)
    assert {transit.asn for transit in topology.transits.values()} == {3356, 7473}


def test_a_customer_that_is_named_before_its_carrier_buys_from_it_all_the_same() -> None:
    Path("bview").write_bytes(table(ROUTES))
    operators = ("--operator", "telenor:133385:0.3:mobile", "--operator", "mpt:9988:0.7:mobile")
    assert new("country", "land", *operators, "--from-ripe", "bview").exit_code == 0
    topology = library.load_topology("land.yaml").topology
    assert topology.operators["telenor"].transit == ("mpt",)
    assert "ASSUMED" not in next(
        line for line in Path("land.yaml").read_text().splitlines() if "transit: [mpt]" in line
    )


def test_a_carrier_of_whom_no_data_tells_is_assumed_and_says_so() -> None:
    Path("bview").write_bytes(table(ROUTES))
    operators = ("--operator", "mpt:9988:0.7:mobile", "--operator", "other:64510:0.3:fixed")
    assert new("country", "land", *operators, "--from-ripe", "bview").exit_code == 0
    lines = [
        line.strip() for line in Path("land.yaml").read_text().splitlines() if line.strip().startswith("transit: [")
    ]
    assert lines == ["transit: [as3356, as7473]", "transit: [as3356]  # ASSUMED"]
    land = library.load_topology("land.yaml").topology
    assert {name: operator.source for name, operator in land.operators.items()} == {"mpt": "ROUTES", "other": "ASSUMED"}


def test_private_addresses_that_leaked_into_a_table_are_nobody_s() -> None:
    Path("bview").write_bytes(table([("10.0.0.0/8", [[64499, 3356, 9988]]), ("fd00::/8", [[3356, 9988]]), *ROUTES]))
    assert new("country", "land", "--operator", "mpt:9988:1", "--from-ripe", "bview").exit_code == 0
    mpt = library.load_topology("land.yaml").topology.operators["mpt"]
    assert list(map(str, mpt.prefixes)) == ["45.112.176.0/22", "2400:5f40::/32"]


def test_ripestats_answers_alone_make_a_country_by_its_addresses() -> None:
    for asn, prefixes in ((9988, ["45.112.176.0/22"]), (133385, ["37.111.0.0/20"])):
        told = answer("announced-prefixes", resource=str(asn), prefixes=[{"prefix": each} for each in prefixes])
        Path(f"{asn}.json").write_text(told)
    left = answer(
        "asn-neighbours",
        resource="9988",
        neighbours=[{"asn": 3356, "type": "left", "power": 7}, {"asn": 1, "type": "right"}],
    )
    Path("left.json").write_text(left)
    files = [argument for name in ("9988", "133385", "left") for argument in ("--from-ripe", f"{name}.json")]
    assert new("country", "land", *files).exit_code == 0
    operators = library.load_topology("land.yaml").topology.operators
    assert {name: round(o.subscribers, 1) for name, o in operators.items()} == {"as133385": 8.0, "as9988": 2.0}
    assert operators["as9988"].transit == ("as3356",)


def test_a_network_of_which_the_data_has_ipv4_prefixes_alone_is_ipv4_only() -> None:
    Path("bview").write_bytes(table(ROUTES))
    operators = ("--operator", "telenor:133385:0.3:mobile", "--operator", "mpt:9988:0.7:mobile")
    assert new("country", "land", *operators, "--from-ripe", "bview").exit_code == 0
    land = library.load_topology("land.yaml").topology.operators
    assert (land["telenor"].versions, land["mpt"].versions) == ((4,), (4, 6))
    told = next(line for line in Path("land.yaml").read_text().splitlines() if "37.111.0.0/20" in line)
    assert told.endswith("# the largest of 1 (ROUTES); IPv4-only (ROUTES)")


def test_a_table_without_any_route_of_ipv6_does_not_tell_who_has_none() -> None:
    Path("bview").write_bytes(table([route for route in ROUTES if ":" not in route[0]]))
    assert new("country", "land", "--operator", "mpt:9988", "--from-ripe", "bview").exit_code == 0
    assert library.load_topology("land.yaml").topology.operators["mpt"].versions == (4, 6)
    assert "IPv6 ASSUMED" in Path("land.yaml").read_text()
    told = answer("announced-prefixes", resource="9988", prefixes=[{"prefix": "45.112.176.0/22"}])
    Path("mpt.json").write_text(told)
    files = ("--from-ripe", "bview", "--from-ripe", "mpt.json")
    assert new("country", "known", "--operator", "mpt:9988", *files).exit_code == 0
    assert library.load_topology("known.yaml").topology.operators["mpt"].versions == (4,)


def test_who_has_ipv6_and_buys_from_an_ipv4_only_carrier_gets_another_one_too() -> None:
    below, own = [[64499, 7473, 133385, 9988]], ("37.111.0.0/20", [[64499, 7473, 133385]])
    Path("bview").write_bytes(table([("45.112.176.0/22", below), ("2400:5f40::/32", [[64499, 133385, 9988]]), own]))
    operators = ("--operator", "telenor:133385:0.3", "--operator", "mpt:9988:0.7")
    assert new("country", "land", *operators, "--from-ripe", "bview").exit_code == 0
    land = library.load_topology("land.yaml").topology.operators
    assert (land["mpt"].transit, land["mpt"].versions) == (("telenor", "as7473"), (4, 6))
    assert "# as7473 ASSUMED: telenor has no IPv6" in Path("land.yaml").read_text()


@pytest.mark.parametrize(
    "given", ["old:64501:ipv4", "old:64501:60%:ipv4", "old:64501:mobile:ipv4", "old:64501:0.6:mobile:ipv4"]
)
def test_an_operator_may_be_asked_for_without_ipv6(given: str) -> None:
    assert new("country", "land", "--operator", given, "--operator", "both:64502").exit_code == 0
    land = library.load_topology("land.yaml").topology.operators
    assert (land["old"].versions, land["both"].versions) == ((4,), (4, 6))
    assert "# IPv4 ASSUMED; IPv4-only" in Path("land.yaml").read_text()
    done = new("country", "other", "--operator", "old:64501:ipv6")
    assert done.exit_code == 2 and "with `:ipv4` it has no IPv6" in done.stderr


def _record(kind: int, subtype: int, content: bytes) -> bytes:
    return struct.pack("!IHHI", 0, kind, subtype, len(content)) + content


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "an empty file"),
        (b"not a table of routes at all", "neither MRT nor JSON"),
        (table(ROUTES)[:-3], "a file that ends in the middle of a record"),
        (table(ROUTES)[:12], "a file that ends in the middle of a record"),
        (b"{}", "JSON, but not an answer of RIPEstat that can be used"),
        (b'{"data": {}}', "JSON, but not an answer of RIPEstat that can be used (without 'data_call_name')"),
        (b'{"data_call_name":' + b"[" * 100_000, "JSON, but not an answer of RIPEstat that can be used"),
        (
            b'{"data_call_name": "announced-prefixes", "data": {"resource": Infinity, "prefixes": []}}',
            "JSON, but not an answer of RIPEstat that can be used",
        ),
        (answer("whois", resource="1").encode(), "RIPEstat's answer to whois"),
        (b"[1, 2]", "JSON, but not an answer of RIPEstat that can be used (with values of other types)"),
        (
            b'{"data_call_name": "announced-prefixes", "data": null}',
            "JSON, but not an answer of RIPEstat that can be used (with values of other types)",
        ),
        (
            b'{"data_call_name": "as-overview", "data": {"resource": "99999999999", "holder": "X"}}',
            "JSON, but not an answer of RIPEstat that can be used (99999999999 is no AS number)",
        ),
        (
            json.dumps(
                {"status": "error", "messages": [["error", "No such AS."]], "data_call_name": "as-overview", "data": {}}
            ).encode(),
            "RIPEstat's report of an error (No such AS.)",
        ),
        (b'{"status": "error"}', "RIPEstat's report of an error (without a message)"),
        (b"<!DOCTYPE html><title>404</title>", "a web page (HTML), or XML"),
        (b"\n \n<html>", "a web page (HTML), or XML"),
        (table([]), "MRT, but no table of routes (a table without routes)"),
        (_record(16, 4, bytes(20)), "MRT, but no table of routes (updates, BGP4MP)"),
        (_record(12, 1, bytes(30)), "MRT, but no table of routes (a table in the old format TABLE_DUMP)"),
    ],
)
def test_a_file_that_is_not_routing_data_is_refused_with_the_kinds_that_are(content: bytes, told: str) -> None:
    Path("data").write_bytes(content)
    done = new("country", "mine", "--operator", "mpt:9988", "--from-ripe", "data")
    assert done.exit_code == 2
    assert f"data: found {told}" in done.stderr
    assert "TABLE_DUMP_V2" in done.stderr


def test_a_table_of_the_whole_world_needs_the_operators_that_are_the_countrys() -> None:
    Path("bview").write_bytes(table(ROUTES))
    done = new("country", "mine", "--from-ripe", "bview")
    assert done.exit_code == 2
    assert "found bview, a table of routes, and no --operator; expected --operator NAME:ASN" in done.stderr


def test_an_as_number_is_read_as_people_write_it() -> None:
    assert new("country", "land", "--operator", "one:as64501", "--operator", "two:AS64502").exit_code == 0
    topology = library.load_topology("land.yaml").topology
    assert {operator.asn for operator in topology.operators.values()} == {64501, 64502}


def test_a_file_that_a_program_of_windows_saved_is_read() -> None:
    answer = {"data_call_name": "announced-prefixes", "data": {"resource": "9198", "prefixes": [{"prefix": P4}]}}
    Path("bom.json").write_text(json.dumps(answer), encoding="utf-8-sig")
    assert new("country", "land", "--from-ripe", "bom.json").exit_code == 0
    assert P4 in Path("land.yaml").read_text()
    Path("bom.json.gz").write_bytes(gzip.compress(Path("bom.json").read_bytes()))
    assert new("country", "other", "--from-ripe", "bom.json.gz").exit_code == 0


def test_files_without_a_network_to_take_are_reported_as_that_and_nobody_is_asked() -> None:
    neighbours = {"data_call_name": "asn-neighbours", "data": {"resource": "9198", "neighbours": []}}
    Path("n.json").write_text(json.dumps(neighbours))
    done = new("country", "land", "--from-ripe", "n.json")
    assert done.exit_code == 2
    assert "--from-ripe: found no network with prefixes in n.json, and no --operator" in done.stderr


def test_a_file_that_is_not_a_table_is_not_taken_for_one_without_the_operator() -> None:
    Path("notes.txt").write_text("Northnet buys transit from One and from Two\n")
    done = new("country", "land", "--from-ripe", "notes.txt")
    assert done.exit_code == 2
    assert "notes.txt: found neither MRT nor JSON" in done.stderr


WORLD = [(f"45.{number >> 8}.{number & 255}.0/24", [[64499, 3356, 9988]]) for number in range(30_000)]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_table_that_is_cut_off_or_damaged_is_refused_wherever_that_is(
    pack: Callable[[bytes], bytes],
) -> None:
    """Most of all where what is left ends with a record: nothing else tells that the rest is missing."""
    whole = pack(table(WORLD))
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    cut = [whole[:size] for size in (20, len(whole) // 3, len(whole) // 2, len(whole) - 1)]
    members = pack(table(ROUTES)) + whole[: len(whole) // 3]
    for content in (*cut, members, pack(table(ROUTES)) + whole[:20], bytes(flipped)):
        Path("bview").write_bytes(content)
        done = new("country", "mine", "--operator", "mpt:9988", "--from-ripe", "bview")
        assert done.exit_code == 2
        assert "bview: found a damaged file: the compressed data " in done.stderr
    assert not Path("mine.yaml").exists()


def test_bytes_after_a_compressed_table_are_told_and_left_out() -> None:
    Path("bview.bz2").write_bytes(bz2.compress(table(ROUTES)) + b"and more")
    done = new("country", "mine", "--operator", "mpt:9988", "--from-ripe", "bview.bz2")
    assert done.exit_code == 0
    assert "warning: bview.bz2: the bytes after the compressed data were left out" in done.stderr
    assert library.load_topology("mine.yaml").topology.operators["mpt"].transit == ("as3356", "as7473")


def test_numbers_in_paths_that_are_no_network_s_are_nobody_s_neighbours() -> None:
    """0, AS_TRANS and the reserved ones; private ones count only where there are no others."""
    paths = [[3356, 0, 9988], [4_294_967_295, 9988], [7473, 23456, 9988], [64512, 9988], [4_200_000_001, 9988]]
    Path("bview").write_bytes(table([("45.112.176.0/22", paths), ("45.113.176.0/22", [[65535, 64512, 9988]])]))
    left = [{"asn": asn, "type": "left", "power": 9} for asn in (0, 23456, 65535, 4_294_967_295)]
    Path("left.json").write_text(answer("asn-neighbours", resource="9988", neighbours=left))
    files = ("--from-ripe", "bview", "--from-ripe", "left.json")
    assert new("country", "mine", "--operator", "mpt:9988", *files).exit_code == 0
    assert library.load_topology("mine.yaml").topology.operators["mpt"].transit == ("as3356", "as7473")
    Path("lab").write_bytes(table([("45.112.176.0/22", [[64602, 64501], [64601, 64501]])]))
    assert new("country", "lab-s", "--operator", "northnet:64501", "--from-ripe", "lab").exit_code == 0
    assert set(library.load_topology("lab-s.yaml").topology.operators["northnet"].transit) == {"as64601", "as64602"}


def test_transits_that_are_made_up_have_no_number_of_an_operator_s() -> None:
    operators = [part for number in range(64599, 64604) for part in ("--operator", f"as{number}:{number}:mobile")]
    done = new("country", "mine", *operators)
    assert done.exit_code == 0, done.stderr
    assert {transit.asn for transit in library.load_topology("mine.yaml").topology.transits.values()} == {64604, 64605}


def test_a_network_without_a_holder_has_the_name_it_was_given_for_a_title() -> None:
    Path("who.json").write_text(answer("as-overview", resource="9988", holder=None))
    assert new("country", "mine", "--operator", "mpt:9988", "--from-ripe", "who.json").exit_code == 0
    assert library.load_topology("mine.yaml").topology.operators["mpt"].title == "mpt"
