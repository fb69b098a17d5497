"""OONI's tests of apps (ooni/spec nettests ts-018, ts-019, ts-020, ts-029), against the endpoints of the catalogue.

An app without a test of its own is tested by its web pages: its first names with HTTPS, any failure means blocked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from shutdownlab.config.scalars import endpoint
from shutdownlab.inspection.apps import is_whatsapp_endpoint
from shutdownlab.model.scenario import Outcome
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.dns import lookup
from shutdownlab.probes.failure import StepFailed, is_doubtful
from shutdownlab.probes.http import fetch, record_unsent, round_trip
from shutdownlab.probes.kinds import AppTargets
from shutdownlab.probes.session import Session
from shutdownlab.probes.stream import connect

_WHATSAPP_PORTS: Final = (443, 5222)
_WHATSAPP_REGISTRATION: Final = "https://v.whatsapp.net/v2/register"
_WHATSAPP_WEB: Final = "https://web.whatsapp.com/"
_MOST_PAGES: Final = 3
_TELEGRAM_WEB: Final = "https://web.telegram.org/"
_TELEGRAM_PORTS: Final = (443, 80)
_SIGNAL_NAMES: Final = ("cdsi.signal.org", "chat.signal.org", "sfu.voip.signal.org", "storage.signal.org")
_MESSENGER_NAMES: Final = {
    "b_api": "b-api.facebook.com",
    "b_graph": "b-graph.facebook.com",
    "edge": "edge-mqtt.facebook.com",
    "external_cdn": "external.xx.fbcdn.net",
    "scontent_cdn": "scontent.xx.fbcdn.net",
    "star": "star.c10r.facebook.com",
}


async def app_test(session: Session, ask: AppTargets) -> Conclusion:
    return await _TESTS.get(ask.app, _web_pages)(session, ask)


async def _failure(step: Awaitable[object]) -> str | None:
    try:
        await step
    except StepFailed as failed:
        return failed.failure
    return None


async def _failures(steps: Mapping[str, Awaitable[object]]) -> dict[str, str | None]:
    """Take independent steps side by side; the failure of each."""
    return dict(zip(steps, await asyncio.gather(*(_failure(step) for step in steps.values())), strict=True))


def _conclusion(failures: Iterable[str | None]) -> Conclusion:
    """Blocked by the first of the failures that blocked something, if any did; doubtful if any of them is."""
    found = [failure for failure in failures if failure is not None]
    if not found:
        return Conclusion(Outcome.OK)
    return Conclusion(Outcome.BLOCKED, found[0], any(is_doubtful(failure) for failure in found))


def _untested(session: Session, ask: AppTargets) -> Conclusion:
    """Nothing of the app is there to test, in this address family: no outcome, least of all a good one."""
    return Conclusion(Outcome.ERROR, f"unknown_failure: {ask.app} has nothing to test over {session.family}")


def _status(failure: object) -> str:
    return "blocked" if failure else "ok"


async def _whatsapp(session: Session, ask: AppTargets) -> Conclusion:
    """An endpoint is blocked only if both of its ports fail; the app, if any endpoint, registration or web is."""
    names = [t.host for t in ask.targets if is_whatsapp_endpoint(t.host)]
    steps: dict[str, Awaitable[object]] = {name: _whatsapp_endpoint(session, name) for name in names}
    pages = [u for u in (_WHATSAPP_REGISTRATION, _WHATSAPP_WEB) if _is_target(ask, urlsplit(u).hostname or "")]
    steps |= {url: fetch(session, url) for url in pages}
    if not steps:
        return _untested(session, ask)
    failures = await _failures(steps)
    registration, web = failures.get(_WHATSAPP_REGISTRATION), failures.get(_WHATSAPP_WEB)
    blocked = [name for name in names if failures[name]]
    session.trace.extra |= {
        "registration_server_failure": registration,
        "registration_server_status": _status(registration),
        "whatsapp_web_failure": web,
        "whatsapp_web_status": _status(web),
        "whatsapp_endpoints_status": _status(blocked),
        "whatsapp_endpoints_blocked": blocked,
        "whatsapp_endpoints_dns_inconsistent": [
            name for name in _inconsistent(session, ask) if is_whatsapp_endpoint(name)
        ],
    }
    return _conclusion(failures.values())


async def _whatsapp_endpoint(session: Session, name: str) -> None:
    address = (await lookup(session, name)).addresses[0]
    await _any_port(session, address, _WHATSAPP_PORTS)


async def _any_port(session: Session, address: str, ports: tuple[int, ...]) -> None:
    """Raises the last port's `StepFailed` when none lets us connect."""
    failures = await _failures({str(port): _connect(session, address, port) for port in ports})
    if all(failures.values()):
        raise StepFailed(next(f for f in reversed(failures.values()) if f), "connect")


