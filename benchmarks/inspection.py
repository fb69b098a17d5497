"""Packets per second of the inspection engine on captures, side by side with scapy, dpkt and nDPI (through nfstream).

    python benchmarks/inspection.py [--flows N] [--tool NAME]...

Generates two captures: one ClientHello per flow, and whole TLS connections of 20 packets. Each tool must find every
flow's server name in them; slow tools get shorter captures. Tools that are not installed are left out. One process, one
core, best of three.
"""

from __future__ import annotations

import argparse
import struct
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from shutdownlab.inspection.capture import open_capture
from shutdownlab.inspection.forge import flag_bits, ip_packet, tcp_body
from shutdownlab.inspection.offline import OfflineInspection
from shutdownlab.inspection.profile import shipped_profile

ETHERNET = bytes.fromhex("0200000000020200000000010800")


def hello(name: bytes) -> bytes:
    """Returns a ClientHello of a browser's size and shape: 517 bytes, 12 extensions."""

    def extension(kind: int, body: bytes) -> bytes:
        return struct.pack("!HH", kind, len(body)) + body

    extensions = extension(0, struct.pack("!HBH", len(name) + 3, 0, len(name)) + name)
    extensions += extension(23, b"") + extension(0xFF01, b"\0") + extension(10, bytes.fromhex("0006001d00170018"))
    extensions += extension(11, b"\1\0") + extension(35, b"") + extension(16, b"\0\x0c\x02h2\x08http/1.1")
    extensions += extension(5, b"\1\0\0\0\0") + extension(13, bytes.fromhex("001004030804040105030805050108060601"))
    extensions += extension(51, b"\0\x26\0\x1d\0\x20" + bytes(32)) + extension(43, bytes.fromhex("0403040303"))
    ciphers = bytes.fromhex("130113021303c02bc02fc02cc030cca9cca8c013c014009c009d002f0035")
    head = b"\3\3" + bytes(32) + b"\x20" + bytes(32) + struct.pack("!H", len(ciphers)) + ciphers + b"\1\0"
    padding = 517 - 9 - len(head) - 2 - len(extensions) - 4
    extensions += extension(21, bytes(max(padding, 0)))
    body = head + struct.pack("!H", len(extensions)) + extensions
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return b"\x16\3\1" + struct.pack("!H", len(message)) + message


def connection(number: int, whole: bool) -> list[bytes]:
    """Returns the frames of one connection: its ClientHello alone, or (`whole`) 20 packets from SYN to FIN."""
    client = bytes((10, (number >> 16) & 0xFF, (number >> 8) & 0xFF, number & 0xFF))
    server = bytes((203, 0, 113, number % 250 + 1))
    port = 1024 + number % 60000
    first = hello(f"www{number % 5000}.example{number % 7}.org".encode())

    def frame(back: bool, flags: str, seq: int, ack: int, data: bytes = b"") -> bytes:
        src, dst = (server, client) if back else (client, server)
        ports = (443, port) if back else (port, 443)
        body = tcp_body(src, dst, *ports, seq, ack, flag_bits(flags), 64240, data)
        return ETHERNET + ip_packet(src, dst, 6, body, ttl=64, ipid=number & 0xFFFF)

    if not whole:
        return [frame(False, "PA", 1, 1, first)]
    frames = [
        frame(False, "S", 0, 0),
        frame(True, "SA", 0, 1),
        frame(False, "A", 1, 1),
        frame(False, "PA", 1, 1, first),
    ]
    sent, got = 1 + len(first), 1
    frames.append(frame(True, "A", got, sent))
    record = b"\x17\3\3\5\x73" + bytes(1395)
    for _ in range(6):
        frames.append(frame(True, "PA", got, sent, record))
        got += len(record)
        frames.append(frame(False, "A", sent, got))
    return [
        *frames,
        frame(False, "FA", sent, got),
        frame(True, "FA", got, sent + 1),
        frame(False, "A", sent + 1, got + 1),
    ]


def write_capture(path: Path, flows: int, whole: bool) -> int:
    """Writes a capture, with eight connections interleaved; returns its number of packets."""
    count = 0
    with path.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for start in range(0, flows, 8):
            group = [connection(number, whole) for number in range(start, min(start + 8, flows))]
            for step in range(len(group[0])):
                for frames in group:
                    frame = frames[step]
                    out.write(struct.pack("<IIII", count // 100000, count % 100000, len(frame), len(frame)) + frame)
                    count += 1
    return count


def with_engine(path: Path) -> int:
    inspection = OfflineInspection(None, shipped_profile("perfect"))
    inspection.run(open_capture(path))
    return sum(1 for record in inspection.records() if record["host"])


def with_scapy(path: Path) -> int:
    from scapy.layers.inet import TCP
    from scapy.layers.tls.all import TLS, ServerName, TLSClientHello
    from scapy.utils import PcapReader

    names = 0
    with PcapReader(str(path)) as packets:
        for packet in packets:
            if TCP in packet and bytes(packet[TCP].payload)[:1] == b"\x16":
                parsed = TLS(bytes(packet[TCP].payload))
                names += TLSClientHello in parsed and ServerName in parsed
    return names


def with_dpkt(path: Path) -> int:
    import dpkt

    names = 0
    with path.open("rb") as stream:
        for _, frame in dpkt.pcap.Reader(stream):
            data = dpkt.ethernet.Ethernet(frame).data.data.data
            if data[:1] == b"\x16":
                records, _ = dpkt.ssl.tls_multi_factory(data)
                handshake = dpkt.ssl.TLSHandshake(records[0].data)
                names += any(kind == 0 for kind, _ in handshake.data.extensions)
    return names


def with_ndpi(path: Path) -> int:
    from nfstream import NFStreamer

    return sum(
        1 for flow in NFStreamer(source=str(path), n_meters=1, statistical_analysis=False) if flow.requested_server_name
    )


TOOLS: dict[str, tuple[str, Callable[[Path], int], int]] = {
    "shutdownlab": ("shutdownlab", with_engine, 1),
    "nDPI (nfstream)": ("nfstream", with_ndpi, 1),
    "dpkt": ("dpkt", with_dpkt, 4),
    "scapy": ("scapy", with_scapy, 40),
}
"""By tool: module to import, function to run, and divisor of the capture's length, for slow tools."""


def measure(tool: str, whole: bool, flows: int, folder: Path) -> float:
    """Returns packets per second, best of three; raises if the tool does not find every name."""
    _, run, shorten = TOOLS[tool]
    flows = max(flows // shorten, 64)
    path = folder / f"{flows}-{whole}.pcap"
    packets = write_capture(path, flows, whole) if not path.exists() else flows * (20 if whole else 1)
    best = 0.0
    for _ in range(3):
        start = time.perf_counter()
        names = run(path)
        best = max(best, packets / (time.perf_counter() - start))
        if names != flows:
            raise RuntimeError(f"{tool} found {names} of {flows} names")
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flows", type=int, default=100_000)
    parser.add_argument("--tool", choices=TOOLS, action="append")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for whole in (False, True):
            flows = options.flows // (20 if whole else 1)
            print("whole connections of 20 packets" if whole else "one ClientHello a flow")
            ours = 0.0
            for tool in options.tool or TOOLS:
                if find_spec(TOOLS[tool][0]) is None:
                    print(f"  {tool:16} not installed")
                    continue
                rate = measure(tool, whole, flows, Path(name))
                ours = ours or rate
                print(f"  {tool:16} {rate:>12,.0f} packets/s   {ours / rate:8.1f} x")


if __name__ == "__main__":
    main()
