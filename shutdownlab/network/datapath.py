"""Chooses Open vSwitch's kernel datapath or its userspace datapath, by trying the former in a sandbox.

The kernel datapath is controlled by generic netlink. From Linux 4.8 on, root in the user namespace that owns the
network namespace may use it, so an ordinary user's sandbox can too. If it is a module, using it loads it. It is the
faster one (Linux 6.1: a scenario takes 36 % of the time), with the same outcomes.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Final, Literal

from pyroute2 import NetlinkError
from pyroute2.netlink import NLM_F_ACK, NLM_F_REQUEST, genlmsg
from pyroute2.netlink.generic import GenericNetlinkSocket

from shutdownlab.network.ovs import Datapath
from shutdownlab.system.kernel import MachineCannot

Wish = Literal["auto", "kernel", "userspace"]

_FAMILY: Final = "ovs_datapath"
_VERSION: Final = 2
_NEW, _DELETE = 1, 2
_TRIAL: Final = "ovs-trial"


@dataclass(frozen=True, slots=True)
class Choice:
    """The datapath that a lab uses, the user's wish, and the reason for the choice."""

    datapath: Datapath
    wish: Wish
    why: str

    @property
    def name(self) -> Literal["kernel", "userspace"]:
        return "kernel" if self.datapath == "system" else "userspace"


def choose(wish: Wish) -> Choice:
    """Chooses a datapath; `auto` prefers the kernel's. Raises MachineCannot if `kernel` is asked for and unusable."""
    if wish == "userspace":
        return Choice("netdev", wish, "as asked for")
    obstacle = kernel_obstacle()
    if obstacle is None:
        return Choice("system", wish, "as asked for" if wish == "kernel" else "the kernel has it")
    why, mend = obstacle
    if wish == "kernel":
        raise MachineCannot("use Open vSwitch's kernel datapath", why, f"{mend}, or omit `--datapath kernel`")
    return Choice("netdev", wish, why)


def kernel_obstacle() -> tuple[str, str] | None:
    """Returns why the kernel datapath is unavailable and how to fix that; None if it works. Call it in a sandbox."""
    with GenericNetlinkSocket() as netlink:
        try:
            netlink.bind(_FAMILY, _Datapath)
            # It may exist but not be allowed: create a datapath, with its device `ovs-trial`, and delete it.
            for command in (_NEW, _DELETE):
                netlink.nlm_request(_request(command), msg_type=netlink.prid, msg_flags=NLM_F_REQUEST | NLM_F_ACK)
        except NetlinkError as error:
            return _obstacle(error.code)
    return None


def _obstacle(code: int) -> tuple[str, str]:
    if code == errno.ENOENT:
        return "the kernel has no openvswitch", "sudo modprobe openvswitch"
    if code in {errno.EPERM, errno.EACCES}:
        return "the kernel allows its datapath only to the machine's root", "use Linux 4.8 or later, or sudo"
    return f"the kernel's openvswitch refuses a datapath ({errno.errorcode.get(code, code)})", "see `dmesg`"


class _Datapath(genlmsg):  # type: ignore[misc]
    """A datapath message: struct ovs_header after the generic netlink header (linux/openvswitch.h)."""

    fields = (*genlmsg.fields, ("dp_ifindex", "I"))
    nla_map = (("OVS_DP_ATTR_UNSPEC", "none"), ("OVS_DP_ATTR_NAME", "asciiz"), ("OVS_DP_ATTR_UPCALL_PID", "uint32"))


def _request(command: int) -> _Datapath:
    message = _Datapath()
    message["cmd"], message["version"] = command, _VERSION
    message["attrs"] = [("OVS_DP_ATTR_NAME", _TRIAL)]
    if command == _NEW:
        message["attrs"].append(("OVS_DP_ATTR_UPCALL_PID", 0))
    return message
