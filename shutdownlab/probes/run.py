"""Runs one probe: takes a request, returns a measurement."""

from __future__ import annotations

import ssl
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from inspect import signature
from pkgutil import resolve_name
from typing import Any, Final, get_type_hints

from pydantic import TypeAdapter

from shutdownlab.model.probe import Probe
from shutdownlab.model.registered import kinds_of
from shutdownlab.model.scenario import Outcome
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.equipment import Equipment
from shutdownlab.probes.failure import TIMEOUT, StepFailed, is_own
from shutdownlab.probes.session import ProbeSession
from shutdownlab.protocol.probing import Measurement, ProbeRequest
from shutdownlab.system.processor import had_none

# Steps that end with an answer of the kernel or the resolver: an unknown failure there is the prober's own; in any
# other step it is what the other side sent.
_OWN_STEPS: Final = frozenset({"resolve", "connect", "ping"})

_KEPT_AWAY: Final = 0.75
"""Part of a try's time for which it may have been starved of CPU.

All time that `patience` can add back has been added by then; what is left for receiving is less than the timeout.
"""

TestFunction = Callable[[ProbeSession, Any], Awaitable[Conclusion]]


@cache
def test_function(runs: str) -> TestFunction:
    """Returns the function that a kind of probe names as `package.module:function`; raises what its import raises."""
    function: TestFunction = resolve_name(runs)
    return function


@cache
def _type_asked(runs: str) -> TypeAdapter[Any]:
    """Returns the type of the function's second parameter; anything if it has no annotation."""
    function = test_function(runs)
    _, parameter, *_ = signature(function).parameters
    return TypeAdapter(get_type_hints(function).get(parameter, Any))


def _asked(request: ProbeRequest) -> Any:
    """Converts the request's `ask`, which came as JSON, to the type that its function expects."""
    return _type_asked(request.runs).validate_python(request.ask)


def prepare(also: Iterable[str] = ()) -> None:
    """Imports and builds what probes of every installed kind need, so that forked processes share it.

    That is above all the models of requests, which would take 2 MiB in each process. also: further functions that
    requests name, of no kind. A kind for which this fails is reported when it is used: its probes end as errors that
    say so.
    """
    kinds = kinds_of(Probe)
    for name in kinds:
        with suppress(Exception):
            _type_asked(kinds[name].runs)
    for runs in also:
        _type_asked(runs)
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the first context makes OpenSSL build its tables


async def run_probe(request: ProbeRequest, equipment: Equipment) -> Measurement:
    """Runs a probe to its end; any exception in the prober itself is the outcome `error`."""
    session = ProbeSession(request, equipment)
    began = time.monotonic()
    try:
        conclusion = await test_function(request.runs)(session, _asked(request))
        if is_own(conclusion.failure):
            conclusion = replace(conclusion, outcome=Outcome.ERROR, doubtful=False)
    except StepFailed as failed:
        session.trace.extra |= {"failure": failed.failure, "failed_operation": failed.operation}
        unknown = failed.operation in _OWN_STEPS and failed.failure.startswith("unknown_failure")
        unknown = unknown or is_own(failed.failure)
        outcome = Outcome.ERROR if unknown else Outcome.BLOCKED
        conclusion = Conclusion(outcome, failed.failure, failed.doubtful)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{where.filename.rpartition('/')[2]}:{where.lineno}"
        conclusion = Conclusion(Outcome.ERROR, f"unknown_failure: {type(error).__name__} at {place}: {error}")
    late = conclusion.failure == TIMEOUT or conclusion.outcome is Outcome.THROTTLED
    kept_away = session.kept_away if late else 0.0
    return Measurement(
        outcome=conclusion.outcome,
        failure=conclusion.failure,
        started=session.trace.began,
        runtime=round(time.monotonic() - began, 6),
        test_keys=session.trace.keys(),
        doubtful=conclusion.doubtful,
        value=conclusion.value,
        unit=conclusion.unit,
        margin=conclusion.margin,
        starved=f"its prober {had_none(kept_away)}" if kept_away > _KEPT_AWAY else "",
    )
