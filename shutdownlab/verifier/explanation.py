"""The parts of an explanation of a cell. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from shutdownlab.model.scenario import Expectation
from shutdownlab.results.result import Result
from shutdownlab.verifier.mending import Mend
from shutdownlab.verifier.packets import FiveTuple
from shutdownlab.verifier.verdicts import CellVerdict


@dataclass(frozen=True, slots=True)
class DecidingPolicy:
    """A policy that decided something.

    place: where it is defined, `file:line`; "" if a program made the scenario.
    since: the phase in which it came into force.
    ordered: where it is started, `file:line` or "".
    account: the account under which it is in force, if another one leaves it out; else "".
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
    """A fault that takes away what a cell needs.

    needs: which of its paths (`way`), its name resolution (`lookup`) and its servers (`server`).
    is_order: whether a policy ordered it.
    """

    fault: str
    title: str
    place: str
    source: str
    needs: tuple[str, ...]
    is_order: bool = False


@dataclass(frozen=True, slots=True)
class Hop:
    """A node on the path, and what it did.

    rule: the flow entry, or the DPI box's rule.
    order: the policy that it is for.
    stops: whether the packet ended here.
    table: the flow entry's table.
    met: measured by a run, for all subscribers in the phase: packets that matched the policy's rules in that table, or
    connections that the box decided by this rule; None if there is no counter.
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
    """The longest packet that fits the whole path, in octets.

    link: the narrowest link.
    router: the router that sends ICMP errors about longer packets; "" if it is the sender's own line.
    is_told: whether these errors reach the sender.
    """

    octets: int
    link: str
    router: str
    is_told: bool


@dataclass(frozen=True, slots=True)
class CapturedFrame:
    """A captured frame of the measurement.

    at: seconds since its last try began.
    source, target: addresses, with ports for TCP and UDP.
    what: protocol, and TCP flags.
    octets: the frame's length.
    """

    at: float
    source: str
    target: str
    what: str
    octets: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one cell has its outcome.

    connection: the deciding connection, in words.
    others: how many other connections the measurement makes.
    back: whether `hops` is the path of the answers.
    ttls: the smallest TTL with which a packet reaches each DPI box on that path, and its end.
    saw: what DPI boxes recognised and decided.
    server: what the server did.
    mends: changes that would let the cell through, smallest effect first.
    faults: faults that have taken away what it needs.
    elsewhere: policies that decide by routes and resolvers.
    bypassed: policies in force for the subscriber that DPI boxes carry out, if there is no box on the path.
    departs: how the operator departs from its orders, or "". waits: whether it does because its turn comes later.
    measured: the result of a run.
    stream: the connection's protocol, addresses and server port; `beyond`: the same beyond the client's border router.
    captured_at: the switch at which a run captured `frames` of the connection.
    longest: the longest packet that fits, if a link on the path has a smaller MTU than Ethernet.
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
    bypassed: tuple[str, ...] = ()
    departs: str = ""
    waits: bool = False
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
