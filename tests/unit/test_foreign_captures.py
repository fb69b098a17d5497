"""Captures as others make them: link types with headers to skip, packets cut short, compressed files."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random

import lz4.frame
import pytest
import zstandard
from scapy.all import (
    IP,
    LLC,
    SNAP,
    CookedLinuxV2,
    Dot11,
    Dot11QoS,
    Ether,
    PcapWriter,
    PPPoE,
    RadioTap,
    raw,
    wrpcap,
    wrpcapng,
)
from scapy.layers.ppp import PPP
from scapy_traffic import TcpTraffic, http_request
from typer.testing import CliRunner, Result

from shutdownlab.cli import app

FRAMES = TcpTraffic().says(http_request("www.kaspi.kz")).frames
PACKETS = [frame[IP] for frame in FRAMES]


def nflog(packet: bytes) -> bytes:
    """As `tcpdump -i nflog` writes it: family, version, resource; a packet header, a prefix, the packet."""
    attributes = [(1, b"\x08\0\x03\0"), (10, b"\0"), (9, packet)]
    packed = (struct.pack("<HH", 4 + len(value), kind) + value for kind, value in attributes)
    return b"\x02\0\0\0" + b"".join(each + bytes(-len(each) % 4) for each in packed)


def pktap(frame: bytes) -> bytes:
    """As Apple's tcpdump writes it: 108 octets, of which the first three words are the length, the type, the DLT."""
    return struct.pack("<III", 108, 1, 1) + bytes(96) + frame


def radiotap(packet: IP, kind: type = Dot11) -> bytes:
    wireless = Dot11(type=2, subtype=8 if kind is Dot11QoS else 0, FCfield=1)
    inner = LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(code=0x0800) / packet
    return raw(RadioTap() / (wireless / Dot11QoS() if kind is Dot11QoS else wireless) / inner)


MACS = bytes(range(2, 14))


def snap(n: int) -> bytes:
    return raw(LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(code=0x0800) / PACKETS[n])


