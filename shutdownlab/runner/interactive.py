"""A country to look around in: Mininet's command line, or one command as a subscriber lives it."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mininet.cli import CLI
from rich.console import Console
from rich.markup import escape

from shutdownlab.country.assembly import Country, Plan, build
from shutdownlab.inspection.apps import App
from shutdownlab.inspection.profile import Profile
from shutdownlab.model.network import Network, node_name
from shutdownlab.model.policy import Policy
from shutdownlab.model.scenario import Mode
from shutdownlab.model.topology import VantageId
from shutdownlab.network.datapath import Wish
from shutdownlab.protocol.messages import Failure
from shutdownlab.runner.breakage import BREAKAGES, brief, lines_of
from shutdownlab.system.sandbox import foreground_program, interactive

EXIT_BROKEN = 3
_GREETING = """\
{count} nodes of {title} are up{policy}.
Open vSwitch's {datapath} datapath: {why}.
Mininet's commands work here, and any command at a node:
    nodes, net, help              what there is
    {example} ping -c 3 {site}
    {example} curl https://{site}/
    exit                          (or Ctrl-D) the end of it all"""


class LabCLI(CLI):  # type: ignore[misc]
    """Mininet's command line, for nodes that have a dash in their names too."""

    identchars = f"{CLI.identchars}-"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line gave. `command` None: Mininet's command line. `cwd`: where the command runs."""

    network: Network
    apps: Mapping[str, App]
    active: Mapping[str, Policy]
    phase: str
    profiles: Mapping[str, Profile]
    mode: Mode
    command: tuple[str, ...] | None
    vantage: VantageId | None
    cwd: Path
    datapath: Wish


def inside(payload: Mapping[str, Any]) -> int:
    """Build, apply the policies, hand over; in the sandbox. Returns the command's exit code."""
    settings = Settings(**payload)
    files = Path(tempfile.mkdtemp(prefix="shutdownlab-"))  # of the sandbox: gone with it
    console = Console(stderr=True, highlight=False)
    try:
        plan = Plan(settings.network, settings.apps, settings.profiles, files, datapath=settings.datapath)
        country = build(plan, _teller(console))
        told = country.authority.order(settings.phase, settings.active, settings.mode, {}) if settings.active else ()
    except BREAKAGES as error:
        console.print("[red]The country did not come up:[/red]")
        for line in lines_of(error):
            console.print(f"    {escape(line)}", soft_wrap=True)
        return EXIT_BROKEN
    for message in told:
        if isinstance(message, Failure):
            console.print(f"{message.where}: {brief(message.text)}", style="red", soft_wrap=True, markup=False)
    for fault in country.faults():
        console.print(fault, style="red", soft_wrap=True, markup=False)
    return _command_line(country, settings, console) if settings.command is None else _command(country, settings)


def _teller(console: Console) -> Any:
    """Say what is going on where somebody watches; a script's standard error stays clean."""
    return (lambda text: console.print(f"{text} …", style="dim")) if console.is_terminal else (lambda _: None)


def _command_line(country: Country, settings: Settings, console: Console) -> int:
    policy = f", with the policies of {settings.phase}" if settings.active else ""
    network = settings.network
    webs = [h for h in network.hosted if h.names and any(service.kind == "https" for service in h.services)]
    sites = [hosted.names[0] for hosted in sorted(webs, key=lambda hosted: not hosted.domestic)]
    example, site = node_name(network.vantages[0].id), next(iter(sites), "example.net")
    text = _GREETING.format(
        count=len(network.nodes), title=network.topology.title, policy=policy, example=example, site=site,
        datapath=country.datapath.name, why=country.datapath.why,
    )  # fmt: skip
    console.print(text, soft_wrap=True, markup=False)
    os.environ |= country.environment()
    with interactive():
        LabCLI(country.net)
    return 0


def _command(country: Country, settings: Settings) -> int:
    assert settings.command is not None
    assert settings.vantage is not None
    node = country.net.get(node_name(settings.vantage))
    try:
        with foreground_program():
            process = node.spawn(
                list(settings.command), stdin=None, env=country.environment(), cwd=settings.cwd, foreground=True
            )
            status = int(process.wait())
    except FileNotFoundError:
        sys.stderr.write(f"{settings.command[0]}: command not found\n")
        return 127
    except PermissionError:
        sys.stderr.write(f"{settings.command[0]}: not executable\n")
        return 126
    return status if status >= 0 else 128 - status
