"""What access switches see of lines that carry IPv6 alone: IPv4 addresses are written as IPv6 ones. Pure.

A rule that names IPv4 addresses has a twin for such a line, as an operator that obeys knows its own translator: else
its subscribers would go past every order of addresses.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network

from shutdownlab.compiler.rules import MatchValue, Rule
from shutdownlab.compiler.traffic import address_and_mask
from shutdownlab.config.numbers import ETHER_IPV4, ETHER_IPV6, ICMP, ICMPV6
from shutdownlab.model.address_plan import as_ipv6


def translated(rule: Rule, standing: IPv6Network) -> Rule | None:
    """The twin of a rule that names IPv4 addresses; None where it names none: such a rule has a twin for IPv6 already.

    standing: the operator's /96 of addresses that stand for IPv4 ones.
    """
    if ("eth_type", ETHER_IPV4) not in rule.match or not any(name.startswith("ipv4_") for name, _ in rule.match):
        return None
    return replace(rule, match=tuple(_field(name, value, standing) for name, value in rule.match))


def _field(name: str, value: MatchValue, standing: IPv6Network) -> tuple[str, MatchValue]:
    if name == "eth_type":
        return name, ETHER_IPV6
    if name == "ip_proto" and value == ICMP:
        return name, ICMPV6
    if name.startswith("ipv4_") and isinstance(value, tuple):
        address, mask = value
        return name.replace("ipv4", "ipv6"), address_and_mask(as_ipv6(standing, IPv4Network(f"{address}/{mask}")))
    return name, value
