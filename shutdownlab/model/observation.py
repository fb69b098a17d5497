"""Observations: what outsiders see of a country's operators. They use no subscriber's line, and give one result an
operator.

A kind is a subclass of `Observation`, registered under the entry point group `shutdownlab.observers` by the name that
scenarios give as `observer:`. As with probes, its module must stay light: `runs` names the module that imports what
observing needs.
"""

from __future__ import annotations

from typing import ClassVar, Final

from shutdownlab.model.labels import Heading, ShortLabel
from shutdownlab.model.probe import Families, Family
from shutdownlab.model.registered import Registered

UNREACHABLE: Final = "network_unreachable"
"""The failure if there is no route."""
WRONG_ORIGIN: Final = "unexpected_origin"
"""The failure if an AS announces a prefix that is not its own; OONI has no name for it."""


class Observation(Registered):
    """Something observed of every operator in every phase, or in those that `during` names."""

    observer: str
    """The kind of observation."""
    families: Families = (Family.IPV4,)
    """The address families that are observed, each as an observation of its own. An IPv4-only operator is not observed
    over IPv6."""
    column: Heading = ""
    """Its heading in tables; left out: its own name."""
    short: ShortLabel = ""
    """A heading of at most 5 characters, for terminals that are too narrow for the whole one."""
    operators: tuple[str, ...] = ()
    """Only these operators; left out: all."""
    during: tuple[str, ...] = ()
    """The phases in which it is made; left out: all."""

    group: ClassVar[str] = "shutdownlab.observers"
    named_by: ClassVar[str] = "observer"
    runs: ClassVar[str] = ""
    """`package.module:function`, called with this record and the running country; see docs/extending.md."""
    unaffected: ClassVar[bool] = False
    """Whether no policy changes its result: `verify` assumes that it is ok."""

    @property
    def by_origin(self) -> bool:
        """Whether a route originated by an AS that does not hold the prefix counts as a failure."""
        return False
