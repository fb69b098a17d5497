"""Bogon addresses, which no public host has, and the AS numbers of addresses in a measurement.

The networks are those of https://ipinfo.io/bogon, which probe-cli takes for bogons (internal/netxlite/bogon.go).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from shutdownlab.ooni.records import ControlRecord, QueryRecord

_V4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
_CARRIER_NAT: Final = IPv4Network("100.64.0.0/10")
_SIX_TO_FOUR, _TEREDO = 0x2002 << 112, 0x20010000 << 96
_V6: Final = (
    *map(
        IPv6Network,
        (
            "::/96",
            "::ffff:0:0/96",
            "100::/64",
            "2001:10::/28",
            "2001:db8::/32",
            "fc00::/7",
            "fe80::/10",
            "fec0::/10",
            "ff00::/8",
        ),
    ),
    *(IPv6Network((_SIX_TO_FOUR | int(net.network_address) << 80, 16 + net.prefixlen)) for net in _V4),
    *(IPv6Network((_TEREDO | int(net.network_address) << 64, 32 + net.prefixlen)) for net in _V4),
)


@lru_cache(maxsize=1 << 16)
def is_bogon(address: str) -> bool:
    """Whether an address is in no public network. Text that isn't an address counts as a bogon too."""
    found = _parsed(address)
    if isinstance(found, IPv4Address):
        return found in _CARRIER_NAT or any(found in network for network in _V4)
    return found is None or any(found in network for network in _V6)


def is_address(text: str) -> bool:
    return _parsed(text) is not None


def only_loopback(addresses: Iterable[str]) -> bool:
    """Whether there are valid addresses, and all of them are loopback addresses."""
    found = [parsed for address in addresses if (parsed := _parsed(address)) is not None]
    return bool(found) and all(each.is_loopback for each in found)


@lru_cache(maxsize=1 << 16)
def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


class KnownNetworks:
    """The AS numbers that a measurement itself gives for addresses.

    A probe records the AS of every address in its own answers, or none if the address has none. For the test helper's
    addresses only `ip_info` gives it, which old test helpers didn't send.
    """

    def __init__(self, queries: Iterable[QueryRecord], control: ControlRecord | None) -> None:
        self._known: dict[str, int] = {}
        for address, info in ((control and control.ip_info) or {}).items():
            if info is not None:
                self._known[address] = info.asn or 0
        for query in queries:
            for answer in query.answers or ():
                if answer.address:
                    self._known[answer.address] = answer.asn or self._known.get(answer.address, 0)

    def asn(self, address: str) -> int | None:
        """Returns an address's AS number; 0 if it is in no AS; None if the file doesn't say."""
        known = self._known.get(address)
        return 0 if known is None and is_bogon(address) else known

    def common(self, seen_addresses: Iterable[str], controls: Iterable[str]) -> bool | None:
        """Whether both have an AS in common; None if the file doesn't give enough of them to tell."""
        seen = {asn for address in seen_addresses if (asn := self.asn(address))}
        control = {self.asn(address) for address in controls}
        if seen & control:
            return True
        return None if seen and None in control else False
