"""What happened, in words: sentences made from the results, each true of them. Pure.

Shares and hours are of ordinary subscribers, weighted by their number, and of services that were measured. "Cut off"
are phases in which at least half of the services that were measured got through to nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shutdownlab.model.scenario import Outcome
from shutdownlab.reporting.page.account import PhaseSpan, RunAccount, column_of
from shutdownlab.reporting.page.words import counted, day, lasting, listed, number, percents, sentence, when
from shutdownlab.results.result import THE_MODEL, Result

DEFINITION = (
    "Shares and hours are of ordinary subscribers, weighted by their number, and of what was measured. The country "
    "counts as cut off in a phase where at least half of the services that were measured got through to nobody."
)
_MOST_STATES = 3
_MOST_NAMED = 6


@dataclass(frozen=True, slots=True)
class _State:
    """Phases in which the same services were open, and all others got through to nobody."""

    open: tuple[str, ...]
    places: tuple[int, ...]


def headline(account: RunAccount) -> str:
    """What happened, in one sentence."""
    if not account.spans:
        return "Nothing has been measured."
    states = _states(account)
    if states:
        return _cut_off(account, min(states, key=lambda state: (len(state.open), state.places[0])), first=True)
    blocked = {(r.phase, column_of(r)) for r in account.results if r.region and r.outcome is Outcome.BLOCKED}
    lost = [c for c in account.services if any((account.spans[p].name, c) in blocked for p in _gone(account, c))]
    if lost:
        return _nobody(account, lost)
    for place, span in enumerate(account.spans):
        kept = _kept_back(account, span)
        if kept:
            said = _who_lost(account, span, kept)
            return f"From {when(span.at)} {said}{_for(account, _as_long(account, place, said))}."
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
    if any(not result.outcome.is_measured for result in account.results):
        return "Everything that has a verdict got through."
    return f"Everything that was measured got through, in {_phases(len(account.spans))}."


def story(account: RunAccount) -> Iterator[str]:
    """What else there is to say, a sentence each: how it began, what was cut where and for how long, what was seen from
    outside, how it ended."""
    if not account.spans:
        return
    states = _states(account)
    grave = {place for state in states for place in state.places}
    if states:
        yield from _beginning(account, grave)
    ordered = sorted(states, key=lambda state: (len(state.open), state.places[0]))
    for state in sorted(ordered[1 : 1 + _MOST_STATES], key=lambda state: state.places[0]):
        yield _cut_off(account, state, first=False)
    if len(ordered) > 1 + _MOST_STATES:
        more = counted(len(ordered) - 1 - _MOST_STATES, "other state of its kind", "other states of their kind")
        yield f"The timeline has {more}."
    yield from _by_region(account)
    yield from _outside_the_cuts(account, grave)
    yield from _slowed(account)
    yield from _down(account)
    yield from _seen_from_outside(account)
    yield from _end(account)
    yield from _undecided(account)


def _states(account: RunAccount) -> list[_State]:
    """The states in which the country was cut off, by what was open."""
    found: dict[tuple[str, ...], list[int]] = {}
    for place, span in enumerate(account.spans):
        measured = [c for c in account.services if account.table[span.name, c].fraction is not None]
        still = tuple(column for column in measured if account.table[span.name, column].fraction)
        if measured and 2 * len(still) <= len(measured):
            found.setdefault(still, []).append(place)
    return [_State(still, tuple(places)) for still, places in found.items()]


def _cut_off(account: RunAccount, state: _State, *, first: bool) -> str:
    start = account.spans[state.places[0]]
    where = _everywhere(account)
    still = [f"{column}{_share(account, state.places, column)}" for column in state.open]
    reached = f"reached nothing but {listed(still)}" if still else "reached nothing at all"
    long = _for(account, state.places) + _by_fault(account, state.places)
    return f"From {when(start.at)} ordinary subscribers{f' {where}' if first else ''} {reached}{long}."


def _by_fault(account: RunAccount, places: Sequence[int], columns: Sequence[str] = ()) -> str:
    """That it was a fault of the scenario, or partly one, which is no block."""
    missed = [r for place in places for r in account.of(account.spans[place].name) if r.region and r.weight]
    missed = [r for r in missed if r.outcome in {Outcome.BLOCKED, Outcome.DOWN}]
    missed = [r for r in missed if not columns or column_of(r) in columns]
    down = [r for r in missed if r.outcome is Outcome.DOWN]
    if not down:
        return ""
    return f"; {'it was' if len(down) == len(missed) else 'part of it was'} a fault, which is no block"


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


def _share(account: RunAccount, places: Sequence[int], column: str) -> str:
    found = [account.table[account.spans[place].name, column].fraction for place in places]
    shares = [share for share in found if share is not None]
    return "" if min(shares) == 1 else f" ({percents(shares)})"


def _for(account: RunAccount, places: Sequence[int]) -> str:
    """How long, in how many stretches."""
    stretches = sum(place - 1 not in places for place in places)
    hours = sum(account.spans[place].hours for place in places)
    if any(account.spans[place].until is None for place in places):
        return ", until what was measured ends"
    return f", for {lasting(hours)}" + (f" in {number(stretches)} stretches" if stretches > 1 else "")


def _everywhere(account: RunAccount) -> str:
    count = len(account.regions)
    only = next(iter(account.regions.values()), "")
    return f"in {only}" if count == 1 else f"in {'both' if count == 2 else f'all {number(count)}'} regions"


def _gone(account: RunAccount, column: str) -> tuple[int, ...]:
    """The phases in which nobody reached a service."""
    return _hours(account, column, nobody=True)[1]


def _slow_places(account: RunAccount) -> tuple[int, ...]:
    """The phases in which something got through slowly."""
    return tuple(
        place
        for place, span in enumerate(account.spans)
        if any(account.table[span.name, column].slow for column in account.services)
    )


def _as_long(account: RunAccount, first: int, said: str) -> tuple[int, ...]:
    """The phases from one on, as long as the same is to be said of them of who lost what."""
    last = first
    for place in range(first + 1, len(account.spans)):
        kept = _kept_back(account, account.spans[place])
        if not kept or _who_lost(account, account.spans[place], kept) != said:
            break
        last = place
    return tuple(range(first, last + 1))


def _hours(account: RunAccount, column: str, *, nobody: bool) -> tuple[float, tuple[int, ...]]:
    """How long, and in which phases, a service got through to nobody; or not to everybody."""
    places = []
    for place, span in enumerate(account.spans):
        share = account.table[span.name, column].fraction
        if share is not None and (share == 0 if nobody else share < 1):
            places.append(place)
    return sum(account.spans[place].hours for place in places), tuple(places)


# -- how it began ------------------------------------------------------------------------------------------------------


def _beginning(account: RunAccount, grave: set[int]) -> Iterator[str]:
    """The first phase in which something was kept from somebody, where that is not the cut itself."""
    for place, span in enumerate(account.spans):
        kept = _kept_back(account, span)
        if kept:
            if place not in grave:
                yield f"It began on {when(span.at)}: {_who_lost(account, span, kept)}."
            return


def _kept_back(account: RunAccount, span: PhaseSpan) -> list[Result]:
    return [r for r in account.of(span.name) if r.region and r.weight and r.outcome is Outcome.BLOCKED]


def _who_lost(account: RunAccount, span: PhaseSpan, kept: Sequence[Result]) -> str:
    """Who could not reach what: all of whom the words are about, else it says that it is some of them."""
    measured = [r for r in account.of(span.name) if r.region and r.weight and r.outcome.is_measured]
    regions = {result.region for result in kept}
    accesses = {result.access for result in kept}
    operators = {result.operator for result in kept}
    about = [r for r in measured if r.region in regions and r.access in accesses and r.operator in operators]
    columns = [c for c in account.services if any(column_of(result) == c for result in kept)]
    whole = all(result.outcome is Outcome.BLOCKED for result in about if column_of(result) in columns)
    kind = f"{next(iter(accesses))} " if len(accesses) == 1 and len({r.access for r in measured}) > 1 else ""
    with_access = {r.operator for r in measured if r.region in regions and r.access in accesses}
    of = f" of {listed(account.operators[name] for name in sorted(operators))}" if operators != with_access else ""
    there = "" if len(regions) == len(account.regions) else f" in {_named(account, regions)}"
    return f"{'' if whole else 'some '}{kind}subscribers{of}{there} lost {listed(_few(columns))}"


def _named(account: RunAccount, regions: set[str]) -> str:
    """Their names; of all but one, that one's."""
    others = account.regions.keys() - regions
    if len(others) == 1 and len(regions) > 2:
        return f"all regions but {account.regions[others.pop()]}"
    return listed(_titles(account, regions))


