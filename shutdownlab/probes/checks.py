"""Checks that make up the controls of paths and resolvers: many in one request, each with its own outcome."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from shutdownlab.model.probe import Family
from shutdownlab.model.scenario import Outcome
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.dns import lookup_failures
from shutdownlab.probes.failure import StepFailed, failure_of
from shutdownlab.probes.ping import ping
from shutdownlab.probes.session import ProbeSession
from shutdownlab.protocol.probing import Check


async def checks_test(session: ProbeSession, ask: tuple[Check, ...]) -> Conclusion:
    """Carries out all checks at once; `x_checks` has each one's failure by name, None if it succeeded."""
    lookups: defaultdict[str, list[Check]] = defaultdict(list)
    failures: dict[str, str | None] = {}
    echoes = []
    for check in ask:
        if check.host:
            lookups[check.address].append(check)
        elif check.address:
            echoes.append(check)
        else:
            failures[check.name] = None  # an answer to the request is the whole check
    answered = [_echo(session, check) for check in echoes] + [_lookups(session, each) for each in lookups.values()]
    for found in await asyncio.gather(*answered):
        failures |= found
    session.trace.extra["x_checks"] = failures
    return Conclusion(Outcome.OK)


async def _echo(session: ProbeSession, check: Check) -> dict[str, str | None]:
    own = _session_for(session, check)
    try:
        await ping(own, check.address, check.source, size=check.size)
    except (StepFailed, OSError) as error:
        return {check.name: failure_of(error)}
    return {check.name: None}


async def _lookups(session: ProbeSession, checks: Sequence[Check]) -> dict[str, str | None]:
    """Carries out the lookups at one resolver."""
    truth = {check.host: check.answers for check in checks}
    failures = await lookup_failures(_session_for(session, checks[0]), truth)
    return {check.name: failures[check.host] for check in checks}


def _session_for(session: ProbeSession, check: Check) -> ProbeSession:
    family = Family.IPV6 if ":" in check.address else Family.IPV4
    return ProbeSession(replace(session.request, family=family, resolver=check.address), session.equipment)
