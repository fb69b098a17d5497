"""Blocks that begin once a client has sent too much: how many packets pass before, and who is blocked after. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shutdownlab.config.document import Record
from shutdownlab.config.scalars import Seconds, Whole


class BlockAfter(Record):
    """How many echo requests of each client (an address) pass the border router before it drops the rest.

    Each phase begins with nothing counted.
    """

    packets: Annotated[Whole, Field(ge=1, le=1000)]
    """How many pass, whomever they are for."""
    within: Annotated[Seconds, Field(ge=1)]
    """How long they count, from the first one on; then so many pass again."""
    then: Literal["echoes", "client"] = "echoes"
    """What is dropped after them: further echo requests; or, for as long, all that the client sends."""

    @property
    def text(self) -> str:
        """Such as `after 3 packets in 60 s`."""
        return f"after {self.packets} packet{'s' * (self.packets > 1)} in {self.within:g} s"
