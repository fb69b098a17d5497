"""Checks, of which controls of paths and resolvers are made: many in one go, each with an outcome of its own."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from shutdownlab.model.probe import Family
from shutdownlab.model.scenario import Outcome
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.dns import lookup
from shutdownlab.probes.failure import StepFailed
from shutdownlab.probes.ping import ping
from shutdownlab.probes.session import Session
from shutdownlab.protocol.probing import Check


async def checks_test(session: Session, ask: tuple[Check, ...]) -> Conclusion:
    """Carry all of them out at once; `x_checks` has the failure of each by name, None where it succeeded."""
    failures = await asyncio.gather(*(_failure(session, check) for check in ask))
    session.trace.extra["x_checks"] = {check.name: failure for check, failure in zip(ask, failures, strict=True)}
    return Conclusion(Outcome.OK)


async def _failure(session: Session, check: Check) -> str | None:
    if not check.address:
        return None  # that it was asked at all is the check
    family = Family.IPV6 if ":" in check.address else Family.IPV4
    own = Session(replace(session.request, family=family, resolver=check.address), session.equipment)
    try:
        if check.host:
            await lookup(own, check.host)
        else:
            await ping(own, check.address, check.source)
    except (StepFailed, OSError) as error:
        return error.failure if isinstance(error, StepFailed) else str(error)
    return None
