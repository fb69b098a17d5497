"""Values of a scenario that are set from outside (`--set PATH=VALUE`), and the parameters that it declares. Pure.

A path leads from the file's keys to a value: `policies.blackout.throttle`, `timeline.window-1.at`,
`repeats.night.every.to`. Shorter forms: a name under `parameters`; the name of a policy, fault, probe, phase or the
like without its section; and `POLICY.start` and `POLICY.stop`, the beginning of the first phase that starts or stops
the policy.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import Annotated, Any, Final

from pydantic import Field, model_validator

from shutdownlab.config.document import Document, Expected, Path, Record, one_of, parse, quoted
from shutdownlab.config.problems import BadInput, Problem
from shutdownlab.config.scalars import Number, Title, Whole, duration, instant, rate
from shutdownlab.config.wording import did_you_mean
from shutdownlab.config.yaml_text import END_OF_FILE

OPTION: Final = "--set"
NAMED: Final = ("policies", "faults", "repeats", "probes", "observations", "tools", "accounts", "expectations")
"""The sections whose keys are names."""
_PHASES: Final = "timeline"
_FIXED: Final = ("format", "extends", "parameters")
"""Keys that decide how a file is read."""
_ORDERS: Final = ("start", "stop")

NO_PARAMETERS: Final[Mapping[str, Any]] = MappingProxyType({})

Value = str | Whole | Number | bool | tuple[Any, ...] | dict[str, Any] | None


class Parameter(Record):
    """A parameter of a scenario: something that is meant to be varied."""

    title: Title
    """What it is, in a few words."""
    sets: Annotated[tuple[str, ...], Field(min_length=1)]
    """The paths of the values that it sets: `policies.blackout.throttle`, `timeline.window-1.at`."""
    default: Value = None
    """Its value unless another is set; left out: the value at its paths in the file."""
    least: str | Whole | Number | None = None
    """Its minimum: a number, a duration, a rate or a time."""
    most: str | Whole | Number | None = None
    """Its maximum."""
    values: tuple[Value, ...] = ()
    """Its possible values, if they are not a range."""

    @model_validator(mode="after")
    def _can_be(self) -> Parameter:
        if self.least is not None and self.most is not None and not _in_order(self.least, self.most):
            raise Expected(f"a value not below `least`, {self.least}", found=str(self.most), key="most")
        if self.default is not None and (why := self.refuses(self.default)):
            raise Expected(why, found=quoted(self.default), key="default")
        return self

    def refuses(self, value: Any) -> str:
        """Returns what the value would have to be instead; "" if it is allowed."""
        value = tuple(value) if isinstance(value, list) else value
        if self.values and value not in self.values:
            return one_of([str(each) for each in self.values])
        if self.least is not None and not _in_order(self.least, value):
            kind = _unlike(self.least, value)
            most = f" and at most {self.most}" if kind and self.most is not None else ""
            return f"at least {self.least}{most}{kind}"
        if self.most is not None and not _in_order(value, self.most):
            return f"at most {self.most}{_unlike(self.most, value)}"
        return ""


def _kind(value: Any) -> Callable[[Any], Any] | None:
    """Returns the parser of the kind of value that this is: a number, a duration, a rate or a time; None if neither."""
    kinds: tuple[Callable[[Any], Any], ...] = (_number, duration, rate, instant)
    for kind in kinds:
        with suppress(Expected):
            kind(value)
            return kind
    return None


def _in_order(one: Any, other: Any) -> bool:
    """Returns whether `one` is at most `other`; False if they are of different kinds."""
    kind = _kind(one)
    return kind is not None and kind is _kind(other) and bool(kind(one) <= kind(other))


def _unlike(limit: Any, value: Any) -> str:
    """Returns, after a colon, what kind of value the limit is, if the value is of another; else ""."""
    kind = _kind(limit)
    try:
        if kind is not None:
            kind(value)
    except Expected as wanted:
        return f": {wanted.expected}"
    return ""


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Expected("a number")
    return float(value)


def value_of(text: str, where: str) -> Any:
    """Parses a value as written in a file: `[179]`, `512kbit`, `2022-01-05T10:30Z`; raises `BadInput`."""
    try:
        return parse(f"value: {text}\n".encode(), where).data["value"]
    except BadInput as error:
        refuse_at = error.problems[0]
        hint = "lists as [a, b], mappings as {a: b}, text with a colon and a space in quotes"
        document = Document(where, {}, {})
        cut_off = refuse_at.found == END_OF_FILE
        why = f"{quoted(text)}, which is incomplete" if cut_off else f"{quoted(text)}: {refuse_at.found}"
        document.report((), why, "a YAML value", hint)
        raise BadInput(document.problems) from None


def with_the_set(error: BadInput, given: Mapping[str, Any], holds: Callable[[Mapping[str, Any]], bool]) -> BadInput:
    """Returns an input error in which `--set` answers for what is wrong in a file only because of what it sets.

    `given`: values by path. `holds`: whether the scenario is right with some of them set.
    """
    others = [problem for problem in error.problems if not problem.file.startswith(OPTION)]
    if not given or not others or not holds({}):
        return error  # the file has mistakes of its own
    known = [problem.where for problem in error.problems if problem.file == OPTION]
    alone = [path for path in given if not holds({path: given[path]})]
    number = len(others) + error.more
    follows = "which the next problem comes from" if number == 1 else f"which the {number:,} problems below come from"
    problems = [replace(problem, hint="") if problem in others else problem for problem in error.problems]
    for path in alone or given:
        if not any(where.startswith(path) for where in known):
            found = f"{quoted(given[path])}, {follows}"
            problems.append(Problem(OPTION, 0, path, found, "a value that fits the rest of the scenario"))
    return BadInput(problems, error.more)


def settle(document: Document, given: Mapping[str, Any], keys: Collection[str] = ()) -> None:
    """Applies values set from outside, and the defaults of parameters, to a scenario's document.

    `given`: values by path. `keys`: those that a file may have. Mistakes are reported to the
    document, those of `--set` under its name.
    """
    options = Document(OPTION, {}, {}, problems=document.problems)
    raw = document.data.get("parameters")
    parameters = dict(_parameters(raw if isinstance(raw, dict) else {}))
    for name, parameter in parameters.items():
        value = parameter.default
        where: tuple[Document, Path] = document, ("parameters", name, "default")
        if name in given:
            value, where = given[name], (Document(OPTION, {name: given[name]}, {}), (name,))
            if why := parameter.refuses(value):
                options.report((name,), quoted(value), why, parameter.title)
                continue
        for index, path in enumerate(parameter.sets):
            place = _place(document, path, document, ("parameters", name, "sets", index), keys=keys)
            if place is not None:
                _agree(document, name, parameter, place)
            if place is not None and value is not None:
                _put(document, place, *where)
    for path, value in given.items():
        if path not in parameters:
            place = _place(document, path, options, (), parameters, keys)
            if place is not None:
                _put(document, place, Document(OPTION, {path: value}, {}), (path,))


def _agree(document: Document, name: str, parameter: Parameter, place: Path) -> None:
    """Reports a value of the file that is not one of the parameter's, and possible ones of another kind than it."""
    written: Any = document.data
    for step in place:
        written = written.get(step) if isinstance(written, dict) else written[step]
    plain = tuple(written) if isinstance(written, list) else written
    if parameter.default is None and written is not None and (why := parameter.refuses(written)):
        document.report(place, quoted(written), why, f"the parameter {quoted(name)} allows no other")
    elif parameter.default is not None and written is not None and (kind := _unlike(parameter.default, written)):
        document.report(place, quoted(written), kind.removeprefix(": "))
    elif parameter.default is not None and written is not None and plain != parameter.default:
        ours, theirs = (document.locate(path)[0].file for path in (place, ("parameters", name, "default")))
        if ours == document.file != theirs:  # within one file, the default is the one that counts
            found = f"{quoted(written)}, which the default of the parameter {quoted(name)} in {theirs} replaces"
            hint = f"`parameters: {{{name}: {{default: {written}}}}}` changes it"
            document.report(place, found, f"no value here, or {parameter.default}", hint)
    usual = parameter.default if written is None else written
    for index, value in enumerate(parameter.values):
        if usual is not None and (kind := _unlike(usual, value)):
            document.report(("parameters", name, "values", index), quoted(value), kind.removeprefix(": "))


