"""Settings of a network namespace that the kernel announces no change of: sysctls, and the tables of iptables-legacy.

Forwarding and reverse path filters are announced (`netlink_monitor`).
"""

from __future__ import annotations

import ctypes
import os
import socket
from typing import Final

_SYSCTLS: Final = (
    *("ipv4/icmp_echo_ignore_all", "ipv4/icmp_ratelimit", "ipv4/icmp_ratemask", "ipv6/icmp/echo_ignore_all"),
    *("ipv6/icmp/ratelimit", "ipv6/icmp/ratemask", "ipv4/ip_default_ttl", "ipv4/ip_no_pmtu_disc"),
    *("ipv4/ip_local_port_range", "ipv4/conf/all/arp_ignore", "ipv4/conf/all/arp_filter", "core/somaxconn"),
    *("ipv4/tcp_rmem", "ipv4/tcp_wmem", "ipv4/tcp_congestion_control", "ipv4/tcp_window_scaling", "ipv4/tcp_sack"),
    *("ipv4/tcp_timestamps", "ipv4/tcp_syn_retries", "ipv4/tcp_synack_retries", "ipv4/tcp_retries2"),
    *("ipv4/tcp_mtu_probing", "ipv4/tcp_ecn", "ipv4/tcp_abort_on_overflow", "ipv4/tcp_max_syn_backlog"),
)
"""What decides whether a connection succeeds, and how fast it is; all others would cost ten times as much to read."""
_TABLES: Final = ("ip_tables_names", "ip6_tables_names", "arp_tables_names")
_FAMILIES: Final = {
    "ip_tables_names": (socket.AF_INET, socket.IPPROTO_IP),
    "ip6_tables_names": (socket.AF_INET6, socket.IPPROTO_IPV6),
}
_LEGACY: Final = "the tables of iptables-legacy"
_INFO: Final = 64
_INFO_BYTES: Final = 84
"""IPT_SO_GET_INFO and its `struct ipt_getinfo` (<linux/netfilter_ipv4/ip_tables.h>; IPv6's are the same): a table's
name, then its hooks, where their rules begin, and how many rules and bytes there are."""


def settings() -> dict[str, bytes]:
    """Returns the settings of the calling thread's network namespace, by name; b"" for what this kernel lacks."""
    found = {f"the sysctl net.{name.replace('/', '.')}": _read(f"/proc/sys/net/{name}") for name in _SYSCTLS}
    tables = {name: _read(f"/proc/thread-self/net/{name}") for name in _TABLES}
    sizes = [_size(family, name) for which, family in _FAMILIES.items() for name in tables[which].split()]
    return found | {_LEGACY: b" ".join((*tables.values(), *sizes))}


def _size(family: tuple[int, int], table: bytes) -> bytes:
    """Returns how many rules a table of iptables-legacy has, and where its chains begin; b"" where that is unknown."""
    kind, level = family
    info = ctypes.create_string_buffer(table, _INFO_BYTES)
    length = ctypes.c_uint32(_INFO_BYTES)
    with socket.socket(kind, socket.SOCK_DGRAM) as asking:
        failed = ctypes.CDLL(None).getsockopt(asking.fileno(), level, _INFO, info, ctypes.byref(length))
    return b"" if failed else info.raw


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
