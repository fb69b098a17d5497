"""A run inside its sandbox: reports its events to listeners, records them in its directory, and handles every end."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from shutdownlab.country.breakage import BREAKAGES, with_limit
from shutdownlab.country.breaking import Breaker
from shutdownlab.country.lab_plan import LabPlan
from shutdownlab.results.directory import RecordError, RunDirectory
from shutdownlab.results.events import (
    Broken,
    Crashed,
    Interrupted,
    Lacking,
    Listener,
    SignalsJudged,
)
from shutdownlab.results.exit_codes import EXIT_BROKEN, EXIT_OK, EXIT_UNMET
from shutdownlab.results.manifest import Status
from shutdownlab.runner.breaks import EXIT_REBUILD, CountryLost, CountryWornOut, SelfCheckFailed
from shutdownlab.runner.event_stream import EventWriter, ListenersGone, StarterKilled, is_deserted
from shutdownlab.runner.options import RunOptions
from shutdownlab.runner.signals import verdicts
from shutdownlab.runner.walk import Walk
from shutdownlab.system.kernel import MachineCannot


def inside(payload: Mapping[str, Any]) -> int:
    """Runs inside the sandbox; returns the exit code."""
    options = RunOptions(**payload)
    live = [EventWriter(options.events_fd)] if options.events_fd >= 0 else []
    return recorded(options, live)


def recorded(options: RunOptions, live: Sequence[Listener]) -> int:
    """Runs, reporting to the `live` listeners and to the run's directory; returns the exit code."""
    try:
        with RunDirectory(options.directory, resume=options.resume) as directory:
            return _ended(Walk(options, [directory, *live]))
    except (OSError, RecordError) as error:  # the record itself cannot be written
        return _ended(Walk(options, list(live)), error)


def _ended(walk: Walk, error: Exception | None = None) -> int:
    """Walks the timeline, reports how the run ended, and returns the exit code; raises if it was interrupted.

    error: why the record cannot be written; the run then ends at once.
    """
    status: Status = "crashed"
    code = EXIT_BROKEN
    try:
        if error is not None:
            raise error
        walk.go()
        status = "finished"
        unmet = walk.tally.unmet or _unmet_abroad(walk)
        code = EXIT_BROKEN if walk.tally.errors else EXIT_UNMET if unmet else EXIT_OK
    except CountryLost as lost:
        walk.void(lost.phase, lost.reasons, anew=True)
        return EXIT_REBUILD
    except CountryWornOut:
        return EXIT_REBUILD
    except RecordError as failed:
        status = "broken"
        walk.hang_up_record()
        line = with_limit(str(failed), failed.__cause__)
        walk.emit(Broken(error="RecordError", text=str(failed), lines=(line,)))
    except SelfCheckFailed:
        status = "self-check failed"
    except BREAKAGES as broken:
        status = "broken"
        walk.broke(broken)
    except MachineCannot as cannot:
        status = "machine lacks"
        walk.emit(Lacking(what=cannot.what, why=cannot.why, mend=cannot.mend))
        walk.emit(walk.finished(status, code))
        raise
    except StarterKilled:
        raise  # the record stays that of a killed run
    except ListenersGone:
        status = "interrupted"
        walk.hang_up()
        walk.emit(Interrupted())
        walk.emit(walk.finished(status, code))
        raise
    except KeyboardInterrupt:
        if is_deserted(walk.options.events_fd):
            raise StarterKilled from None
        status = "interrupted"
        walk.emit(Interrupted())
        walk.emit(walk.finished(status, code))
        raise
    except BaseException as crash:
        walk.emit(Crashed(text=repr(crash)))
        walk.emit(walk.finished(status, code))
        raise
    walk.emit(walk.finished(status, code))
    if walk.options.keep and status == "finished" and walk.breaker is not None:
        _keep_open(walk, walk.breaker)
    return code


def _unmet_abroad(walk: Walk) -> bool:
    """Judges the expectations about signals abroad and reports the verdicts; returns whether one was not met."""
    options = walk.options
    found = verdicts(options.shutdown.scenario, options.choices, options.directory)
    if found:
        walk.emit(SignalsJudged(signals=found))
    return any(each.met is False for each in found)


def _keep_open(walk: Walk, breaker: Breaker) -> None:
    """Hands the terminal over to the command line of `lab`, once the reader has handled all events of the run."""
    from shutdownlab.country.terminal import keep_open

    options = walk.options
    walk.hang_up()
    if options.events_fd >= 0:
        with socket.socket(fileno=os.dup(options.events_fd)) as listened:
            listened.shutdown(socket.SHUT_WR)
            listened.recv(1)  # the reader closes its side, too, when it has handled all events
    plan = LabPlan(options.shutdown, options.choices, options.phases[-1].phase, options.datapath)
    keep_open(plan, breaker, options.offered)
    breaker.country.finish()
