"""What this machine offers the lab: kernel, namespaces, programs. Found by trying, for `shutdownlab doctor`."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from shutdownlab.country.daemons import is_tested, tested_versions, versions
from shutdownlab.inspection import words
from shutdownlab.servers.start import PACKAGES as SERVERS
from shutdownlab.system.kernel import MachineCannot

_PROGRAMS = {
    "ovs-vswitchd": "openvswitch-switch",
    "ovsdb-server": "openvswitch-switch",
    "ovs-vsctl": "openvswitch-switch",
    "mnexec": "mininet",
    **SERVERS,
    "ping": "iputils-ping",
}
_ONLY_FOR = {"tayga": "countries with `nat64`"} | dict.fromkeys(("curl", "tcpdump", "iperf3"), "your own experiments")
"""Optional programs, and what each is for."""
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"


@dataclass(frozen=True, slots=True)
class Finding:
    """One item checked. `verdict`: present, replaced by an alternative, or missing. `mend`: how to get it."""

    what: str
    verdict: Literal["ok", "instead", "missing"]
    found: str
    mend: str = ""


def findings() -> Iterator[Finding]:
    """Checks everything; trials run in a sandbox and leave nothing behind."""
    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding("Python", "ok", python)
    if words.COMPILED:
        yield Finding("inspection", "ok", "the engine is compiled")
    else:
        yield Finding(
            "inspection", "instead", "the engine is not compiled, or was edited since; a sixth of the speed",
            "make setup in a checkout, or pip install with a C compiler and Python's headers",
        )  # fmt: skip
    try:
        inside = _tried_inside()
    except MachineCannot as cannot:
        yield Finding("sandbox", "missing", f"cannot {cannot.what}: {cannot.why}", cannot.mend)
        inside = {}
    else:
        who = "root" if os.geteuid() == 0 else "an ordinary user"
        yield Finding("sandbox", "ok", f"a user namespace and all below it, as {who}; system calls filtered")
        yield from _kernel(inside)
    known = versions()
    for program, package in (_PROGRAMS | {"curl": "curl", "tcpdump": "tcpdump", "iperf3": "iperf3"}).items():
        path = shutil.which(program, path=_PATH)
        if path is not None and program in known:
            yield _daemon(program, path, known[program])
        elif path is not None:
            yield Finding(program, "ok", path)
        elif program in _ONLY_FOR:
            found = f"not installed; only for {_ONLY_FOR[program]}"
            yield Finding(program, "instead", found, f"sudo apt install {package}")
        else:
            yield Finding(program, "missing", "not installed", f"sudo apt install {package}, or `make setup`")


def _daemon(program: str, path: str, version: str) -> Finding:
    if is_tested(program, version):
        return Finding(program, "ok", f"{path}, {version}")
    known = [f"{daemons[program]} ({system})" for system, daemons in tested_versions().items() if program in daemons]
    others = " or ".join(known)
    return Finding(program, "instead", f"{path}, {version}, which was not tested; {others} was")


def _kernel(inside: Mapping[str, Any]) -> Iterator[Finding]:
    yield Finding("/dev/net/tun", "ok", "usable")  # a sandbox without it does not start
    if inside["netem"]:
        yield Finding("sch_netem", "ok", "delays and loss by tc netem")
    else:
        yield Finding(
            "sch_netem", "instead", "not in this kernel; delays and loss by the userspace delay line",
            "a kernel with CONFIG_NET_SCH_NETEM (Debian's: sudo modprobe sch_netem)",
        )  # fmt: skip
    shaper = "tbf" if inside["tbf"] else "htb" if inside["htb"] else None
    if shaper:
        yield Finding("bandwidth", "ok", f"by tc {shaper}")
    else:
        yield Finding("bandwidth", "missing", "no shaper in this kernel", "a kernel with CONFIG_NET_SCH_TBF")
    if inside["obstacle"] is None:
        yield Finding(
            "openvswitch", "ok", "the kernel's datapath, unless `--datapath userspace` asks for Open vSwitch's own"
        )
    else:
        why, mend = inside["obstacle"]
        yield Finding("openvswitch", "instead", f"{why}; Open vSwitch's userspace datapath", mend)


def _tried_inside() -> dict[str, Any]:
    from shutdownlab.system.sandbox import run_in_sandbox

    with tempfile.TemporaryFile() as output:
        code = run_in_sandbox("shutdownlab.country.doctor:inside", {}, stdout=output)
        output.seek(0)
        text = output.read()
    if code != 0:
        raise MachineCannot("run a sandbox", f"it ended with status {code}", "see what it printed above")
    found: dict[str, Any] = json.loads(text)
    return found


def inside(_payload: Mapping[str, object]) -> int:
    """Runs in the sandbox: prints what its kernel permits, as JSON."""
    from shutdownlab.network.datapath import kernel_obstacle
    from shutdownlab.system.features import KernelFeatures

    print(json.dumps(asdict(KernelFeatures.detect()) | {"obstacle": kernel_obstacle()}))
    return 0
