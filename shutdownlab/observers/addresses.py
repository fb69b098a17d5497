"""Gives a group's node further addresses: of neighbours' devices, which outsiders probe or which probe for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from shutdownlab.config.addresses import Address, IpPrefix
from shutdownlab.model.network import Role
from shutdownlab.model.topology import VantageId
from shutdownlab.observers.instrument import Abroad
from shutdownlab.system.namespace import LOOPBACK

_FAMILY: Final = {4: 2, 6: 10}
_LOCAL_TABLE, _TYPE_LOCAL, _SCOPE_HOST = 255, 2, 254


def add_addresses(abroad: Abroad, vantage: VantageId, prefix: IpPrefix, addresses: Iterable[Address]) -> None:
    """Makes a group's node have addresses, all within `prefix`, and adds a route to this at its border router.

    Raises `OSError`.
    """
    network, net = abroad.network, abroad.net
    node = network.subscriber(vantage)
    with net.get(node.name).namespace.netlink() as netlink:
        for address in addresses:
            netlink.route(
                "add", dst=f"{address}/{address.max_prefixlen}", oif=LOOPBACK, table=_LOCAL_TABLE, type=_TYPE_LOCAL,
                scope=_SCOPE_HOST, family=_FAMILY[address.version],
            )  # fmt: skip
    if prefix.version == 4 and node.vantage is not None and node.vantage.nat64 is not None:
        return  # the border router's translator has a route to the whole subnet
    border = network.one(Role.BORDER, vantage.operator)
    with net.get(border.name).namespace.netlink() as netlink:
        via = str(node.address(prefix.version))
        netlink.route("add", dst=str(prefix), gateway=via, family=_FAMILY[prefix.version])