def _titles(account: RunAccount, regions: set[str]) -> list[str]:
    return [title for name, title in account.regions.items() if name in regions]


def _few(names: Sequence[str]) -> list[str]:
    more = len(names) - _MOST_NAMED
    return list(names) if more <= 1 else [*names[:_MOST_NAMED], f"{number(more)} more services"]


# -- where and for how long --------------------------------------------------------------------------------------------


def _by_region(account: RunAccount) -> Iterator[str]:
    """How long a service was gone in each region: the one that was gone longest of those measured everywhere.

    Where that was equally long in every region, others that were gone for just as long are named with it.
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
    said = []
    for length in lengths:
        there = listed(_titles(account, {region for region, value in known.items() if value == length}))
        said.append(f"for {lasting(length)} in {there}" if length else f"at no time in all of {there}")
    yield f"{sentence(columns[0])} was gone {'; '.join(said)}."


def _outside_the_cuts(account: RunAccount, grave: set[int]) -> Iterator[str]:
    """What got through to nobody in phases that were no cut."""
    if not grave:
        return
    alike: dict[tuple[int, ...], list[str]] = {}
    for column in account.services:
        places = tuple(place for place in _hours(account, column, nobody=True)[1] if place not in grave)
        if places:
            alike.setdefault(places, []).append(column)
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
        there = listed(_titles(account, {result.region for result in slow}))
        yield f"Throttling was measured in {counted(len(phases), 'phase')} ({columns}), of some {who} in {there}."


def _down(account: RunAccount) -> Iterator[str]:
    down = [result for result in account.results if result.outcome is Outcome.DOWN]
    if down:
        names = listed(dict.fromkeys((result.failure or "fault: one").partition(": ")[2] for result in down))
        by_order = {(result.failure or "").startswith("order: ") for result in down}
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
            yield f"From outside, {column} showed nothing: it was as ever in {_phases(_count(seen))}."
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
    """Whether all had come back, where the last phase of the scenario was measured."""
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
    """Which services nobody reaches at the end, and which only some do; now: of a country that goes on."""
    nobody, some = listed(_few(gone)), listed(_few(part))
    if now:
        gets, does = ("get" if len(gone) > 1 else "gets"), ("do" if len(part) > 1 else "does")
        said = [f"{nobody} {gets} through to nobody"] * bool(gone)
        return f"Now {', and '.join(said + [f'{some} {does} not get through to everybody'] * bool(part))}."
    said = [f"{nobody} got through to nobody"] * bool(gone) + [f"{some} did not get through to everybody"] * bool(part)
    return f"It was not over when the record ends: {', and '.join(said)}."


def _undecided(account: RunAccount) -> Iterator[str]:
    without = sum(not result.outcome.is_measured for result in account.results)
    if without:
        has = "has" if without == 1 else "have"
        yield f"{sentence(counted(without, 'cell'))} of {len(account.results):,} {has} no verdict."


# -- what kind of record it is -----------------------------------------------------------------------------------------


def standing(account: RunAccount) -> str:
    """What the results are: measured or worked out, whole or broken off."""
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
        return f"Measured{on} with real packets in an emulated country: {cells} in {counted(count, 'phase')}."
    if account.status == "steered":
        return (
            f"Measured with real packets in a country that somebody steers: {cells} in {counted(count, 'state')} of it."
        )
    whole = count + len(account.unmeasured)
    how = {"running": "still goes on", "killed": "was killed", "crashed": "crashed", "broken": "broke off"}
    ended = how.get(account.status, f"did not finish ({account.status})")
    measured = f"{number(count)} {'is' if count == 1 else 'are'} measured" if count else "none is measured"
    return f"The run {ended}: of {counted(whole, 'phase')} {measured}, {cells}."


def period(account: RunAccount) -> str:
    """From which day to which."""
    if not account.spans:
        return ""
    first, last = account.spans[0].at, account.spans[-1].until or account.spans[-1].at
    return day(first) if first.date() == last.date() else f"{day(first)} to {day(last)}"
