"""Settings of a network namespace that the kernel announces no change of: sysctls, and the tables of iptables-legacy.

Forwarding and reverse path filters are announced (`netlink_monitor`).
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from typing import Final

_SYSCTLS: Final = (
    *("ipv4/icmp_echo_ignore_all", "ipv4/icmp_ratelimit", "ipv4/icmp_ratemask", "ipv6/icmp/echo_ignore_all"),
    *("ipv6/icmp/ratelimit", "ipv6/icmp/ratemask", "ipv4/ip_default_ttl", "ipv4/ip_no_pmtu_disc"),
    *("ipv4/ip_local_port_range", "ipv4/conf/all/arp_ignore", "ipv4/conf/all/arp_filter", "core/somaxconn"),
    *("ipv4/tcp_rmem", "ipv4/tcp_wmem", "ipv4/tcp_congestion_control", "ipv4/tcp_window_scaling", "ipv4/tcp_sack"),
    *("ipv4/tcp_timestamps", "ipv4/tcp_syn_retries", "ipv4/tcp_synack_retries", "ipv4/tcp_retries2"),
    *("ipv4/tcp_mtu_probing", "ipv4/tcp_ecn", "ipv4/tcp_abort_on_overflow", "ipv4/tcp_max_syn_backlog"),
    *("ipv4/tcp_pacing_ca_ratio", "ipv4/tcp_pacing_ss_ratio", "ipv4/tcp_limit_output_bytes"),
    *("ipv4/tcp_adv_win_scale", "ipv4/tcp_moderate_rcvbuf", "ipv4/tcp_min_snd_mss", "ipv4/tcp_rto_min_us"),
    *("ipv4/route/min_pmtu", "ipv4/route/min_adv_mss", "ipv4/ipfrag_high_thresh", "ipv4/ipfrag_time"),
    *("ipv4/ipfrag_max_dist", "ipv6/ip6frag_high_thresh", "ipv6/ip6frag_time"),
)
"""What decides whether a connection succeeds, and how fast it is; all others would cost ten times as much."""
_TABLES: Final = ("ip_tables_names", "ip6_tables_names", "arp_tables_names")
_FAMILIES: Final = {
    "ip_tables_names": (socket.AF_INET, socket.IPPROTO_IP),
    "ip6_tables_names": (socket.AF_INET6, socket.IPPROTO_IPV6),
}
_LEGACY: Final = "the tables of iptables-legacy"
_INFO, _ENTRIES = 64, 65
_INFO_BYTES, _ENTRIES_HEAD = 84, 40
"""IPT_SO_GET_INFO and IPT_SO_GET_ENTRIES (<linux/netfilter_ipv4/ip_tables.h>; IPv6's are the same): `ipt_getinfo` is a
table's name, its hooks, where their rules begin, and how many rules and bytes there are; in `ipt_get_entries`, name and
bytes come before the rules."""
_COUNTERS: Final[dict[int, tuple[int, int]]] = {socket.AF_INET: (90, 96), socket.AF_INET6: (142, 152)}
"""Where in a rule (`struct ipt_entry`, `ip6t_entry`) the offset of the next one and the counters are, 16 bytes."""


def settings() -> dict[str, bytes]:
    """Returns the settings of the calling thread's network namespace, by name; b"" for what this kernel lacks."""
    found = {f"the sysctl net.{name.replace('/', '.')}": _read(f"/proc/sys/net/{name}") for name in _SYSCTLS}
    tables = {name: _read(f"/proc/thread-self/net/{name}") for name in _TABLES}
    rules = [_rules(family, name) for which, family in _FAMILIES.items() for name in tables[which].split()]
    return found | {_LEGACY: b" ".join((*tables.values(), *rules))}


def _rules(family: tuple[int, int], table: bytes) -> bytes:
    """Returns the rules of a table of iptables-legacy without their counters; b"" where these are unknown."""
    kind, level = family
    with socket.socket(kind, socket.SOCK_DGRAM) as asking:
        info = _asked(asking, level, _INFO, table.ljust(_INFO_BYTES, b"\0"))
        size = int.from_bytes(info[-4:], sys.byteorder)
        head = table.ljust(32, b"\0") + size.to_bytes(4, sys.byteorder)
        rules = bytearray(_asked(asking, level, _ENTRIES, head.ljust(_ENTRIES_HEAD + size, b"\0"))[_ENTRIES_HEAD:])
    place, (following, counters) = 0, _COUNTERS[kind]
    while place + counters + 16 <= len(rules):
        rules[place + counters : place + counters + 16] = bytes(16)
        place += max(int.from_bytes(rules[place + following : place + following + 2], sys.byteorder), 1)
    return bytes(rules)


def _asked(asking: socket.socket, level: int, option: int, request: bytes) -> bytes:
    """Returns what getsockopt(2) makes of a request; b"" if the kernel refuses it."""
    buffer = ctypes.create_string_buffer(request, len(request))
    length = ctypes.c_uint32(len(request))
    failed = ctypes.CDLL(None).getsockopt(asking.fileno(), level, option, buffer, ctypes.byref(length))
    return b"" if failed else buffer.raw


def _read(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
