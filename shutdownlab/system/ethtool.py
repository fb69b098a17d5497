"""Features of network interfaces that can be switched off, named as `ethtool -k` names them."""

from __future__ import annotations

from contextlib import closing
from typing import Any, Final

from pyroute2.ethtool.ioctl import IoctlEthtool

CHECKSUMS: Final = "tx-checksum-ip-generic"
"""The card fills in the checksums of TCP and UDP. Without it the kernel does, and cuts TCP into packets too."""
SEGMENTATION: Final = ("tx-tcp-segmentation", "tx-tcp6-segmentation")
"""The card cuts TCP into packets, over IPv4 and over IPv6."""


class Feature:
    """One feature, to be switched off on any number of interfaces.

    The kernel's list of features is the same for all of them, and is read once: reading it takes pyroute2 6 ms, and
    setting one 0.03 ms. (Its `Ethtool` opens a netlink socket, which takes 40 ms, and sets features by ioctl anyway.)
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._features: Any = None

    def switch_off(self, interface: str) -> None:
        """Switch it off on an interface of the calling thread's network namespace, if this kernel has it.

        Raises OSError, and pyroute2's NotSupportedError and NoSuchDevice.
        """
        with closing(IoctlEthtool(interface)) as device:
            if self._features is None:
                self._features = device.get_features()
                if self._name in self._features:
                    self._features[self._name] = False
            if self._name in self._features:
                device.set_features(self._features)
