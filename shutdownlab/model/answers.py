"""Forged answers: those of a lying resolver and of a rejecting router. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final

from pydantic import BeforeValidator

from shutdownlab.config.addresses import Address, address
from shutdownlab.config.document import Expected, did_you_mean, one_of

SILENCE: Final = "none"
LIES: Final = ("nxdomain", "nodata", "refused", SILENCE)
"""A resolver's possible lies about a name besides a false address; `none`: no answer at all."""


def _lie(value: object) -> object:
    if isinstance(value, str) and value in LIES:
        return value
    try:
        return address(value)
    except ValueError as error:
        raise Expected(f"{one_of(LIES)}, or an address", lambda: did_you_mean(str(value), LIES)) from error


Lie = Annotated[Address | str, BeforeValidator(_lie, json_schema_input_type=str)]

GIVES_UP_S: Final = 10.0
"""Seconds for which a client waits for an answer: glibc asks twice, five seconds each (resolv.conf(5): timeout,
attempts)."""
WITNESS: Final = "instance.test"
"""A name that each server of an anycast resolver answers itself, never by recursion (RFC 6761, 6.2)."""
LATEST_S: Final = 60.0
"""The longest delay of an answer, in seconds; no client waits longer."""


@dataclass(frozen=True, slots=True)
class Later:
    """The true answer, `seconds` after the query."""

    seconds: float

    @property
    def is_too_late(self) -> bool:
        """Whether clients have given up by then."""
        return self.seconds >= GIVES_UP_S


class Rejection(StrEnum):
    """A border router's answer to packets that it rejects: ICMP's "communication administratively prohibited" (RFC
    1812, 5.2.7.1; RFC 4443, 3.1), or, for TCP, a reset in the far end's name (`tcp-reset`; ICMP for everything else).
    """

    ICMP = "icmp"
    TCP_RESET = "tcp-reset"
