"""Compiles carrier-grade NAT into nftables rules for an operator's border router. Pure."""

from __future__ import annotations

from ipaddress import IPv4Network

from shutdownlab.model.address_plan import probed
from shutdownlab.model.network import Network, Node

TABLE = "cgnat"
"""Name of the nftables table."""


def ruleset(network: Network, border: Node) -> str:
    """Returns the router's translations as input for `nft -f`; "" if no subscriber group is behind a NAT.

    Control addresses are not translated: they prove that the path works in both directions. Neither are the addresses
    that outsiders probe: they stand for what an operator has in front of its NAT.
    """
    outside = ", ".join(port.name for port in border.ports.values() if port.purpose in ("intl", "ix"))
    behind, unasked = [], []
    for _, vantage in network.vantages_of(border.owner):
        if vantage.shared is None:
            continue
        own = next(p for p in network.subnets[vantage.id] if isinstance(p, IPv4Network))
        control = next(a for a in network.control_addresses(vantage.id) if a.version == 4)
        behind.append(f"    ip saddr {probed(own)} accept")
        behind.append(f"    oifname {{ {outside} }} ip saddr {own} ip saddr != {control} snat ip to {vantage.shared}")
        unasked.append(f"    ip daddr {probed(own)} accept")
        unasked.append(f"    iifname {{ {outside} }} ip daddr {own} ip daddr != {control} ct direction original drop")
    if not behind:
        return ""
    source = "    type nat hook postrouting priority srcnat; policy accept;"
    forward = "    type filter hook forward priority filter - 10; policy accept;"
    chains = ["  chain source {", source, *behind, "  }", "  chain unasked {", forward, *unasked, "  }"]
    return "\n".join([f"table inet {TABLE} {{", *chains, "}"]) + "\n"
