"""Runs one probe: the request in, the measurement out."""

from __future__ import annotations

import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from shutdownlab.model.scenario import Outcome, Test
from shutdownlab.probes.apps import app_test
from shutdownlab.probes.bench import Bench
from shutdownlab.probes.failure import StepFailed
from shutdownlab.probes.session import Session
from shutdownlab.probes.telephone import call_test, sms_test
from shutdownlab.probes.throughput import throughput_test
from shutdownlab.probes.verdict import Verdict
from shutdownlab.probes.vpn import vpn_test
from shutdownlab.probes.web import dns_test, http3_test, ping_test, tcp_test, tls_test, web_test
from shutdownlab.protocol.probing import Measurement, ProbeRequest

# Steps that end with an answer of the kernel's or the resolver's. An unknown failure of one is the prober's own; one of
# any other step is what the other side sent.
_OWN_STEPS: Final = frozenset({"resolve", "connect", "ping"})

_TESTS: Final[Mapping[Test, Callable[[Session], Awaitable[Verdict]]]] = {
    Test.APP: app_test,
    Test.CALL: call_test,
    Test.DNS: dns_test,
    Test.HTTP3: http3_test,
    Test.PING: ping_test,
    Test.SMS: sms_test,
    Test.TCP: tcp_test,
    Test.THROUGHPUT: throughput_test,
    Test.TLS: tls_test,
    Test.VPN: vpn_test,
    Test.WEB: web_test,
}


async def measure(request: ProbeRequest, bench: Bench) -> Measurement:
    """Run a probe to its end; whatever goes wrong in the prober itself is the outcome `error`."""
    session = Session(request, bench.trust, bench.exchange)
    began = time.monotonic()
    try:
        test = _TESTS.get(request.test)
        if test is None:
            verdict = Verdict(Outcome.ERROR, f"unknown_failure: a probe agent has no test {request.test}")
        else:
            verdict = await test(session)
    except StepFailed as failed:
        session.trace.extra |= {"failure": failed.failure, "failed_operation": failed.operation}
        unknown = failed.operation in _OWN_STEPS and failed.failure.startswith("unknown_failure")
        outcome = Outcome.ERROR if unknown else Outcome.BLOCKED
        verdict = Verdict(outcome, failed.failure, failed.doubtful)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{where.filename.rpartition('/')[2]}:{where.lineno}"
        verdict = Verdict(Outcome.ERROR, f"unknown_failure: {type(error).__name__} at {place}: {error}")
    return Measurement(
        outcome=verdict.outcome,
        failure=verdict.failure,
        started=session.trace.began,
        runtime=round(time.monotonic() - began, 6),
        test_keys=session.trace.keys(),
        doubtful=verdict.doubtful,
    )