LINKS: dict[str, tuple[int, Callable[[int], bytes]]] = {
    "Wi-Fi with radiotap": (127, lambda n: radiotap(PACKETS[n])),
    "Wi-Fi with radiotap and QoS": (127, lambda n: radiotap(PACKETS[n], Dot11QoS)),
    "Wi-Fi": (105, lambda n: radiotap(PACKETS[n])[8:]),
    "PPI": (192, lambda n: struct.pack("<BBHI", 0, 0, 8, 105) + radiotap(PACKETS[n])[8:]),
    "NFLOG": (239, lambda n: nflog(raw(PACKETS[n]))),
    "PKTAP": (258, lambda n: pktap(raw(FRAMES[n]))),
    "Linux cooked v2": (276, lambda n: raw(CookedLinuxV2(proto=0x0800) / PACKETS[n])),
    "PPPoE": (51, lambda n: raw(PPPoE() / PPP() / PACKETS[n])),
    "PPP with a direction": (204, lambda n: b"\0" + raw(PPP() / PACKETS[n])),
    "pflog": (117, lambda n: b"\x3d" + bytes(63) + raw(PACKETS[n])),
    "OpenBSD's enc": (109, lambda n: bytes(12) + raw(PACKETS[n])),
    "Token Ring": (6, lambda n: b"\x10\x40" + MACS[:6] + b"\x82" + MACS[7:] + b"\x06\0\1\2\3\4" + snap(n)),
    "SLIP": (8, lambda n: bytes(16) + raw(PACKETS[n])),
    "Frame Relay": (107, lambda n: b"\x18\x41\3\xcc" + raw(PACKETS[n])),
    "Frame Relay with SNAP": (107, lambda n: b"\x18\x41\3\0\x80\0\0\0\x08\0" + raw(PACKETS[n])),
    "Frame Relay of Cisco's, with a direction": (206, lambda n: b"\1\x18\x41\x08\0" + raw(PACKETS[n])),
    "IP over Fibre Channel": (122, lambda n: bytes(16) + snap(n)),
    "ATM": (123, lambda n: b"\x82\0\0\x21" + snap(n)),
    "LAN emulation over ATM": (123, lambda n: b"\1\0\0\x21\0\1" + raw(FRAMES[n])),
    "a cable modem's": (143, lambda n: b"\0\0\0\0\0\0" + raw(FRAMES[n])),
    "a cable modem's, with an extension": (143, lambda n: b"\1\4\0\0" + bytes(4) + b"\0\0" + raw(FRAMES[n])),
    "a Juniper router's": (178, lambda n: b"MGC\x81\0\6" + bytes(6) + raw(FRAMES[n])),
    "a Juniper router's, of IP": (178, lambda n: b"MGC\3\0\0\0\2" + raw(PACKETS[n])),
    "Endace's": (197, lambda n: bytes(8) + b"\2\4" + bytes(6) + bytes(2) + raw(FRAMES[n])),
    "Endace's, with more headers": (
        197,
        lambda n: bytes(8) + b"\x82\4" + bytes(6) + b"\x83" + bytes(7) + b"\4" + bytes(7) + bytes(2) + raw(FRAMES[n]),
    ),
    "Endace's, of IP": (197, lambda n: bytes(8) + b"\x16\4" + bytes(6) + raw(PACKETS[n])),
    "Solaris's zones": (226, lambda n: b"\1\2" + bytes(22) + raw(PACKETS[n])),
    "netANALYZER with preambles": (241, lambda n: bytes(4) + b"\x55" * 7 + b"\xd5" + raw(FRAMES[n])),
    "Wireshark's exported packets": (252, lambda n: b"\0\x0c\0\4ip\0\0" + bytes(4) + raw(PACKETS[n])),
    "an optical network's": (259, lambda n: b"\x55\x55\xd5\x55\x55\0\1\x7a" + raw(FRAMES[n])),
    "frames with their preambles": (274, lambda n: b"\x55" * (7 - n % 2) + b"\xd5" + raw(FRAMES[n])),
    "Broadcom's switch": (281, lambda n: raw(FRAMES[n])[:12] + b"\x20\0\0\1" + raw(FRAMES[n])[12:]),
    "Broadcom's switch, its tag first": (282, lambda n: b"\x20\0\0\1" + raw(FRAMES[n])),
    "Marvell's switch": (284, lambda n: raw(FRAMES[n])[:12] + b"\x40\x20\0\0" + raw(FRAMES[n])[12:]),
    "Marvell's switch, with an EtherType": (
        285,
        lambda n: raw(FRAMES[n])[:12] + b"\xda\xda\0\0\x40\x20\0\0" + raw(FRAMES[n])[12:],
    ),
    "802.2 over ATM": (100, lambda n: raw(LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(code=0x0800) / PACKETS[n])),
}


def inspect(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["inspect", str(path), "--format", "jsonl", *arguments])


