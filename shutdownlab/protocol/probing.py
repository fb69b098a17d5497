"""What the runner asks a probe agent, and what it gets back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from pydantic import ConfigDict, with_config

from shutdownlab.model.probe import Errand, Family
from shutdownlab.model.scenario import Outcome

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """One probe from one vantage point over one address family. The caller has looked everything up.

    `runs`: `package.module:function`, which the agent calls with its session and `ask`, of the type that the function's
    signature gives and JSON can hold.
    `timeout`: seconds one step (a lookup, a connect, a handshake, a reply) may take at most; the scheduler scales it
    try by try. `lasts`: seconds that the probe may take beside its steps.
    `resolver`: the address that name questions go to; one that `looks_up` nothing knows all names of the country.
    `gives_up`: seconds after which its client gives up a lookup, whatever its patience (0: that alone counts).
    `ca`: PEM file of the authority whose certificates count; "" trusts none. `addresses`: what the probe's host truly
    resolves to, in this family; empty: not known.
    `errand`: what another agent does first. `place`: whose probes share a line with this one; a probe that is `alone`
    waits until the place is quiet; where a policy has `slowed` its line, so does a second try: the place's own probes
    may have been what the first one failed by. `rate`: kbit/s that policies leave a slowed line; 0: not known.
    `rests`: seconds after a try until nobody counts any more what it has sent: none follows before.
    `shares`: of the machine's processor time while it works.
    `ooni_test` and `ooni_input`: what its record says was measured.
    """

    id: str
    name: str
    runs: str
    ask: Any = None
    place: str = ""
    family: Family = Family.IPV4
    timeout: float = 1.2
    lasts: float = 0.0
    resolver: str = ""
    looks_up: bool = True
    gives_up: float = 0.0
    ca: str = ""
    addresses: tuple[str, ...] = ()
    errand: Errand | None = None
    shares: int = 1
    alone: bool = False
    slowed: bool = False
    rate: int = 0
    rests: float = 0.0
    ooni_test: str = "x_probe"
    ooni_input: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """Part of a control: whether `address` answers an echo sent from `source`; or, as a resolver, knows `host`.

    `size`: octets of the echo's packet at least.
    """

    name: str
    address: str
    source: str = ""
    host: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class Proof:
    """What came of a control (see `measure.controls`), of which `name` says what it proves.

    `failure`: OONI's name for what failed, None where nothing did. `began`, `ended`: seconds by one monotonic clock.
    `started`: Unix time when it began.
    """

    name: str
    began: float
    ended: float
    failure: str | None = None
    started: float = 0.0


@dataclass(frozen=True, slots=True)
class Measurement:
    """What came of a request. `started` is Unix time, `runtime` seconds; `test_keys` are in OONI data format 0.2.0.

    `failure` is OONI's failure string, None where the block shows otherwise (a block page, a forged DNS answer) or
    nothing failed. `value`, in `unit`: what was measured, where that is a number. `doubtful`: load alone could have
    caused this outcome. `passes`: how often it was measured. `certainty`: whether further tries said the same; an
    outcome that stayed `unconfirmed` is `unknown`. `controls`: those that vouch for it, or that failed and refute it.
    `taken_away`: they failed as they should, for what the cell needs has been taken away. `starved`: why a try that
    failed says nothing of the network: a sentence on who had no processor; "" where it does say something. `margin`: of
    a speed, for how many seconds what passes octets on would have to be kept from it to make one outcome of another;
    None: it is no speed.
    """

    outcome: Outcome
    failure: str | None = None
    started: float = 0.0
    runtime: float = 0.0
    test_keys: Mapping[str, Any] = field(default_factory=dict)
    doubtful: bool = False
    passes: int = 1
    certainty: Literal["certain", "confirmed", "unconfirmed"] = "certain"
    value: float | None = None
    unit: str = ""
    controls: tuple[Proof, ...] = ()
    taken_away: bool = False
    starved: str = ""
    margin: float | None = None


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class ProbeJob:
    """A request on its way to an agent; `number` tells its result from others."""

    number: int
    request: ProbeRequest


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What came of the job of that number."""

    number: int
    measurement: Measurement


ProbingMessage: TypeAlias = ProbeJob | ProbeResult
