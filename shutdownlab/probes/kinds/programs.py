"""The probe that runs any program of a user's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from shutdownlab.config.addresses import is_address
from shutdownlab.config.document import Expected, did_you_mean, one_of, quoted
from shutdownlab.config.domains import Host
from shutdownlab.config.scalars import Seconds, whole
from shutdownlab.model.probe import MOST_PATIENCE, Probe, ServerControl, Surroundings
from shutdownlab.model.scenario import Outcome
from shutdownlab.probes.kinds.hosts import Destination, Tcp


@dataclass(frozen=True, slots=True)
class Execution:
    """A program to run in `folder`. `otherwise`: the outcome for exit codes that are not in `outcomes`."""

    argv: tuple[str, ...]
    folder: Path
    timeout: float
    outcomes: Mapping[int, Outcome]
    otherwise: Outcome
    variables: Mapping[str, str]


def _argv(value: object) -> object:
    """Converts numbers among the arguments to text, so that they may be written without quotes."""
    if isinstance(value, str):
        words = ", ".join(value.split())
        raise Expected("the program and its arguments in a list", f"write [{words}]; for a shell [sh, -c, …]")
    return (
        [str(item) if isinstance(item, int | float) else item for item in value] if isinstance(value, list) else value
    )


def _meaning(value: object) -> object:
    meanings = [outcome.value for outcome in Outcome if outcome not in {Outcome.DOWN, Outcome.UNKNOWN}]
    if value not in meanings:
        raise Expected(one_of(meanings), lambda: did_you_mean(str(value), meanings))
    return value


def _exit_status(value: object) -> object:
    if value == "other":
        return value
    status = whole(value, 0, 255)
    if status is None:
        raise Expected("an exit status from 0 to 255, or `other`", found=quoted(value))
    return status


_OVER_TCP: Final = frozenset({"http", "https", "tcp", "tls"})
_Meaning = Annotated[
    Outcome,
    BeforeValidator(_meaning, json_schema_input_type=Literal["ok", "blocked", "throttled", "error"]),
]
_ExitStatus = Annotated[int | Literal["other"], BeforeValidator(_exit_status)]


class Command(Probe):
    """Any program, run at the vantage point in the folder of the scenario's file; its exit status is the outcome.

    The last line of its standard output is recorded: a number, with or without a unit, is the probe's value; a name
    such as `connection_reset` is the failure. See docs/extending.md; needs `--trust`.
    """

    command: Annotated[
        tuple[str, ...], BeforeValidator(_argv, json_schema_input_type=tuple[str | float, ...]), Field(min_length=1)
    ]
    """The program and its arguments. A program that begins with ./ or ../ is a file beside the scenario."""
    timeout: Seconds = 10.0
    """The time after which it is killed, with its children; that counts as blocked."""
    host: Host | None = None
    """A host name of the topology: the program gets it as SHUTDOWNLAB_HOST, and its true address as
    SHUTDOWNLAB_ADDRESS.
    """
    outcomes: dict[_ExitStatus, _Meaning] = Field({})
    """The outcome for each exit status, or for all `other` ones: ok, blocked, throttled or error. By default 0 is
    ok, 1 blocked, 3 throttled, any other an error of the program itself.
    """

    runs = "shutdownlab.probes.command:command_test"
    ooni_test = "x_command"
    shares = 4

    @property
    def host_name(self) -> str | None:
        return self.host

    @property
    def hosts(self) -> dict[str, str]:
        return {"host": self.host} if self.host else {}

    @property
    def lasts(self) -> float:
        return MOST_PATIENCE * self.timeout

    @property
    def programs(self) -> tuple[tuple[str, ...], ...]:
        return (self.command,)

    def looked_up(self, at: Surroundings) -> tuple[str, ...]:
        return (self.host,) if self.host and not is_address(self.host) else ()

    def control(self, at: Surroundings) -> ServerControl | None:
        """Returns a connection to the host's first TCP port: the program itself runs only at vantage points."""
        hosted = at.hosted(self.host)
        if hosted is None:
            return None
        listens = hosted.program.ports if hosted.program else ()
        ports = [each.first for each in listens if each.protocol == "tcp"]
        ports += [service.port for service in hosted.services if service.kind in _OVER_TCP]
        return ServerControl(Tcp.runs, Destination(self.host or "", ports[0])) if ports else None

    def ask(self, at: Surroundings) -> Execution:
        vantage = at.vantage
        variables = {
            "PHASE": at.phase,
            "VANTAGE": str(vantage.id),
            "OPERATOR": vantage.id.operator,
            "REGION": vantage.id.region,
            "SUBSCRIBER": vantage.id.group,
            "CLASS": vantage.class_,
            "ACCESS": vantage.access.value,
            "HOST": self.host or "",
        }
        by_status: dict[int, Outcome] = {0: Outcome.OK, 1: Outcome.BLOCKED, 3: Outcome.THROTTLED}
        by_status |= {status: outcome for status, outcome in self.outcomes.items() if status != "other"}
        otherwise = self.outcomes.get("other", Outcome.ERROR)
        return Execution(self.command, at.folder, self.timeout, by_status, otherwise, variables)

    def ooni_input(self, at: Surroundings) -> str:
        return " ".join(self.command)
