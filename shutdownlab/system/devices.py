"""The sandbox's /dev: the few devices that programs need, its own pseudo-terminals, and none of the machine's disks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from shutdownlab.system import syscalls
from shutdownlab.system.kernel import MachineCannot

_DEV = Path("/dev")
_TUN = _DEV / "net/tun"
_DEVICES = (*(_DEV / name for name in ("null", "zero", "full", "random", "urandom", "tty")), _TUN)
_CONSOLE = _DEV / "console"
_SHM = _DEV / "shm"
_PTS = _DEV / "pts"
_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2", "ptmx": "pts/ptmx"}
_SHM_OPTIONS = "mode=1777,size=256m"


def hold_devices() -> dict[Path, int]:
    """Opens (O_PATH) the devices to be mounted in the sandbox's /dev; returns the descriptors by path there.

    The terminal of this process's standard streams, if they have one, becomes /dev/console. `ttyname` can find it only
    there, because the sandbox has its own devpts.
    """
    sources = {device: str(device) for device in _DEVICES}
    for stream in (0, 1, 2):
        with suppress(OSError):
            sources.setdefault(_CONSOLE, os.ttyname(stream))
    held = {}
    for shown, source in sources.items():
        with suppress(OSError):
            held[shown] = os.open(source, os.O_PATH | os.O_CLOEXEC)
    return held


def mount_devices(held: Mapping[Path, int]) -> None:
    """Replaces /dev by a tmpfs with the devices in `held` (see `hold_devices`), and closes their descriptors."""
    syscalls.mount("tmpfs", str(_DEV), "tmpfs", syscalls.MS_NOSUID, "mode=755,size=64k")
    for shown, fd in held.items():
        shown.parent.mkdir(exist_ok=True)
        shown.touch()
        syscalls.bind(f"/proc/self/fd/{fd}", str(shown))
        syscalls.set_mount_flags(str(shown), clear=syscalls.MOUNT_NODEV | syscalls.MOUNT_RDONLY)
        os.close(fd)
    for name, target in _LINKS.items():
        (_DEV / name).symlink_to(target)
    _SHM.mkdir()
    syscalls.mount("tmpfs", str(_SHM), "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, _SHM_OPTIONS)
    _PTS.mkdir()
    syscalls.mount("devpts", str(_PTS), "devpts", syscalls.MS_NOSUID | syscalls.MS_NOEXEC, "newinstance,ptmxmode=0666")


def check_tun() -> None:
    """Raises MachineCannot if /dev/net/tun can't be opened: Open vSwitch's userspace datapath needs it for ports."""
    try:
        os.close(os.open(_TUN, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError as error:
        raise MachineCannot("open /dev/net/tun", "it does not exist", "sudo modprobe tun") from error
    except OSError as error:
        raise MachineCannot(
            "open /dev/net/tun",
            f"{error.strerror or error}",
            "sudo modprobe tun && sudo chmod 0666 /dev/net/tun, or run with sudo",
        ) from error