def hosts(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [json.loads(line)["host"] for line in result.stdout.splitlines()]


@pytest.mark.parametrize("name", LINKS)
def test_a_header_before_ip_is_skipped(tmp_path: Path, name: str) -> None:
    link, frame = LINKS[name]
    wrpcap(str(tmp_path / "a.pcap"), [frame(n) for n in range(len(FRAMES))], linktype=link)
    result = inspect(tmp_path / "a.pcap")
    assert hosts(result) == ["www.kaspi.kz"]
    assert not result.stderr


@pytest.mark.parametrize(
    ("link", "name"),
    [(249, "USBPCAP"), (189, "USB_LINUX"), (147, "USER0"), (135, "JUNIPER_ATM2"), (9999, "link type 9999")],
)
def test_an_unsupported_link_type_ends_with_2_and_its_name(tmp_path: Path, link: int, name: str) -> None:
    wrpcap(str(tmp_path / "usb.pcap"), [bytes(64)], linktype=link)
    result = inspect(tmp_path / "usb.pcap")
    assert result.exit_code == 2
    assert name in result.stderr and f"link type {link}" in result.stderr
    assert not result.stdout


def test_a_pcapng_file_is_read_where_one_of_its_interfaces_is(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    wrpcapng(str(path), FRAMES)
    data = path.read_bytes()
    assert hosts(inspect(path)) == ["www.kaspi.kz"]

    second = struct.pack("<IIHHII", 1, 20, 249, 0, 0, 20)  # an interface of USB, and a packet on it
    packet = struct.pack("<IIIIIII", 6, 36, 1, 0, 0, 4, 4) + bytes(4) + struct.pack("<I", 36)
    path.write_bytes(data + second + packet)
    result = inspect(path)
    assert hosts(result) == ["www.kaspi.kz"]
    assert "1 of 5 packets are of USBPCAP (link type 249), which cannot be read" in result.stderr.replace("\n", " ")

    whole = data.index(struct.pack("<I", 1), 28)  # the first interface becomes one of USB: none is left
    path.write_bytes(data[: whole + 8] + struct.pack("<H", 249) + data[whole + 10 :])
    result = inspect(path)
    assert (result.exit_code, result.stdout) == (2, "")


def test_files_that_were_joined_are_read_one_after_the_other(tmp_path: Path) -> None:
    written = []
    for n, endianness in enumerate("<>"):
        frames = TcpTraffic(40000 + n).says(http_request(f"a{n}.example")).frames
        wrpcap(str(tmp_path / "one.pcap"), frames, endianness=endianness)
        written.append((tmp_path / "one.pcap").read_bytes())
    (tmp_path / "a.pcap").write_bytes(b"".join(written))
    result = inspect(tmp_path / "a.pcap")
    assert hosts(result) == ["a0.example", "a1.example"]
    assert "another file is appended to it" in result.stderr.replace("\n", " ")
    (tmp_path / "a.pcap").write_bytes(written[0] + written[1][:24] * 3000 + written[1])
    result = inspect(tmp_path / "a.pcap")
    assert hosts(result) == ["a0.example", "a1.example"]
    assert "3,001 other files are appended" in result.stderr.replace("\n", " ")
    (tmp_path / "a.pcap").write_bytes(written[0] + written[0][:20] + struct.pack("<I", 249) + written[0][24:])
    result = inspect(tmp_path / "a.pcap")
    assert hosts(result) == ["a0.example"]
    assert "the data after packet 4 is of USBPCAP" in result.stderr.replace("\n", " ")


def test_a_pcap_and_a_pcapng_file_that_were_joined_are_read_both(tmp_path: Path) -> None:
    written = []
    for n, write in enumerate((wrpcap, wrpcapng)):
        write(str(tmp_path / "one"), TcpTraffic(40000 + n).says(http_request(f"a{n}.example")).frames)
        written.append((tmp_path / "one").read_bytes())
    for order in ((0, 1), (1, 0)):
        (tmp_path / "a.pcap").write_bytes(b"".join([written[n] for n in order]))
        result = inspect(tmp_path / "a.pcap")
        assert sorted(hosts(result)) == ["a0.example", "a1.example"]
        assert "another file is appended to it" in result.stderr.replace("\n", " ")


@pytest.mark.parametrize("kind", [0x0000000A, 0x00000BAD], ids=["secrets", "a program's own"])
def test_a_long_block_without_packets_is_passed_over(tmp_path: Path, kind: int) -> None:
    wrpcapng(str(tmp_path / "a.pcapng"), FRAMES)
    data = (tmp_path / "a.pcapng").read_bytes()
    (first,) = struct.unpack_from("<I", data, 4)
    length = struct.pack("<I", 12 + (3 << 20))
    (tmp_path / "a.pcapng").write_bytes(
        data[:first] + struct.pack("<I", kind) + length + bytes(3 << 20) + length + data[first:]
    )
    result = inspect(tmp_path / "a.pcapng")
    assert hosts(result) == ["www.kaspi.kz"]
    assert not result.stderr


def test_a_short_compressed_capture_whose_check_is_wrong_is_read(tmp_path: Path) -> None:
    wrpcap(str(tmp_path / "a.pcap"), FRAMES)
    packed = gzip.compress((tmp_path / "a.pcap").read_bytes())
    (tmp_path / "a.pcap.gz").write_bytes(packed[:-8] + bytes(8))
    result = inspect(tmp_path / "a.pcap.gz")
    assert hosts(result) == ["www.kaspi.kz"]
    assert "the compressed data is damaged" in result.stderr.replace("\n", " ")


def test_old_linux_systems_files_are_read(tmp_path: Path) -> None:
    header = struct.pack("<IHHiIII", 0xA1B2CD34, 2, 4, 0, 0, 65535, 1)
    records = [struct.pack("<IIIIIHBB", 1, 0, len(raw(f)), len(raw(f)), 2, 8, 0, 0) + raw(f) for f in FRAMES]
    (tmp_path / "a.pcap").write_bytes(header + b"".join(records))
    result = inspect(tmp_path / "a.pcap")
    assert hosts(result) == ["www.kaspi.kz"]
    assert not result.stderr


@pytest.mark.parametrize("kind", [0x9100, 0x9200, 0x9300])
def test_the_tags_of_old_switches_are_passed_over(tmp_path: Path, kind: int) -> None:
    wrpcap(str(tmp_path / "a.pcap"), [raw(f)[:12] + struct.pack("!HH", kind, 5) + raw(f)[12:] for f in FRAMES])
    assert hosts(inspect(tmp_path / "a.pcap")) == ["www.kaspi.kz"]


def test_a_capture_without_ip_says_so(tmp_path: Path) -> None:
    wrpcap(str(tmp_path / "a.pcap"), [Ether(type=0x88E5) / raw(f) for f in FRAMES])
    result = inspect(tmp_path / "a.pcap")
    assert hosts(result) == []
    assert "none of its 4 packets is IP" in result.stderr.replace("\n", " ")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"snoop\0\0\0\0\0\0\2\0\0\0\4", "Solaris's snoop"),
        (b"GMBU\0\2" + bytes(200), "Network Monitor"),
        (b"PK\3\4" + bytes(60), "a zip archive"),
        (b"\x02\x21\x4c\x18" + bytes(60), "LZ4's legacy format"),
        (b"\x1f\x9d\x90" + bytes(60), "compress (.Z)"),
        (bytes(257) + b"ustar\x0000" + bytes(248), "a tar archive"),
        (
            gzip.compress(bytes(257) + b"ustar\x0000" + bytes(248), mtime=0),
            "a tar archive, which is not unpacked, compressed by gzip",
        ),
        (gzip.compress(bz2.compress(b""), mtime=0), "a file compressed by bzip2, compressed by gzip"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "Git LFS's pointer"),
        ("é".encode() * 300, "a text file"),
        (b"\xff\xfeh\0", "a text file in UTF-16"),
    ],
)
def test_another_programs_capture_is_named(tmp_path: Path, data: bytes, name: str) -> None:
    (tmp_path / "a.cap").write_bytes(data)
    result = inspect(tmp_path / "a.cap")
    assert result.exit_code == 2
    assert name in result.stderr.replace("\n", " ")


