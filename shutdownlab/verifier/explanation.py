"""What is said of a cell that is explained. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from shutdownlab.model.scenario import Expectation
from shutdownlab.results.result import Result
from shutdownlab.verifier.mending import Mend
from shutdownlab.verifier.packets import FiveTuple
from shutdownlab.verifier.verdicts import CellVerdict


@dataclass(frozen=True, slots=True)
class DecidingPolicy:
    """A policy that decided something: where it stands, since when it is in force, and under whose account.

    places are `file:line`, empty where a program made the scenario.
    """

    policy: str
    title: str
    place: str
    source: str
    since: str
    ordered: str
    account: str = ""


@dataclass(frozen=True, slots=True)
class DecidingFault:
    """A fault that takes away what a cell needs: its ways, its resolver or its servers (`needs`)."""

    fault: str
    title: str
    place: str
    source: str
    needs: tuple[str, ...]
    is_order: bool = False


@dataclass(frozen=True, slots=True)
class Hop:
    """A node on the way, and what it did. rule: the flow entry or the box's rule. stops: nothing went on from here.

    table: the flow entry's. met: of a run, the packets that rules of this policy have met in that table during the
    phase, or the connections that the box has decided by this rule, whosever they were.
    """

    node: str
    role: str
    did: str = ""
    rule: str = ""
    order: DecidingPolicy | None = None
    stops: bool = False
    table: int | None = None
    met: int | None = None


@dataclass(frozen=True, slots=True)
class Longest:
    """The longest packet that gets all the way, in octets; what carries no longer ones; the router that tells their
    senders so (empty: it is their own line), and whether they are told."""

    octets: int
    link: str
    router: str
    is_told: bool


@dataclass(frozen=True, slots=True)
class CapturedFrame:
    """A frame of the measurement. at: seconds after its last try began. what: its protocol, and TCP's flags."""

    at: float
    source: str
    target: str
    what: str
    octets: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one cell comes out as it does.

    connection: the one that decides, `others`: how many the measurement makes besides. back: the way shown is that of
    the answers. ttls: the smallest TTL with which a packet that goes that way comes to each DPI box on it, and to its
    end. longest: where something on that way carries less than Ethernet does. mends: what would let it through, the
    least change first. faults: what has taken away what it needs; elsewhere: the policies that decide at routers and
    resolvers. departs: how the operator does not do as ordered.
    stream: the connection's protocol, addresses and the server's port, `beyond` the same beyond its client's border
    router. measured: what a run has found.
    frames: what it has captured of the connection, at the switch `captured_at`.
    """

    phase: str
    vantage: str
    target: str
    family: str
    verdict: CellVerdict
    expected: Expectation | None
    connection: str
    others: int
    back: bool
    hops: tuple[Hop, ...]
    ttls: tuple[tuple[str, int], ...]
    saw: tuple[str, ...]
    server: str
    mends: tuple[Mend, ...]
    faults: tuple[DecidingFault, ...] = ()
    elsewhere: tuple[DecidingPolicy, ...] = ()
    departs: str = ""
    measured: Result | None = None
    stream: FiveTuple | None = None
    beyond: FiveTuple | None = None
    captured_at: str = ""
    frames: tuple[CapturedFrame, ...] = ()
    longest: Longest | None = None

    def __repr__(self) -> str:
        failure = f" ({self.verdict.text})" if self.verdict.text else ""
        cell = f"{self.target} from {self.vantage} in {self.phase}, {self.family}"
        return f"Explanation({cell}: {self.verdict.outcome.value}{failure})"
