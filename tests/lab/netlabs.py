"""What the network tests run inside: functions named "netlabs:NAME" to `run_in_sandbox`. They assert."""

from __future__ import annotations

import faulthandler
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mininet.cli import CLI
from mininet.topo import Topo
from mininet.topolib import TreeTopo
from pyroute2 import NetlinkError

from shutdownlab.network.net import EmulatedNetwork
from shutdownlab.network.node import LabHost
from shutdownlab.system.kernel import MachineCannot

Payload = Mapping[str, Any]


def run(payload: Payload) -> int:
    """Run the function of this module that `lab` names; after 90 seconds show where it hangs, and end."""
    faulthandler.dump_traceback_later(90, exit=True)
    return int(globals()[payload["lab"]](payload))


def wait_for(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Fail unless `condition` is true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.02)


def in_node(node: LabHost, function: Callable[[], bytes]) -> tuple[int, int]:
    """Run `function` in a process forked into the node; its pid and where to read what it returns."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            node.enter()()
            os.write(writing, function())
        finally:
            os._exit(0)
    os.close(writing)
    return pid, reading


def result_of(started: tuple[int, int]) -> bytes:
    """What the forked function returned."""
    pid, reading = started
    with os.fdopen(reading, "rb") as pipe:
        result = pipe.read()
    os.waitpid(pid, 0)
    return result


def reaches(net: EmulatedNetwork, source: str, address: str, wait: int = 5) -> bool:
    return "1 received" in net[source].cmd(f"ping -c 1 -W {wait} {address}")


def lab(topo: Topo | None = None) -> EmulatedNetwork:
    """Built on the datapath SHUTDOWNLAB_TEST_DATAPATH names: `system` where the kernel has one."""
    return EmulatedNetwork(
        topo, datapath="system" if os.environ.get("SHUTDOWNLAB_TEST_DATAPATH") == "system" else "netdev"
    )


def started(topo: Topo) -> EmulatedNetwork:
    net = lab(topo)
    net.start()
    return net


def stock_topo(payload: Payload) -> int:
    net = started(TreeTopo(depth=2, fanout=3))
    assert (len(net.hosts), len(net.switches)) == (9, 4)
    assert not reaches(net, "h1", net["h2"].IP(), wait=1), "a switch in secure mode forwards nothing by itself"
    for switch in net.switches:
        assert switch.dpctl("add-flow", "actions=NORMAL") == ""
    assert net.pingAll(timeout="5") == 0
    commands = Path(payload["run_dir"], "commands")
    commands.write_text("nodes\nh1 echo from $(hostname) > " + f"{payload['run_dir']}/said\nlink s1 s2 down\n")
    CLI(net, script=str(commands))
    assert Path(payload["run_dir"], "said").read_text() == "from shutdownlab\n"
    assert not reaches(net, "h1", net["h9"].IP(), wait=1), "the CLI's `link s1 s2 down` cuts"
    return 0


class Routed(Topo):  # type: ignore[misc]
    def build(self) -> None:
        self.addHost(
            "client",
            addresses=[("wan", "203.0.113.10/24"), ("wan", "2001:db8:1::10/64"), ("lo", "192.0.2.1/32")],
            spare_addresses=[("wan", "203.0.113.9/24"), ("wan", "2001:db8:1::9/64")],
            routes=[("default", "203.0.113.1", "wan"), ("default", "2001:db8:1::1", None)],
            resolv="nameserver 203.0.113.53\n",
        )
        self.addHost(
            "router",
            forwarding=True,
            addresses=[
                ("in", "203.0.113.1/24"),
                ("in", "2001:db8:1::1/64"),
                ("out", "198.51.100.1/24"),
                ("out", "2001:db8:2::1/64"),
            ],
            routes=[("100.64.0.0/16", "198.51.100.10", None), ("2001:db8:64::/48", "2001:db8:2::10", "out")],
        )
        self.addHost(
            "server",
            addresses=[("lan", "198.51.100.10/24"), ("lan", "2001:db8:2::10/64")],
            routes=[("203.0.113.0/24", "198.51.100.1", None), ("2001:db8:1::/64", "2001:db8:2::1", None)],
            local_prefixes=["100.64.0.0/16", "2001:db8:64::/48"],
            sysctls={"net.ipv4.tcp_syn_retries": 2, "net/ipv4/conf/lan/arp_ignore": 1},
        )
        self.addLink("client", "router", intfName1="wan", intfName2="in", params1={"mac": "02:aa:00:00:00:01"})
        self.addLink("router", "server", intfName1="out", intfName2="lan")


def addresses_and_routes(payload: Payload) -> int:
    net = lab(Routed())
    client = net["client"]
    assert client.IP() == "203.0.113.10"
    assert client.MAC() == client.intf("wan").updateMAC() == "02:aa:00:00:00:01"
    for address in ("203.0.113.1", "198.51.100.10", "2001:db8:2::10", "100.64.7.9", "2001:db8:64:5::77"):
        assert reaches(net, "client", address), address
    assert net["server"].cmd("sysctl -n net.ipv4.tcp_syn_retries net.ipv4.conf.lan.arp_ignore").split() == ["2", "1"]
    assert "192.0.2.1" in client.cmd("ip -4 -o address show dev lo")
    assert "tentative" not in client.cmd("ip -6 address show")
    assert "deprecated" in client.cmd("ip -6 -o address show to 2001:db8:1::9")
    assert "203.0.113.255" in client.cmd("ip -4 -o address show to 203.0.113.10")  # its broadcast address
    assert client.cmd("ip -o -4 route get 198.51.100.10").split()[2] == "203.0.113.1"
    return 0


def programs_in_nodes(payload: Payload) -> int:
    net = lab(Routed())
    client, server = net["client"], net["server"]
    assert not [name for name in _running() if name.startswith("bash")], "no shell before one is asked for"
    expected = b"nameserver 203.0.113.53\n"
    spawned = client.spawn(["cat", "/etc/resolv.conf"], stdout=subprocess.PIPE)
    assert spawned.communicate()[0] == expected
    assert result_of(in_node(client, Path("/etc/resolv.conf").read_bytes)) == expected
    assert client.popen("cat /etc/resolv.conf").communicate()[0] == expected
    assert not [name for name in _running() if name.startswith("bash")], "nor for these"
    assert client.cmd("cat /etc/resolv.conf").replace("\r", "").encode() == expected
    assert Path(f"/proc/{client.pid}/ns/net").stat().st_ino == client.namespace.path.stat().st_ino
    assert "nameserver" not in server.cmd("cat /etc/resolv.conf")
    assert "nameserver" not in Path("/etc/resolv.conf").read_text()
    marked = client.spawn(["sh", "-c", "echo $MARK $PWD"], stdout=subprocess.PIPE, env={"MARK": "x"}, cwd="/usr")
    assert marked.communicate()[0] == b"x /usr\n"
    client.sendCmd("sleep 1000")
    wait_for(lambda: "sleep" in _running(), "the command runs")
    client.sendInt()
    client.waitOutput()
    assert client.cmd("echo still there").strip() == "still there"
    out, _, code = client.pexec("ping -c 1 198.51.100.10")
    assert code == 0, out
    return 0


def _running() -> list[str]:
    """Names of all processes; the dead but not yet buried don't count."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                name, _, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
                if rest.split()[0] != "Z":
                    found.append(name)
            except OSError:
                continue
    return found


