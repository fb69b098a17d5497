"""OpenFlow 1.3 rules as data, and the table pipeline that every switch of the country has.

`CLASSIFY → EXEMPT → BLACKOUT → ACCESS_LISTS → RESIDUAL → VERDICTS → INSPECT → FORWARD`; a table's miss goes on to the
next. Matches use the OXM field names of the OpenFlow 1.3.5 specification (section 7.2.3.7), as os-ken and Ryu spell
them, and Nicira's registers.
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
    """Names the subscriber group and the direction in the metadata; lets ARP and neighbour discovery through. On a DPI
    switch, copies the ends of a connection to registers (see `ends`)."""
    EXEMPT = 1
    """Sends what a blackout spares past it; switches voice and SMS."""
    BLACKOUT = 2
    """Drops everything of the groups that are cut off."""
    ACCESS_LISTS = 3
    """Drops or meters by address, port and protocol."""
    RESIDUAL = 4
    """Residual blocks: what is blocked on after a DPI box's decision, for as long as the box's profile says."""
    VERDICTS = 5
    """A rule for each connection that a DPI box has decided (or one for each direction); it expires when idle."""
    INSPECT = 6
    """Steers what is undecided through the DPI box."""
    FORWARD = 7
    """Where frames go when nothing forbids it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One flow entry. Without `goto` and `outputs` it drops.

    `metadata`: (value, mask) to write. `moves`: fields to copy, and the registers to copy them to. `meter`: id of a
    `Meter` of the same switch. `idle_timeout`: seconds without a packet until it goes, `hard_timeout`: seconds until it
    goes whatever comes (0: never). `policy`: the policy it enforces, whose digest is its cookie.
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
        """What identifies the entry in its switch."""
        return self.table, self.priority, self.match

    @property
    def cookie(self) -> int:
        return policy_cookie(self.policy)


@dataclass(frozen=True, slots=True)
class Meter:
    """A token bucket that drops above `kbit` per second, with `burst` kbit in hand (OpenFlow 1.3.5, section 5.7)."""

    id: int
    kbit: int
    burst: int


@dataclass(frozen=True, slots=True)
class SwitchProgram:
    """All that a switch should hold: its meters and its rules."""

    meters: tuple[Meter, ...]
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class RuleChange:
    """What turns one program into another: install `add` first, then remove `delete`; meters before the rules."""

    meters: tuple[Meter, ...]
    add: tuple[Rule, ...]
    delete: tuple[Rule, ...]
    drop_meters: tuple[Meter, ...]


def change(old: SwitchProgram, new: SwitchProgram) -> RuleChange:
    """The smallest change between two programs: rules that stay are not touched, so their counters go on."""
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
    """A policy's 64-bit cookie; 0 for rules of no policy."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") if name else 0
