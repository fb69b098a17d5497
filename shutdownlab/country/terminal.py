"""A country at the user's terminal: Mininet's command line, or one command at a node. In a sandbox."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from shutdownlab.country.breakage import BREAKAGES, EXIT_BROKEN, lines_of
from shutdownlab.country.prompt import Prompt
from shutdownlab.country.session import Session
from shutdownlab.country.tools import add_tools
from shutdownlab.system.child_process import exit_code
from shutdownlab.system.sandbox import foreground_program, interactive

EXIT_FAILED = 1
"""What `lab --script` ends with where a command could not be carried out."""

_GREETING = """\
{count} nodes of {title} are up{policy}.
Open vSwitch's {datapath} datapath: {why}.
Mininet's commands work here, and any command at a node:
    nodes, net, dump, help        what there is
    {example} ping -c 3 {site}
    {example} curl https://{site}/
    exit                          (or Ctrl-D) the end of it all
What transit, DPI box, vantage point and the like are: docs/glossary.md"""


def command_line(payload: Mapping[str, Any]) -> int:
    """Bring up the `plan` and hand over to Mininet's command line, or carry out the `script`; returns an exit code."""
    return _with_session(payload, partial(_command_line, script=payload["script"]))


def command(payload: Mapping[str, Any]) -> int:
    """Bring up the `plan` and run the `argv` on the `node`, in the directory `cwd`; returns its exit code.

    In several `phases` it is run in one after another: returns what it ended with in the first in which it failed.
    """
    phases: tuple[str, ...] = payload["phases"]

    def run(session: Session, console: Console) -> int:
        once = partial(_command, session, payload["node"], payload["argv"], payload["cwd"])
        if len(phases) < 2:
            return once()
        codes = []
        for name in phases:
            _go_to(session, console, name)
            codes.append(once())
        told = (f"{code} in {name}" for code, name in zip(codes, phases, strict=True))
        console.print(f"ended with {', '.join(told)}", soft_wrap=True)
        return next(filter(None, codes), 0)

    return _with_session(payload, run)


def _go_to(session: Session, console: Console, name: str) -> None:
    scenario = session.plan.scenario
    assert scenario is not None, "only a scenario has phases"
    if name != session.phase:
        session.put_in_force(name, session.plan.active_in(name))
    phase = scenario.phase(name)
    console.print(f"[bold]{phase.at:%d %b %H:%M}  {name}[/bold]  {escape(phase.title)}", soft_wrap=True)
    for fault in session.faults():
        console.print(fault, style="red", soft_wrap=True, markup=False)


def _with_session(payload: Mapping[str, Any], then: Callable[[Session, Console], int]) -> int:
    console = Console(stderr=True, highlight=False)
    try:
        session = Session(payload["plan"], _teller(console))
    except BREAKAGES as error:
        console.print("[red]The country did not come up:[/red]")
        for line in lines_of(error):
            console.print(f"    {escape(line)}", soft_wrap=True)
        return EXIT_BROKEN
    add_tools(session.country.net, session.country.services, session.files / "bin")
    os.environ |= session.country.environment()
    for fault in session.faults():
        console.print(fault, style="red", soft_wrap=True, markup=False)
    return then(session, console)


def _teller(console: Console) -> Callable[[str], None]:
    """Say what is going on where somebody watches; a script's standard error stays clean."""
    return (
        (lambda text: console.print(f"{text} …", style="dim", markup=False))
        if console.is_terminal
        else (lambda _: None)
    )


def _command_line(session: Session, console: Console, script: str | None) -> int:
    country, network = session.country, session.plan.loaded.network
    policy = f", with the policies of {session.phase}" if session.active else ""
    webs = [h for h in network.hosted if h.names and any(service.kind == "https" for service in h.services)]
    sites = [hosted.names[0] for hosted in sorted(webs, key=lambda hosted: not hosted.domestic)]
    example, site = network.subscriber(network.vantages[0].id).name, next(iter(sites), "example.net")
    text = _GREETING.format(
        count=len(network.nodes), title=network.topology.title, policy=policy, example=example, site=site,
        datapath=country.datapath.name, why=country.datapath.why,
    )  # fmt: skip
    console.print(text, soft_wrap=True, markup=False)
    with interactive():
        failures = Prompt(session, script=script).failures
    return EXIT_FAILED if script and failures else 0


def _command(session: Session, node: str, argv: tuple[str, ...], cwd: Path) -> int:
    country = session.country
    try:
        with foreground_program():
            process = country.net.get(node).spawn(
                list(argv), stdin=None, env=country.environment(), cwd=cwd, foreground=True
            )
            status = int(process.wait())
    except FileNotFoundError:
        sys.stderr.write(f"{argv[0]}: command not found\n")
        return 127
    except PermissionError:
        sys.stderr.write(f"{argv[0]}: not executable\n")
        return 126
    return exit_code(status)
