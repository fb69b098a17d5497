"""Carrier-grade NAT, worked out into what an operator's border router translates. Pure."""

from __future__ import annotations

from ipaddress import IPv4Network

from shutdownlab.model.network import Network, Node

TABLE = "cgnat"
"""What the table of nftables is called."""


def ruleset(network: Network, border: Node) -> str:
    """What `nft -f` reads: the router's translations; nothing where nobody is behind a NAT.

    Control addresses are left alone: they prove the way, both ways.
    """
    outside = ", ".join(port.name for port in border.ports.values() if port.purpose in ("intl", "ix"))
    behind, unasked = [], []
    for _, vantage in network.vantages_of(border.owner):
        if vantage.shared is None:
            continue
        own = next(p for p in network.subnets[vantage.id] if isinstance(p, IPv4Network))
        control = next(a for a in network.control_addresses(vantage.id) if a.version == 4)
        behind.append(f"    oifname {{ {outside} }} ip saddr {own} ip saddr != {control} snat ip to {vantage.shared}")
        unasked.append(f"    iifname {{ {outside} }} ip daddr {own} ip daddr != {control} ct direction original drop")
    if not behind:
        return ""
    source = "    type nat hook postrouting priority srcnat; policy accept;"
    forward = "    type filter hook forward priority filter - 10; policy accept;"
    chains = ["  chain source {", source, *behind, "  }", "  chain unasked {", forward, *unasked, "  }"]
    return "\n".join([f"table inet {TABLE} {{", *chains, "}"]) + "\n"
