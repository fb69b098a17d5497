"""`shutdownlab run`."""

from __future__ import annotations

import math
import os
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from shutdownlab import library
from shutdownlab.cli.options import Choices, DatapathWish, ScenarioName, chosen, known_phase
from shutdownlab.cli.program import bad_option, told


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
    from shutdownlab.system.sandbox import run_in_sandbox

    with told():
        shutdown = library.load(scenario)
        choices = chosen(shutdown.scenario, choose)
        if real_time is not None and not 0 < real_time < math.inf:
            bad_option("--real-time", f"{real_time:g}", "a number above 0, such as 60 for a minute a second")
        if until is not None:
            known_phase("--until", shutdown.scenario, until)
        directory = out or Path("runs") / f"{shutdown.scenario.name}-{datetime.now():%Y%m%d-%H%M%S}"
        usable(directory)
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
        code = run_in_sandbox("shutdownlab.reporting.progress:inside", payload, run_dir=directory)
    raise typer.Exit(code)


def usable(directory: Path) -> None:
    if (directory / "manifest.json").exists():
        bad_option("--out", f"{directory}, which holds the results of a run", "a new directory", "choose another name")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found = f"{directory}, which cannot be made ({(error.strerror or '').lower()})"
        bad_option("--out", found, "a directory that can be written")
    if not os.access(directory, os.W_OK | os.X_OK):
        bad_option("--out", f"{directory}, where this user cannot write", "a directory that can be written")
