"""The verdicts of OONI's tests of messaging apps.

Sources: ooni/spec, nettests/ts-018-whatsapp.md, ts-019-facebook-messenger.md, ts-020-telegram.md, ts-029-signal.md;
probe-cli, internal/experiment/whatsapp, fbmessenger, telegram, signal. In December 2022 OONI made the checks of the web
pages laxer (ooni/probe-cli pull requests 998, 999 and 1001): versions before then are judged as they judged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from shutdownlab.ooni.records import Keys, RequestRecord, ResponseRecord, named
from shutdownlab.ooni.verdict import OoniVerdict

Version = tuple[int, ...]
NEWEST: Final[Version] = (999,)
"""Version of measurements that have none of OONI's: they are judged as the newest are."""
_UNANSWERED: Final = "http_request_failed"
"""OONI's failure for a status of 400 and above where the probe wanted a page."""
_TELEGRAM_TITLE: Final = b"<title>Telegram Web</title>"
_WHATSAPP_WEB: Final = "web.whatsapp.com"
_WHATSAPP_ENDPOINT: Final = re.compile(r"e\d{1,2}\.whatsapp\.net")
_SIGNALS_UPTIME: Final = "uptime.signal.org"
"""Looked up by Signal's test, but not judged."""
_FACEBOOK_AS: Final = 32934
_FACEBOOK_NAMES: Final = {
    "stun": "stun.fbsbx.com",
    "b_api": "b-api.facebook.com",
    "b_graph": "b-graph.facebook.com",
    "edge": "edge-mqtt.facebook.com",
    "external_cdn": "external.xx.fbcdn.net",
    "scontent_cdn": "scontent.xx.fbcdn.net",
    "star": "star.c10r.facebook.com",
}


def _status(failure: object) -> str:
    return "blocked" if failure else "ok"


def judge_whatsapp(keys: Keys, claims: Mapping[str, object], version: Version) -> OoniVerdict:
    """Judges a WhatsApp test: the endpoints are blocked if none was reached, on any of its addresses and ports.

    Before 0.10 the web page is to be redirected to from http:// too, before 0.11 the registration server is to answer
    with a status below 400.

    If no endpoint was looked up, as they have no IPv6 addresses and an emulated country's tests are of one IP version
    each, the file's own `whatsapp_endpoints_status` is used.
    """
    addresses = _addresses(keys)
    endpoints = [name for name in addresses if _WHATSAPP_ENDPOINT.fullmatch(name)]
    open_ = {connect.ip for connect in keys.tcp_connect or () if not connect.broken}
    blocked = [name for name in endpoints if open_.isdisjoint(addresses[name])]
    registration = _failure_of(keys, "v.whatsapp.net")
    if registration is None and (0, 8) <= version < (0, 11):
        registration = _of_status(_newest(keys, "v.whatsapp.net", "https"))
    web = _failure_of(keys, _WHATSAPP_WEB)
    if web is None and version < (0, 10):
        web = _failure_of_redirect(_newest(keys, _WHATSAPP_WEB, "http"), version)
    status: object = _status(len(blocked) == len(endpoints))
    why, assumed = f"{len(endpoints) - len(blocked)} of {len(endpoints)} endpoints were reached", dict[str, str]()
    if not endpoints and claims.get("whatsapp_endpoints_status") in {"ok", "blocked"}:
        status, why = claims["whatsapp_endpoints_status"], "no endpoint was looked up"
        assumed["whatsapp_endpoints_status"] = why
    return OoniVerdict(
        {
            "registration_server_failure": registration,
            "registration_server_status": _status(registration),
            "whatsapp_endpoints_blocked": sorted(blocked),
            "whatsapp_endpoints_status": status,
            "whatsapp_web_failure": web,
            "whatsapp_web_status": _status(web),
        },
        dict.fromkeys(("registration_server_failure", "registration_server_status"), "of v.whatsapp.net")
        | dict.fromkeys(("whatsapp_web_failure", "whatsapp_web_status"), f"of {_WHATSAPP_WEB}")
        | {
            "whatsapp_endpoints_blocked": "no connect to any of its addresses succeeded",
            "whatsapp_endpoints_status": why,
        },
        assumed=assumed,
    )