async def _connect(session: Session, address: str, port: int) -> None:
    with await connect(session, address, port):
        return


async def _telegram(session: Session, ask: AppTargets) -> Conclusion:
    """TCP is blocked only if every connect fails; HTTP, unless one POST succeeds."""
    centres = [
        address
        for target in ask.targets
        if {("http", port) for port in _TELEGRAM_PORTS} <= set(target.services)
        for address in target.addresses_of(session.family)
    ]
    posts = {endpoint(a, port): _telegram_post(session, a, port) for a in centres for port in _TELEGRAM_PORTS}
    web = {_TELEGRAM_WEB: fetch(session, _TELEGRAM_WEB)} if _is_target(ask, "web.telegram.org") else {}
    if not posts and not web:
        return _untested(session, ask)
    failures = await _failures({**posts, **web})
    web_failure = failures.pop(_TELEGRAM_WEB, None)
    connects = [each["status"]["success"] for each in session.trace.tcp_connect if each["ip"] in centres]
    http_blocked = bool(failures) and all(failures.values())
    session.trace.extra |= {
        "telegram_tcp_blocking": bool(connects) and not any(connects),
        "telegram_http_blocking": http_blocked,
        "telegram_web_failure": web_failure,
        "telegram_web_status": _status(web_failure),
    }
    return _conclusion([*(failures.values() if http_blocked else ()), web_failure])


async def _telegram_post(session: Session, address: str, port: int) -> None:
    url = f"http://{endpoint(address, port)}/"
    try:
        with await connect(session, address, port) as tcp:
            await round_trip(tcp, "POST", urlsplit(url))
    except StepFailed as failed:
        if failed.operation == "connect":
            record_unsent(session, "POST", url, failed.failure)
        raise


async def _signal(session: Session, ask: AppTargets) -> Conclusion:
    """Any failure means blocked."""
    names = [name for name in _SIGNAL_NAMES if _is_target(ask, name)]
    if not names:
        return _untested(session, ask)
    failures = await _failures({name: fetch(session, f"https://{name}/") for name in names})
    concluded = _conclusion(failures.values())
    session.trace.extra |= {
        "signal_backend_status": _status(concluded.failure),
        "signal_backend_failure": concluded.failure,
    }
    return concluded


async def _facebook_messenger(session: Session, ask: AppTargets) -> Conclusion:
    """DNS is inconsistent where no true address is among the answers; TCP blocking is a true one that refuses."""
    names = {key: name for key, name in _MESSENGER_NAMES.items() if _is_target(ask, name)}
    if not names:
        return _untested(session, ask)
    failures = await _failures({key: _messenger_endpoint(session, name) for key, name in names.items()})
    inconsistent = set(_inconsistent(session, ask))
    extra: dict[str, Any] = {}
    for key, name in names.items():
        consistent = name not in inconsistent
        extra[f"facebook_{key}_dns_consistent"] = consistent
        extra[f"facebook_{key}_reachable"] = failures[key] is None if consistent else None
    extra["facebook_dns_blocking"] = any(name in inconsistent for name in names.values())
    extra["facebook_tcp_blocking"] = any(extra[f"facebook_{key}_reachable"] is False for key in names)
    session.trace.extra |= extra
    if extra["facebook_dns_blocking"] and not any(failures.values()):
        return Conclusion(Outcome.BLOCKED)
    return _conclusion(failures.values())


async def _messenger_endpoint(session: Session, name: str) -> None:
    address = (await lookup(session, name)).addresses[0]
    await _connect(session, address, 443)


async def _web_pages(session: Session, ask: AppTargets) -> Conclusion:
    names = [t.host for t in ask.targets if t.host and any(kind == "https" for kind, _ in t.services)]
    names = names[:_MOST_PAGES]
    if not names:
        return _untested(session, ask)
    failures = await _failures({name: fetch(session, f"https://{name}/") for name in names})
    session.trace.extra["x_pages"] = failures
    return _conclusion(failures.values())


def _is_target(ask: AppTargets, name: str) -> bool:
    return any(target.host == name for target in ask.targets)


def _inconsistent(session: Session, ask: AppTargets) -> list[str]:
    """Names whose question was not answered with one of their true addresses."""
    true = {target.host: set(target.addresses) for target in ask.targets}
    names = []
    for query in session.trace.queries:
        seen = {answer.get("ipv4") or answer.get("ipv6") for answer in query["answers"] or ()}
        control = true.get(query["hostname"], set())
        if not seen or (control and seen.isdisjoint(control)):
            names.append(query["hostname"])
    return names


_TESTS: Final[Mapping[str, Callable[[Session, AppTargets], Awaitable[Conclusion]]]] = {
    "whatsapp": _whatsapp,
    "telegram": _telegram,
    "signal": _signal,
    "facebook": _facebook_messenger,
}
