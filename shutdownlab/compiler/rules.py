"""OpenFlow 1.3 rules as data, and the table pipeline of every switch in the country.

`CLASSIFY → EXEMPT → BLACKOUT → ACCESS_LISTS → RESIDUAL → VERDICTS → INSPECT → FORWARD`; a packet that misses in one
table goes to the next. Matches use the OXM field names of the OpenFlow 1.3.5 specification (section 7.2.3.7), as os-ken
and Ryu spell them, and Nicira's registers.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum

MatchValue = int | str | tuple[int, int] | tuple[str, str]
Match = tuple[tuple[str, MatchValue], ...]


class PipelineTable(IntEnum):
    """The fixed pipeline. A packet enters at CLASSIFY and leaves at FORWARD, or is dropped on the way."""

    CLASSIFY = 0
    """Writes the subscriber group and the direction to the metadata; passes ARP and neighbour discovery. On a DPI
    switch, copies the ends of a connection to registers (see `ends`)."""
    EXEMPT = 1
    """Sends traffic exempt from a blackout past it; passes or drops voice and SMS."""
    BLACKOUT = 2
    """Drops all traffic of the groups that are cut off."""
    ACCESS_LISTS = 3
    """Drops or meters by address, port and protocol."""
    RESIDUAL = 4
    """Residual blocks: after a DPI box's decision, drops further packets for as long as the box's profile says."""
    VERDICTS = 5
    """A rule for each connection that a DPI box has decided (or one per direction); it expires when idle."""
    INSPECT = 6
    """Steers undecided connections through the DPI box."""
    FORWARD = 7
    """Sends frames to their ports."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One flow entry. Without `goto` and `outputs` it drops.

    `metadata`: (value, mask) to write. `moves`: (field, register to copy it to). `meter`: id of a `Meter` of the same
    switch. `idle_timeout`: seconds without a packet until it expires; `hard_timeout`: seconds until it expires in any
    case (0: never). `policy`: name of the policy it enforces, whose digest is its cookie.
    """

    table: PipelineTable
    priority: int
    match: Match = ()
    goto: PipelineTable | None = None
    outputs: tuple[int, ...] = ()
    meter: int | None = None
    metadata: tuple[int, int] | None = None
    moves: tuple[tuple[str, str], ...] = ()
    idle_timeout: int = 0
    hard_timeout: int = 0
    policy: str = ""

    @property
    def key(self) -> tuple[PipelineTable, int, Match]:
        """Identifies the entry in its switch."""
        return self.table, self.priority, self.match

    @property
    def cookie(self) -> int:
        return policy_cookie(self.policy)


@dataclass(frozen=True, slots=True)
class Meter:
    """A token bucket of `burst` kbit that drops above `kbit` per second (OpenFlow 1.3.5, section 5.7)."""

    id: int
    kbit: int
    burst: int


@dataclass(frozen=True, slots=True)
class SwitchProgram:
    """A switch's whole intended state: its meters and its rules."""

    meters: tuple[Meter, ...]
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class RuleChange:
    """The change from one program to another: first install `meters`, then `add`, then remove `delete`."""

    meters: tuple[Meter, ...]
    add: tuple[Rule, ...]
    delete: tuple[Rule, ...]
    drop_meters: tuple[Meter, ...]


def change(old: SwitchProgram, new: SwitchProgram) -> RuleChange:
    """Returns the smallest change between two programs: unchanged rules are not touched and keep their counters."""
    before = {rule.key: rule for rule in old.rules}
    after = {rule.key: rule for rule in new.rules}
    kept = {meter.id for meter in new.meters}
    return RuleChange(
        meters=tuple(meter for meter in new.meters if meter not in old.meters),
        add=tuple(rule for key, rule in after.items() if before.get(key) != rule),
        delete=tuple(rule for key, rule in before.items() if key not in after),
        drop_meters=tuple(meter for meter in old.meters if meter.id not in kept),
    )


EMPTY = SwitchProgram((), ())


def policy_cookie(name: str) -> int:
    """Returns a policy's 64-bit cookie; 0 for rules of no policy."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") if name else 0
