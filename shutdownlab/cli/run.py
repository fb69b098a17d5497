"""`shutdownlab run`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from shutdownlab import library
from shutdownlab.cli.options import Choices, DatapathWish, ScenarioName, Trust, as_mapping
from shutdownlab.cli.program import bad_option, errors, naming_options, user_errors
from shutdownlab.reporting.events import EventLines
from shutdownlab.reporting.literal import literal
from shutdownlab.reporting.progress import Progress
from shutdownlab.system.streams import output_is_extra, output_lost


def run(
    scenario: ScenarioName,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="A new directory for the results.", show_default="runs/NAME-TIME"),
    ] = None,
    real_time: Annotated[
        float | None,
        typer.Option("--real-time", metavar="FACTOR", help="Wait between phases, FACTOR times as fast as in reality."),
    ] = None,
    choose: Choices = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="PHASE", help="Stop after this phase; it is the last one measured.")
    ] = None,
    pcap: Annotated[
        bool, typer.Option("--pcap", help="Record what every switch receives, a pcapng file per switch.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed for everything random.")] = 0,
    datapath: DatapathWish = "auto",
    openflow: Annotated[
        Literal["os-ken", "ryu"],
        typer.Option("--openflow", metavar="os-ken|ryu", help="The framework that controllers run under."),
    ] = "os-ken",
    ryu_python: Annotated[
        Path | None,
        typer.Option("--ryu-python", metavar="PATH", help="A Python with Ryu.", show_default="the one in .venv-ryu"),
    ] = None,
    events: Annotated[
        str | None,
        typer.Option(
            "--events",
            metavar="FILE|N",
            help="Write events, one JSON object per line, to a file or an open descriptor.",
        ),
    ] = None,
    trust: Trust = False,
) -> None:
    """Run a scenario: build the country, play the timeline, measure every phase, check what was expected."""
    from shutdownlab.results.events import Event
    from shutdownlab.runner import launch

    with user_errors(), naming_options("out", "real_time", "choose", "until", "ryu_python"):
        shutdown = library.load(scenario)
        progress, lines = Progress(out), None
        if events is not None:
            try:
                lines = EventLines(events)
            except OSError as error:
                found = f"{events}, which cannot be written ({(error.strerror or str(error)).lower()})"
                bad_option("--events", found, "a file, or the number of an open descriptor")

        def tell(event: Event) -> None:
            progress(event)
            if lines is not None:
                lines(event)

        with one_run(progress, lines):
            finished = launch.run(
                shutdown, out, until=until, choose=as_mapping(choose), real_time=real_time, pcap=pcap, seed=seed,
                datapath=datapath, openflow=openflow, ryu_python=ryu_python, trust=trust, on_event=tell,
            )  # fmt: skip
    raise typer.Exit(finished.exit_code or 0)


@contextmanager
def one_run(progress: Progress, lines: EventLines | None = None) -> Iterator[None]:
    """A run goes on though nobody takes what it prints, or its event `lines`: its record is in its directory.

    Tells that it was killed, and ends as a run that failed does.
    """
    from shutdownlab.runner.launch import RunFailed

    output_is_extra()
    try:
        yield
    except RunFailed as failed:
        if failed.how:
            kept = f"What was measured until then is in {literal(str(failed.run.path))}."
            errors().print(f"[red]The run {failed.how}.[/red] {kept} To go on: `shutdownlab resume`.")
        raise typer.Exit(failed.exit_code) from None
    finally:
        lost = [str(failure) for failure in (output_lost(), lines and lines.lost) if failure]
        if lost:
            errors().print(literal(f"note: {'; '.join(lost)}; the record is in {progress.shown}"))