def _failure_of_redirect(asked: RequestRecord | None, version: Version) -> str | None:
    """Returns why http://web.whatsapp.com/ is blocked by the rules before 0.10; None if it isn't, or wasn't fetched."""
    failure = named(asked.failure) if asked else None
    if asked is None or failure or version < (0, 8):
        return failure
    response = asked.response or ResponseRecord()
    if response.code != 302:
        return "http_unexpected_status_code"
    return None if response.location == f"https://{_WHATSAPP_WEB}/" else "http_unexpected_redirect_url"


def judge_telegram(keys: Keys, claims: Mapping[str, object], version: Version) -> OoniVerdict:
    """Judges a Telegram test: TCP is blocked if no data centre could be reached, HTTP if none answered a POST.

    Before 0.3 every page of the web version is to be served and have its title; the probe records the failure of the
    one that ends first, so that of any is accepted.
    """
    posts = [request for request in keys.requests or () if request.request.method == "POST"]
    centres = {request.host for request in posts}
    connects = [connect for connect in keys.tcp_connect or () if connect.ip in centres]
    answered = sum(not named(post.failure) for post in posts)
    connected = sum(not connect.broken for connect in connects)
    web = _failure_of(keys, "web.telegram.org")
    pages = [request for request in keys.requests or () if request.request.method != "POST"]
    failures = [failure for page in pages if (failure := _of_telegrams_page(page))] if version < (0, 3) else []
    if failures:
        web = failures[0]
    return OoniVerdict(
        {
            "telegram_http_blocking": not answered,
            "telegram_tcp_blocking": not (answered or connected),
            "telegram_web_failure": web,
            "telegram_web_status": _status(web),
        },
        dict.fromkeys(("telegram_web_failure", "telegram_web_status"), "of web.telegram.org")
        | {
            "telegram_http_blocking": f"{answered} of {len(posts)} POSTs were answered",
            "telegram_tcp_blocking": f"{connected} of {len(connects)} connects to data centres succeeded",
        },
        either={"telegram_web_failure": frozenset(failures)},
    )


def _of_telegrams_page(page: RequestRecord) -> str | None:
    """Returns why a page of Telegram's web version is blocked by the rules before 0.3."""
    if failure := named(page.failure) or _of_status(page):
        return failure
    response = page.response or ResponseRecord()
    redirects = 300 <= (response.code or 0) < 400
    return None if redirects or _TELEGRAM_TITLE in response.octets else "telegram_missing_title_error"


def judge_signal(keys: Keys, claims: Mapping[str, object], version: Version) -> OoniVerdict:
    """Judges a Signal test: the backend is blocked if any of its servers is.

    Of several failures, the probe records an arbitrary one; all are accepted.
    """
    failures = {host: failure for host in _hosts(keys) if (failure := _failure_of(keys, host))}
    last = list(failures.values())[-1] if failures else None
    why = ", ".join(f"{host}: {failure}" for host, failure in failures.items()) or "every server answered"
    return OoniVerdict(
        {"signal_backend_failure": last, "signal_backend_status": _status(failures)},
        dict.fromkeys(("signal_backend_failure", "signal_backend_status"), why),
        either={"signal_backend_failure": frozenset(failures.values())},
    )


