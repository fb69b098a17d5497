"""Tells what happened in sentences derived from the results. Pure.

Shares and hours are of ordinary subscribers, weighted by their number, and of services that were measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shutdownlab.model.scenario import Outcome
from shutdownlab.reporting.page.account import PhaseSpan, RunAccount, column_of
from shutdownlab.reporting.page.cut_offs import CutOff
from shutdownlab.reporting.page.words import (
    counted,
    lasting,
    listed,
    number,
    percents,
    places,
    sentence,
    when,
    within,
)
from shutdownlab.results.result import Result

_MOST_STATES = 3
_MOST_NAMED = 6
_MOST_REGIONAL = 2
_MOST_OUTSIDE = 2
"""Sentences of their own about services that were unreachable outside the cuts; more of them share one."""


def headline(account: RunAccount) -> str:
    """Returns what happened, in one sentence."""
    if not account.spans:
        return "Nothing has been measured."
    states = account.cut_offs
    if states:
        return _cut_off(account, states[0], first=True)
    blocked = {(r.phase, column_of(r)) for r in account.results if r.region and _is_kept_back(r)}
    lost = [c for c in account.services if any((account.spans[p].name, c) in blocked for p in _gone(account, c))]
    if lost:
        return _nobody(account, lost)
    if account.regional_cut_offs:
        return _cut_off(account, account.regional_cut_offs[0], first=False)
    for place, span in enumerate(account.spans):
        kept = _kept_back(account, span)
        if kept:
            losers = _who_lost(account, span, kept)
            return f"From {when(span.at)} {losers}{_for(account, _as_long(account, place, losers))}."
    slow = _slow_places(account)
    if slow:
        columns = [c for c in account.services if any(account.table[account.spans[p].name, c].slow for p in slow)]
        start = account.spans[slow[0]]
        return f"From {when(start.at)} {listed(_few(columns))} got through slowly{_for(account, slow)}."
    lost = [column for column in account.services if _gone(account, column)]
    if lost:
        return _nobody(account, lost)
    partly = [column for column in account.services if _hours(account, column, nobody=False)[1]]
    if partly:
        start = account.spans[_hours(account, partly[0], nobody=False)[1][0]]
        down = "for faults, which are no block, " if any(r.outcome is Outcome.DOWN for r in account.results) else ""
        return f"From {when(start.at)}, {down}{listed(_few(partly))} did not get through to some subscribers."
    decided = sum(result.outcome.is_measured for result in account.results)
    if not decided:
        return "Nothing is known: no cell has a verdict."
    if decided < len(account.results):
        return "Everything that has a verdict got through."
    return f"Everything that was measured got through, in {_phases(len(account.spans))}."


def story(account: RunAccount) -> Iterator[str]:
    """Yields the rest of the account, sentence by sentence: how it began, what was cut where and for how long, what was
    seen from outside, how it ended."""
    if not account.spans:
        return
    states = account.cut_offs
    grave = {place for state in states for place in state.places}
    if states:
        yield from _beginning(account, grave)
        yield from _in_all(account, states)
    others = [*states[1 : 1 + _MOST_STATES], *account.regional_cut_offs[:_MOST_REGIONAL]]
    told = [_cut_off(account, each, first=False) for each in sorted(others, key=lambda each: each.places[0])]
    if headline(account) in told:
        yield from _beginning(account, set())
    yield from (each for each in told if each != headline(account))
    if len(states) > 1 + _MOST_STATES:
        more = counted(len(states) - 1 - _MOST_STATES, "other state of its kind", "other states of their kind")
        yield f"The timeline has {more}."
    yield from _by_region(account)
    yield from _outside_the_cuts(account, grave)
    yield from _slowed(account)
    yield from _down(account)
    yield from _seen_from_outside(account)
    yield from _end(account)
    yield from _undecided(account)


def _cut_off(account: RunAccount, state: CutOff, *, first: bool) -> str:
    start = account.spans[state.places[0]]
    is_everywhere = len(state.regions) == len(account.regions)
    where = f" {_named(account, set(state.regions))}" if not is_everywhere else f" {_everywhere(account)}" * first
    long = _for(account, state.places) + _by_fault(account, state.places)
    return f"From {when(start.at)} ordinary subscribers{where} {_what_was_left(state)}{long}."


def _what_was_left(state: CutOff) -> str:
    """Describes what could be reached there: every service that anybody reached; if those are many, the open ones and
    the highest share of the others."""
    if not state.shares:
        return "reached nothing at all"
    still = [c for c in state.open if c in state.shares]  # others are open in regions that were not cut off
    if len(state.shares) <= max(len(still), _MOST_NAMED):
        return f"reached nothing but {listed(f'{c}{_share(shares)}' for c, shares in state.shares.items())}"
    most = percents([max(max(shares) for c, shares in state.shares.items() if c not in still)])
    if not still:
        return f"reached next to nothing: at most {most} of them anything"
    named = listed(f"{c}{_share(state.shares[c])}" for c in still)
    return f"reached nothing but {named}, and at most {most} of them anything else"


def _in_all(account: RunAccount, states: Sequence[CutOff]) -> Iterator[str]:
    """Yields how long the country was cut off in total, if it was in several states."""
    if len(states) < 2:
        return
    places = sorted(place for state in states for place in state.places)
    start, end = account.spans[places[0]].at, account.spans[places[-1]].until
    if end is not None:
        yield f"In total it was cut off from {when(start)} to {when(end)}{_for(account, places)}."


def _by_fault(account: RunAccount, places: Sequence[int], columns: Sequence[str] = ()) -> str:
    """Returns a clause saying that it was, wholly or partly, a fault or an ordered outage, neither of which is a block;
    "" if nothing was down."""
    missed = [r for place in places for r in account.of(account.spans[place].name) if r.region and r.weight]
    missed = [r for r in missed if r.outcome in {Outcome.BLOCKED, Outcome.DOWN}]
    missed = [r for r in missed if not columns or column_of(r) in columns]
    down = [r for r in missed if r.outcome is Outcome.DOWN]
    if not down:
        return ""
    was = "it was" if len(down) == len(missed) else "part of it was"
    by_order = {_is_by_order(result) for result in down}
    return f"; {was} {', or '.join(_NO_BLOCKS[each] for each in sorted(by_order))}"


_NO_BLOCKS = {
    False: "a fault, which is not blocking",
    True: "done by switching off cables, power or masts, not by blocking",
}


def _is_by_order(result: Result) -> bool:
    """Whether an outage was ordered rather than a fault."""
    return (result.failure or "").startswith("order: ")


def _nobody(account: RunAccount, lost: Sequence[str]) -> str:
    places = _gone(account, lost[0])
    alike = [column for column in lost if _gone(account, column) == places]
    start = account.spans[places[0]]
    others = len(lost) - len(alike)
    rest = f"; {counted(others, 'other service')} at another time" if others else ""
    return (
        f"From {when(start.at)} {listed(_few(alike))} got through to nobody {_everywhere(account)}"
        f"{_for(account, places)}{_by_fault(account, places, alike)}{rest}."
    )


def _share(shares: Sequence[float]) -> str:
    return "" if min(shares) == 1 else f" ({percents(shares)})"


def _for(account: RunAccount, places: Sequence[int]) -> str:
    """Returns how long the phases `places` lasted, and in how many stretches."""
    stretches = sum(place - 1 not in places for place in places)
    hours = sum(account.spans[place].hours for place in places)
    if any(account.spans[place].until is None for place in places):
        return ", until what was measured ends"
    return f", for {lasting(hours)}" + (f" in {number(stretches)} stretches" if stretches > 1 else "")


def _everywhere(account: RunAccount) -> str:
    count = len(account.regions)
    only = places(list(account.regions.values())[:1])
    return only if count == 1 else f"in {'both' if count == 2 else f'all {number(count)}'} regions"


def _gone(account: RunAccount, column: str) -> tuple[int, ...]:
    """Returns the phases in which nobody reached a service."""
    return _hours(account, column, nobody=True)[1]


def _slow_places(account: RunAccount) -> tuple[int, ...]:
    """Returns the phases in which something got through slowly."""
    return tuple(
        place
        for place, span in enumerate(account.spans)
        if any(account.table[span.name, column].slow for column in account.services)
    )


def _as_long(account: RunAccount, first: int, losers: str) -> tuple[int, ...]:
    """Returns the consecutive phases from `first` on for which `losers`, who lost what, stays the same."""
    last = first
    for place in range(first + 1, len(account.spans)):
        kept = _kept_back(account, account.spans[place])
        if not kept or _who_lost(account, account.spans[place], kept) != losers:
            break
        last = place
    return tuple(range(first, last + 1))


def _hours(account: RunAccount, column: str, *, nobody: bool) -> tuple[float, tuple[int, ...]]:
    """Returns for how many hours, and in which phases, a service got through to nobody; or, without `nobody`, not to
    everybody."""
    places = []
    for place, span in enumerate(account.spans):
        share = account.table[span.name, column].fraction
        if share is not None and (share == 0 if nobody else share < 1):
            places.append(place)
    return sum(account.spans[place].hours for place in places), tuple(places)


# -- how it began ------------------------------------------------------------------------------------------------------


def _beginning(account: RunAccount, grave: set[int]) -> Iterator[str]:
    """Yields the first phase in which something was kept from somebody, unless the country was cut off in it."""
    for place, span in enumerate(account.spans):
        kept = _kept_back(account, span)
        if kept:
            if place not in grave:
                yield f"It began on {when(span.at)}: {_who_lost(account, span, kept)}."
            return


def _kept_back(account: RunAccount, span: PhaseSpan) -> list[Result]:
    return [r for r in account.of(span.name) if r.region and r.weight and _is_kept_back(r)]


def _is_kept_back(result: Result) -> bool:
    """Whether an order stopped a measurement: by a block, or by switching off what carries it."""
    return result.outcome is Outcome.BLOCKED or (result.outcome is Outcome.DOWN and _is_by_order(result))


def _who_lost(account: RunAccount, span: PhaseSpan, kept: Sequence[Result]) -> str:
    """Returns who could not reach what; says "some" unless all the subscribers that the words cover were affected."""
    measured = [r for r in account.of(span.name) if r.region and r.weight and r.outcome.is_measured]
    regions = {result.region for result in kept}
    accesses = {result.access for result in kept}
    operators = {result.operator for result in kept}
    about = [r for r in measured if r.region in regions and r.access in accesses and r.operator in operators]
    columns = [c for c in account.services if any(column_of(result) == c for result in kept)]
    whole = all(_is_kept_back(result) for result in about if column_of(result) in columns)
    kind = f"{next(iter(accesses))} " if len(accesses) == 1 and len({r.access for r in measured}) > 1 else ""
    with_access = {r.operator for r in measured if r.region in regions and r.access in accesses}
    of = f" of {listed(account.operators[name] for name in sorted(operators))}" if operators != with_access else ""
    there = "" if len(regions) == len(account.regions) else f" {_named(account, regions)}"
    return f"{'' if whole else 'some '}{kind}subscribers{of}{there} lost {listed(_few(columns))}"


def _named(account: RunAccount, regions: set[str]) -> str:
    """Returns in which regions something was; if they are all but one, names the exception."""
    others = account.regions.keys() - regions
    if len(others) == 1 and len(regions) > 2:
        return f"in all regions but {within(account.regions[others.pop()])}"
    return places(_titles(account, regions))


def _titles(account: RunAccount, regions: set[str]) -> list[str]:
    return [title for name, title in account.regions.items() if name in regions]


def _few(names: Sequence[str]) -> list[str]:
    more = len(names) - _MOST_NAMED
    return list(names) if more <= 1 else [*names[:_MOST_NAMED], f"{number(more)} more services"]


# -- where and for how long --------------------------------------------------------------------------------------------


def _by_region(account: RunAccount) -> Iterator[str]:
    """Yields how long a service was gone in each region: the one gone longest of those measured in every region.

    If it was gone equally long in every region, other services gone for just as long are named with it.
    """
    if len(account.regions) < 2:
        return
    gone: dict[str, dict[str, float]] = {}
    for column in account.services:
        hours = {region: account.hours_without(region, column) for region in account.regions}
        measured = {region: value for region, value in hours.items() if value is not None}
        if len(measured) == len(account.regions):
            gone[column] = measured
    known = max(gone.values(), key=lambda each: sum(each.values()), default={})
    if not any(known.values()):
        return
    columns = [column for column, each in gone.items() if each == known]
    lengths = sorted(set(known.values()), reverse=True)
    if len(lengths) == 1:
        were = "was" if len(columns) == 1 else "were"
        yield f"{sentence(listed(_few(columns)))} {were} gone for {lasting(lengths[0])} in every region."
        return
    stretches = []
    for length in lengths:
        there = _titles(account, {region for region, value in known.items() if value == length})
        stretches.append(
            f"for {lasting(length)} {places(there)}" if length else f"at no time {places(there, 'in all of')}"
        )
    yield f"{sentence(columns[0])} was gone {'; '.join(stretches)}."


def _outside_the_cuts(account: RunAccount, grave: set[int]) -> Iterator[str]:
    """Yields what got through to nobody in phases in which the country was not cut off."""
    if not grave:
        return
    alike: dict[tuple[int, ...], list[str]] = {}
    for column in account.services:
        places = tuple(place for place in _hours(account, column, nobody=True)[1] if place not in grave)
        if places:
            alike.setdefault(places, []).append(column)
    if len(alike) > _MOST_OUTSIDE:
        sentences = (f"{listed(_few(columns))}{_for(account, places)}" for places, columns in alike.items())
        yield f"When the country was not cut off, these still got through to nobody: {'; '.join(sentences)}."
        return
    for places, columns in alike.items():
        start = account.spans[places[0]]
        yield (
            f"When the country was not cut off, {listed(_few(columns))} still got through to nobody"
            f"{_for(account, places)} (first on {when(start.at)})."
        )


def _slowed(account: RunAccount) -> Iterator[str]:
    slow = [result for result in account.results if result.outcome is Outcome.THROTTLED]
    if slow:
        phases = [span for span in account.spans if any(result.phase == span.name for result in slow)]
        columns = listed(dict.fromkeys(column_of(result) for result in slow))
        accesses = {result.access for result in slow}
        who = f"{next(iter(accesses))} subscribers" if len(accesses) == 1 and all(accesses) else "subscribers"
        there = places(_titles(account, {result.region for result in slow}))
        yield f"Throttling was measured in {counted(len(phases), 'phase')} ({columns}), of some {who} {there}."


def _down(account: RunAccount) -> Iterator[str]:
    down = [result for result in account.results if result.outcome is Outcome.DOWN]
    if down:
        names = listed(dict.fromkeys((result.failure or "fault: one").partition(": ")[2] for result in down))
        by_order = {_is_by_order(result) for result in down}
        why = {True: "cables, power or masts that were off by order", False: "faults"}
        what = " and ".join(why[each] for each in sorted(by_order))
        count = counted(len(down), "measurement")
        yield f"{sentence(count)} did not get through for {what}, which are no block: {names}."


def _seen_from_outside(account: RunAccount) -> Iterator[str]:
    for column in account.outside:
        seen = [r for r in account.results if column_of(r) == column and not r.region and r.outcome.is_measured]
        if not seen:
            continue
        gone = [result for result in seen if not result.outcome.got_through]
        if not gone:
            yield f"From outside, {column} showed nothing: it was as usual in {_phases(_count(seen))}."
            continue
        phases = [span for span in account.spans if any(result.phase == span.name for result in gone)]
        who = list(dict.fromkeys(account.operators[result.operator] for result in gone))
        whole = all(any(r.phase == span.name and account.operators[r.operator] == name for r in gone)
                    for span in phases for name in who)  # fmt: skip
        named = listed(who) if len(who) <= _MOST_NAMED else counted(len(who), "operator")
        yield (
            f"From outside, {column} showed it in {_phases(len(phases))}, first on {when(phases[0].at)}: {named} could "
            f"not be seen{'' if whole else ' in some of them'}."
        )


def _count(results: Sequence[Result]) -> int:
    return len({result.phase for result in results})


def _phases(count: int) -> str:
    return "one phase" if count == 1 else f"{number(count)} phases"


def _end(account: RunAccount) -> Iterator[str]:
    """Yields whether everything had come back in the last phase, if every planned phase was measured."""
    last = account.spans[-1]
    if account.unmeasured or len(account.spans) < 2:
        return
    shares = [account.table[last.name, column] for column in account.services]
    before = account.spans[-2]
    if any(share.fraction not in {None, 1.0} or share.slow for share in shares):
        fractions = {column: account.table[last.name, column].fraction for column in account.services}
        gone = [column for column, fraction in fractions.items() if fraction == 0]
        part = [column for column, fraction in fractions.items() if fraction not in {None, 0, 1.0}]
        if gone or part:
            yield _not_back(gone, part, now=account.is_steered)
        return
    if any(account.table[before.name, column].fraction not in {None, 1.0} for column in account.services):
        yield f"From {when(last.at)} everything that was measured got through again."


def _not_back(gone: Sequence[str], part: Sequence[str], *, now: bool) -> str:
    """Returns which services nobody reaches at the end, and which only some do; now: in a country still running."""
    nobody, partly = listed(_few(gone)), listed(_few(part))
    if now:
        gets, does = ("get" if len(gone) > 1 else "gets"), ("do" if len(part) > 1 else "does")
        clauses = [f"{nobody} {gets} through to nobody"] * bool(gone)
        return f"Now {', and '.join(clauses + [f'{partly} {does} not get through to everybody'] * bool(part))}."
    clauses = [f"{nobody} got through to nobody"] * bool(gone) + [f"{partly} did not get through to everybody"] * bool(
        part
    )
    return f"It was not over when the record ends: {', and '.join(clauses)}."


def _undecided(account: RunAccount) -> Iterator[str]:
    without = sum(not result.outcome.is_measured for result in account.results)
    if without:
        has = "has" if without == 1 else "have"
        yield f"{sentence(counted(without, 'cell'))} of {len(account.results):,} {has} no verdict."
