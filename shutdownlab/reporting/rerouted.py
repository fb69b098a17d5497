"""Describes how an operator's routes have changed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shutdownlab.config.addresses import IpPrefix
from shutdownlab.model.faults import Damage
from shutdownlab.model.network import Network
from shutdownlab.model.routing import holder_of, holders


def changes_of(network: Network, damage: Damage, owner: str) -> Iterator[str]:
    """Yields a sentence for each change to an operator's routes: withdrawn, null-routed, announced or leaked."""
    gone = {
        abroad: [w.prefix for w in damage.withdrawn if (w.operator, w.abroad) == (owner, abroad)]
        for abroad in (False, True)
    }
    for abroad, prefixes in gone.items():
        if prefixes:
            yield f"withdrawn{' abroad' if abroad else ''}: {_listed(prefixes)}"
    if dark := [each.prefix for each in damage.nulled if each.operator == owner]:
        yield f"null-routed, what comes from abroad: {_listed(dark)}"
    held = holders(network) if damage.contested else {}
    for each in sorted(damage.announced, key=str):
        holder = holder_of(each.prefix, held)
        home = " at home" if each.home else ""
        if each.operator == owner:
            yield f"announces {each.prefix}{home}" + (f", which is {holder}'s, and discards it" if each.foreign else "")
        elif each.foreign and holder == owner:
            yield f"its {each.prefix} is announced{home} by {each.operator}"
    for leak in sorted(damage.leaked, key=str):
        if leak.operator == owner:
            yield f"leaks {leak.prefix} to {leak.to}"


def _listed(prefixes: Sequence[IpPrefix]) -> str:
    shown = sorted(map(str, prefixes))
    return ", ".join(shown[:6]) + (f" and {len(shown) - 6} more" if len(shown) > 6 else "")
