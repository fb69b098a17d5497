"""Reading captures, whole and damaged, and the records made of them."""

from __future__ import annotations

import gzip
import io
import struct
from pathlib import Path

import pytest
from wire import Connection, client_hello, dns_query, engine, http_get

from shutdownlab.inspection.capture import NotACaptureError, open_capture, read_capture
from shutdownlab.inspection.engine import FrameOutcome
from shutdownlab.inspection.links import decode_frame
from shutdownlab.inspection.offline import FlowRecord, OfflineInspection
from shutdownlab.inspection.policy import load_policy
from shutdownlab.inspection.profile import shipped_profile


class Recorder:
    """Stands in for an engine and keeps the frames."""

    def __init__(self) -> None:
        self.frames: list[tuple[float, bytes]] = []

    def process(self, frame: bytes, side: int, now: float, **_: object) -> FrameOutcome:
        self.frames.append((now, frame))
        return FrameOutcome()


def conversation() -> list[tuple[float, bytes]]:
    """A question for a name, a blocked TLS connection, an HTTP one; 10 packets."""
    recorder = Recorder()
    dns = Connection(recorder, sport=5353, dport=53)  # type: ignore[arg-type]
    dns.udp(dns_query("www.blocked.example"))
    tls = Connection(recorder, now=1.5)  # type: ignore[arg-type]
    tls.open()
    tls.data(client_hello("www.blocked.example"))
    tls.answer(b"\x15\x03\x03\0\x02\x02\x28")
    http = Connection(recorder, sport=40001, dport=80, now=2.5)  # type: ignore[arg-type]
    http.open()
    http.data(http_get("news.example"))
    return recorder.frames


def pcap(frames: list[tuple[float, bytes]], *, order: str = "<", nano: bool = False, link: int = 1) -> bytes:
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    unit = 1e9 if nano else 1e6
    result = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    for when, frame in frames:
        result += struct.pack(order + "IIII", int(when), round(when % 1 * unit), len(frame), len(frame)) + frame
    return result


def block(kind: int, body: bytes, order: str) -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def pcapng(frames: list[tuple[float, bytes]], *, order: str = "<", resolution: int = 9, simple: bool = False) -> bytes:
    result = block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)
    option = struct.pack(order + "HHB3xHH", 9, 1, resolution, 0, 0)
    result += block(1, struct.pack(order + "HHI", 1, 0, 65535) + option, order)
    result += block(5, bytes(12), order)  # interface statistics: to be skipped
    for when, frame in frames:
        ticks = round(when * 10**resolution)
        head = struct.pack(order + "IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame))
        body = struct.pack(order + "I", len(frame)) + frame if simple else head + frame
        result += block(3 if simple else 6, body, order)
    return result


FRAMES = conversation()
FORMATS = {
    "pcap": pcap(FRAMES),
    "pcap, other byte order": pcap(FRAMES, order=">"),
    "pcap, nanoseconds": pcap(FRAMES, nano=True),
    "pcapng": pcapng(FRAMES),
    "pcapng, other byte order": pcapng(FRAMES, order=">", resolution=6),
    "gzip": gzip.compress(pcap(FRAMES)),
    "gzipped pcapng": gzip.compress(pcapng(FRAMES)),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_packets(name: str, tmp_path: Path) -> None:
    path = tmp_path / "capture"
    path.write_bytes(FORMATS[name])
    capture = open_capture(path)
    packets = list(capture)
    assert [frame for _, _, frame in packets] == [frame for _, frame in FRAMES]
    assert [when for when, _, _ in packets] == pytest.approx([when for when, _ in FRAMES])
    assert {link for _, link, _ in packets} == {1}
    assert capture.warnings == []


def test_simple_packet_blocks_are_read_too() -> None:
    packets = list(read_capture(io.BytesIO(pcapng(FRAMES, simple=True)), "x"))
    assert [frame for _, _, frame in packets] == [frame for _, frame in FRAMES]


@pytest.mark.parametrize("name", ["pcap", "pcapng", "gzip"])
def test_a_cut_capture_gives_what_could_be_read_and_one_warning(name: str, tmp_path: Path) -> None:
    path = tmp_path / "cut.pcap"
    path.write_bytes(FORMATS[name][:-30])
    capture = open_capture(path)
    packets = list(capture)
    assert [frame for _, _, frame in packets] == [frame for _, frame in FRAMES[: len(packets)]]
    if name == "gzip":
        assert len(packets) > 3
        assert "compressed data ends in the middle" in capture.warnings[0]
    else:
        assert len(packets) == len(FRAMES) - 1
    assert len(capture.warnings) == 1
    assert "cut.pcap" in capture.warnings[0]


def test_every_cut_of_every_format_ends_without_an_exception() -> None:
    for data in (FORMATS["pcap"], FORMATS["pcapng"]):
        for end in range(4, len(data), 7):
            capture = read_capture(io.BytesIO(data[:end]), "x")
            assert len(list(capture)) <= len(FRAMES)


def test_a_damaged_length_stops_with_a_warning_that_says_where() -> None:
    data = bytearray(pcap(FRAMES))
    second = 24 + 16 + len(FRAMES[0][1])
    data[second + 8 : second + 12] = b"\xff\xff\xff\x7f"
    capture = read_capture(io.BytesIO(bytes(data)), "x")
    assert len(list(capture)) == 1
    assert "packet 2 claims" in capture.warnings[0]


def test_what_stands_above_the_link_type_is_no_part_of_it() -> None:
    # Ethernet with checksums: bit 26 says that their length is given, bits 28 to 31 that it is twice 16 bits.
    found = [len(list(read_capture(io.BytesIO(pcap(FRAMES, link=link)), "x"))) for link in (1, 0x2400_0001)]
    assert found == [len(FRAMES)] * 2


def test_a_capture_of_a_link_type_that_is_not_read_is_refused_by_its_name() -> None:
    with pytest.raises(NotACaptureError, match=r"packets of USBPCAP \(link type 249\)"):
        list(read_capture(io.BytesIO(pcap(FRAMES, link=249)), "x"))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "an empty file"),
        (b"hello, world\n", "a text file"),
        (b"PK\x03\x04" + bytes(100), "a zip archive"),
        (bytes(range(200)), "not a capture"),
        (b"\xa1", "not a capture"),
    ],
)
def test_a_file_that_is_not_a_capture_is_refused_by_its_kind(data: bytes, told: str) -> None:
    with pytest.raises(NotACaptureError, match=told):
        read_capture(io.BytesIO(data), "some.file")


