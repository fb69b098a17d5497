"""The kinds of files there are, by what stands in them: one given in another's place is named for what it is."""

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
"""Keys that each has, and none of those after it: a file is of the first kind of which it has one."""
_CALLED: Final[dict[Kind, tuple[str, str]]] = {
    "scenario": ("a scenario", "`shutdownlab run` plays it"),
    "topology": ("a topology", "`shutdownlab lab` shows it"),
    "profile": ("a profile of DPI boxes", "`inspect --profile` takes it, and a scenario's `profile:`"),
    "policy": ("a policy of DPI boxes", "`inspect --policy` takes it, and a scenario's `inspect:`"),
    "catalogue": ("a catalogue of apps", "a scenario's or topology's `apps:` takes it"),
}


def kind_of(data: Any) -> Kind | None:
    """What the plain data of a file is, as far as its keys tell."""
    keys = frozenset(data) if isinstance(data, dict) else frozenset()
    return next((kind for kind, signs in _SIGNS.items() if signs & keys), None)


def is_another(document: Document, wanted: Kind) -> bool:
    """Whether a file is of another kind than the one wanted, which is reported to it."""
    kind = kind_of(document.data)
    if kind is None or kind == wanted:
        return False
    called, hint = _CALLED[kind]
    document.report((), called, _CALLED[wanted][0], hint)
    return True
