"""Settings of a network namespace that the kernel announces no change of: sysctls, and the tables of iptables-legacy.

Forwarding and reverse path filters are announced (`netlink_monitor`).
"""

from __future__ import annotations

import os
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
_LEGACY: Final = "the tables of iptables-legacy"


def settings() -> dict[str, bytes]:
    """Returns the settings of the calling thread's network namespace, by name; b"" for what this kernel lacks."""
    found = {f"the sysctl net.{name.replace('/', '.')}": _read(f"/proc/sys/net/{name}") for name in _SYSCTLS}
    return found | {_LEGACY: b" ".join(_read(f"/proc/thread-self/net/{name}") for name in _TABLES)}


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
