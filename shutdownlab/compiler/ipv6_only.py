"""Access-switch rules for IPv6-only lines, on which IPv4 addresses appear embedded in IPv6 addresses. Pure.

Every rule that names IPv4 addresses gets a twin for such a line: otherwise its subscribers would evade every order to
block addresses, and an operator that obeys knows its own translator.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network

from shutdownlab.compiler.rules import MatchValue, Rule
from shutdownlab.compiler.traffic import address_and_mask
from shutdownlab.config.numbers import ETHER_IPV4, ETHER_IPV6, ICMP, ICMPV6
from shutdownlab.model.address_plan import as_ipv6


def translated(rule: Rule, standing: IPv6Network) -> Rule | None:
    """Returns the twin of a rule that names IPv4 addresses; None if it names none, as it then has an IPv6 twin already.

    standing: the operator's /96 prefix in which IPv4 addresses are embedded.
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
