"""`shutdownlab web`, and `run --web`: a run or a country in a browser."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from shutdownlab.cli.options import AtPhase, Choices, DatapathWish, Trust, as_mapping
from shutdownlab.cli.program import EXIT_MACHINE_CANNOT, bad_option, errors, naming_options, user_errors
from shutdownlab.config.wording import quoted
from shutdownlab.reporting.literal import literal
from shutdownlab.system.kernel import MachineCannot

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
        typer.Option(
            "--host", metavar="ADDRESS", help="Serve it at another address of this machine, so that others can open it."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="PORT", help="Serve it at this port.", show_default="any that is free")
    ] = 0,
    students: Annotated[
        int,
        typer.Option("--students", metavar="N", help="Print this many links for students, each with its own token."),
    ] = 0,
    role: Annotated[
        Literal["follow", "steer", "own"],
        typer.Option(
            "--role", help="What students may do: follow the country, steer it too, or each steer one of their own."
        ),
    ] = "follow",
) -> None:
    """It prints links, each with a token: one to steer, others to follow.
    For a class, each student gets one (--students, --role): docs/live-page.md.
    The link to steer gives the same rights in the country as `exec` and `lab`.
    The page is served without encryption, also over a network.
    """
    with user_errors(), naming_options("at", "choose", "datapath", "trust", "host", "port", "students", "role"):
        from shutdownlab.web.server import needs_web, place_of

        needs_web()
        place = place_of(host, port, students, role)
        if Path(what).is_dir():
            if role != "follow":
                bad_option("--role", f"{role} for a run", "a scenario: a run cannot be steered")
            if at is not None or choose:
                bad_option(
                    "--at" if at is not None else "--choose",
                    "a run",
                    "a scenario: a run already has its phases and choices",
                )
            _watch(Path(what), place)
        elif os.sep in what and not Path(what).exists():
            bad_option(
                "SCENARIO|RUN", f"{what}, which does not exist", "a scenario's name or file, or a run's directory"
            )
        elif role == "own":
            plan = _plan(what, at, choose, datapath, trust=trust)
            _say_what_it_takes(plan, students)
            _steer_each(plan, place)
        else:
            _steer(_plan(what, at, choose, datapath, trust=trust), place)


def _plan(what: str, at: str | None, choose: list[str] | None, datapath: DatapathWish, *, trust: bool) -> LabPlan:
    from shutdownlab.country.lab_plan import lab_plan

    plan = lab_plan(what, at, as_mapping(choose), datapath, trust=trust)
    if plan.scenario is None:
        bad_option("SCENARIO", f"the topology {quoted(plan.title)}", "a scenario, or a run", "`lab` shows a topology")
    return plan


def _say_what_it_takes(plan: LabPlan, students: int) -> None:
    """Prints how much memory a country for each student takes; raises `BadInput` if the machine has not enough."""
    from shutdownlab.country.limits import check_room_for_each, memory_steered
    from shutdownlab.system.limits import Room

    network, there = plan.loaded.network, Room.here()
    check_room_for_each(network, there, students)
    each, processors = memory_steered(network), len(os.sched_getaffinity(0))
    errors().print(
        literal(
            f"{students} countries of {len(network.nodes)} nodes: about {each >> 20:,} MiB of memory each, "
            f"{students * each >> 20:,} MiB of the {there.memory_bytes >> 20:,} MiB that are free, and "
            f"{processors} processor{'s' if processors > 1 else ''} for all of them"
        )
    )


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


def _steer_each(plan: LabPlan, place: Place) -> None:
    """Builds a country for each student, one after another; if one ends, the others stay up."""
    from shutdownlab.country.lab import Lab, LabError
    from shutdownlab.web.server import PageServer, guests_of_own
    from shutdownlab.web.steering import Steering

    try:
        with ExitStack() as stack:
            labs = []
            for number in range(1, place.students + 1):
                errors().print(literal(f"building {plan.title} for student {number} …"))
                labs.append(lab := stack.enter_context(Lab(plan)))
                source = Steering(lab)
                own = replace(place, port=place.port and place.port + number - 1)
                server = stack.enter_context(PageServer(source, own, guests_of_own(number), lab))
                source.start()
                stack.callback(source.end)
                for guest, link in server.links.items():
                    of = "" if guest.name.startswith("student") else f" with student {number}"
                    typer.echo(f"{guest.name}{of}: {link}")
            errors().print(literal(_LASTS))
            with suppress(KeyboardInterrupt):
                while not all(lab.closed for lab in labs):
                    threading.Event().wait(_LOOK_S)
            if labs and all(lab.closed for lab in labs):
                raise LabError("all countries have ended")
    except LabError as error:
        errors().print(literal(str(error)))
        raise typer.Exit(EXIT_MACHINE_CANNOT) from None


def lab_with_page(plan: LabPlan) -> int:
    """Serves a country at this terminal's prompt and on a page; returns the prompt's exit code."""
    from shutdownlab.country.attach import attach
    from shutdownlab.country.attach_socket import lab_named, offered
    from shutdownlab.country.lab import Lab, LabError
    from shutdownlab.web.beside_prompt import PromptDoor
    from shutdownlab.web.server import Place, needs_web
    from shutdownlab.web.steering import Steering

    needs_web()
    if plan.scenario is None:
        bad_option("--web", f"the topology {quoted(plan.title)}", "a scenario: a topology has nothing to order")
    errors().print(literal(f"building {plan.title} …"))
    with offered(plan.title) as found:
        if found.descriptor < 0:
            raise MachineCannot(
                "serve a page of this lab", f"other terminals cannot connect to it: {found.why}", "see above"
            )
        try:
            with Lab(plan, found.descriptor) as lab:
                source = Steering(lab)
                assert lab.door is not None, "terminals are let in"
                PromptDoor(lab, source, lab.door).start()
                with _served(source, Place(), lab, "It is served until you leave this prompt."):
                    status = attach(lab_named(str(os.getpid()), "lab"))
                if status is None or lab.closed:
                    raise LabError("the country has ended")
                return status
        except LabError as error:
            errors().print(literal(str(error)))
            return EXIT_MACHINE_CANNOT


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
        what = {"teacher": "to steer", "follower": "to follow"}.get(guest.name, guest.name)
        typer.echo(f"{what}: {link}")
    errors().print(literal(lasts))


@contextmanager
def run_watched(shutdown: Shutdown, out: Path | None) -> Iterator[RunSource]:
    """Serves a page of a run while the context is active; yields the source to call with the run's events."""
    from shutdownlab.web.run_source import RunSource
    from shutdownlab.web.server import Place, needs_web

    needs_web()
    source = RunSource(shutdown.scenario.title, shutdown, directory=out)
    lasts = "It is served until the run ends; `shutdownlab web RUN` serves it again."
    with _served(source, Place(), lasts=lasts):
        yield source
