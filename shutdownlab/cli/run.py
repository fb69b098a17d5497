"""`shutdownlab run`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from shutdownlab.cli.every import jobs_of, one_or_all, run_all
from shutdownlab.cli.options import (
    Choices,
    DatapathWish,
    Everything,
    NewRun,
    OneScenario,
    Sample,
    Settings,
    Trust,
    as_mapping,
    as_settings,
)
from shutdownlab.cli.program import bad_option, errors, naming_options, say, user_errors, writable
from shutdownlab.cli.web import run_watched
from shutdownlab.reporting.literal import literal
from shutdownlab.system.streams import EXIT_OUTPUT, output_is_extra, output_lost

if TYPE_CHECKING:
    from shutdownlab.library import Shutdown
    from shutdownlab.reporting.events import EventLines
    from shutdownlab.reporting.progress import Progress
    from shutdownlab.results.run import Run


def run(
    scenario: OneScenario = None,
    everything: Everything = False,
    jobs: Annotated[
        int | None, typer.Option("--jobs", metavar="N", help="With --all: how many at a time.", show_default="1")
    ] = None,
    out: NewRun = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the run that DIR holds.")] = False,
    real_time: Annotated[
        float | None,
        typer.Option("--real-time", metavar="FACTOR", help="Wait between phases, FACTOR times as fast as in reality."),
    ] = None,
    choose: Choices = None,
    settings: Settings = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="PHASE", help="Stop after measuring this phase.")
    ] = None,
    pcap: Annotated[
        bool, typer.Option("--pcap", help="Record what every switch receives, a pcapng file per switch.")
    ] = False,
    keys: Annotated[
        bool, typer.Option("--keys", help="Add the TLS secrets of the lab's clients to the recordings of --pcap.")
    ] = False,
    observe: Annotated[
        bool, typer.Option("--observe", help="Watch the country from abroad too: BGP collector, active probing …")
    ] = False,
    sample: Sample = None,
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
    junit: Annotated[
        Path | None,
        typer.Option("--junit", readable=False, metavar="FILE", help="Also write the results as JUnit XML, for CI."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", readable=False, metavar="FILE.html", help="Also write the report as one HTML file."),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare what was measured, cell by cell, with what `verify` says.")
    ] = False,
    changed_since: Annotated[
        str | None,
        typer.Option(
            "--changed-since",
            metavar="OLD",
            help="Measure only the cells that, by the model, differ from OLD: a scenario, REVISION or "
            "REVISION:PATH of git, or a run's directory; and of the rest --sample (5%).",
        ),
    ] = None,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Leave the country open at the last phase, with the command line of `lab`."),
    ] = False,
    web: Annotated[
        bool, typer.Option("--web", help="Show the run live in a browser: prints the page's address.")
    ] = False,
    trust: Trust = False,
) -> None:
    from shutdownlab.library import load
    from shutdownlab.reporting.events import EventLines
    from shutdownlab.reporting.progress import Progress
    from shutdownlab.results.events import Event
    from shutdownlab.results.exit_codes import EXIT_UNMET
    from shutdownlab.runner import launch

    with (
        user_errors(),
        naming_options("out", "real_time", "choose", "until", "keys", "ryu_python", "sample", "changed_since"),
    ):
        one_or_all(
            scenario, everything=everything, real_time=real_time, choose=choose, until=until, pcap=pcap, events=events,
            junit=junit, verify=verify, keep=keep, force=force, changed_since=changed_since, set=settings, web=web,
        )  # fmt: skip
        if scenario is None:
            options = {
                "observe": observe,
                "sample": sample,
                "seed": seed,
                "datapath": datapath,
                "openflow": openflow,
                "ryu_python": ryu_python,
                "trust": trust,
            }
            raise typer.Exit(run_all(out, jobs_of(jobs), **options))
        if jobs is not None:
            bad_option("--jobs", "no --all", "--all as well: one scenario is one run")
        if force and out is None:
            bad_option("--force", "no --out", "--out DIR as well: without it every run gets a new directory")
        shutdown = load(scenario, set=as_settings(settings))
        progress, lines = Progress(out), None
        if events is not None:
            with writable("--events", events, "a file, or the number of an open descriptor"):
                lines = EventLines(events)
        _create_files(junit, report)

        def tell(event: Event) -> None:
            progress(event)
            if lines is not None:
                lines(event)
            if page is not None:
                page(event)

        with one_run(progress, lines), run_watched(shutdown, out) if web else nullcontext() as page:
            try:
                finished = launch.run(
                    shutdown, out, until=until, choose=as_mapping(choose), real_time=real_time, pcap=pcap,
                    keys=keys, observe=observe, sample=sample, seed=seed, datapath=datapath, openflow=openflow,
                    ryu_python=ryu_python, trust=trust, force=force, keep_open=keep, changed_since=changed_since,
                    on_event=tell,
                )  # fmt: skip
            except launch.RunFailed as failed:
                _write_files(junit, report, failed.run)
                raise
        _write_files(junit, report, finished)
        compared = verify or changed_since is not None
        agrees = _agrees(shutdown, finished, as_mapping(choose)) if compared else True
        if report is not None:
            typer.echo(f"The report: {report}")
    raise typer.Exit(finished.exit_code or (0 if agrees else EXIT_UNMET))


def _create_files(junit: Path | None, report: Path | None) -> None:
    """Creates what is written at the end, so that a mistake is found before anything runs."""
    if junit is not None:
        _create("--junit", junit)
    if report is not None:
        from shutdownlab.reporting.page.report import page_name

        page_name(report, "--report")
        _create("--report", report)


def _create(option: str, path: Path) -> None:
    with writable(option, path, "a file that can be created"):
        path.open("a").close()


def _write_files(junit: Path | None, report: Path | None, run: Run) -> None:
    """Writes what `--junit` and `--report` ask for."""
    if junit is not None:
        from shutdownlab.reporting.junit import of_run

        with _writing("--junit", junit):
            junit.write_text(of_run(run.manifest.get("scenario", ""), run.results, run.signals) + "\n")
    if report is not None:
        from shutdownlab.reporting.page.report import report as report_of

        with _writing("--report", report):
            report_of(run).write(report)


@contextmanager
def _writing(option: str, path: Path) -> Iterator[None]:
    """Ends the command if the file of an option cannot be written."""
    try:
        yield
    except OSError as error:
        errors().print(literal(f"{option}: {path} cannot be written: {(error.strerror or str(error)).lower()}"))
        raise typer.Exit(EXIT_OUTPUT) from None


def _agrees(shutdown: Shutdown, measured: Run, choose: dict[str, str]) -> bool:
    """Prints how the measured cells compare with the model; returns whether all agree."""
    from shutdownlab.comparison import agreement
    from shutdownlab.reporting.compared import agreement_lines

    found = agreement(shutdown, measured, choose=choose)
    for line in agreement_lines(found):
        say(line)
    return not found.changed


@contextmanager
def one_run(progress: Progress, lines: EventLines | None = None) -> Iterator[None]:
    """Lets a run continue if its output, or its event `lines`, cannot be written: its record is in its directory.

    Reports a run that was killed, and turns `RunFailed` into its exit code.
    """
    from shutdownlab.runner.launch import RunFailed

    output_is_extra()
    try:
        yield
    except RunFailed as failed:
        if failed.how:
            where = literal(progress.shown)
            kept = f"What was measured until then is in {where}. To go on: `shutdownlab resume {where}`."
            errors().print(f"[red]The run {failed.how}.[/red] {kept}", soft_wrap=True)
        raise typer.Exit(failed.exit_code) from None
    finally:
        lost = [str(failure) for failure in (output_lost(), lines and lines.lost) if failure]
        if lost:
            errors().print(literal(f"note: {'; '.join(lost)}; the record is in {progress.shown}"))
