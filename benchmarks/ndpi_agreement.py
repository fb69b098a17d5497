"""Measures agreement with nDPI on captures, flow by flow.

    python benchmarks/ndpi_agreement.py CAPTURE... [--verbose]

Make captures with `benchmarks/real_clients.py`. The oracle is nDPI, through `nfstream` if that is installed in this
Python, otherwise Debian's `ndpiReader` (libndpi-bin). Compares the flows of which nDPI names a protocol that this
engine knows too; flows that only one of them names are listed separately. Prints one JSON object; exit code 1 below
99 %.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from shutdownlab.inspection.capture import open_capture
from shutdownlab.inspection.offline import OfflineInspection
from shutdownlab.inspection.profile import shipped_profile

Key = tuple[int, frozenset[tuple[str, int]]]
NUMBERS = {"tcp": 6, "udp": 17}
GOAL = 0.99

KNOWN: dict[str, tuple[str, ...]] = {
    "TLS": ("tls", "doh", "dot", "tor"),
    "DoH_DoT": ("doh", "dot", "quic"),
    "DTLS": ("dtls",),
    "HTTP": ("http", "bittorrent", "mtproto"),
    "HTTP_Connect": ("http",),
    "HTTP_Proxy": ("http",),
    "HTTP2": ("http2",),
    "DNS": ("dns",),
    "MDNS": ("dns",),
    "LLMNR": ("dns",),
    "QUIC": ("quic",),
    "SSH": ("ssh",),
    "WireGuard": ("wireguard",),
    "OpenVPN": ("openvpn",),
    "Tor": ("tor",),
    "STUN": ("stun",),
    "SIP": ("sip",),
    "RTP": ("rtp",),
    "RTCP": ("rtcp",),
    "BitTorrent": ("bittorrent",),
    "Telegram": ("mtproto",),
    "WhatsApp": ("whatsapp",),
}
"""By nDPI's name of a protocol: this engine's protocols that agree with it, if nDPI names nothing more specific."""


@dataclass(frozen=True)
class Verdict:
    """One tool's classification of a flow."""

    protocol: str
    host: str


def ours(path: Path) -> dict[Key, Verdict]:
    inspection = OfflineInspection(None, shipped_profile("perfect"))
    inspection.run(open_capture(path))
    found: dict[Key, Verdict] = {}
    for record in inspection.records():
        if record["proto"] in NUMBERS:
            ends = frozenset(((record["src"], record["sport"]), (record["dst"], record["dport"])))
            found.setdefault((NUMBERS[record["proto"]], ends), Verdict(record["protocol"], record["host"] or ""))
    return found


def by_nfstream(path: Path) -> Iterator[tuple[Key, Verdict]]:
    from nfstream import NFStreamer  # type: ignore[import-not-found,unused-ignore]

    for flow in NFStreamer(source=str(path), n_dissections=32):
        ends = frozenset(((plain(flow.src_ip), flow.src_port), (plain(flow.dst_ip), flow.dst_port)))
        name = "Unknown" if flow.application_is_guessed else flow.application_name
        yield (flow.protocol, ends), Verdict(name, flow.requested_server_name)


def by_reader(path: Path) -> Iterator[tuple[Key, Verdict]]:
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "flows.csv"
        argv = ["ndpiReader", "-d", "-q", "-i", str(path), "-C", str(table)]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with table.open() as lines:
            for row in csv.DictReader(lines):
                ends = frozenset(
                    ((plain(row["src_ip"]), int(row["src_port"])), (plain(row["dst_ip"]), int(row["dst_port"])))
                )
                yield (int(row["protocol"]), ends), Verdict(row["ndpi_proto"], row["server_name_sni"])


def plain(address: str) -> str:
    return str(ip_address(address))


def agrees(theirs: Verdict, mine: Verdict) -> bool | None:
    """Whether both agree on a flow; None if nDPI names no protocol that this engine has."""
    master, _, inner = theirs.protocol.partition(".")
    wanted = KNOWN.get(inner) if inner in ("DoH_DoT", "Tor", "BitTorrent") else None
    wanted = wanted or KNOWN.get(master)
    if wanted is None:
        return None
    if mine.protocol not in wanted:
        return False
    name = theirs.host.rstrip(".").lower().partition(":")[0]
    if "?" in name:
        return True  # nDPI prints raw UTF-8 names this way; here they are A-labels
    # SSH and the like carry no host name; nDPI then uses the field for other things.
    return mine.protocol not in ("tls", "http", "dns", "quic", "dtls", "doh", "dot") or name in ("", mine.host)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captures", nargs="+", type=Path)
    parser.add_argument("--verbose", action="store_true", help="list every flow that is not agreed on")
    options = parser.parse_args()
    try:
        import nfstream  # type: ignore[import-not-found,unused-ignore]

        oracle, label = by_nfstream, f"nfstream {nfstream.__version__}"
    except ImportError:
        if shutil.which("ndpiReader") is None:
            parser.error("neither nfstream (pip) nor ndpiReader (libndpi-bin) is installed")
        oracle, label = by_reader, "ndpiReader"
    agreed = disputed = 0
    only_theirs: Counter[str] = Counter()
    only_ours: Counter[str] = Counter()
    disputes: list[str] = []
    for path in options.captures:
        mine = ours(path)
        for key, theirs in oracle(path):
            own = mine.get(key, Verdict("no such flow", ""))
            answer = agrees(theirs, own)
            if answer is None:
                if theirs.protocol == "Unknown" and own.protocol != "unknown":
                    only_ours[own.protocol] += 1
                elif theirs.protocol != "Unknown" and own.protocol == "unknown":
                    only_theirs[theirs.protocol] += 1
                continue
            agreed += answer
            disputed += not answer
            if not answer:
                disputes.append(f"{path.name} {sorted(key[1])}: nDPI {theirs}, here {own}")
    share = agreed / (agreed + disputed) if agreed + disputed else 0.0
    report = {
        "oracle": label,
        "captures": len(options.captures),
        "compared": agreed + disputed,
        "agreed": agreed,
        "agreement": round(share, 4),
        "only_ndpi": dict(only_theirs),
        "only_here": dict(only_ours),
    }
    print(json.dumps(report, indent=1))
    if options.verbose or share < GOAL:
        print("\n".join(disputes), file=sys.stderr)
    return 0 if share >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
