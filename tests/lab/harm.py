"""What can happen to processes and nodes of a running country: by signals, limits, the machine, or somebody's hand.

Each kind is done to a process, by its id, or to the node where it is; gone already is fine. Needs root.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Final

import outside

_CONTROL_GROUPS: Final = Path("/sys/fs/cgroup")
_VERSION_2: Final = next(
    (p for p in (_CONTROL_GROUPS / "unified", _CONTROL_GROUPS) if (p / "cgroup.procs").exists()), _CONTROL_GROUPS
)
_STARVED: Final = 50
"""They have one part in so many, 2 %, and nothing of a share that a machine in its right mind would give."""
_MTU: Final = 1280
"""The least that IPv6 lives with (RFC 8200): whatever is larger is lost at this interface without a word."""

_POISONED: Final = ("kz", "com")
_SLOW: Final = ("rate", "20kbit", "burst", "2kb", "limit", "4kb")


def harm(root: int, victim: int, kind: str) -> None:
    """Do it to the victim: a process of the run that `root` is the first of. Kinds with seconds last for so long.

    Raises KeyError for an unknown kind.
    """
    verb, _, rest = kind.partition(" ")
    try:
        HARM[verb](root, victim, float(rest.split()[0]) if rest else 0.0)
    except (ProcessLookupError, FileNotFoundError, subprocess.CalledProcessError):
        if Path(f"/proc/{victim}").exists():
            raise


def _kill(_: int, victim: int, _seconds: float) -> None:
    os.kill(victim, signal.SIGKILL)


def _stop(_: int, victim: int, seconds: float) -> None:
    os.kill(victim, signal.SIGSTOP)
    if seconds:
        time.sleep(seconds)
        os.kill(victim, signal.SIGCONT)


def _stutter(_: int, victim: int, seconds: float) -> None:
    """Stop it for 60 of each 100 milliseconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        os.kill(victim, signal.SIGSTOP)
        time.sleep(0.06)
        os.kill(victim, signal.SIGCONT)
        time.sleep(0.04)


def _cut(_: int, victim: int, _seconds: float) -> None:
    outside.cut_off(victim)


def _starve(_: int, victim: int, seconds: float) -> None:
    """Leave it hardly any processor, as a crowded machine or a container's quota does."""
    with starved([victim]):
        time.sleep(seconds)


