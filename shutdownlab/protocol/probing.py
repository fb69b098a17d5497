"""Requests from the runner to probe agents, and their results."""

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
    """One probe from one vantage point over one address family. The agent needs no other information.

    `runs`: the test function, as `package.module:function`. The agent calls it with its session and `ask`, which has
        the type in the function's signature and must be serialisable as JSON.
    `timeout`: seconds that one step (a lookup, a connect, a handshake, a reply) may take; the scheduler scales it for
        each try. `lasts`: seconds that the probe may take in addition to its steps.
    `resolver`: address of the DNS resolver. With `looks_up` False no queries are sent: the agent knows all names of
        the country. `gives_up`: seconds after which the client gives up a lookup whatever its timeout; 0: no limit.
    `ca`: PEM file of the trusted certificate authority; "" trusts none.
    `addresses`: the true addresses of the probe's host in this family; empty if not known.
    `errand`: what another agent does first.
    `place`: names the line that this probe shares with others. A probe that is `alone` waits until the place is quiet;
        so does a second try if a policy has `slowed` its line, as the first may have failed because of other probes.
    `rate`: kbit/s that policies leave a slowed line; 0 if not known.
    `rests`: seconds to wait after a try before the next, while a policy still counts the packets it sent.
    `shares`: how much of the machine's CPU time it takes while it runs, in shares.
    `ooni_test` and `ooni_input`: test name and input in its OONI record.
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
    """Part of a control: whether `address` answers an echo request from `source` or, with `host`, resolves that name.

    `size`: minimum size of the echo request's packet, in octets. `answers`: the name's true addresses; an answer with
    none of them is a failure. Empty: any address will do.
    """

    name: str
    address: str
    source: str = ""
    host: str = ""
    size: int = 0
    answers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Proof:
    """The result of a control (see `measure.controls`). `name` says what it proves.

    `failure`: OONI's failure string; None for success. `began`, `ended`: seconds on the monotonic clock. `started`:
    Unix time at which it began.
    """

    name: str
    began: float
    ended: float
    failure: str | None = None
    started: float = 0.0


@dataclass(frozen=True, slots=True)
class Measurement:
    """The result of a request. `started` is Unix time, `runtime` seconds; `test_keys` are in OONI data format 0.2.0.

    `failure`: OONI's failure string; None if nothing failed, or if the block shows in another way (a block page, a
        forged DNS answer).
    `value`, in `unit`: the measured value, if it is a number.
    `doubtful`: whether load alone could have caused this outcome.
    `passes`: the number of tries. `certainty`: whether further tries agreed; an outcome that stays `unconfirmed` is
        `unknown`.
    `controls`: the controls that vouch for the outcome, or that failed and refute it. `taken_away`: whether they failed
        as expected, because something that the cell needs has been removed.
    `starved`: if a failed try says nothing about the network, a sentence naming the process that had to wait for a CPU;
        otherwise "".
    `margin`: for a speed, how many seconds the forwarding of data would have to be held up to change the outcome; None
        for other measurements.
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
    """A request sent to an agent; `number` identifies its result."""

    number: int
    request: ProbeRequest


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result of job `number`."""

    number: int
    measurement: Measurement


ProbingMessage: TypeAlias = ProbeJob | ProbeResult
