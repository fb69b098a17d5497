"""Splits phases in which operators obey one after another (`stagger`). Pure.

It changes the document, too, so that problems with a phase are reported with its line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from shutdownlab.config.document import Document, Path, quoted
from shutdownlab.config.scalars import duration_text, instant_text
from shutdownlab.model.expectation import Expectation
from shutdownlab.model.made_phases import Woven, replace_timeline
from shutdownlab.model.obedience import Obedience
from shutdownlab.model.policy import Point, Policy
from shutdownlab.model.scenario import Mode, Phase, Scenario
from shutdownlab.model.scope import Scope
from shutdownlab.model.topology import Topology, Vantage


class _Placed(NamedTuple):
    expectation: Expectation
    path: Path


def check_turns(scenario: Scenario, topology: Topology, document: Document) -> None:
    """Reports unknown operators, and turns and delays for which there is no time, or nothing to obey."""
    _check_delays(scenario, document)
    timeline = scenario.timeline
    names, apart = {phase.phase for phase in timeline}, _taken_apart(timeline)
    for index, phase in enumerate(timeline):
        if phase.stagger is None or phase.phase in apart:
            continue
        path: Path = ("timeline", index, "stagger")
        for place, together in enumerate(phase.stagger.order):
            for name in together:
                if name not in topology.operators:
                    document.report_unknown((*path, "order", place), "operator", name, topology.operators)
        if scenario.command is Mode.DIRECT:
            found = "`stagger` with `command: direct`"
            document.report(path, found, "`stagger` only where operators carry out the orders", "`command: operators`")
        if not (phase.start or phase.stop):
            document.report(path, "`stagger` without an order", "`start` or `stop` as well")
        last = phase.stagger.times(phase.at)[-1]
        following = timeline[index + 1].at if index + 1 < len(timeline) else scenario.ends
        if last >= following:
            what = quoted(timeline[index + 1].phase) if index + 1 < len(timeline) else "the end"
            expected = f"a time before {what}, {instant_text(following)}"
            document.report(
                path, f"the last operator obeying at {instant_text(last)}", expected, "reduce `apart` or `jitter`"
            )
        for name in sorted(names.intersection(phase.stagger.names(phase.phase)[1:])):
            found = f"{quoted(name)}, the name of another phase"
            document.report(
                path, found, "another name for that phase", f"`stagger` names the phases after {quoted(phase.phase)}"
            )


def _check_delays(scenario: Scenario, document: Document) -> None:
    """Reports operators that would obey only after the phase: it is measured when all have obeyed."""
    for index, phase in enumerate(scenario.timeline):
        lasts = (scenario.end_of(phase) - phase.at).total_seconds()
        for operator, how in phase.obey.items():
            path: Path = ("timeline", index, "obey", operator, "after")
            if how.after is not None and phase.stagger is not None:
                hint = "an operator's turn is when it obeys"
                document.report(path, "`after` beside `stagger`", "only one of them", hint)
            elif how.after is not None and 0 < lasts < how.after:
                found = f"{duration_text(how.after)}, longer than the phase"
                hint = "if it has not obeyed by then: `ignores` what the phase starts, and `keeps` what it stops"
                document.report(path, found, f"at most {duration_text(lasts)}", hint)


def _taken_apart(timeline: Sequence[Phase]) -> frozenset[str]:
    """Returns the phases that are split already: those of a loaded scenario that is loaded again."""
    found: set[str] = set()
    for index, phase in enumerate(timeline):
        names = phase.stagger.names(phase.phase) if phase.stagger else []
        phases = timeline[index : index + len(names)]
        if names and [each.phase for each in phases] == names and all(each.stagger == phase.stagger for each in phases):
            found.update(names)
    return frozenset(found)


def take_turns(scenario: Scenario, topology: Topology, document: Document) -> Scenario:
    """Returns the scenario with a phase for each turn; the same object if there is nothing to split."""
    apart = _taken_apart(scenario.timeline)
    if not any(phase.stagger and phase.phase not in apart for phase in scenario.timeline):
        return scenario
    phases: list[Phase] = []
    woven: list[Woven] = []
    raw = document.data["timeline"]
    vantages = tuple(topology.vantages())
    before: list[_Placed] = []
    for index, phase in enumerate(scenario.timeline):
        now = list(_expected(scenario, phase, index))
        staggers = phase.stagger is not None and phase.phase not in apart
        turns = _turns(scenario, phase, before, now, vantages) if staggers else [(phase, now)]
        for made, placed in turns:
            phases.append(made)
            places: dict[Path, Path] = (
                {("expect", place): each.path for place, each in enumerate(placed)} if staggers else {}
            )
            woven.append(Woven(raw[index], ("timeline", index), places))
        before = now
    replace_timeline(document, woven)
    return scenario.model_copy(update={"timeline": tuple(phases)})


def _expected(scenario: Scenario, phase: Phase, index: int) -> Iterator[_Placed]:
    """Yields the expectations of a phase, with their paths."""
    for place, item in enumerate(phase.expect):
        path: Path = ("timeline", index, "expect", place)
        yield from (_Placed(each, path) for each in (scenario.expectations[item] if isinstance(item, str) else (item,)))


def _turns(
    scenario: Scenario, phase: Phase, before: Sequence[_Placed], now: Sequence[_Placed], vantages: Sequence[Vantage]
) -> Iterator[tuple[Phase, list[_Placed]]]:
    stagger = phase.stagger
    assert stagger is not None, "others have no turns"
    for name, at, waiting in zip(stagger.names(phase.phase), stagger.times(phase.at), stagger.waiting(), strict=True):
        first = name == phase.phase
        others = Scope(operators=tuple(waiting))
        placed = [_for(each, others) for each in before] if waiting else []
        placed += [_for(each, Scope.model_validate({"not": others})) if waiting else each for each in now]
        placed = [kept for each in placed if (kept := _with_cells(each, scenario, name, vantages)) is not None]
        obey = dict(phase.obey)
        for operator in waiting:
            obey[operator] = _not_yet(scenario, phase, operator, vantages)
        changes = {
            "phase": name, "at": at, "start": phase.start if first else (), "stop": phase.stop if first else (),
            "obey": {operator: how for operator, how in obey.items() if how.model_fields_set},
            "expect": tuple(each.expectation for each in placed),
        }  # fmt: skip
        yield phase.model_copy(update=changes), placed


def _for(placed: _Placed, scope: Scope) -> _Placed:
    """Returns an expectation, limited to the subscribers of another scope."""
    expectation = placed.expectation
    who = scope if expectation.who == Scope() else Scope.model_validate({"all": (expectation.who, scope)})
    return _Placed(expectation.model_copy(update={"who": who}), placed.path)


def _with_cells(placed: _Placed, scenario: Scenario, phase: str, vantages: Sequence[Vantage]) -> _Placed | None:
    """Returns an expectation, limited to probes and observations that its subscribers have in the phase; None if none
    remain."""
    expectation = placed.expectation
    who, probes, observations = expectation.who, expectation.probes, expectation.observations
    own = [vantage for vantage in vantages if who.covers(vantage)]
    if not own:
        return None
    if isinstance(probes, tuple):
        there = {n: p for n, p in scenario.probes.items() if scenario.is_during(p.during, phase)}
        probes = tuple(n for n in probes if n in there and any(map(there[n].from_.covers, own))) or None
    if isinstance(observations, tuple):
        operators = {vantage.id.operator for vantage in own}
        made = {n: o for n, o in scenario.observations.items() if scenario.is_during(o.during, phase)}
        observations = tuple(
            n for n in observations if n in made and any(o in operators for o in made[n].operators or operators)
        ) or None  # fmt: skip
    named = (expectation.probes, expectation.observations) != (None, None)
    if named and probes is None and observations is None:
        return None
    return _Placed(expectation.model_copy(update={"probes": probes, "observations": observations}), placed.path)


def _not_yet(scenario: Scenario, phase: Phase, operator: str, vantages: Sequence[Vantage]) -> Obedience:
    """Returns how an operator departs from a phase's orders before its turn: it carries out none of them."""
    own = [vantage for vantage in vantages if vantage.id.operator == operator]
    obeyed = {name for name, policy in scenario.policies.items() if _is_obeyed(policy, operator, own)}
    written = phase.obey.get(operator)
    ignores = dict.fromkeys((*(written.ignores if written else ()), *(n for n in phase.start if n in obeyed)))
    keeps = dict.fromkeys((*(written.keeps if written else ()), *(n for n in phase.stop if n in obeyed)))
    given = {"ignores": tuple(ignores), "keeps": tuple(keeps)}
    update = {key: names for key, names in given.items() if names}
    return written.model_copy(update=update) if written else Obedience.model_construct(set(update), **update)


def _is_obeyed(policy: Policy, operator: str, own: Iterable[Vantage]) -> bool:
    """Returns whether a policy is for an operator to carry out."""
    if policy.breakage is not None or policy.at is Point.GATEWAY:
        return False
    return policy.is_addressed_to(operator) if policy.routes else any(map(policy.concerns, own))
