"""What OONI's tests of apps attempt, and what they conclude from failures (ooni/spec ts-018, ts-019, ts-020, ts-029).

An app without a test of its own is tested by its web pages, those of its first names with HTTPS; any failure means
blocked. Pure: `apps` makes the attempts, concurrently.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from shutdownlab.config.addresses import endpoint
from shutdownlab.inspection.apps import is_whatsapp_endpoint
from shutdownlab.model.probe import Family
from shutdownlab.model.scenario import Outcome
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.failure import is_doubtful, is_own
from shutdownlab.probes.kinds import AppTargets

WHATSAPP_REGISTRATION: Final = "https://v.whatsapp.net/v2/register"
WHATSAPP_WEB: Final = "https://web.whatsapp.com/"
TELEGRAM_WEB: Final = "https://web.telegram.org/"
_WHATSAPP_PORTS: Final = (443, 5222)
_TELEGRAM_PORTS: Final = (443, 80)
_MOST_PAGES: Final = 3
_SIGNAL_NAMES: Final = ("cdsi.signal.org", "chat.signal.org", "sfu.voip.signal.org", "storage.signal.org")
MESSENGER_NAMES: Final = {
    "b_api": "b-api.facebook.com",
    "b_graph": "b-graph.facebook.com",
    "edge": "edge-mqtt.facebook.com",
    "external_cdn": "external.xx.fbcdn.net",
    "scontent_cdn": "scontent.xx.fbcdn.net",
    "star": "star.c10r.facebook.com",
}


@dataclass(frozen=True, slots=True)
class Fetch:
    """A page to fetch, following redirects."""

    url: str


@dataclass(frozen=True, slots=True)
class Post:
    """An empty POST to an IP address."""

    address: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{endpoint(self.address, self.port)}/"


@dataclass(frozen=True, slots=True)
class Connect:
    """A name to look up and connect to on any of these ports; if all fail, the last port's failure counts."""

    name: str
    ports: tuple[int, ...]


Attempt: TypeAlias = Fetch | Post | Connect


def attempts_of(ask: AppTargets, family: Family) -> dict[str, Attempt]:
    """Returns the independent attempts of an app's test, by their OONI names; empty if there is nothing to test."""
    names = [target.host for target in ask.targets]
    match ask.app:
        case "whatsapp":
            chats: dict[str, Attempt] = {
                name: Connect(name, _WHATSAPP_PORTS) for name in names if is_whatsapp_endpoint(name)
            }
            pages = {WHATSAPP_REGISTRATION: "v.whatsapp.net", WHATSAPP_WEB: "web.whatsapp.com"}
            return chats | {url: Fetch(url) for url, name in pages.items() if name in names}
        case "telegram":
            posts: dict[str, Attempt] = {
                endpoint(centre, port): Post(centre, port)
                for centre in telegram_centres(ask, family)
                for port in _TELEGRAM_PORTS
            }
            return posts | ({TELEGRAM_WEB: Fetch(TELEGRAM_WEB)} if "web.telegram.org" in names else {})
        case "signal":
            return {name: Fetch(f"https://{name}/") for name in _SIGNAL_NAMES if name in names}
        case "facebook":
            return {key: Connect(name, (443,)) for key, name in MESSENGER_NAMES.items() if name in names}
        case _:
            sites = [t.host for t in ask.targets if t.host and any(kind == "https" for kind, _ in t.services)]
            return {name: Fetch(f"https://{name}/") for name in sites[:_MOST_PAGES]}


def telegram_centres(ask: AppTargets, family: Family) -> list[str]:
    """Returns the addresses of Telegram's data centres, which answer HTTP on both of their ports."""
    wanted = {("http", port) for port in _TELEGRAM_PORTS}
    return [a for target in ask.targets if wanted <= set(target.services) for a in target.addresses_of(family)]


def untested(ask: AppTargets, family: Family) -> Conclusion:
    """Returns the error for an app without endpoints in this address family: no outcome, least of all ok."""
    return Conclusion(Outcome.ERROR, f"unknown_failure: {ask.app} has nothing to test over {family}")


def conclusion_of(
    ask: AppTargets, failures: Mapping[str, str | None], inconsistent: Collection[str] = ()
) -> Conclusion:
    """Concludes from the failures of the attempts; `inconsistent`: names answered without a true address.

    Telegram's data centres are blocked only if every POST fails; for other apps, any failure means that the app is
    blocked.
    """
    if ask.app == "telegram":
        posts = {name: failure for name, failure in failures.items() if name != TELEGRAM_WEB}
        return _conclusion([*(posts.values() if posts_blocked(failures) else ()), failures.get(TELEGRAM_WEB)])
    if ask.app == "facebook" and not any(failures.values()) and any(_misled(failures, inconsistent)):
        return Conclusion(Outcome.BLOCKED)
    return _conclusion(failures.values())


def posts_blocked(failures: Mapping[str, str | None]) -> bool:
    """Whether there were POSTs to Telegram's data centres and all of them failed."""
    posts = [failure for name, failure in failures.items() if name != TELEGRAM_WEB]
    return bool(posts) and all(posts)


def _misled(failures: Mapping[str, str | None], inconsistent: Collection[str]) -> Iterator[bool]:
    return (MESSENGER_NAMES[key] in inconsistent for key in failures)


def _conclusion(failures: Iterable[str | None]) -> Conclusion:
    """Blocked with the first failure, if there is one; doubtful if any failure is. An error if any is the prober's."""
    found = [failure for failure in failures if failure is not None]
    if not found:
        return Conclusion(Outcome.OK)
    if own := next(filter(is_own, found), None):
        return Conclusion(Outcome.ERROR, own)
    return Conclusion(Outcome.BLOCKED, found[0], any(is_doubtful(failure) for failure in found))
