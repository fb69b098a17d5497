"""The verdicts of OONI's tests of messaging apps.

Sources: ooni/spec, nettests/ts-018-whatsapp.md, ts-019-facebook-messenger.md, ts-020-telegram.md, ts-029-signal.md;
probe-cli, internal/experiment/whatsapp, fbmessenger, telegram, signal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from shutdownlab.ooni.records import Keys, RequestRecord, named
from shutdownlab.ooni.verdict import OoniVerdict

_WHATSAPP_ENDPOINT: Final = re.compile(r"e\d{1,2}\.whatsapp\.net")
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


def judge_whatsapp(keys: Keys, claims: Mapping[str, object]) -> OoniVerdict:
    """Judges a WhatsApp test: the endpoints are blocked if none was reached, on any of its addresses and ports.

    If none was looked up, as they have no IPv6 addresses and an emulated country's tests are of one IP version each,
    the file's own `whatsapp_endpoints_status` is used.
    """
    addresses = _addresses(keys)
    endpoints = [name for name in addresses if _WHATSAPP_ENDPOINT.fullmatch(name)]
    open_ = {connect.ip for connect in keys.tcp_connect or () if not connect.broken}
    blocked = [name for name in endpoints if open_.isdisjoint(addresses[name])]
    registration = _failure_of(keys, "v.whatsapp.net")
    web = _failure_of(keys, "web.whatsapp.com")
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
        | dict.fromkeys(("whatsapp_web_failure", "whatsapp_web_status"), "of web.whatsapp.com")
        | {
            "whatsapp_endpoints_blocked": "no connect to any of its addresses succeeded",
            "whatsapp_endpoints_status": why,
        },
        assumed=assumed,
    )


def judge_telegram(keys: Keys, claims: Mapping[str, object]) -> OoniVerdict:
    """Judges a Telegram test: TCP is blocked if no data centre could be reached, HTTP if none answered a POST."""
    posts = [request for request in keys.requests or () if request.request.method == "POST"]
    centres = {request.host for request in posts}
    connects = [connect for connect in keys.tcp_connect or () if connect.ip in centres]
    answered = sum(not named(post.failure) for post in posts)
    connected = sum(not connect.broken for connect in connects)
    web = _failure_of(keys, "web.telegram.org")
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
    )


def judge_signal(keys: Keys, claims: Mapping[str, object]) -> OoniVerdict:
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


def judge_facebook_messenger(keys: Keys, claims: Mapping[str, object]) -> OoniVerdict:
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
    """Returns the hosts of the HTTPS requests, in the order of the file."""
    asked = [request for request in keys.requests or () if request.url.startswith("https://")]
    return dict.fromkeys(host for request in asked if (host := request.host))


def _failure_of(keys: Keys, host: str) -> str | None:
    """Returns the failure of a server's newest request, HTTPS preferred; without one, that of an earlier step."""
    asked = [request for request in keys.requests or () if request.host == host]
    asked.sort(key=_is_plain)
    return named(asked[0].failure) if asked else _failed_before(keys, host)


def _is_plain(request: RequestRecord) -> bool:
    return urlsplit(request.url).scheme != "https"


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


JUDGES: Final[Mapping[str, Callable[[Keys, Mapping[str, object]], OoniVerdict]]] = {
    "whatsapp": judge_whatsapp,
    "telegram": judge_telegram,
    "signal": judge_signal,
    "facebook_messenger": judge_facebook_messenger,
}
