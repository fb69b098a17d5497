"""A lab's node and the result of a measurement, as a program sees them."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypedDict, Unpack

from shutdownlab.country.lab_program import Program, Server
from shutdownlab.model.network import Node
from shutdownlab.model.scenario import Outcome

if TYPE_CHECKING:
    from shutdownlab.country.lab import Lab


@dataclass(frozen=True, slots=True)
class LabMeasurement:
    """The result of a measurement.

    outcome: ok, blocked or throttled; error if the measurement itself failed, unknown if it stayed uncertain. failure:
    OONI's failure string; None if nothing failed or the block shows in another way. certainty: `certain`, `confirmed`
    by further tries, or `unconfirmed`. value: the measured number in `unit` (kbit/s, ms), if there is one. seconds: its
    duration. record: the whole result in OONI's data format.
    """

    outcome: Outcome
    failure: str | None
    certainty: str
    value: float | None
    unit: str
    seconds: float
    record: Mapping[str, Any]

    @property
    def test_keys(self) -> Mapping[str, Any]:
        """What was observed, step by step: OONI's `test_keys`."""
        keys: Mapping[str, Any] = self.record["test_keys"]
        return keys


class _Options(TypedDict, total=False):
    env: Mapping[str, str] | None
    cwd: str | Path | None


class ExecOptions(_Options, total=False):
    """Options of `Lab.exec`."""

    input: str | bytes | None
    timeout: float | None
    check: bool
    text: bool


class PopenOptions(_Options, total=False):
    """Options of `Lab.popen`."""

    stdin: int | IO[Any] | None
    stdout: int | IO[Any] | None
    stderr: int | IO[Any] | None
    text: bool


class ServeOptions(_Options, total=False):
    """Options of `Lab.serve`."""

    ports: Sequence[str]
    timeout: float


@dataclass(frozen=True, slots=True, eq=False)
class LabNode:
    """A node of a lab: a vantage point, a router, a switch, a DPI box, a network's servers, …"""

    lab: Lab
    node: Node

    @property
    def name(self) -> str:
        """Its name in the drawing and in Mininet: `kcell-almaty`, `retn-servers`."""
        return self.node.name

    @property
    def title(self) -> str:
        """Its name for human readers."""
        return self.node.title

    @property
    def role(self) -> str:
        """Its role: subscriber, resolver, telephone, border, transit, servers, …"""
        return self.node.role.value

    @property
    def addresses(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """Its own addresses, then those of the services it hosts."""
        own = [a.ip for port in self.node.ports.values() for a in port.addresses]
        return tuple(dict.fromkeys([*own, *self.lab.plan.loaded.network.hosted_on(self.name)]))

    def exec(self, argv: Sequence[str | Path], **options: Unpack[ExecOptions]) -> subprocess.CompletedProcess[Any]:
        """See `Lab.exec`."""
        return self.lab.exec(self.name, argv, **options)

    def popen(self, argv: Sequence[str | Path], **options: Unpack[PopenOptions]) -> Program:
        """See `Lab.popen`."""
        return self.lab.popen(self.name, argv, **options)

    def serve(self, program: Sequence[str | Path] | Path, **options: Unpack[ServeOptions]) -> Server:
        """See `Lab.serve`."""
        return self.lab.serve(self.name, program, **options)

    def __repr__(self) -> str:
        return f"<{self.role} {self.name}>"
