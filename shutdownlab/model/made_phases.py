"""Expands what recurs (`repeats`) into phases of a scenario's timeline. Pure: it changes the document.

A written phase at exactly the time of a made one replaces it, and takes its orders in addition to its own. A written
phase with the name of a made one (`night-3`) overrides only the keys that it gives; with `at` and orders it replaces
the made phase altogether, as in a scenario that is written out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from shutdownlab.config.document import Document, Expected, Path, quoted
from shutdownlab.config.scalars import instant, instant_text, utc_offset
from shutdownlab.model.recurrence import MOST, Every, Window, zone_named
from shutdownlab.model.repeats import Repeat

_ALTERED = ("phase", "at", "title", "expect", "source", "faults")
"""The keys of a made phase that a written one of its name may override."""

_Placed = list[tuple[Any, Path]]
"""Names, or expectations, each with the path where it is written."""


@dataclass(slots=True)
class _Made:
    """A made phase. `path`: where it is made. `orders`: what it starts and stops."""

    name: str
    kind: Literal["begin", "end", "step"]
    repeat: str
    at: datetime
    path: Path
    phase: dict[str, Any]
    orders: dict[str, _Placed]
    expect: _Placed | None
    """None: what was expected before the repeat began."""
    altered: dict[Path, Path] = field(default_factory=dict)
    """The overridden keys of this phase: the path in the phase, and the path where the override is written."""
    before: _Placed = field(default_factory=list)
    """For a `begin`: what was expected until then."""
    disturbed: str = ""
    """For a `begin`: the name of another phase that comes before its end."""

    @property
    def faults(self) -> _Placed:
        """What is broken in this phase; for a `begin`, until its end."""
        return _placed(self.phase.get("faults", []), self.altered.get(("faults",), (*self.path, "faults")))


def make_phases(document: Document) -> None:
    """Puts what recurs into the timeline, as phases; reports mistakes to the document.

    What cannot be parsed is left to the models, and phases that only override made ones are then dropped.
    """
    repeats, timeline = document.data.get("repeats"), document.data.get("timeline")
    if not isinstance(repeats, dict) or not repeats:
        return
    if not isinstance(timeline, list) or not all(isinstance(item, dict) for item in timeline):
        return
    problems_before = document.problems.in_all
    span = _span(document.data)
    read = {name: repeat for name in repeats if (repeat := _read(repeats[name])) is not None}
    made = list(_made(document, read, *span)) if span is not None and len(read) == len(repeats) else None
    if made is None or document.problems.in_all > problems_before:
        recurring = {kind for name, repeat in read.items() for kind in repeat.phases_of(name)} | set(repeats)
        kept = [index for index, item in enumerate(timeline) if "at" in item or _kind(item) not in recurring]
        replace_timeline(document, [Woven(timeline[index], ("timeline", index), {}) for index in kept])
        return
    _Weaving(document, read, made).weave()


def _span(data: dict[str, Any]) -> tuple[datetime, datetime, int] | None:
    """Returns when the scenario begins and ends, and its offset from UTC in seconds; None if they cannot be parsed."""
    with suppress(Expected, IndexError, KeyError):
        times = [instant(item["at"]) for item in data["timeline"] if "at" in item]
        offset = utc_offset(data["utc_offset"]) if "utc_offset" in data else 0
        return times[0], instant(data["ends"]), offset
    return None


def _read(value: Any) -> Repeat | None:
    try:
        return Repeat.model_validate(value)
    except ValidationError:
        return None


def _kind(phase: dict[str, Any]) -> str:
    """Returns `night` for `night-3`; "" for a name without a number."""
    found = re.fullmatch(r"(.+)-[0-9]+", str(phase.get("phase")))
    return found[1] if found else ""


def _made(
    document: Document, repeats: dict[str, Repeat], since: datetime, until: datetime, offset: int
) -> Iterator[_Made]:
    total = 0
    for name, repeat in repeats.items():
        path: Path = ("repeats", name)
        windows = list(_within(document, path, repeat, since, until, offset))
        total += len(windows)
        if total > MOST:
            document.report(path, f"{total:,} repetitions", f"at most {MOST} in total")
            return
        for number, window in enumerate(windows, 1):
            yield from _of_window(document, path, repeat, window, number, len(windows))


def _within(
    document: Document, path: Path, repeat: Repeat, since: datetime, until: datetime, offset: int
) -> Iterator[Window]:
    """Yields the windows between the first phase and the end; reports those outside that were explicitly asked for."""
    before: Window | None = None
    found = 0
    for window in repeat.windows(since, until, offset):
        if repeat.every is not None and window.end is not None and window.end <= window.begin:
            _report_skipped(document, (*path, "every"), repeat.every, window.begin)
            return
        place = _asked_for(path, repeat, early=window.begin <= since)
        if not since < window.begin < until:
            if place is not None:
                side = f"after the first phase, {instant_text(since)}, and before the end, {instant_text(until)}"
                document.report(place, f"{instant_text(window.begin)}, outside the scenario", f"a time {side}")
                return
            continue
        if before is not None and before.end is not None and window.begin < before.end:
            document.report(
                path, f"{instant_text(window.begin)}, before the previous time has ended", "times that do not overlap"
            )
            return
        yield Window(window.begin, window.end if window.end is None or window.end < until else None)
        before, found = window, found + 1
    if not found:
        document.report(path, "no such day", "days between the first phase and the end of the scenario")


def _report_skipped(document: Document, path: Path, every: Every, begin: datetime) -> None:
    """Reports a day on which the clocks are put forward over the time at which something should begin."""
    day = begin.astimezone(zone_named(every.zone) if every.zone else UTC).date()
    found = f"{every.from_:%H:%M} to {every.to:%H:%M} on {day}, when the clocks are put forward over that time"
    expected = f"a time of day that the clocks of {every.zone} show on that day"
    instead = "leave the date out" if every.dates else f"`but_not: [{day}]` leaves that day out"
    document.report(path, found, expected, f"{instead}; a phase of the timeline can be at any time")


def _asked_for(path: Path, repeat: Repeat, *, early: bool) -> Path | None:
    """Returns where a time outside the scenario was asked for; None if it only follows from the rest."""
    if repeat.every is None:
        return (*path, "flapping" if repeat.flapping else "ramp", "from" if early or repeat.ramp else "to")
    if repeat.every.dates:
        return (*path, "every", "dates")
    given = repeat.every.first if early else repeat.every.last
    return None if given is None else (*path, "every", "first" if early else "last")


def _of_window(document: Document, path: Path, repeat: Repeat, window: Window, number: int, of: int) -> Iterator[_Made]:
    name = str(path[-1])
    raw = document.data["repeats"][name]
    begin, end = f"{name}-{number}", f"{(*repeat.phases_of(name), '')[1]}-{number}"

    def counted(text: str) -> str:
        return text.replace("{number}", str(number)).replace("{of}", str(of))

    phase: dict[str, Any] = {"source": repeat.source}
    if repeat.ramp is not None:
        step = repeat.ramp.steps[number - 1]
        place: Path = (*path, "ramp", "steps", number - 1)
        phase |= {"title": counted(step.title or repeat.title)}
        orders = _ordered(place, start=step.start, stop=step.stop)
        stated = raw["ramp"]["steps"][number - 1].get("expect", [])
        expect = _placed(raw.get("expect", []), (*path, "expect")) + _placed(stated, (*place, "expect"))
        yield _Made(begin, "step", name, window.begin, place, phase, orders, expect)
        return
    phase |= {"title": counted(repeat.title), "faults": list(repeat.faults)}
    orders = _ordered(path, start=repeat.start, stop=repeat.stop)
    expect = _placed(raw.get("expect", []), (*path, "expect"))
    yield _Made(begin, "begin", name, window.begin, path, phase, orders, expect)
    if window.end is not None:
        title = counted(repeat.after.title or f"{repeat.title}: over")
        phase = {"title": title, "source": repeat.after.source or repeat.source}
        orders = {"start": orders["stop"], "stop": orders["start"]}
        own = raw.get("after", {}).get("expect")
        expected = None if own is None else _placed(own, (*path, "after", "expect"))
        yield _Made(end, "end", name, window.end, path, phase, orders, expected)


def _ordered(path: Path, *, start: Sequence[str], stop: Sequence[str]) -> dict[str, _Placed]:
    return {"start": _placed(start, (*path, "start")), "stop": _placed(stop, (*path, "stop"))}


def _placed(items: Any, path: Path) -> _Placed:
    return [(item, (*path, index)) for index, item in enumerate(items)]


class Woven(NamedTuple):
    """A phase of the complete timeline, where it is written, and where those of its parts are that are written
    elsewhere."""

    phase: dict[str, Any]
    path: Path
    places: dict[Path, Path]


class _Weaving:
    """Merges made phases into the written timeline."""

    def __init__(self, document: Document, repeats: dict[str, Repeat], made: list[_Made]) -> None:
        self.document = document
        self.timeline: list[dict[str, Any]] = document.data["timeline"]
        self.recurring = {kind for name, repeat in repeats.items() for kind in repeat.phases_of(name)}
        self.made = made
        self.now: _Placed = []
        self.open: dict[str, _Made] = {}
        """The repeats that have begun and not ended, by name."""
        self.woven: list[Woven] = []

    def weave(self) -> None:
        written = list(self._written())
        self.made.sort(key=lambda each: (each.at, each.kind != "end"))
        place = 0
        for index, item in written:
            at = instant(item["at"])
            while place < len(self.made) and self.made[place].at < at:
                place = self._put_made(place)
            together = []
            while place < len(self.made) and self.made[place].at == at:
                together.append(self.made[place])
                place += 1
            self._put_written(index, item, together)
        while place < len(self.made):
            place = self._put_made(place)
        replace_timeline(self.document, self.woven)

    def _written(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields the written phases that are not overrides; applies overrides to the made phases."""
        by_name = {each.name: each for each in self.made}
        for index, item in enumerate(self.timeline):
            made = by_name.get(str(item.get("phase")))
            if made is not None:
                self._alter(made, index, item)
            elif _kind(item) in self.recurring:
                names = [each.name for each in self.made if _kind({"phase": each.name}) == _kind(item)]
                expected = f"one of {names[0]} to {names[-1]}"
                hint = "to add a phase of your own, give it another name"
                path: Path = ("timeline", index, "phase")
                self.document.report(path, f"{quoted(item['phase'])}, which `repeats` does not create", expected, hint)
            elif "at" not in item:
                self.document.report(("timeline", index), "no 'at'", "the key 'at'", "add it")
            else:
                yield index, item

    def _alter(self, made: _Made, index: int, item: dict[str, Any]) -> None:
        whole = "at" in item and not {"start", "stop"}.isdisjoint(item)
        for key in item:
            if key not in _ALTERED and not (whole and key in {"start", "stop"}):
                hint = "to order something else then, add a phase of your own"
                found = f"{quoted(key)} of a phase that {quoted(made.repeat)} creates"
                self.document.report(("timeline", index, key), found, f"one of {', '.join(_ALTERED)}", hint)
        made.phase |= {key: item[key] for key in ("title", "source", "faults") if key in item}
        made.altered = {(key,): ("timeline", index, key) for key in item}
        if whole:
            at: Path = ("timeline", index)
            made.orders = {key: _placed(_listed(item.get(key)), (*at, key)) for key in ("start", "stop")}
            made.altered |= {("expect",): (*at, "expect")}
            made.expect = []
        if "expect" in item:
            made.expect = _placed(item["expect"], ("timeline", index, "expect"))
        if "at" in item:
            made.at = instant(item["at"])
            order = [each for each in self.made if each.repeat == made.repeat]
            place = order.index(made)
            around = order[max(0, place - 1) : place + 2]
            if any(a.at >= b.at for a, b in pairwise(around)):
                expected = "a time between the previous phase and the next one"
                self.document.report(("timeline", index, "at"), instant_text(made.at), expected)

    def _put_made(self, place: int) -> int:
        """Adds the made phase, or all those of one time, as one; returns the index of the next."""
        here = [each for each in self.made[place:] if each.at == self.made[place].at]
        named = next((each for each in here if each.kind != "end"), here[0])
        for other in here:
            if other is not named and other.kind != "end":
                found = f"{quoted(other.name)}, which begins at the same time as {quoted(named.name)}"
                hint = f"or write a phase at {instant_text(other.at)} yourself, to replace both"
                self.document.report(("repeats", other.repeat), found, "different times", hint)
        self.now = self._expected(named, here)
        lists = {**_orders(here), "expect": self.now, "faults": _once(named.faults, self._broken())}
        phase = {**named.phase, "phase": named.name, "at": instant_text(named.at)}
        phase |= {key: [item for item, _ in items] for key, items in lists.items()}
        self.woven.append(Woven(phase, named.path, named.altered | _places(lists)))
        return place + len(here)

    def _put_written(self, index: int, item: dict[str, Any], together: Sequence[_Made]) -> None:
        name = str(item.get("phase"))
        for each in together:
            if each.kind == "begin":
                self.open[each.repeat] = each
                each.disturbed = name
            elif each.kind == "end":
                self.open.pop(each.repeat, None)
        for each in self.open.values():
            each.disturbed = each.disturbed or name
        stated = item.get("expect", [])
        self.now = _placed(stated if isinstance(stated, list) else [], ("timeline", index, "expect"))
        own = {key: _placed(_listed(item.get(key)), ("timeline", index, key)) for key in ("start", "stop")}
        own["faults"] = _placed(_listed(item.get("faults")), ("timeline", index, "faults"))
        made = {**_orders(together), "faults": self._broken()}
        lists = {key: _once(own[key], made[key]) for key in own if made[key]}
        added = {key: [name for name, _ in items] for key, items in lists.items()}
        self.woven.append(Woven(item | added, ("timeline", index), _places(lists)))

    def _expected(self, named: _Made, here: Sequence[_Made]) -> _Placed:
        """Returns what is expected in a made phase."""
        ended = [each for each in here if each.kind == "end"]
        begun = {name: at for at, name in enumerate(self.open)}
        for each in sorted(ended, key=lambda end: begun.get(end.repeat, 0), reverse=True):  # the last to begin first
            self._end(each)
        for each in self.open.values():
            each.disturbed = each.disturbed or named.name
        if named.kind == "end":
            return self.now
        if named.kind == "begin":
            named.before = self.now
            self.open[named.repeat] = named
        whole = ("expect",) in named.altered
        return [*([] if whole else self.now), *(named.expect or [])]

    def _broken(self) -> _Placed:
        """Returns the faults of the repeats that have begun and not ended."""
        return [fault for each in self.open.values() for fault in each.faults]

    def _end(self, ended: _Made) -> None:
        begun = self.open.pop(ended.repeat, None)
        if ended.expect is not None:
            self.now = ended.expect
        elif begun is not None and begun.disturbed:
            found = f"{quoted(begun.disturbed)} during {quoted(begun.name)}"
            hint = f"`after: {{expect: […]}}`, or a phase {quoted(ended.name)} in the timeline with its `expect`"
            self.document.report(("repeats", ended.repeat), found, "what is expected after it ends", hint)
        elif begun is not None:
            self.now = begun.before


