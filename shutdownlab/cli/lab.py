"""`shutdownlab lab` and `shutdownlab exec`: a country to look around in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from shutdownlab import library
from shutdownlab.cli.options import AnyName, AtPhase, Choices, DatapathWish, chosen, known_phase
from shutdownlab.cli.program import bad_option, told
from shutdownlab.config.document import quoted
from shutdownlab.library import Shutdown
from shutdownlab.model.lookup import vantage_point
from shutdownlab.model.scenario import Mode


def lab(name: AnyName, at: AtPhase = None, choose: Choices = None, datapath: DatapathWish = "auto") -> None:
    """The emulated country with Mininet's own command line (`help` there lists its commands)."""
    with told():
        raise typer.Exit(enter(name, at, choose, {"command": None, "vantage": None, "datapath": datapath}))


def exec_(
    name: AnyName,
    command: Annotated[
        list[str], typer.Argument(metavar="COMMAND...", help="The command and its arguments, after `--`.")
    ],
    vantage: Annotated[
        str, typer.Option("--from", metavar="OPERATOR/REGION[/GROUP]", help="As a subscriber of whom, and where.")
    ],
    at: AtPhase = None,
    choose: Choices = None,
    datapath: DatapathWish = "auto",
) -> None:
    """Run any command as a subscriber lives it: its network, its resolver, the laboratory's certificates.

    For example: shutdownlab exec first-shutdown --at blackout --from southcell/coast -- curl -m 5 https://kaspi.kz/
    """
    with told():
        payload = {"command": tuple(command), "vantage": vantage, "datapath": datapath}
        raise typer.Exit(enter(name, at, choose, payload))


def enter(name: str, at: str | None, choose: list[str] | None, payload: dict[str, Any]) -> int:
    from shutdownlab.system.sandbox import run_in_sandbox

    found = library.check(name)
    shutdown = found if isinstance(found, Shutdown) else None
    if shutdown is None and (at is not None or choose):
        bad_option("--at" if at else "--choose", f"the topology {quoted(name)}", "a scenario: a topology has no phases")
    topology = found.topology
    if payload["vantage"] is not None:
        payload["vantage"] = vantage_point(topology, payload["vantage"], "--from").id
    active, mode = {}, Mode.OPERATORS
    if shutdown is not None:
        scenario, choices = shutdown.scenario, chosen(shutdown.scenario, choose)
        mode = scenario.mode(choices)
        if at is not None:
            known_phase("--at", scenario, at)
            active = scenario.active(at, choices)
    payload |= {"network": found.network, "apps": found.apps, "active": active, "phase": at or ""}
    payload |= {"profiles": found.profiles, "mode": mode, "cwd": Path.cwd()}
    return run_in_sandbox("shutdownlab.runner.interactive:inside", payload, writable=[Path.cwd()])
