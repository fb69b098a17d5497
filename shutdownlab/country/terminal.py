"""A country at the user's terminal: Mininet's command line, or one command on a node. Runs in a sandbox."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from shutdownlab.country.attach_socket import Offered, listen
from shutdownlab.country.breakage import BREAKAGES, lines_of
from shutdownlab.country.breaking import Breaker
from shutdownlab.country.country import Country
from shutdownlab.country.lab_plan import LabPlan
from shutdownlab.country.porter import start_porter
from shutdownlab.country.prompt import Prompt
from shutdownlab.country.session import Session
from shutdownlab.country.shared_session import DistantSession, SharedSession
from shutdownlab.country.tools import add_tools
from shutdownlab.country.visible import LASTING
from shutdownlab.results.exit_codes import EXIT_BROKEN
from shutdownlab.system.child_process import exit_code
from shutdownlab.system.inside import REPLACED
from shutdownlab.system.sandbox import foreground_program, interactive

EXIT_FAILED = 1
"""Exit code of `lab` if a command of a script, or of piped input, failed."""

_GREETING = """\
{count} nodes of {title} are up{policy}.
Open vSwitch's {datapath} datapath: {why}.
Mininet's commands work here, and any command at a node:
    nodes, net, dump, help        list nodes, links, details, commands
    {example} ping -c 3 {site}
    {example} curl https://{site}/
    exit                          (or Ctrl-D) {exit}
{lasting}
{others}
docs/glossary.md explains terms such as transit, DPI box and vantage point"""


def command_line(payload: Mapping[str, Any]) -> int:
    """Starts the `plan`'s country and runs Mininet's command line or the `script`; returns an exit code.

    Other terminals may attach at the `offered` socket.
    """
    return _with_session(payload, partial(_command_line, script=payload["script"], offered=payload["offered"]))


def keep_open(plan: LabPlan, breaker: Breaker, offered: Offered) -> None:
    """Runs the command line in a country that is up, as a phase of the plan has left it."""
    console = Console(stderr=True, highlight=False)
    session = SharedSession(plan, breaker=breaker)
    make_ready(session)
    _command_line(session, console, None, offered)


def command(payload: Mapping[str, Any]) -> int:
    """Starts the `plan`'s country and runs `argv` on `node` in the directory `cwd`; returns its exit code.

    With several `phases` it is run in each in turn; returns the exit code of the first in which it failed.
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
        session = SharedSession(payload["plan"], _teller(console))
    except BREAKAGES as error:
        console.print("[red]The country did not come up:[/red]")
        for line in lines_of(error):
            console.print(f"    {escape(line)}", soft_wrap=True)
        return EXIT_BROKEN
    make_ready(session)
    for fault in session.faults():
        console.print(fault, style="red", soft_wrap=True, markup=False)
    return then(session, console)


def make_ready(session: Session) -> None:
    """Gives programs that this process starts the commands of switches and routers, and the lab's certificates."""
    add_tools(session.country.net, session.country.services, session.files / "bin")
    os.environ |= session.country.environment()


def _teller(console: Console) -> Callable[[str], None]:
    """Prints progress at a terminal; keeps a script's standard error clean."""
    return (
        (lambda text: console.print(f"{text} …", style="dim", markup=False))
        if console.is_terminal
        else (lambda _: None)
    )


def _command_line(session: SharedSession, console: Console, script: str | None, offered: Offered) -> int:
    if offered.descriptor >= 0:
        door = session.files / "terminals"
        command_line = partial(attached, session.plan, session.country, door)
        start_porter(listen(offered.descriptor), session.plan.loaded.network, session.country.net, command_line)
        session.serve(door)
        others = "To open another terminal in this lab: `shutdownlab attach`, or `shutdownlab attach NODE`."
    else:
        others = f"Other terminals cannot connect to this lab: {offered.why}."
    _greet(session, console, others, "ends the lab")
    with interactive():
        failures = Prompt(session, script=script).failures
    return EXIT_FAILED if failures and (script or not sys.stdin.isatty()) else 0


def attached(
    plan: LabPlan,
    country: Country,
    door: Path,
    others: str = "This terminal shares the lab with the one that started it.",
    end: str = "closes this terminal; the lab stays open",
) -> int:
    """Runs the command line of another terminal, in a process of its own."""
    session = DistantSession(plan, country, door)
    _greet(session, Console(stderr=True, highlight=False), others, end)
    with interactive():
        Prompt(session)
    return 0


def _greet(session: Session | DistantSession, console: Console, others: str, end: str) -> None:
    country, network = session.country, session.plan.loaded.network
    policy = f", with the policies of {session.phase}" if session.active and session.phase else ""
    webs = [h for h in network.hosted if h.names and any(service.kind == "https" for service in h.services)]
    sites = [hosted.names[0] for hosted in sorted(webs, key=lambda hosted: not hosted.domestic)]
    example, site = network.subscriber(network.vantages[0].id).name, next(iter(sites), "example.net")
    here = Path.cwd()
    kept = f"; files that are to stay: {here}" if os.access(here, os.W_OK) and str(here) not in REPLACED else ""
    text = _GREETING.format(
        lasting=f"{LASTING}{kept}.",
        count=len(network.nodes), title=network.topology.title, policy=policy, example=example, site=site,
        datapath=country.datapath.name, why=country.datapath.why, others=others, exit=end,
    )  # fmt: skip
    console.print(text, soft_wrap=True, markup=False)


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
