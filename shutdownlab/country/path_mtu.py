"""Makes hosts forget the path MTUs that they have learnt (RFC 1191, section 6.3)."""

from __future__ import annotations

import socket
from typing import Final

from shutdownlab.model.network import Network, Role
from shutdownlab.network.net import EmulatedNetwork

_HOSTS: Final = (Role.SUBSCRIBER, Role.SERVERS, Role.RESOLVER, Role.TELEPHONE, Role.CONTROL)
_CLONED: Final = 0x200
"""RTM_F_CLONED of rtnetlink(7): an exception to a route, such as from "packet too big"."""


def forget(net: EmulatedNetwork, network: Network) -> None:
    """Makes every host forget its path MTUs, because scenario time has jumped by more than Linux keeps them (10 min).

    Raises pyroute2.NetlinkError, OSError.
    """
    if not network.is_narrow:
        return
    for role in _HOSTS:
        for node in network.by_role(role):
            namespace = net.get(node.name).namespace
            namespace.set_sysctls({"net.ipv4.route.flush": 1})
            with namespace.netlink() as netlink:
                for route in netlink.get_routes(family=socket.AF_INET6):
                    if route["flags"] & _CLONED:
                        dst, index = route.get_attr("RTA_DST"), route.get_attr("RTA_OIF")
                        netlink.route("del", dst=f"{dst}/128", oif=index, family=socket.AF_INET6, flags=_CLONED)