@pytest.mark.parametrize(
    ("link", "header"),
    [
        (1, FRAMES[0][1][:14]),
        (101, b""),
        (228, b""),
        (0, b"\x02\0\0\0"),
        (108, b"\0\0\0\x02"),
        (113, bytes(14) + b"\x08\0"),
        (276, b"\x08\0" + bytes(18)),
        (9, b"\xff\x03\0\x21"),
        (104, b"\x0f\0\x08\0"),
    ],
)
def test_every_link_type_leads_to_the_same_packet(link: int, header: bytes) -> None:
    packet = decode_frame(link, header + FRAMES[0][1][14:])
    assert packet.problem is None
    assert (packet.sport, packet.dport) == (5353, 53)


# -- records -----------------------------------------------------------------------------------------------------------


def inspected(policy: str | None = None, profile: str = "perfect", data: bytes = FORMATS["pcap"]) -> list[FlowRecord]:
    inspection = OfflineInspection(load_policy(policy, "p.yaml") if policy else None, shipped_profile(profile))
    inspection.run(read_capture(io.BytesIO(data), "x"))
    assert inspection.summary().packets == 10
    return list(inspection.records())


def test_without_a_policy_each_connection_is_recognised_and_passes() -> None:
    dns, tls, http = inspected()
    assert dns == {
        "src": "100.64.1.2",
        "sport": 5353,
        "dst": "192.0.2.10",
        "dport": 53,
        "proto": "udp",
        "app": None,
        "protocol": "dns",
        "host": "www.blocked.example",
        "verdict": "pass",
        "rule": None,
        "packet": 1,
    }
    assert (tls["protocol"], tls["host"], tls["verdict"], tls["packet"]) == ("tls", "www.blocked.example", "pass", 5)
    assert (http["protocol"], http["host"], http["packet"]) == ("http", "news.example", 10)


def test_with_a_policy_the_record_names_rule_verdict_and_deciding_packet() -> None:
    policy = "rules:\n  - {name: no-example, when: {name_suffix: blocked.example}, verdict: block}\n"
    dns, tls, http = inspected(policy)
    assert (dns["verdict"], dns["rule"], dns["packet"]) == ("dns", "no-example", 1)
    assert (tls["verdict"], tls["rule"], tls["packet"]) == ("drop", "no-example", 5)
    assert (http["verdict"], http["rule"]) == ("pass", None)


def test_the_profile_decides_what_is_seen() -> None:
    policy = "rules:\n  - {name: no-example, when: {name_suffix: example}, verdict: block}\n"
    assert [record["verdict"] for record in inspected(policy, "kazakhstan-http")] == ["pass", "pass", "drop"]
    assert [record["verdict"] for record in inspected(policy, "turkmenistan-dns")] == ["dns", "reset", "reset"]


def test_inside_is_what_the_policy_says_else_who_opened() -> None:
    rules = "rules:\n  - {name: r, when: {opener: inside}, verdict: drop}\n"
    assert {record["verdict"] for record in inspected(rules)} == {"drop"}
    assert {record["verdict"] for record in inspected("inside: [192.0.2.0/24]\n" + rules)} == {"pass"}


