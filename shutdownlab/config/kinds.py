"""Recognises the kind of a file by its keys, so that a message can say what a misplaced file is."""

from __future__ import annotations

from typing import Any, Final, Literal

from shutdownlab.config.document import Document

Kind = Literal["scenario", "topology", "profile", "policy", "catalogue"]

_SIGNS: Final[dict[Kind, frozenset[str]]] = {
    "scenario": frozenset(
        {"timeline", "topology", "policies", "probes", "extends", "include", "repeats", "faults", "expectations"}
        | {"observations", "tools", "parameters", "signals", "accounts", "delays"}
    ),
    "topology": frozenset({"operators", "transits", "gateway"}),
    "profile": frozenset({"sources", "placement", "block"}),
    "policy": frozenset({"rules", "inside", "classes"}),
    "catalogue": frozenset({"apps"}),
}
"""Keys that identify each kind and occur in none of the later ones: a file is of the first kind with a key in it."""
_CALLED: Final[dict[Kind, tuple[str, str]]] = {
    "scenario": ("a scenario", "`shutdownlab run` plays it"),
    "topology": ("a topology", "`shutdownlab lab` shows it"),
    "profile": ("a profile of DPI boxes", "`inspect --profile` takes it, and a scenario's `profile:`"),
    "policy": ("a policy of DPI boxes", "`inspect --policy` takes it, and a scenario's `inspect:`"),
    "catalogue": ("a catalogue of apps", "a scenario's or topology's `apps:` takes it"),
}


def kind_of(data: Any) -> Kind | None:
    """Returns the kind of a file by the keys of its plain data; None if no key identifies it."""
    keys = frozenset(data) if isinstance(data, dict) else frozenset()
    return next((kind for kind, signs in _SIGNS.items() if signs & keys), None)


def is_another(document: Document, wanted: Kind) -> bool:
    """Returns whether a file is of another kind than `wanted`; if so, reports that in the document."""
    kind = kind_of(document.data)
    if kind is None or kind == wanted:
        return False
    called, hint = _CALLED[kind]
    document.report((), called, _CALLED[wanted][0], hint)
    return True
