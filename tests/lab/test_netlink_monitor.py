"""What somebody changes of a node's network is told by its kind; what follows by itself is not."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cables import Cables

from shutdownlab.system.kernel_settings import settings
from shutdownlab.system.netlink_monitor import NetlinkMonitor
from shutdownlab.system.netns import inside


@pytest.fixture
def node() -> Iterator[tuple[Cables, Path, Path]]:
    """A node with an address, and the router that it has one of its links to."""
    with Cables() as cables:
        node, router = cables.netns(), cables.netns()
        cables.veth(node, "eth0", router, "eth1")
        cables.address(node, "eth0", "192.0.2.2/24", "2001:db8::2/64")
        cables.address(router, "eth1", "192.0.2.1/24", "2001:db8::1/64")
        yield cables, node, router


def listening(netns: Path) -> NetlinkMonitor:
    with inside(netns):
        return NetlinkMonitor()


def told(monitor: NetlinkMonitor, netns: Path) -> list[str]:
    with inside(netns):
        return monitor.changes()


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("nft add table inet hand", "nftables' rules"),
        ("ip address add 192.0.2.9/24 dev eth0", "an address"),
        ("ip address del 192.0.2.2/24 dev eth0", "an address"),
        ("ip -6 address del 2001:db8::2/64 dev eth0", "an address"),
        ("ip route add blackhole 198.51.100.0/24", "a route"),
        ("ip -6 route add blackhole 2001:db8:9::/48", "a route"),
        ("ip rule add from 192.0.2.2 unreachable", "a routing rule"),
        ("ip -6 rule add from 2001:db8::2 unreachable", "a routing rule"),
        ("ip link set eth0 down", "an interface"),
        ("ip link del eth0", "an interface"),
        ("ip link set eth0 mtu 1400", "an interface"),
        ("ip link set eth0 address 02:00:00:00:00:09", "an interface"),
        ("ip link set eth0 arp off", "an interface"),
        ("ethtool -K eth0 tx off", "an interface"),
        ("tc qdisc add dev eth0 root tbf rate 100kbit burst 10kb latency 50ms", "a queueing discipline"),
        ("tc qdisc add dev eth0 clsact", "a queueing discipline"),
        ("ip neigh replace 192.0.2.1 dev eth0 lladdr 02:00:00:00:00:99 nud permanent", "a neighbour's address"),
        ("ip -6 neigh replace 2001:db8::1 dev eth0 lladdr 02:00:00:00:00:99 nud permanent", "a neighbour's address"),
        ("sysctl -w net.ipv4.ip_forward=1", "a sysctl"),
        ("sysctl -w net.ipv4.conf.eth0.rp_filter=1", "a sysctl"),
        ("sysctl -w net.ipv6.conf.all.forwarding=1", "a sysctl"),
    ],
)
def test_what_is_changed_is_told_by_its_kind(node: tuple[Cables, Path, Path], command: str, what: str) -> None:
    cables, changed, _ = node
    monitor = listening(changed)
    assert told(monitor, changed) == []
    cables.run(changed, *command.split())
    assert what in told(monitor, changed)
    assert told(monitor, changed) == [], "told once"
    monitor.close()


def test_traffic_a_peer_that_goes_down_and_what_the_kernel_does_of_itself_are_no_news(
    node: tuple[Cables, Path, Path],
) -> None:
    cables, own, router = node
    monitor = listening(own)
    cables.run(own, "ping", "-c", "2", "-i", "0.2", "192.0.2.1")
    cables.run(own, "ping", "-c", "2", "-i", "0.2", "2001:db8::1")
    cables.run(router, "ip", "link", "set", "eth1", "down")
    cables.run(router, "ip", "link", "set", "eth1", "up")
    end = time.monotonic() + 20
    while _carrier(own) != "up":
        assert time.monotonic() < end
    cables.run(own, "ping", "-c", "1", "-w", "10", "192.0.2.1")
    assert told(monitor, own) == []
    monitor.close()


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("sysctl -w net.ipv4.icmp_echo_ignore_all=1", "the sysctl net.ipv4.icmp_echo_ignore_all"),
        ("sysctl -w net.ipv4.tcp_pacing_ca_ratio=1", "the sysctl net.ipv4.tcp_pacing_ca_ratio"),
        ("sysctl -w net.ipv6.ip6frag_time=1", "the sysctl net.ipv6.ip6frag_time"),
        ("sysctl -w net.ipv4.tcp_window_scaling=0", "the sysctl net.ipv4.tcp_window_scaling"),
        ("iptables-legacy -A OUTPUT -p tcp --dport 443 -j DROP", "the tables of iptables-legacy"),
        ("ip6tables-legacy -A OUTPUT -p tcp --dport 443 -j DROP", "the tables of iptables-legacy"),
    ],
)
def test_what_the_kernel_does_not_announce_is_seen_by_reading_it_again(
    node: tuple[Cables, Path, Path], command: str, what: str
) -> None:
    cables, changed, _ = node
    with inside(changed):
        before = settings()
    cables.run(changed, *command.split())
    with inside(changed):
        now = settings()
    assert [name for name in now if now[name] != before[name]] == [what]


@pytest.mark.parametrize("program", ["iptables-legacy", "ip6tables-legacy"])
def test_a_rule_more_in_a_legacy_table_that_is_there_already_shows(
    node: tuple[Cables, Path, Path], program: str
) -> None:
    _, netns, _ = node
    with inside(netns):
        subprocess.run([program, "-A", "OUTPUT", "-p", "tcp", "--dport", "9", "-j", "DROP"], check=True)
        before = settings()
        assert settings() == before
        subprocess.run([program, "-A", "OUTPUT", "-p", "tcp", "--dport", "443", "-j", "DROP"], check=True)
        now = settings()
        assert [what for what in now if now[what] != before[what]] == ["the tables of iptables-legacy"]
        subprocess.run([program, "-R", "OUTPUT", "1", "-p", "tcp", "--dport", "80", "-j", "DROP"], check=True)
        assert [what for what in now if now[what] != settings()[what]] == ["the tables of iptables-legacy"], "as many"


@pytest.mark.parametrize(
    ("program", "address"), [("iptables-legacy", "192.0.2.1"), ("ip6tables-legacy", "2001:db8::1")]
)
def test_what_a_legacy_rule_has_counted_is_no_change(
    node: tuple[Cables, Path, Path], program: str, address: str
) -> None:
    cables, own, _ = node
    for port in ("9", "443"):
        cables.run(own, program, "-A", "OUTPUT", "-p", "tcp", "--dport", port, "-j", "DROP")
    cables.run(own, program, "-A", "OUTPUT", "-j", "ACCEPT")
    with inside(own):
        before = settings()
        cables.run(own, "ping", "-c", "2", "-i", "0.2", address)
        listed = subprocess.run([program, "-vnL", "OUTPUT"], capture_output=True, text=True, check=True).stdout
        packets, octets, target, *_ = listed.splitlines()[-1].split()
        assert target == "ACCEPT" and 0 not in (int(packets), int(octets))
        assert settings() == before


def _carrier(netns: Path) -> str:
    with inside(netns):
        found = subprocess.run(["ip", "-br", "link", "show", "eth0"], capture_output=True, text=True, check=True).stdout
    return found.split()[1].lower()