def _parameters(raw: Mapping[str, Any]) -> Iterator[tuple[str, Parameter]]:
    """Yields the valid parameters; the others are left to the model."""
    for name, value in raw.items():
        with suppress(ValueError):
            yield name, Parameter.model_validate(value)


def _place(
    document: Document,
    path: str,
    written_in: Document,
    at: Path,
    parameters: Mapping[str, Parameter] = NO_PARAMETERS,
    keys: Collection[str] = (),
) -> Path | None:
    """Returns the place to which a path leads; None if there is none, which is reported to `written_in`."""
    data, (first, *rest) = document.data, path.split(".")
    phases = {
        str(each["phase"]): index
        for index, each in enumerate(_phases(data))
        if isinstance(each, dict) and "phase" in each
    }
    if first in _FIXED:
        written_in.report(at, f"{quoted(first)}, which decides how the file is read", "another key", "change the file")
        return None
    if first in NAMED or first == _PHASES:
        names = phases if first == _PHASES else _named(data, first)
        if not rest or rest[0] not in names:
            found = f"{quoted('.'.join([first, *rest]))}, which does not exist" if rest else f"all of {quoted(first)}"
            expected = f"{first}.NAME.KEY, NAME {one_of(names)}"
            written_in.report(at, found, expected, did_you_mean(rest[0], names) if rest else "")
            return None
        name: str | int = phases[rest[0]] if first == _PHASES else rest[0]
        return _inside(document, (first, name), rest[1:], path, written_in, at)
    sections = [section for section in NAMED if first in _named(data, section)]
    if rest and rest[-1] in _ORDERS and len(rest) == 1 and first in _named(data, "policies"):
        return _order(document, first, rest[0], path, written_in, at)
    if rest and len(sections) == 1 and first not in phases:
        return _inside(document, (sections[0], first), rest, path, written_in, at)
    if rest and not sections and first in phases:
        return _inside(document, (_PHASES, phases[first]), rest, path, written_in, at)
    if rest and (sections or first in phases):
        kinds = [*sections, *([_PHASES] if first in phases else [])]
        expected = " or ".join(f"{kind}.{path}" for kind in kinds)
        order = did_you_mean(rest[0], _ORDERS) if first in _named(data, "policies") else ""
        hint = f"or {quoted(f'{first}.{order.split(chr(39))[1]}')}" if order else ""
        written_in.report(at, f"{quoted(path)}: {quoted(first)} is in {' and in '.join(kinds)}", expected, hint)
        return None
    if first in data or (first in keys and not (rest and sections)):
        return _inside(document, (), [first, *rest], path, written_in, at)
    known = [*parameters, *(name for section in NAMED for name in _named(data, section)), *phases]
    expected = "a parameter, a key of the file, or NAME.KEY of a policy, phase, probe and so on"
    hint = did_you_mean(path, [*known, *keys]) or did_you_mean(first, [*known, *keys])
    others = (
        f"parameters: {', '.join(parameters)}"
        if parameters and not rest
        else f"names: {', '.join(dict.fromkeys(known))}"
    )
    written_in.report(at, f"{quoted(path)}, which is not in the scenario", expected, hint or others)
    return None


