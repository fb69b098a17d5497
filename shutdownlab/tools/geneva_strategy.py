"""Parses Geneva's language for censorship evasion strategies, which describes actions on packets. Pure.

K. Bock, G. Hughey, X. Qiang, D. Levin, "Geneva: Evolving Censorship Evasion Strategies", CCS 2019; the language is
described at https://geneva.readthedocs.io: `[TCP:flags:PA]-fragment{tcp:8:True}(send,send)-|`. Supported is the
outgoing half, with `send`, `drop`, `duplicate`, `tamper` (replace, corrupt) and `fragment` for TCP.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

FIELDS = {
    "IP": ("ttl", "tos", "id", "flags", "frag"),
    "TCP": ("sport", "dport", "seq", "ack", "dataofs", "reserved", "flags", "window", "chksum", "urgptr", "load"),
}
"""The fields that triggers can match and `tamper` can change, by protocol."""
_WORD = re.compile(r"([a-z]+)(?:\{([^{}]*)\})?")
_TREE = re.compile(r"\s*\[(\w+):(\w+):([^\]]*)\]-(.*?)-\|\s*", re.DOTALL)


class StrategyError(ValueError):
    """The text is not a strategy, or not one that is supported here."""


@dataclass(frozen=True, slots=True)
class Action:
    """An action on a packet, and the actions on its results (`then`): one packet, or two."""

    name: str
    parameters: tuple[str, ...] = ()
    then: tuple[Action, ...] = field(default=())


SEND = Action("send")


@dataclass(frozen=True, slots=True)
class ActionTree:
    """The action on packets in which a field has exactly this value."""

    protocol: str
    field: str
    value: str
    action: Action


def parse_strategy(text: str) -> tuple[ActionTree, ...]:
    """Returns the trees of a strategy's outgoing half, in order; raises `StrategyError`."""
    outgoing, _, incoming = text.partition("\\/")
    if incoming.strip():
        raise StrategyError("only what goes out can be changed here: nothing may follow \\/")
    trees, at = list[ActionTree](), 0
    while at < len(outgoing.rstrip()):
        found = _TREE.match(outgoing, at)
        if found is None:
            raise StrategyError(f"at {outgoing[at:].strip()!r}, a tree such as [TCP:flags:PA]-ACTION-| is expected")
        protocol, name, value, action = found.groups()
        _known(protocol, name)
        trees.append(ActionTree(protocol, name, value, _whole(action)))
        at = found.end()
    if not trees:
        raise StrategyError("it says nothing")
    return tuple(trees)


def _known(protocol: str, name: str) -> None:
    if protocol not in FIELDS or name not in FIELDS[protocol]:
        names = ", ".join(f"{each}:{one}" for each in FIELDS for one in FIELDS[each])
        raise StrategyError(f"{protocol}:{name} is none of {names}")


def _whole(text: str) -> Action:
    action, rest = _action(text.strip())
    if rest:
        raise StrategyError(f"{rest!r} is too much")
    return action


def _action(text: str) -> tuple[Action, str]:
    """Parses an action at the start of a text (`send` if there is none); returns it and the rest."""
    found = _WORD.match(text)
    if found is None:
        return SEND, text
    name, parameters = found[1], tuple(found[2].split(":")) if found[2] else ()
    rest, then = text[found.end() :], list[Action]()
    if rest.startswith("("):
        first, rest = _action(rest[1:])
        then.append(first)
        if rest.startswith(","):
            second, rest = _action(rest[1:])
            then.append(second)
        if not rest.startswith(")"):
            raise StrategyError(f"a closing bracket is missing at {rest!r}")
        rest = rest[1:]
    return _checked(Action(name, parameters, tuple(then))), rest


def _checked(action: Action) -> Action:
    name, given, then = action.name, action.parameters, action.then
    if name in {"send", "drop"} and not given and not then:
        return action
    if name == "duplicate" and not given:
        return Action(name, (), (*then, SEND, SEND)[:2])
    if name == "tamper" and 3 <= len(given) <= 4 and len(then) <= 1:
        _known(given[0], given[1])
        if (given[2], len(given)) in {("replace", 4), ("corrupt", 3)}:
            return Action(name, given, (*then, SEND)[:1])
    if name == "fragment" and len(given) == 3 and given[0].lower() == "tcp" and re.fullmatch(r"-1|\d{1,5}", given[1]):
        return Action(name, given, (*then, SEND, SEND)[:2])
    raise StrategyError(
        f"{name}{{{':'.join(given)}}} is none of send, drop, duplicate(A,B), "
        "tamper{PROTOCOL:FIELD:replace:VALUE}(A), tamper{PROTOCOL:FIELD:corrupt}(A), fragment{tcp:OFFSET:True}(A,B)"
    )
