"""Detects the kernel's queueing disciplines by trying to add them: the kernel loads their modules on demand."""

from __future__ import annotations

from dataclasses import dataclass

from pyroute2 import NetlinkError

from shutdownlab.system.namespace import LOOPBACK, Namespace


@dataclass(frozen=True)
class KernelFeatures:
    """Queueing disciplines available for shaping links. Without netem, a userspace delay line adds delay and loss."""

    netem: bool
    tbf: bool
    htb: bool

    @classmethod
    def detect(cls) -> KernelFeatures:
        """Tries each on the loopback interface of a temporary network namespace. Call it in a sandbox."""
        namespace = Namespace("feature-trial", own_mounts=False)
        try:
            return cls(
                netem=_takes(namespace, "netem", delay=1000),
                tbf=_takes(namespace, "tbf", rate=125_000, burst=3_000, limit=15_000),
                htb=_takes(namespace, "htb", default=1),
            )
        finally:
            namespace.close()


def _takes(namespace: Namespace, kind: str, **options: int) -> bool:
    with namespace.netlink() as netlink:
        try:
            netlink.tc("add", kind, LOOPBACK, 0x10000, **options)
        except NetlinkError:
            return False
        netlink.tc("del", index=LOOPBACK, handle=0x10000, parent=0xFFFFFFFF)
        return True
