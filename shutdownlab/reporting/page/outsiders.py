"""The page's section on outside signals and their alerts, and the sentence about them. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from shutdownlab.reporting.page.account import RunAccount
from shutdownlab.reporting.page.markup import Html, element, html, table
from shutdownlab.reporting.page.watched import RaisedAlert, WatchedSignal
from shutdownlab.reporting.page.words import listed, when
from shutdownlab.results.signal_verdict import SignalVerdict

_MOST_ALERTS = 3


def outsiders(account: RunAccount) -> Html:
    """Returns the section: a row per signal, and which expectations about signals were met."""
    if account.is_steered:
        return _of_a_steered_country(account)
    rows = [
        [
            signal.label,
            _level(account, signal),
            element("ul", _alerts(account, signal), class_="pg-plain"),
            _basis(signal),
        ]
        for signal in account.watched
    ]
    columns = ["Signal", "Lowest, of a quiet day", "Alerts of its detector", "Read"]
    parts = [
        element(
            "p", "The whole country as it is watched from abroad. The timeline has the curves; alerts are raised by "
            "the rules that detectors have published.",
        ),
        table("Signals that outsiders watch, and their alerts", columns, rows, class_="pg-orders"),
    ]  # fmt: skip
    verdicts = [SignalVerdict.model_validate(each) for each in account.manifest.get("signals", ())]
    if verdicts:
        cells = [[each.expected, each.source, _met(each), each.found] for each in verdicts]
        heading = "What sources say that outsiders saw, and what was seen here"
        parts.append(table(heading, ["Expected", "Source", "Met", "Found"], cells, class_="pg-orders"))
    return html(parts)


def _of_a_steered_country(account: RunAccount) -> Html:
    """Returns the section for a steered country: without alerts, as detectors do not work on seconds."""
    rows = [[s.label, _now(account, s), _level(account, s), _basis(s)] for s in account.watched]
    columns = ["Signal", "Since the latest order", "Lowest, of a quiet day", "Read"]
    return html((
        element(
            "p", "The whole country as it is seen from abroad: since the latest order, and at its lowest of all that "
            "this page shows. BGP is read off the transits' own tables, CDN volume is what probes got of sites abroad; "
            "what nobody is there to measure the model says. Detectors look at minutes to hours, and are not asked.",
        ),
        table("Signals that outsiders watch", columns, rows, class_="pg-orders"),
    ))  # fmt: skip


def _now(account: RunAccount, signal: WatchedSignal) -> Html:
    share = signal.levels.get(account.spans[-1].name)
    return element("b", "not yet" if share is None else f"{share:.0%}")


def outsiders_sentence(account: RunAccount) -> str:
    """Returns a sentence on which signals raised alerts, and which did not; "" if no detector was run."""
    noticed = sorted((s for s in account.watched if s.alerts), key=lambda signal: signal.alerts[0].raised)
    by_the_model = all(signal.is_modelled for signal in account.watched)

    def called(signal: WatchedSignal) -> str:
        """Returns a signal's title without the address family, marked if it alone is modelled."""
        return f"{signal.title} (modelled)" if signal.is_modelled and not by_the_model else signal.title

    names = list(dict.fromkeys(map(called, noticed)))
    quiet = [name for s in account.watched if s.judged and not s.alerts and (name := called(s)) not in names]
    clauses = []
    if noticed:
        clauses.append(f"first {names[0]}, at {when(noticed[0].alerts[0].raised)}")
        clauses += [f"then {listed(names[1:])}"] * (len(names) > 1)
    clauses += [f"no alert in {listed(dict.fromkeys(quiet))}"] * bool(quiet)
    if not clauses:
        return ""
    if by_the_model:
        what = "By the model, outsiders' detectors would " + ("raise alerts" if noticed else "notice nothing")
    else:
        what = "Outsiders' detectors " + ("raised alerts" if noticed else "noticed nothing")
    return f"{what}: {'; '.join(clauses)}."


def _level(account: RunAccount, signal: WatchedSignal) -> Html:
    phase, share = signal.lowest
    at = next((span for span in account.spans if span.name == phase), None)
    where = f" in {phase}" + (f" ({account.short(at.at)})" if at else "")
    return html((element("b", f"{share:.0%}"), where if share < 1 else ": never below"))


def _alerts(account: RunAccount, signal: WatchedSignal) -> Iterator[Html]:
    if not signal.judged:
        yield element("li", "no rule is known")
    elif not signal.alerts:
        yield element("li", "none")
    for alert in signal.alerts[:_MOST_ALERTS]:
        yield element("li", _alert(account, alert))
    if len(signal.alerts) > _MOST_ALERTS:
        yield element("li", f"and {len(signal.alerts) - _MOST_ALERTS} more")


def _alert(account: RunAccount, alert: RaisedAlert) -> str:
    until = f" to {account.short(alert.ends)}" if alert.ends else ", to the end"
    late = round((alert.raised - alert.begins).total_seconds() / 60)
    return f"{alert.level}: {account.short(alert.begins)}{until}{f', raised {late} min later' if late else ''}"


def _basis(signal: WatchedSignal) -> str:
    if not signal.modelled:
        return "measured"
    return "modelled" if signal.is_modelled else "measured, modelled in part"


def _met(verdict: SignalVerdict) -> str:
    return "not judged" if verdict.met is None else "yes" if verdict.met else "no"
