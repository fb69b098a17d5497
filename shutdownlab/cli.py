"""The command line. Exit codes: 0; 1 an expectation failed; 2 bad input; 3 this machine cannot; 130 interrupted."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shutdownlab import __version__, library
from shutdownlab.inspection.vocabulary import profile_names
from shutdownlab.model.scenario import Scenario, vantage_named
from shutdownlab.model.source import BadInput, Problem, did_you_mean, one_of, quoted
from shutdownlab.model.topology import Topology, VantageId
from shutdownlab.presentation.help import PlainCommand, PlainGroup

EXIT_UNMET, EXIT_BAD_INPUT, EXIT_MACHINE_CANNOT = 1, 2, 3

app = typer.Typer(
    cls=PlainGroup,
    help="Emulates a country's Internet on this machine, in a sandbox of its own, and shuts it down the way real "
    "countries did.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

ScenarioName = Annotated[
    str, typer.Argument(metavar="SCENARIO", help="A scenario it ships (see `list`), or the path of a YAML file.")
]
AnyName = Annotated[
    str, typer.Argument(metavar="NAME", help="A topology or scenario it ships, or the path of a YAML file.")
]
Choices = Annotated[
    list[str] | None,
    typer.Option("--choose", metavar="ACCOUNT=OPTION", help="Where accounts conflict: which to follow. Repeatable."),
]
DatapathWish = Annotated[
    Literal["auto", "kernel", "userspace"],
    typer.Option(
        "--datapath",
        metavar="auto|kernel|userspace",
        help="Open vSwitch's: the kernel's where it can be had, or one of them.",
    ),
]
AtPhase = Annotated[str | None, typer.Option("--at", metavar="PHASE", help="With the policies of this phase applied.")]


def errors() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def told() -> Iterator[None]:
    """Turn what a user can cause into a message and an exit code."""
    from shutdownlab.emulation.kernel import MachineCannot

    try:
        yield
    except BadInput as error:
        for problem in error.problems:
            errors().print(escape(str(problem)))
        count = len(error.problems)
        errors().print(f"[red]{count} problem{'s' if count > 1 else ''}[/red]; nothing was run.")
        raise typer.Exit(EXIT_BAD_INPUT) from None
    except MachineCannot as error:
        errors().print(f"[red]This machine cannot {escape(error.what)}:[/red] {escape(error.why)}")
        errors().print(f"    to mend it: {escape(error.mend)}")
        errors().print("    `shutdownlab doctor` shows everything that is needed.")
        raise typer.Exit(EXIT_MACHINE_CANNOT) from None


def _bad_option(option: str, found: str, expected: str, hint: str = "") -> NoReturn:
    raise BadInput([Problem(option, 0, "", found, expected, hint)])


@app.command(cls=PlainCommand)
def run(
    scenario: ScenarioName,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where results go.", show_default="runs/NAME-TIME")
    ] = None,
    real_time: Annotated[
        float | None,
        typer.Option("--real-time", metavar="FACTOR", help="Play by the clock, FACTOR times as fast as it was."),
    ] = None,
    choose: Choices = None,
    until: Annotated[str | None, typer.Option("--until", metavar="PHASE", help="Stop after this phase.")] = None,
    pcap: Annotated[
        bool, typer.Option("--pcap", help="Record what every switch receives, a pcapng file a switch.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="For all that is drawn by chance.")] = 0,
    datapath: DatapathWish = "auto",
) -> None:
    """Run a scenario: build the country, walk the timeline, measure every phase, check what was expected."""
    from shutdownlab.emulation.sandbox import run_in_sandbox

    with told():
        shutdown = library.shutdown(scenario)
        choices = _choices(shutdown.scenario, choose)
        if real_time is not None and not 0 < real_time < math.inf:
            _bad_option("--real-time", f"{real_time:g}", "a number above 0, such as 60 for a minute a second")
        if until is not None:
            _known_phase("--until", shutdown.scenario, until)
        directory = out or Path("runs") / f"{shutdown.scenario.name}-{datetime.now():%Y%m%d-%H%M%S}"
        _usable(directory)
        payload = {
            "shutdown": shutdown,
            "choices": choices,
            "directory": directory.resolve(),
            "shown": str(directory),
            "real_time": real_time,
            "until": until,
            "pcap": pcap,
            "seed": seed,
            "datapath": datapath,
        }
        code = run_in_sandbox("shutdownlab.runner.run:inside", payload, run_dir=directory)
    raise typer.Exit(code)


@app.command(cls=PlainCommand)
def check(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Topologies and scenarios, by name or path.")],
    graph: Annotated[Path | None, typer.Option("--graph", metavar="FILE.svg", help="Draw the topology.")] = None,
) -> None:
    """Check files without running anything; all problems at once."""
    from shutdownlab.presentation.graph import draw

    with told():
        problems: list[Problem] = []
        if graph is not None and len(files) > 1:
            _bad_option("--graph", f"{len(files)} files to draw", "one topology or scenario at a time")
        for file in files:
            try:
                found = library.check(file)
            except BadInput as error:
                problems += error.problems
                continue
            topology = found if isinstance(found, Topology) else found.topology
            vantages = len(list(topology.vantages()))
            what = f"{len(topology.operators)} operators, {len(topology.regions)} regions, {vantages} vantage points"
            if not isinstance(found, Topology):
                timeline = found.scenario.timeline
                what = f"{len(timeline)} phases, {len(found.scenario.probes)} probes; topology {topology.name}: {what}"
            Console(highlight=False).print(f"[green]ok[/green] {escape(file)}: {what}", soft_wrap=True)
            if graph is not None:
                network = library.laid_out(found) if isinstance(found, Topology) else found.network
                try:
                    graph.write_text(draw(network))
                except OSError as error:
                    reason = (error.strerror or str(error)).lower()
                    _bad_option("--graph", f"{graph}, which cannot be written ({reason})", "where a file can be made")
                Console(highlight=False).print(f"   drawn in {escape(str(graph))}", soft_wrap=True)
        if problems:
            raise BadInput(problems)


@app.command(name="list", cls=PlainCommand)
def list_() -> None:
    """The scenarios and topologies it ships."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for kind, one in (("scenarios", "scenario"), ("topologies", "topology")):
        for name, _ in library.shipped(kind):  # type: ignore[arg-type]
            title = library.shutdown(name).scenario.title if one == "scenario" else library.topology(name).title
            table.add_row(one, f"[bold]{name}[/bold]", title)
    Console().print(table)


