"""What outsiders see of a country's operators: measured from no subscriber's line, one result an operator.

A kind is a subclass of `Observation`, registered under the entry point group `shutdownlab.observers` by the name that
scenarios give as `observer:`. As with probes, its module stays light: what observing needs is in the one `runs` names.
"""

from __future__ import annotations

from typing import ClassVar, Final

from shutdownlab.model.labels import ShortLabel
from shutdownlab.model.probe import Family
from shutdownlab.model.registered import Registered

UNREACHABLE: Final = "network_unreachable"
"""The failure where there is no route."""
WRONG_ORIGIN: Final = "unexpected_origin"
"""The failure where an AS announces a prefix that is not its own; OONI has no name for it."""


class Observation(Registered):
    """Something observed of every operator in every phase, or in those that `during` names."""

    observer: str
    """The kind of observation."""
    families: tuple[Family, ...] = (Family.IPV4,)
    """The address families that are looked at, each an observation of its own."""
    column: str = ""
    """The heading that tables show it under; left out: its own name."""
    short: ShortLabel = ""
    """A heading of at most 5 characters, for terminals that are too narrow for the whole one."""
    operators: tuple[str, ...] = ()
    """Only these operators; left out: all."""
    during: tuple[str, ...] = ()
    """The phases in which it is made; left out: all."""

    group: ClassVar[str] = "shutdownlab.observers"
    named_by: ClassVar[str] = "observer"
    runs: ClassVar[str] = ""
    """`package.module:function`, of this record and the running country; see docs/extending.md."""
    unaffected: ClassVar[bool] = False
    """Whether no policy changes what is seen: `verify` takes it to be ok."""

    @property
    def by_origin(self) -> bool:
        """Whether routes count that are there, and start from somebody who does not hold the prefix."""
        return False
