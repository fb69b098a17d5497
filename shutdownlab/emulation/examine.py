"""What this machine offers, found by trying: what `shutdownlab doctor` tells."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from shutdownlab.emulation.inside import SYSTEM_PATH
from shutdownlab.emulation.kernel import MachineCannot
from shutdownlab.emulation.sandbox import run_in_sandbox

# program: (Debian and Ubuntu package, what for)
_NEEDED = {
    "ovs-vswitchd": ("openvswitch-switch", "the switches"),
    "ovsdb-server": ("openvswitch-switch", "the switches"),
    "ovs-vsctl": ("openvswitch-common", "the switches"),
    "ovs-ofctl": ("openvswitch-common", "the switches"),
    "bird": ("bird2", "the border routers"),
    "nginx": ("nginx-light", "the web sites"),
    "unbound": ("unbound", "the resolvers"),
    "nsd": ("nsd", "the authoritative name servers"),
    "ping": ("iputils-ping", "a probe"),
    "bash": ("bash", "commands at Mininet's prompt"),
    "setsid": ("util-linux", "commands at Mininet's prompt"),
}
_USEFUL = {
    "ip": ("iproute2", "looking around at Mininet's prompt"),
    "curl": ("curl", "trying things as a subscriber"),
    "tcpdump": ("tcpdump", "looking at packets"),
    "iperf3": ("iperf3", "measuring throughput by hand"),
    "mnexec": ("mininet", "stock `mn --custom`, nothing else"),
}


@dataclass(frozen=True)
class Finding:
    """One thing a lab needs or can use.

    instead: what the lab uses in its place; empty if nothing can take it. mend: what the user can do about it.
    """

    name: str
    present: bool
    detail: str
    instead: str = ""
    mend: str = ""

    @property
    def stops(self) -> bool:
        """Whether no lab can run on this machine for want of it."""
        return not self.present and not self.instead


def examine() -> list[Finding]:
    """Everything, in the order to be told. Takes about half a second. Needs no privileges."""
    with TemporaryDirectory() as scratch:
        result = Path(scratch, "result")
        try:
            status = run_in_sandbox(f"{__name__}:look_inside", {"result": str(result)}, run_dir=Path(scratch))
            sandbox = Finding("sandbox", status == 0, "as root" if os.geteuid() == 0 else "in a user namespace")
        except MachineCannot as problem:
            sandbox = Finding("sandbox", False, f"cannot {problem.what}: {problem.why}", mend=problem.mend)
        inside = [Finding(**found) for found in json.loads(result.read_text())] if result.exists() else []
    return [sandbox, _tun(), *inside, *_programs(_NEEDED), *_programs(_USEFUL, "done without")]


def look_inside(payload: Mapping[str, Any]) -> int:
    """In a sandbox: what its kernel does there."""
    from shutdownlab.emulation.features import KernelFeatures

    features = KernelFeatures.detect()
    missing = "not in this kernel"
    load = "sudo modprobe {}; it comes with the full kernel package (linux-image-*, linux-modules-extra-*)"
    findings = [
        Finding(
            "netem",
            features.netem,
            "delay and loss by the kernel" if features.netem else missing,
            "userspace delay line",
            load.format("sch_netem"),
        ),
        Finding(
            "tbf",
            features.tbf,
            "bandwidth limits by the kernel" if features.tbf else missing,
            "",
            load.format("sch_tbf"),
        ),
        Finding(
            "kernel datapath",
            Path("/sys/module/openvswitch").exists(),
            "module openvswitch is loaded" if Path("/sys/module/openvswitch").exists() else "openvswitch is not loaded",
            "Open vSwitch's userspace datapath",
            "nothing to mend: the userspace datapath is the default",
        ),
        Finding(
            "IPv6",
            Path("/proc/sys/net/ipv6").exists(),
            "on" if Path("/proc/sys/net/ipv6").exists() else "off in this kernel",
            "",
            "boot without ipv6.disable=1",
        ),
    ]
    Path(payload["result"]).write_text(json.dumps([asdict(finding) for finding in findings]))
    return 0


def _tun() -> Finding:
    path = Path("/dev/net/tun")
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return Finding(
            str(path), False, error.strerror or str(error), "", "sudo modprobe tun && sudo chmod 0666 /dev/net/tun"
        )
    return Finding(str(path), True, "can be opened")


def _programs(wanted: Mapping[str, tuple[str, str]], instead: str = "") -> Iterator[Finding]:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *SYSTEM_PATH])
    for program, (package, purpose) in wanted.items():
        found = shutil.which(program, path=path)
        yield Finding(
            program,
            found is not None,
            f"{found or 'not installed'}, for {purpose}",
            instead,
            f"sudo apt install {package}",
        )