@app.command(cls=PlainCommand)
def lab(name: AnyName, at: AtPhase = None, choose: Choices = None, datapath: DatapathWish = "auto") -> None:
    """The emulated country with Mininet's own command line (`help` there lists its commands)."""
    with told():
        raise typer.Exit(_enter(name, at, choose, {"command": None, "vantage": None, "datapath": datapath}))


@app.command(name="exec", cls=PlainCommand)
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
        raise typer.Exit(_enter(name, at, choose, payload))


def _enter(name: str, at: str | None, choose: list[str] | None, payload: dict[str, Any]) -> int:
    from shutdownlab.emulation.sandbox import run_in_sandbox

    found = library.check(name)
    shutdown = None if isinstance(found, Topology) else found
    if shutdown is None and (at is not None or choose):
        _bad_option(
            "--at" if at else "--choose", f"the topology {quoted(name)}", "a scenario: a topology has no phases"
        )
    topology = found if isinstance(found, Topology) else found.topology
    if payload["vantage"] is not None:
        payload["vantage"] = _known_vantage(topology, payload["vantage"])
    active, mode, profiles = {}, "operators", dict.fromkeys(topology.operators, "perfect")
    if shutdown is not None:
        scenario, choices = shutdown.scenario, _choices(shutdown.scenario, choose)
        mode, profiles = scenario.mode(choices).value, scenario.profiles_in(topology)
        if at is not None:
            _known_phase("--at", scenario, at)
            active = scenario.active(at, choices)
    network = shutdown.network if shutdown else library.laid_out(topology)
    payload |= {"network": network, "active": active, "phase": at or "", "profiles": profiles, "mode": mode}
    payload["cwd"] = Path.cwd()
    return run_in_sandbox("shutdownlab.runner.interactive:inside", payload, writable=[Path.cwd()])


def _known_vantage(topology: Topology, text: str) -> VantageId:
    point = vantage_named(topology, text)
    if point is None:
        known = [str(vantage.id) for vantage in topology.vantages()]
        hint = did_you_mean(text, [*known, *(name.rpartition("/")[0] for name in known)])
        _bad_option("--from", f"unknown vantage point {quoted(text)}", one_of(known), hint)
    return point.id


@app.command(cls=PlainCommand)
def doctor() -> None:
    """What this machine offers, what will be used instead of what it lacks, and how to mend it."""
    from shutdownlab.emulation.machine import findings
    from shutdownlab.presentation.doctor import report

    ok = report(findings(), Console(highlight=False))
    raise typer.Exit(0 if ok else EXIT_MACHINE_CANNOT)