@contextmanager
def starved(victims: Sequence[int], period_us: int = 100_000) -> Iterator[None]:
    """Processes have hardly any processor for a while: by a quota, else among many that want the same one.

    period_us: of so much at a time they have 2 %, or a millisecond, which is the least that the kernel gives.
    """
    with ExitStack() as stack:
        if (_CONTROL_GROUPS / "cpu" / "cpu.shares").exists() and os.geteuid() == 0:
            for victim in victims:
                group = stack.enter_context(_control_group("cpu", f"starved-{victim}"))
                (group / "cpu.cfs_period_us").write_text(str(period_us))
                (group / "cpu.cfs_quota_us").write_text(str(max(1000, period_us // _STARVED)))
                (group / "cgroup.procs").write_text(str(victim))
        else:
            stack.enter_context(crowd(victims))
        yield


@contextmanager
def crowd(victims: Iterable[int]) -> Iterator[None]:
    """Processes, or threads, are kept to one processor for a while, with eight that never rest."""
    usual = os.sched_getaffinity(0)
    processor = {min(usual)}
    spin = f"import os; os.sched_setaffinity(0, {processor}); print(flush=True)\nwhile True: pass"
    with ExitStack() as stack:
        for victim in victims:
            os.sched_setaffinity(victim, processor)
            stack.callback(_release, victim, usual)
        for _ in range(8):
            argv = [sys.executable, "-c", spin]
            each = subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True)
            stack.callback(each.wait)
            stack.callback(each.kill)
            assert each.stdout is not None
            each.stdout.readline()
        yield


def _release(victim: int, processors: set[int]) -> None:
    with suppress(ProcessLookupError):
        os.sched_setaffinity(victim, processors)


def _pause(root: int, _: int, seconds: float) -> None:
    """Freeze the whole run, as a container or a virtual machine is paused: no process can tell, but by the clock."""
    with _control_group("freezer", f"paused-{root}") as group:
        for pid in outside.descendants(root):
            with suppress(OSError):
                (group / "cgroup.procs").write_text(str(pid))
        (group / "freezer.state").write_text("FROZEN")
        time.sleep(seconds)
        (group / "freezer.state").write_text("THAWED")


def can_be_frozen_by_version_2() -> bool:
    """Whether this machine has control groups of version 2 that we may make."""
    return (_VERSION_2 / "cgroup.procs").exists() and os.access(_VERSION_2, os.W_OK)


@contextmanager
def frozen_by_version_2(victim: int) -> Iterator[None]:
    """A process is frozen by a control group of version 2 meanwhile, and back in its own afterwards."""
    line = next(line for line in Path(f"/proc/{victim}/cgroup").read_text().splitlines() if line.startswith("0::"))
    group = _VERSION_2 / f"shutdownlab-frozen-{victim}"
    group.mkdir()
    try:
        (group / "cgroup.procs").write_text(str(victim))
        (group / "cgroup.freeze").write_text("1")
        yield
    finally:
        (group / "cgroup.freeze").write_text("0")
        (_VERSION_2 / line.removeprefix("0::").lstrip("/") / "cgroup.procs").write_text(str(victim))
        group.rmdir()


def _freeze(_: int, victim: int, seconds: float) -> None:
    """Freeze a process alone: unlike one that is stopped it is in no state that its parent is told of."""
    with _control_group("freezer", f"frozen-{victim}") as group:
        (group / "cgroup.procs").write_text(str(victim))
        (group / "freezer.state").write_text("FROZEN")
        time.sleep(seconds)
        (group / "freezer.state").write_text("THAWED")


def _descriptors(_: int, victim: int, _seconds: float) -> None:
    """Let it open no file and take no connection any more."""
    resource.prlimit(victim, resource.RLIMIT_NOFILE, (3, 3))


def _few(_: int, victim: int, more: float) -> None:
    """Let it open so many files and connections more than it has, and no other: less than it takes at its busiest."""
    used = len(list(Path(f"/proc/{victim}/fd").iterdir()))
    resource.prlimit(victim, resource.RLIMIT_NOFILE, (used + int(more), used + int(more)))


def _memory(_: int, victim: int, _seconds: float) -> None:
    """Let it have no more memory than it has."""
    size = int(Path(f"/proc/{victim}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(victim, resource.RLIMIT_AS, (size, size))


def _mtu(_: int, victim: int, _seconds: float) -> None:
    """Have all links of its node take no packet of full size."""
    for link in outside.links(victim):
        _inside(victim, "ip", "link", "set", link, "mtu", str(_MTU))


def _neighbours(_: int, victim: int, _seconds: float) -> None:
    """Have its node know all its neighbours by an address that nobody has."""
    for version in ("-4", "-6"):
        for line in _inside(victim, "ip", version, "neigh").splitlines():
            address, _dev, device = line.split()[:3]
            nobody = ("lladdr", "02:00:00:00:00:99", "nud", "permanent")
            _inside(victim, "ip", version, "neigh", "replace", address, "dev", device, *nobody)


def _firewall(_: int, victim: int, _seconds: float) -> None:
    """Have its node drop what it sends to HTTPS, but for no pings."""
    _inside(victim, "nft", "add table inet hand; add chain inet hand out { type filter hook output priority 0; }")
    for protocol in ("tcp", "udp"):
        _inside(victim, "nft", f"add rule inet hand out {protocol} dport 443 drop")


def _xtables(_: int, victim: int, _seconds: float) -> None:
    """The same by iptables-legacy, of which the kernel announces nothing."""
    for version in ("iptables-legacy", "ip6tables-legacy"):
        for protocol in ("tcp", "udp"):
            _inside(victim, version, "-A", "OUTPUT", "-p", protocol, "--dport", "443", "-j", "DROP")


def _deaf(_: int, victim: int, _seconds: float) -> None:
    """Have its node, where it forwards, forward no longer, and answer no pings: by sysctls."""
    for setting in ("ipv4.ip_forward=0", "ipv6.conf.all.forwarding=0", "ipv4.icmp_echo_ignore_all=1"):
        _inside(victim, "sysctl", "-w", f"net.{setting}")


def _flap(_: int, victim: int, _seconds: float) -> None:
    """Have all links of its node go down, and up again at once."""
    for link in outside.links(victim):
        _inside(victim, "ip", "link", "set", link, "down")
        _inside(victim, "ip", "link", "set", link, "up")


def _lossy(_: int, victim: int, _seconds: float) -> None:
    """Have all links of its node hold 20 kbit/s, and lose what is more."""
    for link in outside.links(victim):
        _inside(victim, "tc", "qdisc", "replace", "dev", link, "root", "tbf", *_SLOW)


def _reroute(_: int, victim: int, _seconds: float) -> None:
    """Have its node send nothing to most of the world, by a route that is nearer than that to all."""
    for version, prefix in (("-4", "128.0.0.0/1"), ("-6", "2000::/3")):
        _inside(victim, "ip", version, "route", "add", "blackhole", prefix)


def _poison(root: int, victim: int, _seconds: float) -> None:
    """Have a resolver answer below .kz and .com with addresses that nobody has, to everybody."""
    victim = _resolver(root, victim)
    commands = [f"local_zone {each}. redirect" for each in _POISONED]
    nobody = ("A 192.0.2.99", "AAAA 2001::9")
    _tell_unbound(victim, [*commands, *(f"local_data {each}. 60 IN {data}" for each in _POISONED for data in nobody)])


def _lie(root: int, victim: int, _seconds: float) -> None:
    """Have a resolver deny what is below .kz and .com to each group of subscribers, as an order does."""
    victim = _resolver(root, victim)
    views = re.findall(r'name: "(group\d+)"', _configuration(victim))
    _tell_unbound(victim, [f"view_local_zone {v} {each}. always_nxdomain" for v in views for each in _POISONED])


def _deny(root: int, victim: int, _seconds: float) -> None:
    """Have a resolver refuse each group of subscribers, by its file, which it is told to read again."""
    victim = _resolver(root, victim)
    groups = re.findall(r"access-control-view: (\S+) ", _configuration(victim))
    refused = "".join(f"server:\n access-control: {subnet} refuse\n" for subnet in groups)
    with _configured_by(victim).open("a") as file:
        file.write(refused)
    os.kill(victim, signal.SIGHUP)


def _resolver(root: int, victim: int) -> int:
    """The victim if it is a resolver (unbound), else one drawn by its number."""
    resolvers = [pid for pid in outside.descendants(root) if outside.names(pid) == "unbound"]
    return victim if victim in resolvers or not resolvers else resolvers[victim % len(resolvers)]


def _configuration(victim: int) -> str:
    """What a resolver was started with."""
    return _configured_by(victim).read_text()


def _configured_by(victim: int) -> Path:
    argv = Path(f"/proc/{victim}/cmdline").read_bytes().split(b"\0")
    return Path(f"/proc/{victim}/root{argv[argv.index(b'-c') + 1].decode()}")


def _tell_unbound(victim: int, commands: Iterable[str]) -> None:
    (control,) = re.findall(r'control-interface: "(.*)"', _configuration(victim))
    for command in commands:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(f"/proc/{victim}/root{control}")
            connection.sendall(f"UBCT1 {command}\n".encode())
            connection.recv(4096)


def _hangup(_: int, victim: int, _seconds: float) -> None:
    """Break every TCP connection of the process in its own network: both ends live, and may connect again."""
    for own, peer in connections(victim):
        hang_up(victim, own, peer)


def connections(pid: int) -> list[tuple[str, str]]:
    """The TCP connections of a process in its own network namespace: both ends, as ADDRESS:PORT."""
    lines = (line.split() for line in _inside(pid, "ss", "-Htnp", "state", "established").splitlines())
    return [(own, peer) for _, _, own, peer, *whose in lines if f"pid={pid}," in "".join(whose)]


def hang_up(pid: int, own: str, peer: str) -> None:
    """Break this connection, of the network namespace of a process."""
    _inside(pid, "ss", "--kill", "--tcp", "src", own, "dst", peer)


def _flows(root: int, victim: int, _seconds: float) -> None:
    """Have a switch, one drawn by the victim's number, forget all its flows."""
    switches = switches_of(root)
    ofctl("del-flows", switches[victim % len(switches)])


def _policies(root: int, victim: int, _seconds: float) -> None:
    """Have a switch, one drawn by the victim's number, forget the rules of all policies, and go on with the others."""
    switches = switches_of(root)
    forget_policies(switches[victim % len(switches)])


def forget_policies(switch: Path) -> None:
    """Remove all rules from a switch that enforce a policy; `switch`: the socket of its management."""
    for cookie in sorted(set(re.findall(r"cookie=(0x[1-9a-f][0-9a-f]*)", ofctl("dump-flows", switch)))):
        ofctl("del-flows", switch, f"cookie={cookie}/-1")


def alter_policies(switch: Path) -> None:
    """Make each rule of a switch that enforces a policy send packets on; `switch`: the socket of its management."""
    for cookie, table in sorted(set(re.findall(r"cookie=(0x[1-9a-f]\w*).*, table=(\d),", ofctl("dump-flows", switch)))):
        ofctl("mod-flows", switch, f"cookie={cookie}/-1,table={table},actions=goto_table:7")


def switches_of(root: int) -> list[Path]:
    """The sockets of the management of all switches of a run that `root` is the first process of."""
    sockets: list[Path] = []
    for pid in outside.descendants(root):
        if outside.names(pid) == "ovs-vswitchd":
            argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            argument = next(each for each in argv if each.startswith(b"--pidfile="))
            folder = Path(argument.decode().removeprefix("--pidfile=")).parent
            sockets += sorted(Path(f"/proc/{pid}/root{folder}").glob("*.mgmt"))
    return sockets


def ofctl(command: str, switch: Path, *arguments: str) -> str:
    """What ovs-ofctl says at a switch's socket."""
    versions = "--protocols=OpenFlow10,OpenFlow13,OpenFlow14,OpenFlow15"
    argv = ["ovs-ofctl", versions, command, f"unix:{switch}", *arguments]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


HARM: Final[Mapping[str, Callable[[int, int, float], None]]] = MappingProxyType(
    {
        "kill": _kill,
        "stop": _stop,
        "stutter": _stutter,
        "cut": _cut,
        "starve": _starve,
        "freeze": _freeze,
        "pause": _pause,
        "descriptors": _descriptors,
        "few": _few,
        "memory": _memory,
        "mtu": _mtu,
        "neighbours": _neighbours,
        "firewall": _firewall,
        "xtables": _xtables,
        "deaf": _deaf,
        "flap": _flap,
        "lossy": _lossy,
        "reroute": _reroute,
        "flows": _flows,
        "policies": _policies,
        "hangup": _hangup,
        "poison": _poison,
        "lie": _lie,
        "deny": _deny,
    }
)
"""What is done, by its verb, to whom: the run's first process, the victim; the number that comes with the verb."""


def _inside(victim: int, *command: str) -> str:
    """What a command says in the victim's network namespace."""
    argv = ["nsenter", f"--target={victim}", "--user", "--net", "--preserve-credentials", *command]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout


@contextmanager
def _control_group(controller: str, name: str) -> Iterator[Path]:
    """A control group (version 1) for a while; what is in it goes back to where all processes are."""
    group = _CONTROL_GROUPS / controller / f"shutdownlab-{name}"
    group.mkdir()
    try:
        yield group
    finally:
        for pid in (group / "cgroup.procs").read_text().split():
            with suppress(OSError):
                (group.parent / "cgroup.procs").write_text(pid)
        end = time.monotonic() + 10
        while group.exists() and time.monotonic() < end:
            with suppress(OSError):  # those that are ending are there still
                group.rmdir()
            time.sleep(0.05)
