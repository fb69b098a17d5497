"""OONI's tests of apps against the catalogue's endpoints: makes the attempts that `attempts` lists."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from shutdownlab.inspection.apps import is_whatsapp_endpoint
from shutdownlab.probes.attempts import (
    MESSENGER_NAMES,
    TELEGRAM_WEB,
    WHATSAPP_REGISTRATION,
    WHATSAPP_WEB,
    Attempt,
    Connect,
    Fetch,
    Post,
    attempts_of,
    conclusion_of,
    posts_blocked,
    telegram_centres,
    untested,
)
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.dns import lookup
from shutdownlab.probes.failure import StepFailed
from shutdownlab.probes.http import fetch, record_unsent, round_trip
from shutdownlab.probes.kinds import AppTargets
from shutdownlab.probes.session import ProbeSession
from shutdownlab.probes.stream import connect

Failures = Mapping[str, str | None]


async def app_test(session: ProbeSession, ask: AppTargets) -> Conclusion:
    attempts = attempts_of(ask, session.family)
    if not attempts:
        return untested(ask, session.family)
    failures = await _failures({name: _make(session, attempt) for name, attempt in attempts.items()})
    inconsistent = _inconsistent(session, ask)
    concluded = conclusion_of(ask, failures, inconsistent)
    keys = _KEYS.get(ask.app)
    if keys is None:
        session.trace.extra["x_pages"] = failures
    else:
        session.trace.extra |= keys(session, ask, failures, inconsistent, concluded)
    return concluded


async def _failure(step: Awaitable[object]) -> str | None:
    try:
        await step
    except StepFailed as failed:
        return failed.failure
    return None


async def _failures(steps: Mapping[str, Awaitable[object]]) -> dict[str, str | None]:
    """Runs independent steps concurrently; returns each one's failure."""
    return dict(zip(steps, await asyncio.gather(*(_failure(step) for step in steps.values())), strict=True))


async def _make(session: ProbeSession, attempt: Attempt) -> None:
    """Raises `StepFailed`."""
    match attempt:
        case Fetch():
            await fetch(session, attempt.url)
        case Post():
            await _post(session, attempt)
        case Connect():
            address = (await lookup(session, attempt.name)).addresses[0]
            await _any_port(session, address, attempt.ports)


async def _any_port(session: ProbeSession, address: str, ports: tuple[int, ...]) -> None:
    """Raises the last port's `StepFailed` if no port accepts a connection."""
    failures = await _failures({str(port): _connect(session, address, port) for port in ports})
    if all(failures.values()):
        raise StepFailed(next(f for f in reversed(failures.values()) if f), "connect")


async def _connect(session: ProbeSession, address: str, port: int) -> None:
    with await connect(session, address, port):
        return


async def _post(session: ProbeSession, post: Post) -> None:
    try:
        with await connect(session, post.address, post.port) as tcp:
            await round_trip(tcp, "POST", urlsplit(post.url))
    except StepFailed as failed:
        if failed.operation == "connect":
            record_unsent(session, "POST", post.url, failed.failure)
        raise


def _inconsistent(session: ProbeSession, ask: AppTargets) -> list[str]:
    """Returns the names whose lookup was not answered with one of their true addresses."""
    true = {target.host: set(target.addresses) for target in ask.targets}
    names = []
    for query in session.trace.queries:
        seen = {answer.get("ipv4") or answer.get("ipv6") for answer in query["answers"] or ()}
        control = true.get(query["hostname"], set())
        if not seen or (control and seen.isdisjoint(control)):
            names.append(query["hostname"])
    return names


# -- the keys of OONI's records of each app ----------------------------------------------------------------------------


def _status(failure: object) -> str:
    return "blocked" if failure else "ok"


def _whatsapp(
    session: ProbeSession, ask: AppTargets, failures: Failures, inconsistent: Collection[str], concluded: Conclusion
) -> dict[str, Any]:
    registration, web = failures.get(WHATSAPP_REGISTRATION), failures.get(WHATSAPP_WEB)
    blocked = [name for name, failure in failures.items() if failure and is_whatsapp_endpoint(name)]
    return {
        "registration_server_failure": registration,
        "registration_server_status": _status(registration),
        "whatsapp_web_failure": web,
        "whatsapp_web_status": _status(web),
        "whatsapp_endpoints_status": _status(blocked),
        "whatsapp_endpoints_blocked": blocked,
        "whatsapp_endpoints_dns_inconsistent": [name for name in inconsistent if is_whatsapp_endpoint(name)],
    }


def _telegram(
    session: ProbeSession, ask: AppTargets, failures: Failures, inconsistent: Collection[str], concluded: Conclusion
) -> dict[str, Any]:
    """TCP is blocked only if every connection fails; HTTP, unless at least one POST succeeds."""
    centres = telegram_centres(ask, session.family)
    connects = [each["status"]["success"] for each in session.trace.tcp_connect if each["ip"] in centres]
    return {
        "telegram_tcp_blocking": bool(connects) and not any(connects),
        "telegram_http_blocking": posts_blocked(failures),
        "telegram_web_failure": failures.get(TELEGRAM_WEB),
        "telegram_web_status": _status(failures.get(TELEGRAM_WEB)),
    }


def _signal(
    session: ProbeSession, ask: AppTargets, failures: Failures, inconsistent: Collection[str], concluded: Conclusion
) -> dict[str, Any]:
    return {"signal_backend_status": _status(concluded.failure), "signal_backend_failure": concluded.failure}


def _facebook_messenger(
    session: ProbeSession, ask: AppTargets, failures: Failures, inconsistent: Collection[str], concluded: Conclusion
) -> dict[str, Any]:
    """DNS is inconsistent if no true address is in the answers; TCP is blocked if a true address refuses."""
    extra: dict[str, Any] = {}
    for key, failure in failures.items():
        consistent = MESSENGER_NAMES[key] not in inconsistent
        extra[f"facebook_{key}_dns_consistent"] = consistent
        extra[f"facebook_{key}_reachable"] = failure is None if consistent else None
    extra["facebook_dns_blocking"] = any(MESSENGER_NAMES[key] in inconsistent for key in failures)
    extra["facebook_tcp_blocking"] = any(extra[f"facebook_{key}_reachable"] is False for key in failures)
    return extra


_KEYS: Final[
    Mapping[str, Callable[[ProbeSession, AppTargets, Failures, Collection[str], Conclusion], dict[str, Any]]]
] = {
    "whatsapp": _whatsapp,
    "telegram": _telegram,
    "signal": _signal,
    "facebook": _facebook_messenger,
}
