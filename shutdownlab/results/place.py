"""Chooses the directory for a run's results: a new one, or an old run's that is to be replaced."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from itertools import chain, count
from pathlib import Path
from tempfile import TemporaryFile
from typing import NoReturn

from shutdownlab.model import lookup
from shutdownlab.model.scenario import Scenario
from shutdownlab.results.replacing import MANIFEST, NotReplaceable, take_away

RUNS = Path("runs")
"""The parent, in the working directory, of runs that were given no directory."""


def new_directory(scenario: Scenario) -> Path:
    """Creates and returns `runs/NAME-TIME` in the working directory; with a number if another run began that second."""
    name = f"{scenario.name}-{datetime.now():%Y%m%d-%H%M%S}"
    try:
        RUNS.mkdir(exist_ok=True)
        for each in chain([name], (f"{name}-{number}" for number in count(2))):
            with suppress(FileExistsError):
                (RUNS / each).mkdir()
                return RUNS / each
    except OSError as error:
        reason = (
            "in which no file can be created" if RUNS.is_dir() else "which cannot be created"
        )  # e.g. another user's
        hint = f"without --out, results go to {RUNS} here: give --out, or change to another directory"
        lookup.refuse("out", f"{RUNS}, {_why(reason, error)}", "a directory that can be written", hint)
    raise AssertionError("there is always another number")


def usable(directory: Path, *, force: bool = False) -> Path:
    """Returns `directory`, created if missing, ready for a run's results; raises `BadInput` if it cannot be used.

    force: delete the run that it holds.
    """
    why = "which cannot be created"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any((directory / name).exists() for name in (MANIFEST, "results.csv")):
            if not force:
                hint = "choose another name, or replace that run with --force (force=True)"
                lookup.refuse("out", f"{directory}, which holds the results of a run", "a new directory", hint)
            why = "where a run cannot be replaced"
            take_away(directory)
        why = "where no file can be written"
        with TemporaryFile(dir=directory):
            pass
    except FileExistsError:
        link = directory.is_symlink() and not directory.exists()
        _refuse(directory, "a link to a path that does not exist" if link else "which is not a directory")
    except NotReplaceable as other:
        hint = "--force replaces only the directory of a run; choose another name"
        lookup.refuse("out", f"{directory}, {other}", "a new directory, or that of a run", hint)
    except OSError as error:
        _refuse(directory, _why(why, error))
    return directory


def _why(what: str, error: OSError) -> str:
    return f"{what} ({(error.strerror or str(error)).lower()})"


def _refuse(directory: Path, why: str) -> NoReturn:
    lookup.refuse("out", f"{directory}, {why}", "a directory that can be written")
