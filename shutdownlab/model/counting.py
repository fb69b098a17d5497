"""Blocks that begin once a client has sent too much: how many packets pass first, and what is blocked then. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shutdownlab.config.document import Record
from shutdownlab.config.scalars import Seconds, Whole


class BlockAfter(Record):
    """How many echo requests of each client (an address) pass the border router before it drops the rest.

    Counters start from zero in each phase.
    """

    packets: Annotated[Whole, Field(ge=1, le=1000)]
    """How many pass, counted over all destinations together."""
    within: Annotated[Seconds, Field(ge=1)]
    """How long the count lasts, from the first packet on; then the same number passes again."""
    then: Literal["echoes", "client"] = "echoes"
    """What is dropped after them: further echo requests (`echoes`), or everything that the client sends, for the same
    time (`client`)."""

    @property
    def text(self) -> str:
        """Returns a text such as `after 3 packets in 60 s`."""
        return f"after {self.packets} packet{'s' * (self.packets > 1)} in {self.within:g} s"