class Operators(Topo):  # type: ignore[misc]
    """Two switches of one operator, one of another, a host at each."""

    def build(self, **link: Any) -> None:
        names = {"kcell-almaty": "kcell", "kcell-dpi": "kcell", "kazakhtelecom-karaganda": "kazakhtelecom"}
        for number, (name, instance) in enumerate(names.items(), 1):
            self.addSwitch(name, instance=instance, failMode="standalone", dpid=f"{number:016x}")
            self.addHost(f"subscriber-of-{name}", ip=f"10.0.0.{number}/24")
            self.addLink(f"subscriber-of-{name}", name, port2=10 + number)
        self.addLink("kcell-almaty", "kcell-dpi", port1=1, port2=2)
        self.addLink("kcell-dpi", "kazakhtelecom-karaganda", port1=3, port2=4, **link)


def instances(payload: Payload) -> int:
    net = started(Operators())
    first = "subscriber-of-kcell-almaty"
    for number in (2, 3):
        assert reaches(net, first, f"10.0.0.{number}")
    kcell = net.instances["kcell"]
    assert kcell.vsctl("get", "Interface", "br1-1", "type").strip() == "patch"
    assert kcell.vsctl("get", "Interface", "kcell-dpi-eth3", "type").strip() != "patch"
    assert kcell.vsctl("get", "Interface", "kcell-dpi-eth3", "ofport").strip() == "3"
    assert f"datapath_type: {net.datapath}" in kcell.vsctl("show")
    assert kcell.vsctl("get", "Open_vSwitch", ".", "other_config:userspace-tso-enable").strip() == '"true"'
    ports = net["kazakhtelecom-karaganda"].dpctl("dump-ports-desc")
    assert " 4(" in ports, ports
    assert " 13(" in ports, ports
    assert "dpid:0000000000000003" in net["kazakhtelecom-karaganda"].dpctl("show")
    # Losing one operator's equipment leaves the other's.
    for daemon in kcell.namespace.running():
        daemon.kill()
        daemon.wait()
    if net.datapath == "netdev":  # the kernel's goes on with the flows it knows
        assert not reaches(net, first, "10.0.0.2", wait=1)
    assert "ofport" in net.instances["kazakhtelecom"].vsctl("list", "Interface")
    return 0


