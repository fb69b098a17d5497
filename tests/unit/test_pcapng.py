"""What the recorder writes, as others read it: scapy, and tshark where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from io import BytesIO
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.utils import PcapNgReader

from shutdownlab.inspection.capture import read_capture
from shutdownlab.network.pcapng import last_words, lost, packet, secrets, section

PORTS = [("s1p1", "to the border"), ("s1p2", "to the gateway")]
AT_NS = 1_795_991_800_495_313_931
FRAMES = [bytes(Ether() / IP(dst="8.8.8.8") / TCP(dport=number)) for number in (1, 2, 3)]
COMMENTS = ["2022-01-05 10:30 UTC in the scenario: blackout", "порядок — ∞"]
LINE = b"CLIENT_TRAFFIC_SECRET_0 " + b"ab" * 32 + b" " + b"cd" * 32 + b"\n"


def a_capture() -> bytes:
    blocks = [section(PORTS, "what s1 receives", "shutdownlab"), *secrets(LINE * 2)]
    blocks += [packet(0, AT_NS, FRAMES[0]), packet(1, AT_NS + 1, FRAMES[1], COMMENTS), packet(0, AT_NS + 2, FRAMES[2])]
    return b"".join([*blocks, last_words(AT_NS + 3, "the end")])


def test_packets_are_read_with_their_times_and_comments() -> None:
    with PcapNgReader(BytesIO(a_capture())) as reader:
        read = list(reader)
    assert [bytes(each) for each in read] == FRAMES
    assert [list(map(bytes, each.comments or [])) for each in read] == [[], [text.encode() for text in COMMENTS], []]
    assert [round((float(each.time) - AT_NS // 10**9) * 1e9, -2) for each in read] == [495_313_900.0] * 3


def test_our_own_inspection_reads_past_secrets_and_comments_without_a_warning() -> None:
    capture = read_capture(BytesIO(a_capture()), "x")
    assert [frame for _, _, frame in capture] == FRAMES
    assert capture.warnings == []


def test_packets_that_were_lost_while_it_was_captured_are_reported() -> None:
    told = a_capture() + lost(0, AT_NS + 4, 40) + lost(1, AT_NS + 4, 2)
    capture = read_capture(BytesIO(told), "x")
    assert [frame for _, _, frame in capture] == FRAMES
    assert capture.warnings == ["x: 42 packets were lost while it was captured; their content is missing"]


def test_of_the_statistics_of_a_port_the_last_count() -> None:
    capture = read_capture(BytesIO(a_capture() + lost(0, AT_NS + 4, 40) + lost(0, AT_NS + 5, 41)), "x")
    assert len(list(capture)) == len(FRAMES)
    assert capture.warnings == ["x: 41 packets were lost while it was captured; their content is missing"]


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_wireshark_reads_how_many_were_lost(tmp_path: Path) -> None:
    (tmp_path / "x.pcapng").write_bytes(a_capture() + lost(0, AT_NS + 4, 40))
    argv = ["tshark", "-r", str(tmp_path / "x.pcapng"), "-T", "fields", "-e", "frame.number"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert (done.stdout.split(), "appears" in done.stderr) == (["1", "2", "3"], False)


def test_secrets_are_whole_lines_once_each_in_blocks_that_readers_take() -> None:
    lines = [b"CLIENT_RANDOM %064d %096d\n" % (number, number) for number in range(3000)]
    blocks = list(secrets(b"".join([*lines, *lines, b"CLIENT_RANDOM half a li"])))
    assert len(blocks) == 3
    assert max(map(len, blocks)) < 1 << 18 | 1 << 10
    found = b"".join(block[16 : 16 + int.from_bytes(block[12:16], "little")] for block in blocks)
    assert found == b"".join(lines)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_reads_it_whole_with_its_comments(tmp_path: Path) -> None:
    (tmp_path / "x.pcapng").write_bytes(a_capture() + b"".join([packet(0, AT_NS + 4, bytes(Ether() / IP() / UDP()))]))
    argv = ["tshark", "-r", str(tmp_path / "x.pcapng"), "-T", "fields", "-e", "frame.number", "-e", "frame.comment"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["1\t", f"2\t{','.join(COMMENTS)}", "3\t", "4\t"]
    assert "appears" not in done.stderr, "nothing of it is damaged"
