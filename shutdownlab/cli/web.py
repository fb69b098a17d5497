"""`shutdownlab web`, and `run --web`: a run or a country in a browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shutdownlab.cli.options import AtPhase, Choices, DatapathWish, Trust, as_mapping
from shutdownlab.cli.program import bad_option, errors, naming_options, user_errors
from shutdownlab.config.wording import quoted
from shutdownlab.reporting.literal import literal

if TYPE_CHECKING:
    from shutdownlab.country.lab import Lab
    from shutdownlab.country.lab_plan import LabPlan
    from shutdownlab.library import Shutdown
    from shutdownlab.web.run_source import RunSource
    from shutdownlab.web.server import PageServer, Place
    from shutdownlab.web.source import Source

_LOOK_S = 0.5
_LASTS = "Ctrl-C ends it."


def web(
    what: Annotated[
        str,
        typer.Argument(metavar="SCENARIO|RUN", help="A scenario, to steer it; or the directory of a run, to watch."),
    ],
    at: AtPhase = None,
    choose: Choices = None,
    datapath: DatapathWish = "auto",
    trust: Trust = False,
    host: Annotated[
        str,
        typer.Option("--host", metavar="ADDRESS", help="Serve it at another address of this machine's, for others."),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="PORT", help="Serve it at this port.", show_default="any that is free")
    ] = 0,
    students: Annotated[
        int, typer.Option("--students", metavar="N", help="Print so many links to follow by, each with its own token.")
    ] = 0,
) -> None:
    """It prints links, with a token in each: one to steer by, others to follow.
    Whoever has the first may do in the country what `exec` and `lab` may do.
    What is served over a network is not encrypted.
    """
    with user_errors(), naming_options("at", "choose", "datapath", "trust", "host", "port", "students"):
        from shutdownlab.web.server import needs_web, place_of

        needs_web()
        place = place_of(host, port, students)
        if Path(what).is_dir():
            if at is not None or choose:
                bad_option("--at" if at is not None else "--choose", "a run beside it", "a scenario: a run is over")
            _watch(Path(what), place)
        else:
            _steer(_plan(what, at, choose, datapath, trust=trust), place)


def _plan(what: str, at: str | None, choose: list[str] | None, datapath: DatapathWish, *, trust: bool) -> LabPlan:
    from shutdownlab.country.lab_plan import lab_plan

    plan = lab_plan(what, at, as_mapping(choose), datapath, trust=trust)
    if plan.scenario is None:
        bad_option("SCENARIO", f"the topology {quoted(plan.title)}", "a scenario, or a run", "`lab` shows a topology")
    return plan


def _steer(plan: LabPlan, place: Place) -> None:
    from shutdownlab.country.lab import Lab, LabError
    from shutdownlab.web.steering import Steering

    errors().print(literal(f"building {plan.title} …"))
    try:
        with Lab(plan) as lab:
            source = Steering(lab)
            with _served(source, place, lab):
                _until_interrupted(lab)
            if lab.closed:
                raise LabError("the country has ended")
    except LabError as error:
        errors().print(literal(str(error)))
        raise typer.Exit(3) from None


def _watch(folder: Path, place: Place) -> None:
    from shutdownlab.results.run import Run
    from shutdownlab.web.run_source import FinishedRun, followed

    run = Run.open(folder)
    source = followed(run) if run.status == "running" else FinishedRun(run)
    with _served(source, place):
        _until_interrupted()


def _until_interrupted(lab: Lab | None = None) -> None:
    with suppress(KeyboardInterrupt):
        while lab is None or not lab.closed:
            threading.Event().wait(_LOOK_S)


@contextmanager
def _served(source: Source, place: Place, lab: Lab | None = None, lasts: str = _LASTS) -> Iterator[None]:
    from shutdownlab.web.server import PageServer, guests_of

    guests = guests_of(place, steers=lab is not None)
    with PageServer(source, place, guests, lab) as server:
        source.start()
        try:
            _print_links(server, lasts)
            yield
        finally:
            source.end()


def _print_links(server: PageServer, lasts: str) -> None:
    for guest, link in server.links.items():
        typer.echo(f"{'to steer' if guest.steers else 'to follow' if guest.name == 'follower' else guest.name}: {link}")
    errors().print(literal(lasts))


@contextmanager
def run_watched(shutdown: Shutdown, out: Path | None) -> Iterator[RunSource]:
    """While a run goes on a page shows it; yields what its events go to."""
    from shutdownlab.web.run_source import RunSource
    from shutdownlab.web.server import Place, needs_web

    needs_web()
    source = RunSource(shutdown.scenario.title, shutdown, directory=out)
    lasts = "It ends with the run; what a browser shows by then stays. `shutdownlab web RUN` shows it again."
    with _served(source, Place(), lasts=lasts):
        yield source