def _orders(made: Sequence[_Made]) -> dict[str, _Placed]:
    """Returns what the phases of one time start and stop."""
    return {key: [each for phase in made for each in phase.orders[key]] for key in ("start", "stop")}


def _once(first: _Placed, then: _Placed) -> _Placed:
    """Returns two lists as one, without repeating names."""
    found = list(first)
    for name, path in then:
        if all(name != other for other, _ in found):  # what a user wrote may not be hashable
            found.append((name, path))
    return found


def _places(lists: dict[str, _Placed]) -> dict[Path, Path]:
    return {(key, place): where for key, items in lists.items() for place, (_, where) in enumerate(items)}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def replace_timeline(document: Document, woven: Sequence[Woven]) -> None:
    """Makes these phases the document's timeline."""
    before = Document(document.file, dict(document.data), document.lines, included=dict(document.included))
    document.data["timeline"] = [each.phase for each in woven]
    document.lines = {
        path: line for path, line in document.lines.items() if path[:1] != ("timeline",) or len(path) == 1
    }
    document.included = {path: part for path, part in document.included.items() if path[:1] != ("timeline",)}
    for index, each in enumerate(woven):
        document.included["timeline", index] = before, each.path
        for place, where in each.places.items():
            document.included[("timeline", index, *place)] = before, where