def test_cut_packets_are_counted_and_warned_about(tmp_path: Path) -> None:
    with PcapWriter(str(tmp_path / "a.pcap")) as writer:
        writer.write_header(FRAMES[0])
        for frame in FRAMES:
            writer.write_packet(raw(frame)[:60], caplen=min(60, len(frame)), wirelen=len(frame))
    result = inspect(tmp_path / "a.pcap")
    assert hosts(result) == [None]
    assert "1 of 4 packets were cut when they were captured, to 60 bytes at most" in result.stderr.replace("\n", " ")


@pytest.mark.parametrize(
    "compress",
    [
        gzip.compress,
        bz2.compress,
        lzma.compress,
        lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
        zstandard.ZstdCompressor().compress,
        lz4.frame.compress,
    ],
)
def test_a_compressed_capture_is_read_whole_or_as_far_as_it_goes(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    chance = Random(1)
    frames = []
    for n in range(200):
        frames += TcpTraffic(40000 + n).says(http_request(f"a{n}.example"), chance.randbytes(1400)).frames
    wrpcap(str(tmp_path / "plain"), frames)
    plain = (tmp_path / "plain").read_bytes()
    middle = len(plain) // 2
    path = tmp_path / "a.pcap.packed"
    for packed in (compress(plain), compress(plain[:middle]) + compress(plain[middle:])):
        path.write_bytes(packed)
        result = inspect(path)
        assert len(hosts(result)) == 200
        assert not result.stderr
    path.write_bytes(compress(plain)[:-9])
    assert "the compressed data ends in the middle" in inspect(path).stderr.replace("\n", " ")
    path.write_bytes(compress(b"hello\n"))
    result = inspect(path)
    assert result.exit_code == 2
    assert "found a text file, compressed by" in result.stderr


@pytest.mark.parametrize("compress", [zstandard.ZstdCompressor().compress, lz4.frame.compress])
@pytest.mark.parametrize("length", [0, 4, 5000])
def test_skippable_frames_between_others_are_passed_over(
    tmp_path: Path, compress: Callable[[bytes], bytes], length: int
) -> None:
    frames = [frame for n in range(20) for frame in TcpTraffic(40000 + n).says(http_request(f"a{n}.example")).frames]
    wrpcap(str(tmp_path / "plain"), frames)
    plain = (tmp_path / "plain").read_bytes()
    skippable = b"\x5a\x2a\x4d\x18" + length.to_bytes(4, "little") + bytes(length)
    packed = compress(plain[:999]) + skippable + compress(plain[999:]) + skippable
    (tmp_path / "a.pcap.packed").write_bytes(packed)
    result = inspect(tmp_path / "a.pcap.packed")
    assert len(hosts(result)) == 20
    assert not result.stderr


def test_a_capture_as_pzstd_writes_it_begins_with_a_skippable_frame(tmp_path: Path) -> None:
    wrpcap(str(tmp_path / "plain"), TcpTraffic(40000).says(http_request("a.example")).frames)
    whole = zstandard.ZstdCompressor().compress((tmp_path / "plain").read_bytes())
    packed = b"\x50\x2a\x4d\x18\x04\0\0\0" + len(whole).to_bytes(4, "little") + whole
    (tmp_path / "a.pcap.zst").write_bytes(packed)
    assert hosts(inspect(tmp_path / "a.pcap.zst")) == ["a.example"]
    (tmp_path / "a.pcap.zst").write_bytes(packed[:10])
    cut = inspect(tmp_path / "a.pcap.zst")
    assert cut.exit_code == 2
    assert "found nothing that can be unpacked, compressed by zstd" in cut.stderr.replace("\n", " ")


def test_a_file_that_is_not_a_capture_is_reported_once(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("notes\n")
    result = inspect(tmp_path / "notes.txt")
    assert result.exit_code == 2
    assert result.stderr.count("notes.txt") == result.stderr.count("a pcap or pcapng file") == 1


@pytest.mark.parametrize(
    ("option", "file", "told"),
    [
        ("--policy", "scenarios/first-shutdown.yaml", "found a scenario; expected a policy of DPI boxes"),
        ("--policy", "topologies/two-operators.yaml", "found a topology; expected a policy of DPI boxes"),
        ("--policy", "shutdownlab/inspection/profiles/naive.yaml", "found a profile of DPI boxes; expected a policy"),
        ("--policy", "shutdownlab/inspection/apps.yaml", "found a catalogue of apps; expected a policy"),
        ("--profile", "scenarios/first-shutdown.yaml", "found a scenario; expected a profile of DPI boxes"),
    ],
)
def test_a_file_of_another_kind_is_named_for_what_it_is(tmp_path: Path, option: str, file: str, told: str) -> None:
    wrpcap(str(tmp_path / "a.pcap"), [Ether() / IP()])
    result = inspect(tmp_path / "a.pcap", option, str(Path(__file__).parents[2] / file))
    assert result.exit_code == 2
    assert told in result.stderr.replace("\n", " ")
    assert "1 problem found;" in result.stderr


def test_check_takes_a_profile_too() -> None:
    result = CliRunner().invoke(
        app, ["check", str(Path(__file__).parents[2] / "shutdownlab/inspection/profiles/naive.yaml")]
    )
    assert result.exit_code == 0, result.stderr


def test_check_names_what_it_does_not_take(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("colours: [red]\n")
    result = CliRunner().invoke(app, ["check", str(tmp_path / "mine.yaml")])
    assert result.exit_code == 2
    assert "expected the name or path of a topology" in result.stderr.replace("\n", " ")
