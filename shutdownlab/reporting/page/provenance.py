"""Tells what a record is: measured or worked out, whole or broken off, and of which days. Pure."""

from __future__ import annotations

from shutdownlab.reporting.page.account import RunAccount
from shutdownlab.reporting.page.words import counted, day, number
from shutdownlab.results.result import THE_MODEL


def provenance(account: RunAccount) -> str:
    """Describes what the results are: measured or computed, whole or broken off."""
    count, cells = len(account.spans), f"{len(account.results):,} cells"
    began = str(account.manifest.get("began", ""))[:10]
    on = f" on {began}" if began else ""
    if not account.is_measured:
        phases = counted(count, "phase")
        return f"Worked out{on} by following packets through the model, not measured: {cells} in {phases}."
    held = sum(result.held == THE_MODEL for result in account.results)
    if account.status == "finished" and held:
        since = account.manifest.get("changed_since", "")
        measured = f"{len(account.results) - held:,} of {cells} in {counted(count, 'phase')} were"
        rest = f"the others have not changed since {since}, by the model, and are shown as it has them"
        return f"Measured{on} with real packets in an emulated country: {measured}; {rest}."
    if account.status == "finished":
        taken = sum(bool(result.held) for result in account.results)
        over = f", {taken:,} of them in another one, from which they cannot differ" if taken else ""
        return f"Measured{on} with real packets in an emulated country: {cells} in {counted(count, 'phase')}{over}."
    if account.status == "steered":
        return f"Measured with real packets in a country steered by hand: {cells} in {counted(count, 'state')} of it."
    whole = count + len(account.unmeasured)
    how = {"running": "still goes on", "killed": "was killed", "crashed": "crashed", "broken": "broke off"}
    ended = how.get(account.status, f"did not finish ({account.status})")
    measured = f"{number(count)} {'is' if count == 1 else 'are'} measured" if count else "none is measured"
    return f"The run {ended}: of {counted(whole, 'phase')} {measured}, {cells}."


def period(account: RunAccount) -> str:
    """Returns the first and last day of the measured phases; "" if there are none."""
    if not account.spans:
        return ""
    first, last = account.spans[0].at, account.spans[-1].until or account.spans[-1].at
    return day(first) if first.date() == last.date() else f"{day(first)} to {day(last)}"