def judge_facebook_messenger(keys: Keys, claims: Mapping[str, object], version: Version) -> OoniVerdict:
    """Judges a Facebook Messenger test.

    DNS is blocked if a lookup failed or an answer isn't in Facebook's AS; TCP if a name with consistent answers
    couldn't be reached. If the file gives no AS for any answer, as an emulated country's doesn't, its own
    `dns_consistent` is used.
    """
    addresses, verdict = _addresses(keys), OoniVerdict({})
    known = any(answer.asn for query in keys.queries or () for answer in query.answers or ())
    asns = {a.address: a.asn or 0 for q in keys.queries or () for a in q.answers or () if a.address}
    open_ = {connect.ip for connect in keys.tcp_connect or () if not connect.broken}
    for key, name in _FACEBOOK_NAMES.items():
        consistent_key, reachable_key = f"facebook_{key}_dns_consistent", f"facebook_{key}_reachable"
        if name not in addresses:
            verdict.fields |= {consistent_key: None, reachable_key: None}
            verdict.why |= dict.fromkeys((consistent_key, reachable_key), f"{name} was not looked up")
            continue
        found = addresses[name]
        strange = next((address for address in found if asns.get(address) != _FACEBOOK_AS), None)
        consistent: object = bool(found) and strange is None
        reason = (
            f"{name}: {f'{strange} is not in AS{_FACEBOOK_AS}' if strange else f'all answers are in AS{_FACEBOOK_AS}'}"
        )
        if not found:
            reason = f"{name}: the lookup failed"
        elif not known and isinstance(claims.get(consistent_key), bool):
            consistent, reason = claims[consistent_key], "the file gives no AS of any answer"
            verdict.assumed[consistent_key] = reason
        reached = None if key == "stun" or consistent is False else not open_.isdisjoint(found)
        verdict.fields |= {consistent_key: consistent, reachable_key: reached}
        verdict.why |= {
            consistent_key: reason,
            reachable_key: f"{name}: {'some' if reached else 'no'} connect succeeded",
        }
    fields = verdict.fields
    verdict.fields |= {
        "facebook_dns_blocking": any(fields[f"facebook_{key}_dns_consistent"] is False for key in _FACEBOOK_NAMES),
        "facebook_tcp_blocking": any(fields[f"facebook_{key}_reachable"] is False for key in _FACEBOOK_NAMES),
    }
    verdict.why |= {
        "facebook_dns_blocking": "whether a name is inconsistent",
        "facebook_tcp_blocking": "whether a consistent name is not reachable",
    }
    return verdict


def _addresses(keys: Keys) -> dict[str, set[str]]:
    """Returns the addresses that each name resolved to, in the order of the lookups."""
    found: dict[str, set[str]] = {}
    for query in keys.queries or ():
        found.setdefault(query.hostname or "", set()).update(query.addresses)
    return found


def _hosts(keys: Keys) -> Iterable[str]:
    """Returns the hosts of the HTTPS requests, in the order of the file; then those whose lookup failed before one."""
    asked = [request.host for request in keys.requests or () if request.url.startswith("https://")]
    failed = [query.hostname for query in keys.queries or () if named(query.failure) and not query.no_aaaa]
    found = [host for host in (*asked, *failed) if host and host != _SIGNALS_UPTIME]
    return dict.fromkeys(found)


def _failure_of(keys: Keys, host: str) -> str | None:
    """Returns the failure of a server's newest request, HTTPS preferred; without one, that of an earlier step."""
    asked = [request for request in keys.requests or () if request.host == host]
    asked.sort(key=_is_plain)
    return named(asked[0].failure) if asked else _failed_before(keys, host)


def _is_plain(request: RequestRecord) -> bool:
    return urlsplit(request.url).scheme != "https"


def _newest(keys: Keys, host: str, scheme: str) -> RequestRecord | None:
    """Returns the newest request to a server by http or https; None if there is none."""
    wanted = (request for request in keys.requests or () if request.host == host)
    return next((request for request in wanted if urlsplit(request.url).scheme == scheme), None)


def _of_status(asked: RequestRecord | None) -> str | None:
    """Returns the failure of a response whose status is 400 or above; None for all else."""
    response = asked.response if asked else None
    return _UNANSWERED if response is not None and (response.code or 0) >= 400 else None


def _failed_before(keys: Keys, host: str) -> str:
    """Returns why no request was sent to a server: the last failed step, or "unknown_failure"."""
    lookups = [query for query in keys.queries or () if query.hostname == host]
    failures = [failure for query in lookups if (failure := named(query.failure)) and not query.no_aaaa]
    addresses = {address for query in lookups for address in query.addresses}
    failures += [each.broken for each in keys.tcp_connect or () if each.ip in addresses and each.broken]
    failures += [
        failure for each in keys.tls_handshakes or () if each.server_name == host and (failure := named(each.failure))
    ]
    return failures[-1] if failures else "unknown_failure"


JUDGES: Final[Mapping[str, Callable[[Keys, Mapping[str, object], Version], OoniVerdict]]] = {
    "whatsapp": judge_whatsapp,
    "telegram": judge_telegram,
    "signal": judge_signal,
    "facebook_messenger": judge_facebook_messenger,
}
