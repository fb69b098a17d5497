"""Runs a user's program as a probe; `kinds.Command` defines the meaning of its exit code and output."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import Final

from shutdownlab.model.scenario import Outcome
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.failure import TIMEOUT
from shutdownlab.probes.kinds import Execution
from shutdownlab.probes.program import RunningProgram
from shutdownlab.probes.session import ProbeSession
from shutdownlab.system.child_process import ending

_NUMBER: Final = re.compile(r"([+-]?\d+(?:\.\d+)?)(?:\s*([^\s\d][^\s]{0,19}))?")
_MARGIN: Final = 0.5
"""Part of a program's time for which forwarders may have been delayed.

If it has measured a speed, that is then known to a factor of two.
"""
_FAILURE: Final = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)+")


async def command_test(session: ProbeSession, ask: Execution) -> Conclusion:
    """Runs the program to its end, then kills what is left of its process group.

    A program that cannot be started is an error. One that does not end in time is blocked, as a test without an answer
    is. Any outcome but ok or error is doubtful: a busy machine may have been too slow for the program's own timeouts.
    """
    began = session.trace.now()
    try:
        program = RunningProgram(ask.argv, str(ask.folder), _environment(session, ask))
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        return Conclusion(Outcome.ERROR, f"unknown_failure: {ask.argv[0]} cannot be started in {ask.folder}: {why}")
    session.programs.append(program)
    try:
        ended = await program.ends_within(ask.timeout)
    finally:
        program.end()
    line = program.out.last_line()
    seconds = session.trace.now() - began
    session.trace.extra["x_command"] = {
        "argv": list(ask.argv),
        "exit_status": program.status if ended else None,
        "line": line,
        "error_line": program.err.last_line(),
        "seconds": round(seconds, 6),
    }
    if not ended:
        return _too_late()
    found = _conclusion(ask, program.status, line, program.err.last_line())
    return replace(found, margin=_MARGIN * seconds)


def _too_late() -> Conclusion:
    return Conclusion(Outcome.BLOCKED, TIMEOUT, doubtful=True)


def _conclusion(ask: Execution, status: int, line: str, error_line: str) -> Conclusion:
    found = _NUMBER.fullmatch(line)
    value, unit = (float(found[1]), found[2] or "") if found else (None, "")
    outcome = ask.outcomes.get(status, ask.otherwise) if status >= 0 else Outcome.ERROR
    if outcome is Outcome.OK:
        return Conclusion(outcome, value=value, unit=unit)
    if outcome is not Outcome.ERROR and _FAILURE.fullmatch(line):
        failure = line
    else:
        how = f"exit status {status}" if status >= 0 else ending(status).removeprefix("was ")
        printed = (line if outcome is not Outcome.ERROR else error_line) or line or error_line
        failure = f"unknown_failure: {how}{f': {printed}' if printed else ''}"
    return Conclusion(outcome, failure, doubtful=outcome is not Outcome.ERROR, value=value, unit=unit)


def _environment(session: ProbeSession, ask: Execution) -> dict[str, str]:
    """Returns the agent's own environment, with the lab's certificates, and the variables documented for programs."""
    request = session.request
    address = request.addresses[0] if request.addresses else ""
    own = {"PROBE": request.name, "FAMILY": request.family.value, "RESOLVER": request.resolver, "ADDRESS": address}
    variables = {**ask.variables, **own, "TIMEOUT": f"{ask.timeout:g}"}
    return {**os.environ, **{f"SHUTDOWNLAB_{name}": value for name, value in variables.items()}}