def test_a_connection_that_begins_with_its_syn_ack_is_reported_the_right_way_round() -> None:
    data = pcap(FRAMES[2:6])
    inspection = OfflineInspection(None, shipped_profile("perfect"))
    inspection.run(read_capture(io.BytesIO(data), "x"))
    (record,) = inspection.records()
    assert (record["src"], record["dport"], record["host"]) == ("100.64.1.2", 443, "www.blocked.example")


def test_ports_used_twice_are_two_connections() -> None:
    recorder = Recorder()
    for isn, host in [(1000, "a.example"), (900_000, "b.example")]:
        connection = Connection(recorder, isn=isn)  # type: ignore[arg-type]
        connection.open()
        connection.data(client_hello(host))
        connection.reply("R")
    inspection = OfflineInspection(None, shipped_profile("perfect"))
    inspection.run(read_capture(io.BytesIO(pcap(recorder.frames)), "x"))
    assert [record["host"] for record in inspection.records()] == ["a.example", "b.example"]


def test_of_many_questions_from_one_port_the_first_is_reported_or_the_one_that_a_rule_matched() -> None:
    recorder = Recorder()
    asking = Connection(recorder, sport=5353, dport=53)  # type: ignore[arg-type]
    for name in ("first.example", "blocked.example", "last.example"):
        asking.udp(dns_query(name))
    policy = load_policy("rules:\n  - {name: r, when: {name_suffix: blocked.example}, verdict: block}\n", "p.yaml")
    told = []
    for each in (None, policy):
        inspection = OfflineInspection(each, shipped_profile("perfect"))
        inspection.run(read_capture(io.BytesIO(pcap(recorder.frames)), "x"))
        told += [(record["host"], record["verdict"], record["packet"]) for record in inspection.records()]
    assert told == [("first.example", "pass", 1), ("blocked.example", "dns", 2)]


def test_an_evading_capture_is_judged_by_the_profiles_own_parsing() -> None:
    """A decoy with a bad checksum before the request: China and Kazakhstan are evaded, a perfect box is not."""
    recorder = Recorder()
    connection = Connection(recorder, dport=80)  # type: ignore[arg-type]
    connection.open()
    connection.say("PA", b"\x8b\x04\xd9" * 20, bad_checksum=True)
    connection.data(http_get("blocked.example"))
    policy = load_policy("rules:\n  - {name: r, when: {name_suffix: blocked.example}, verdict: block}\n", "p.yaml")
    verdicts = {}
    for profile in ("gfw-http", "kazakhstan-http", "perfect"):
        inspection = OfflineInspection(policy, shipped_profile(profile))
        inspection.run(read_capture(io.BytesIO(pcap(recorder.frames)), "x"))
        verdicts[profile] = [record["verdict"] for record in inspection.records()]
    assert verdicts == {"gfw-http": ["pass"], "kazakhstan-http": ["pass"], "perfect": ["drop"]}


def test_the_engine_and_the_records_agree() -> None:
    box = engine("perfect")
    connection = Connection(box)
    connection.open()
    decision = connection.data(client_hello("www.blocked.example")).decision
    assert decision is not None
    record = inspected("rules:\n  - {name: rule, when: {name_suffix: blocked.example}, verdict: block}\n")[1]
    assert (record["host"], record["verdict"], record["rule"]) == (decision.host, decision.action, decision.rule)


def wrong_checksums(*, back: bool | None) -> list[tuple[float, bytes]]:
    """Five TLS connections; the packets of one end (`back`), or of both (None), have wrong checksums."""
    recorder = Recorder()
    for number in range(5):
        connection = Connection(recorder, sport=40000 + number)  # type: ignore[arg-type]
        ours, theirs = back is not True, back is not False
        connection.say("S", bad_checksum=ours)
        connection.seq += 1
        connection.reply("SA", bad_checksum=theirs)
        connection.ack += 1
        connection.say("A", bad_checksum=ours)
        connection.say("PA", client_hello("www.blocked.example"), bad_checksum=ours)
        connection.reply("A", bad_checksum=theirs)
        connection.reply("PA", b"\x15\x03\x03\0\x02\x02\x28", bad_checksum=theirs)
    return recorder.frames


@pytest.mark.parametrize(("back", "told"), [(None, "all checksums are ignored"), (False, "100.64.1.2 are wrong")])
def test_a_rewritten_or_unfinished_captures_checksums_are_not_looked_at(back: bool | None, told: str) -> None:
    inspection = OfflineInspection(None, shipped_profile("perfect"))
    inspection.run(read_capture(io.BytesIO(pcap(wrong_checksums(back=back))), "x"))
    assert [record["host"] for record in inspection.records()] == ["www.blocked.example"] * 5
    (warning,) = inspection.warnings
    assert told in warning
