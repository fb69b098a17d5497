"""Runs one probe: the request in, the measurement out."""

from __future__ import annotations

import ssl
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
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
from shutdownlab.probes.failure import TIMEOUT, StepFailed
from shutdownlab.probes.session import ProbeSession
from shutdownlab.protocol.probing import Measurement, ProbeRequest
from shutdownlab.system.processor import had_none

# Steps that end with an answer of the kernel's or the resolver's. An unknown failure of one is the prober's own; one of
# any other step is what the other side sent.
_OWN_STEPS: Final = frozenset({"resolve", "connect", "ping"})

_KEPT_AWAY: Final = 0.75
"""Of a try's time, for how long it may have had no processor: all time that `patience` can give back was given back
before, and what it could hear in the rest is less than its patience."""

TestFunction = Callable[[ProbeSession, Any], Awaitable[Conclusion]]


@cache
def test_function(runs: str) -> TestFunction:
    """The function that a kind of probe names as `package.module:function`; raises whatever importing it does."""
    function: TestFunction = resolve_name(runs)
    return function


@cache
def _type_asked(runs: str) -> TypeAdapter[Any]:
    """What the function's second parameter is annotated with; anything where it is not."""
    function = test_function(runs)
    _, parameter, *_ = signature(function).parameters
    return TypeAdapter(get_type_hints(function).get(parameter, Any))


def _asked(request: ProbeRequest) -> Any:
    """What the request asks, as its function wants it: it has come as JSON."""
    return _type_asked(request.runs).validate_python(request.ask)


def prepare(also: Iterable[str] = ()) -> None:
    """Import and make what probes of every installed kind need, so that processes forked from this one share it: the
    models of what is asked above all, which would be 2 MiB of each.

    also: functions that requests name without being of a kind. A kind of which it fails is told when it is asked for:
    its probes end as errors that say so.
    """
    kinds = kinds_of(Probe)
    for name in kinds:
        with suppress(Exception):
            _type_asked(kinds[name].runs)
    for runs in also:
        _type_asked(runs)
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the first one has OpenSSL make its tables


async def run_probe(request: ProbeRequest, equipment: Equipment) -> Measurement:
    """Run a probe to its end; whatever goes wrong in the prober itself is the outcome `error`."""
    session = ProbeSession(request, equipment)
    began = time.monotonic()
    try:
        conclusion = await test_function(request.runs)(session, _asked(request))
    except StepFailed as failed:
        session.trace.extra |= {"failure": failed.failure, "failed_operation": failed.operation}
        unknown = failed.operation in _OWN_STEPS and failed.failure.startswith("unknown_failure")
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
