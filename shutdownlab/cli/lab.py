"""`shutdownlab lab` and `shutdownlab exec`: interactive use of a country."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from shutdownlab.cli.options import (
    AnyName,
    AtPhase,
    Choices,
    DatapathWish,
    Settings,
    Trust,
    as_mapping,
    as_settings,
    known,
)
from shutdownlab.cli.program import EXIT_MACHINE_CANNOT, bad_option, errors, user_errors

if TYPE_CHECKING:
    from shutdownlab.country.attach_socket import Offered
    from shutdownlab.country.lab_plan import LabPlan
    from shutdownlab.country.visible import Needs

_KILLED = {signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS}
"""Signals that show that a lab did not end by its user: out of memory, `kill -9 -1` on a node."""


def lab(
    name: AnyName,
    at: AtPhase = None,
    choose: Choices = None,
    settings: Settings = None,
    datapath: DatapathWish = "auto",
    trust: Trust = False,
    script: Annotated[
        Path | None,
        typer.Option(
            "--script",
            metavar="FILE",
            help="Run these commands, one per line; exit with 1 if one cannot be carried out. "
            "What a program at a node ends with does not count.",
        ),
    ] = None,
    web: Annotated[
        bool, typer.Option("--web", help="Also serve the country as a page in the browser, as `shutdownlab web` does.")
    ] = False,
) -> None:
    """The machine's files are read-only there, except the working directory.
    /tmp, /run, /var/tmp and /var/log are the lab's own: empty at first, and
    deleted at its end.
    """
    from shutdownlab.country import visible
    from shutdownlab.country.attach_socket import offered
    from shutdownlab.system.child_process import ending

    with user_errors():
        plan = _plan(name, at, choose, settings, datapath, trust)
        if web:
            from shutdownlab.cli.web import lab_with_page

            if script is not None:
                bad_option(
                    "--web",
                    "--script as well",
                    "one of the two",
                    "to read commands from a file, use < FILE instead of --script",
                )
            raise typer.Exit(lab_with_page(plan))
        if script is not None and not script.is_file():
            bad_option("--script", f"{script}, which is not a file", "a file of commands, one per line")
        keep = [script.resolve()] if script is not None else []
        needed = visible.needs(script.read_text(errors="replace").splitlines() if script is not None else ())
        _tell(needed)
        with offered(plan.title) as found:
            code = _enter(
                "command_line", plan, [*keep, *needed.keep], found, script=str(keep[0]) if keep else None, offered=found
            )
        if code - 128 in _KILLED:
            errors().print(f"[red]The lab has ended:[/red] its process {ending(128 - code)}.")
            code = EXIT_MACHINE_CANNOT
        raise typer.Exit(code)


def exec_(
    name: AnyName,
    command: Annotated[
        list[str], typer.Argument(metavar="COMMAND...", help="The command and its arguments, after `--`.")
    ],
    vantage: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="OPERATOR/REGION[/GROUP]",
            help="The subscriber; without a group, an ordinary one.",
        ),
    ] = None,
    node: Annotated[
        str | None,
        typer.Option("--node", metavar="NODE", help="Any node instead, such as a router; `nodes` in `lab` lists them."),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(
            "--at", metavar="PHASE", help="The phase whose policies are in force; repeatable: one after another."
        ),
    ] = None,
    all_phases: Annotated[bool, typer.Option("--all-phases", help="In every phase, one after another.")] = False,
    choose: Choices = None,
    settings: Settings = None,
    datapath: DatapathWish = "auto",
    trust: Trust = False,
) -> None:
    """For example: shutdownlab exec first-shutdown --at blackout --from southcell/coast -- curl -m 5 https://kaspi.kz/
    The machine's files are read-only for it, except the working directory.
    /tmp, /run, /var/tmp and /var/log are the lab's own: empty at first, and
    deleted at its end. Of the machine's files there, the command sees only
    those that it names, and the folder in which it is installed.

    With several phases, the exit code is that of the first phase in which the
    command failed.
    """
    from shutdownlab.country import visible
    from shutdownlab.model.lookup import vantage_point

    with user_errors():
        if all_phases and at:
            bad_option("--all-phases", f"--at {at[0]} as well", "one of the two")
        plan = _plan(name, at[0] if at else None, choose, settings, datapath, trust)
        phases = _phases(plan, at or (), all_phases=all_phases)
        if (vantage is None) == (node is None):
            found = "neither" if node is None else f"{vantage} and --node {node}"
            bad_option("--from", found, "a subscriber by --from, or any node by --node")
        if vantage is not None:
            node = plan.loaded.network.subscriber(vantage_point(plan.loaded.topology, vantage, "--from").id).name
        assert node is not None
        known("--node", "node", node, plan.loaded.network.nodes)
        needed = visible.needs((), command)
        _tell(needed)
        raise typer.Exit(
            _enter("command", plan, needed.keep, node=node, argv=tuple(command), cwd=Path.cwd(), phases=phases)
        )


def _tell(needed: Needs) -> None:
    if note := needed.note():
        errors().print(f"note: {note}", markup=False)


def _phases(plan: LabPlan, at: Sequence[str], *, all_phases: bool) -> tuple[str, ...]:
    """Returns the phases to run a command in; none: with whatever is in force at first."""
    from shutdownlab.model.lookup import phase_named

    if plan.scenario is None:
        if all_phases:
            bad_option("--all-phases", "a topology", "a scenario: a topology has no phases")
        return ()
    if all_phases:
        return tuple(phase.phase for phase in plan.scenario.timeline)
    return tuple(phase_named(plan.scenario, each, "--at").phase for each in at)


def _plan(
    name: str, at: str | None, choose: list[str] | None, settings: list[str] | None, datapath: DatapathWish, trust: bool
) -> LabPlan:
    from shutdownlab import library
    from shutdownlab.country.lab_plan import lab_plan

    loaded = library.check(name, as_settings(settings))
    return lab_plan(loaded, at, as_mapping(choose), datapath, lambda parameter: f"--{parameter}", trust=trust)


def _enter(
    how: Literal["command_line", "command"],
    plan: LabPlan,
    keep: Sequence[Path] = (),
    listening: Offered | None = None,
    **more: Any,
) -> int:
    from shutdownlab.system.sandbox import run_in_sandbox

    payload = {"plan": plan, **more}
    return run_in_sandbox(
        f"shutdownlab.country.terminal:{how}",
        payload,
        keep=[*plan.folders, *keep],
        writable=[Path.cwd()],
        pass_fds=[listening.descriptor] if listening and listening.descriptor >= 0 else (),
    )