def bulk(payload: Payload) -> int:
    """TCP, IPv4, a gigabyte's worth of oversized packets, and UDP in them too, over three switches."""
    net = started(Operators())
    source, sink = net["subscriber-of-kcell-almaty"], net["subscriber-of-kazakhtelecom-karaganda"]
    assert reaches(net, source.name, sink.IP())
    with sink.namespace.entered():
        server = socket.create_server(("10.0.0.3", 5001))
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.bind(("10.0.0.3", 5002))
    with source.namespace.entered():
        client = socket.socket()
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.connect(("10.0.0.3", 5001))
    receiver, _ = server.accept()
    receiver.settimeout(10)
    total, chunk = 64 << 20, bytes(1 << 20)
    if os.fork() == 0:
        for _ in range(total // len(chunk)):
            client.sendall(chunk)
        os._exit(0)
    begin, got = time.monotonic(), 0
    while got < total:
        got += len(receiver.recv(1 << 20))
    rate = total * 8 / (time.monotonic() - begin) / 1e6
    assert rate > 300, f"{rate:.0f} Mbit/s: segmentation offload is off (0.45 Gbit/s) or broken"
    os.wait()
    sender.connect(("10.0.0.3", 5002))
    sender.setsockopt(socket.IPPROTO_UDP, 103, 1000)  # UDP_SEGMENT: ten datagrams in one packet, as QUIC stacks do
    sender.send(bytes(10_000))
    datagrams.settimeout(5)
    assert [len(datagrams.recv(2000)) for _ in range(10)] == [1000] * 10
    return 0


def controllers(payload: Payload) -> int:
    net = lab()
    assert net.management is not None
    with socket.create_server((net.management.address, 6653)) as server:
        for name in ("kcell", "beeline"):
            net.addSwitch(f"{name}-1", instance=name, targets=[f"tcp:{net.management.address}:6653"])
        operator = net.addHost("controller-of-beeline")
        own = net.management.join(operator.namespace)
        net.start()
        server.settimeout(20)
        callers = set()
        while len(callers) < 2:
            connection, (address, _) = server.accept()
            hello = connection.recv(8)
            assert hello[:2] == b"\x04\x00", f"OpenFlow 1.3's hello, not {hello!r}"
            callers.add(address)
    assert own not in callers
    with operator.namespace.entered():
        elsewhere = socket.create_server((own, 6653))
    net.instances["beeline"].vsctl("set-controller", "beeline-1", f"tcp:{own}:6653")
    elsewhere.settimeout(20)
    _, (address, _) = elsewhere.accept()
    assert address in callers
    assert not net["beeline-1"].connected(), "a hello is not yet a connection"
    return 0


def shaped(payload: Payload) -> int:
    topo = Topo()
    topo.addSwitch("s1", failMode="standalone")
    topo.addHost("h1", ip="10.0.0.1/24")
    topo.addHost("h2", ip="10.0.0.2/24")
    topo.addLink("h1", "s1", bandwidth="20mbit")
    topo.addLink("h2", "s1")
    net = started(topo)
    assert reaches(net, "h1", "10.0.0.2")
    for source, sink in (("h1", "h2"), ("h2", "h1")):  # the second: what the switch sends
        with net[sink].namespace.entered():
            server = socket.create_server((net[sink].IP(), 5001))
        with net[source].namespace.entered():
            client = socket.create_connection((net[sink].IP(), 5001))
        receiver, _ = server.accept()
        receiver.settimeout(10)
        total = 4_000_000
        pid = os.fork()
        if pid == 0:
            client.sendall(bytes(total))
            os._exit(0)
        begin, got = time.monotonic(), 0
        while got < total:
            got += len(receiver.recv(1 << 16))
        rate = total * 8 / (time.monotonic() - begin) / 1e6
        os.waitpid(pid, 0)
        assert 12 < rate < 22, f"{rate:.1f} Mbit/s from {source} to {sink} over a 20 Mbit/s link"
    return 0


def delayed(payload: Payload) -> int:
    net = lab(Operators(delay_ms=40, bandwidth="50mbit"))
    if not net.cabling.features.netem:
        from shutdownlab.network.delay_line import DelayedLink, start_relay

        (line,) = net.delay_lines
        assert (line.delay_ms, line.loss) == (40, 0)
        assert {line.if_a, line.if_b} < {name for _, name in line.namespace.run(socket.if_nameindex)}
        relay = start_relay(
            [DelayedLink("line", line.namespace.path, line.if_a, line.if_b, line.delay_ms, loss=line.loss)], 0
        )
        relay.wait_ready()
    net.start()
    host = net["subscriber-of-kcell-almaty"]
    assert reaches(net, host.name, "10.0.0.3")
    times = [float(part.split()[0]) for part in host.cmd("ping -c 3 -i 0.2 10.0.0.3").split("time=")[1:]]
    assert len(times) == 3, times
    assert 80 <= min(times) < 120, f"a round trip over 40 ms each way took {times} ms"
    assert float(host.cmd("ping -c 1 10.0.0.2").split("time=")[1].split()[0]) < 40
    return 0


def exchange(payload: Payload) -> int:
    topo = Topo()
    topo.addSwitch("exchange", bridge=True)
    for number in range(1, 4):
        topo.addHost(f"member{number}", addresses=[(f"member{number}-eth0", f"195.12.0.{number}/24")])
        topo.addLink(f"member{number}", "exchange")
    net = started(topo)
    assert not net.instances
    assert net.pingAll(timeout="5") == 0
    late = net.addHost("member4", ip="195.12.0.4/24")
    link = net.addLink(late, net["exchange"])
    net["exchange"].attach(link.intf2)
    late.configDefault()
    assert reaches(net, "member4", "195.12.0.1")
    net.delHost(late)
    assert "member4" not in net
    assert net.pingAll(timeout="5") == 0
    assert not Path("/run/netns/member4").exists()
    again = net.addHost("member4", ip="195.12.0.4/24")
    net["exchange"].attach(net.addLink(again, net["exchange"]).intf2)
    again.configDefault()
    assert reaches(net, "member4", "195.12.0.1")
    return 0


def stopping(payload: Payload) -> int:
    for _ in range(2):
        net = started(Operators(delay_ms=5))
        for host in net.hosts:
            host.cmd("sleep 1000 &")
            host.spawn(["sh", "-c", "trap '' TERM; sleep 1000"])
        assert len(_running()) > 10
        net.stop()
        assert [name for _, name in socket.if_nameindex()] == ["lo"]
        assert not list(Path("/run/netns").iterdir())
        wait_for(lambda: "ovs-vswitchd" not in _running() and "sh" not in _running(), "the network's programs are gone")
    return 0


def mistakes(payload: Payload) -> int:
    net = lab()
    host, switch = net.addHost("h1"), net.addSwitch("s1")
    for wrong, complaint in (
        ({"intfName1": "much-too-long-a-name"}, "longer than 15"),
        ({"bandwidth": "fast"}, "such as 30mbit"),
        ({"delay_ms": -1}, "must not be negative"),
        ({"loss": 2}, "from 0 to 1"),
    ):
        try:
            net.addLink(host, switch, **wrong)
        except ValueError as error:
            assert complaint in str(error), error
        else:
            raise AssertionError(f"{wrong} was accepted")
    net.addLink(host, switch, port2=7)
    try:
        net.addLink(host, switch, port2=7)
    except ValueError as error:
        assert "port 7 of s1 is already s1-eth7" in str(error), error
    else:
        raise AssertionError("a port was given twice")
    host.params["addresses"] = [("h1-eth9", "10.0.0.1/8")]
    try:
        host.configDefault()
    except KeyError as error:
        assert "h1 has no interface 'h1-eth9'; it has lo, h1-eth0" in str(error), error
    else:
        raise AssertionError("an address on no interface")
    # A hundred more requests than are sent at once: the one that is refused is named, and the others are carried out.
    host.params["addresses"] = [("h1-eth0", f"10.1.{n // 2}.1/24") for n in range(160)]
    try:
        host.configDefault()
    except NetlinkError as error:
        assert "the kernel refuses address 10.1.0.1/24: File exists" in str(error), error
    else:
        raise AssertionError("an address was given twice")
    assert "10.1.79.1/24" in host.cmd("ip -4 -o address show dev h1-eth0")
    return 0


def no_open_vswitch(payload: Payload) -> int:
    tools = Path(payload["run_dir"], "tools")
    tools.mkdir()
    (tools / "grep").symlink_to(shutil.which("grep") or "/bin/grep")  # Mininet counts processors with it
    os.environ["PATH"] = str(tools)
    try:
        lab(TreeTopo(depth=1, fanout=2))
    except MachineCannot as problem:
        assert problem.mend == "sudo apt install openvswitch-switch", problem
        return 0
    return 1


def many(payload: Payload) -> int:
    """A country's worth: 70 nodes, 8 operators."""
    topo = Topo()
    for operator in range(8):
        for region in range(4):
            name = f"op{operator}-r{region}"
            topo.addSwitch(name, instance=f"op{operator}", failMode="standalone", dpid=f"{operator}{region + 1}")
            address = [("eth0", f"10.{operator}.{region}.1/8")]
            topo.addHost(f"sub-{name}", addresses=address, resolv="nameserver 10.0.0.1\n")
            topo.addLink(f"sub-{name}", name, intfName1="eth0", bandwidth="100mbit")
            if region:
                topo.addLink(f"op{operator}-r0", name)
        if operator:
            topo.addLink("op0-r0", f"op{operator}-r0")
    begin = time.monotonic()
    net = started(topo)
    took = time.monotonic() - begin
    print(f"{took:.2f} s for {len(net.hosts)} hosts and {len(net.switches)} switches", file=sys.stderr)
    assert reaches(net, "sub-op7-r3", "10.1.2.1")
    assert took < 6
    return 0
