"""Names the nodes of a network uniquely, whatever the user's names are.

Names are made of the user's own, joined by hyphens (`kcell-almaty`), as people expect. Nodes whose names would collide
with each other, or with a word that means something else at the lab's prompt, get formal names instead: dots between
the user's names, and for a node of ours an underscore and its role (`north.net-capital`, `kcell_border`). The user's
names have no dots or underscores, so formal names never collide.
"""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Iterator

from shutdownlab.model.roles import Role
from shutdownlab.model.topology import Topology

Key = tuple[Role, tuple[str, ...]]
"""A node's role, and the user's names that distinguish it from others of its role."""

_SUFFIXES = {
    Role.BORDER: "border",
    Role.DPI_SWITCH: "dpi",
    Role.DPI_BOX: "box",
    Role.RESOLVER: "resolver",
    Role.TELEPHONE: "telephone",
    Role.CONTROL: "control",
    Role.ACCESS_SWITCH: "sw",
    Role.SERVERS: "servers",
}
_ALONE = {Role.GATEWAY_SWITCH: "gateway", Role.EXCHANGE_SWITCH: "exchange", Role.ROUTE_SERVER: "route-server"}
_AT_THE_PROMPT = frozenset(
    ("dpctl", "dump", "exit", "gterm", "help", "intfs", "iperf", "iperfudp", "link", "links", "net", "nodes", "noecho",
     "phase", "pingall", "pingallfull", "pingpair", "pingpairfull", "policies", "ports", "probe", "px", "py", "quit",
     "sh", "source", "start", "stop", "switch", "time", "why", "x", "xterm")
)  # fmt: skip
"""The commands of `country.prompt`. A node of such a name could have no command run on it."""
_MEANT_OTHERWISE = _AT_THE_PROMPT.union(keyword.kwlist)
"""Python's keywords too: at the prompt, `py` calls nodes by their names."""
_A_NUMBER = re.compile(r"[0-9]+(e[0-9]+)?j?|0(b[01]+|o[0-7]+|x[0-9a-f]+)")
"""A node called so would take the place of Python's number in every expression."""
ORDINARY = "ordinary"
"""The default group of subscribers, which node names leave out."""


def names_of(topology: Topology) -> dict[Key, str]:
    """Returns the name of every node of a topology's network."""
    keys = list(_keys(topology))
    usual = [_usual(key) for key in keys]
    often = Counter(usual)
    return {
        key: name if often[name] == 1 and not _means_otherwise(name) else _formal(key)
        for key, name in zip(keys, usual, strict=True)
    }


def _means_otherwise(name: str) -> bool:
    return name in _MEANT_OTHERWISE or _A_NUMBER.fullmatch(name) is not None


def _keys(topology: Topology) -> Iterator[Key]:
    yield from ((role, ()) for role in _ALONE)
    yield from ((Role.GATEWAY_SWITCH, (name,)) for name in topology.gateways)
    for name in topology.transits:
        yield from ((role, (name,)) for role in (Role.TRANSIT, Role.SERVERS))
    for name, operator in topology.operators.items():
        roles = (Role.BORDER, Role.DPI_SWITCH, Role.DPI_BOX, Role.RESOLVER, Role.TELEPHONE, Role.CONTROL)
        yield from ((role, (name,)) for role in roles)
        for region, groups in operator.regions.items():
            yield Role.ACCESS_SWITCH, (name, region)
            yield from ((Role.SUBSCRIBER, (name, region, group)) for group in groups)
    yield from ((Role.RESOLVER, (name,)) for name in topology.homes)


def _parts_named(key: Key) -> tuple[str, ...]:
    role, parts = key
    return parts[:2] if role is Role.SUBSCRIBER and parts[2] == ORDINARY else parts


def _usual(key: Key) -> str:
    role, parts = key
    if role in _ALONE:
        return "-".join((*parts, _ALONE[role]))
    return "-".join((*_parts_named(key), _SUFFIXES[role]) if role in _SUFFIXES else _parts_named(key))


def _formal(key: Key) -> str:
    role, _ = key
    return ".".join(_parts_named(key) or ("country",)) + ("" if role is Role.SUBSCRIBER else f"_{role}")
