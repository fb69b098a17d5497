"""Switching off offload features of network interfaces, by the names that `ethtool -k` uses."""

from __future__ import annotations

from contextlib import closing
from typing import Any, Final

from pyroute2.ethtool.ioctl import IoctlEthtool

CHECKSUMS: Final = "tx-checksum-ip-generic"
"""TCP and UDP checksum offload. With it off the kernel computes checksums, and segments TCP as well."""
SEGMENTATION: Final = ("tx-tcp-segmentation", "tx-tcp6-segmentation")
"""TCP segmentation offload, over IPv4 and over IPv6."""


class Feature:
    """One feature, to be switched off on any number of interfaces.

    The kernel's list of feature names is the same for all interfaces and is read only once: reading it takes pyroute2
    6 ms, setting a feature 0.03 ms. (pyroute2's `Ethtool` also opens a netlink socket, which takes 40 ms, although it
    sets features by ioctl.)
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._features: Any = None

    def switch_off(self, interface: str) -> None:
        """Switches the feature off on an interface of the calling thread's namespace, if this kernel knows it.

        Raises OSError, and pyroute2's NotSupportedError and NoSuchDevice.
        """
        with closing(IoctlEthtool(interface)) as device:
            if self._features is None:
                self._features = device.get_features()
                if self._name in self._features:
                    self._features[self._name] = False
            if self._name in self._features:
                device.set_features(self._features)