def _named(data: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    """Returns the named items of a section; {} if it is missing, or not a mapping, which the model reports."""
    found = data.get(section)
    return {key: value for key, value in found.items() if isinstance(key, str)} if isinstance(found, dict) else {}


def _phases(data: Mapping[str, Any]) -> list[Any]:
    timeline = data.get(_PHASES)
    return timeline if isinstance(timeline, list) else []


def _order(document: Document, policy: str, order: str, path: str, written_in: Document, at: Path) -> Path | None:
    """Returns the place of the time of the first phase that starts or stops a policy."""
    for index, phase in enumerate(_phases(document.data)):
        if policy in _ordered(phase, order) and "at" in phase:
            return _PHASES, index, "at"
    does = {"start": "starts", "stop": "stops"}[order]
    repeats = [name for name, each in _named(document.data, "repeats").items() if policy in _ordered(each, order)]
    hint = f"repeats.{repeats[0]} {does} it, at its own times" if repeats else ""
    found = f"{quoted(path)}, but no phase of the timeline {does} {quoted(policy)}"
    written_in.report(at, found, f"a policy that a phase {does}", hint)
    return None


def _ordered(item: Any, order: str) -> list[Any]:
    """Returns the policies that a phase or a repetition starts or stops; none if it is malformed."""
    ordered = item.get(order) if isinstance(item, dict) else None
    return ordered if isinstance(ordered, list) else []


def _inside(document: Document, start: Path, rest: list[str], path: str, written_in: Document, at: Path) -> Path | None:
    """Follows the rest of a path from an existing place: mappings by key, lists by index."""
    if not rest:
        written_in.report(at, f"{quoted(path)}, a whole section", f"{path}.KEY")
        return None
    place, value = start, document.data
    for step in start:
        value = value[step]
    for step in rest:
        if isinstance(value, list):
            if not step.isdecimal() or int(step) >= len(value):
                found = f"{quoted(path)}: {quoted(step)} of a list of {len(value)}"
                expected = f"a number from 0 to {len(value) - 1}" if value else "no item of an empty list"
                written_in.report(at, found, expected, "or the whole list as [a, b]")
                return None
            place, value = (*place, int(step)), value[int(step)]
        elif isinstance(value, dict) or value is None:
            place, value = (*place, step), (value or {}).get(step)
        else:
            found = f"{quoted(path)}: no {quoted(step)} in {quoted(value)}"
            written_in.report(
                at, found, f"a path to {'.'.join(map(str, place[len(start) - 1 :]))}, or to a key that exists"
            )
            return None
    return place


def _put(document: Document, place: Path, part: Document, at: Path) -> None:
    document.lines = {path: line for path, line in document.lines.items() if path[: len(place)] != place}
    holder = document.data
    for step in place[:-1]:
        if isinstance(step, str) and holder.get(step) is None:
            holder[step] = {}
        holder = holder[step]
    document.include(place, part, at)