@app.command(cls=PlainCommand)
def inspect(
    capture: Annotated[Path, typer.Argument(metavar="FILE", help="A pcap or pcapng file, also gzipped.")],
    policy: Annotated[Path | None, typer.Option("--policy", metavar="FILE.yaml", help="Rules to judge by.")] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            metavar="NAME",
            help="The box that looks (see `profiles`).",
            show_default="the policy's, or perfect",
        ),
    ] = None,
    format_: Annotated[
        Literal["table", "jsonl"], typer.Option("--format", metavar="table|jsonl", help="How to print flows.")
    ] = "table",
    summary: Annotated[
        bool, typer.Option("--summary", help="Count packets and flows instead of listing them.")
    ] = False,
) -> None:
    """What a DPI box would make of a capture: one line a flow."""
    from shutdownlab.inspection.capture import NotACaptureError, open_capture
    from shutdownlab.inspection.catalogue import AppCatalogue
    from shutdownlab.inspection.offline import OfflineInspection
    from shutdownlab.inspection.policy import load_policy
    from shutdownlab.inspection.profile import shipped_profile
    from shutdownlab.presentation.inspection import flow_lines, flow_table, summary_line

    with told():
        if profile is not None:
            _known("--profile", "profile", profile, profile_names())
        rules = load_policy(_bytes(policy), str(policy), library.catalogue()) if policy else None
        try:
            packets = open_capture(capture)
        except NotACaptureError as error:
            _bad_option(str(capture), str(error), "a pcap or pcapng file, also gzipped")
        except OSError as error:
            _bad_option(str(capture), (error.strerror or str(error)).lower(), "a capture that can be read")
        box = shipped_profile(profile or (rules and rules.profile) or "perfect")
        inspection = OfflineInspection(rules, box, apps=AppCatalogue(library.catalogue()))
        inspection.run(packets)
        lines = [summary_line(inspection.summary())] if summary else None
        for line in lines or (flow_lines if format_ == "jsonl" else flow_table)(inspection.records()):
            typer.echo(line)
        for warning in (*packets.warnings, *(f"{packets.name}: {text}" for text in inspection.warnings)):
            errors().print(f"[yellow]warning:[/yellow] {escape(warning)}")


@app.command(cls=PlainCommand)
def profiles(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One of them, whole, with its sources.")] = None,
) -> None:
    """How the DPI boxes that were measured parse and react."""
    from shutdownlab.inspection.profile import shipped_profile
    from shutdownlab.presentation.inspection import profile_list, profile_text

    with told():
        if name is None:
            Console().print(profile_list(map(shipped_profile, profile_names())))
        else:
            _known("profiles", "profile", name, profile_names())
            typer.echo(profile_text(shipped_profile(name)), nl=False)


@app.command(cls=PlainCommand)
def apps(name: Annotated[str | None, typer.Argument(metavar="NAME", help="One of them, whole.")] = None) -> None:
    """The app catalogue: what apps are called on the wire, where they live, what answers there."""
    from shutdownlab.presentation.inspection import app_list, app_text

    with told():
        catalogue = library.catalogue()
        if name is None:
            Console().print(app_list(catalogue))
        else:
            _known("apps", "app", name, catalogue)
            typer.echo(app_text(name, catalogue[name]), nl=False)


def _known(option: str, kind: str, name: str, names: Collection[str]) -> None:
    if name not in names:
        _bad_option(option, f"unknown {kind} {quoted(name)}", one_of(names), did_you_mean(name, names))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        _bad_option(str(path), (error.strerror or str(error)).lower(), "a policy file that can be read")


def _choices(scenario: Scenario, given: list[str] | None) -> dict[str, str]:
    choices = scenario.default_choices()
    for text in given or []:
        account, _, option = text.partition("=")
        if account not in scenario.accounts:
            accounts = list(scenario.accounts)
            _bad_option(
                "--choose", f"unknown account {quoted(account)}", one_of(accounts), did_you_mean(account, accounts)
            )
        options = scenario.accounts[account].options
        if option not in options:
            says = "; ".join(f"{name}: {choice.says}" for name, choice in options.items())
            _bad_option("--choose", f"unknown option {quoted(option)} of {account}", one_of(options), says)
        choices[account] = option
    return choices


def _known_phase(option: str, scenario: Scenario, name: str) -> None:
    phases = [phase.phase for phase in scenario.timeline]
    if name not in phases:
        _bad_option(option, f"unknown phase {quoted(name)}", f"one of {', '.join(phases)}", did_you_mean(name, phases))


def _usable(directory: Path) -> None:
    if (directory / "manifest.json").exists():
        _bad_option("--out", f"{directory}, which holds the results of a run", "a new directory", "choose another name")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found = f"{directory}, which cannot be made ({(error.strerror or '').lower()})"
        _bad_option("--out", found, "a directory that can be written")
    if not os.access(directory, os.W_OK | os.X_OK):
        _bad_option("--out", f"{directory}, where this user cannot write", "a directory that can be written")


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"shutdownlab {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point of the `shutdownlab` command."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
