"""Lines degraded by order: slower, longer, lossy, or like those of an older generation of mobile network. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, model_validator

from shutdownlab.config.document import Expected, Record
from shutdownlab.config.scalars import Kbit, Number, Seconds


class Generation(StrEnum):
    """A generation of mobile networks, with the quality that its users got, as WebPageTest's connection profiles have
    it (`connectivity.ini` of its agents): 2G 280/256 kbit/s with 800 ms there and back, 3G 1,600/768 kbit/s with 300
    ms, 4G 9/9 Mbit/s with 170 ms."""

    G2 = "2G"
    G3 = "3G"
    G4 = "4G"


_LONGEST_S: Final = 1.5
_Delay = Annotated[Seconds, Field(le=_LONGEST_S)]


class Rates(Record):
    """The rate of each direction. A direction that is left out stays as it is."""

    down: Kbit | None = None
    """To subscribers."""
    up: Kbit | None = None
    """From subscribers."""

    @model_validator(mode="after")
    def _some(self) -> Rates:
        if self.down is None and self.up is None:
            raise Expected("`down`, `up` or both", "such as {down: 280kbit, up: 256kbit}", found="neither")
        return self


class Degradation(Record):
    """How lines are degraded, on top of what the topology says about them."""

    generation: Generation | None = None
    """The generation that mobile lines fall back to. Values given beside it replace the generation's."""
    rate: Rates | None = None
    """The rate that a line, or the traffic under `only`, is held to."""
    delay: _Delay | None = None
    """The added one-way delay of a packet; at most 1.5s."""
    jitter: Seconds | None = None
    """By how much the delay varies, up or down; at most the delay."""
    loss: Annotated[Number, Field(gt=0, le=0.5)] | None = None
    """The share of packets that are lost in addition, up to 0.5."""

    @model_validator(mode="after")
    def _sound(self) -> Degradation:
        if not self.model_fields_set:
            raise Expected(
                "how lines are degraded",
                "such as `generation: 2G` or `{rate: {down: 280kbit}, loss: 0.02}`",
                found="nothing",
            )
        if (self.jitter or 0.0) > self.line_delay:
            hint = "a packet cannot arrive before it is sent"
            raise Expected("at most the delay", hint, found=f"a jitter of {self.jitter:g}s", key="jitter")
        return self

    def rate_of(self, *, inbound: bool) -> int | None:
        """Returns the rate of a direction in kbit/s; None if it is not limited."""
        given = None if self.rate is None else self.rate.down if inbound else self.rate.up
        if given is None and self.generation is not None:
            down, up, _ = _GENERATIONS[self.generation]
            return down if inbound else up
        return given

    @property
    def slows(self) -> bool:
        """Whether it limits traffic to a rate."""
        return self.rate is not None or self.generation is not None

    @property
    def stretches(self) -> bool:
        """Whether it adds delay or loss to lines, rather than only slowing them."""
        return bool(self.line_delay or self.loss)

    @property
    def line_delay(self) -> float:
        """The added one-way delay, in seconds."""
        if self.delay is None and self.generation is not None:
            return _GENERATIONS[self.generation][2] / 2
        return self.delay or 0.0


_GENERATIONS: Final = {
    Generation.G2: (280, 256, 0.8),
    Generation.G3: (1_600, 768, 0.3),
    Generation.G4: (9_000, 9_000, 0.17),
}
"""Rates to and from subscribers in kbit/s, and the round-trip time in seconds: WebPageTest's profiles of these names.
"""
