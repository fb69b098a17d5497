"""The signals by which a country is observed from outside: what each measures, how often, and its rule for alerts.

IODA's three signals are defined as on its help page (https://ioda.inetintel.cc.gatech.edu), the traffic signals as by
Cloudflare Radar. Hyperquack measures every hour (ASSUMED): Censored Planet itself measures twice a week, too rarely to
see an event of a few days (Sundara Raman et al., "Censored Planet", CCS 2020).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from shutdownlab.model.signal import SignalName

RuleName = Literal["ioda-bgp", "ioda-active-probing", "ioda-telescope", "forecast", "connected"]


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal.

    title: what reports, figures and tables call it. about: what it is of. step: minutes between its values.
    follows_the_day: whether it follows the weekly curve of use.
    """

    name: SignalName
    title: str
    about: str
    step: int
    rule: RuleName
    follows_the_day: bool = False


SIGNALS: Final[Mapping[str, Signal]] = {
    signal.name: signal
    for signal in (
        Signal("bgp", "BGP", "/24s and /48s that most full-feed peers see", 5, "ioda-bgp"),
        Signal("active-probing", "active probing", "blocks that answer from abroad", 10, "ioda-active-probing"),
        Signal("telescope", "telescope", "sources of background radiation", 1, "ioda-telescope"),
        Signal("cdn", "CDN volume", "what a CDN serves", 5, "forecast", follows_the_day=True),
        Signal("http3", "HTTP/3 share", "the share of HTTP/3 in what a CDN serves", 5, "forecast"),
        Signal("mobile", "mobile share", "the share of mobile lines in what a CDN serves", 5, "forecast"),
        Signal("dns-queries", "DNS queries", "name questions that come abroad", 5, "forecast", follows_the_day=True),
        Signal("atlas-datacentre", "Atlas in data centres", "probes there that are connected", 1, "connected"),
        Signal("atlas-home", "Atlas at home", "probes there that are connected", 1, "connected"),
        Signal("tor-relays", "Tor relays", "people who use Tor over its relays", 60, "forecast"),
        Signal("tor-bridges", "Tor bridges", "people who use Tor over bridges", 60, "forecast"),
        Signal("vpn-demand", "VPN demand", "people who look for VPNs", 60, "forecast"),
        Signal(
            "hyperquack",
            "Hyperquack",
            "names that servers answer for, asked from abroad",
            60,
            "connected",
        ),
    )
}
"""All signals by name, in the order in which tables show them."""


def title_of(signal: str) -> str:
    """Returns what reports and figures call a signal; of an observer that does not ship, its own name in words."""
    known = SIGNALS.get(signal)
    return known.title if known else signal.replace("-", " ")


def place_of(signal: str) -> int:
    """Returns a signal's place among the signals; that of an observer that does not ship is the last."""
    return list(SIGNALS).index(signal) if signal in SIGNALS else len(SIGNALS)
