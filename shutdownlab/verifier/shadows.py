"""Which policies or DPI rules decide in place of one without effect, found by removing others on the model. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from shutdownlab.config.document import Path
from shutdownlab.model.policy import Policy
from shutdownlab.model.scenario import Phase
from shutdownlab.results.cells import cells_of
from shutdownlab.verifier.verdicts import Verifier


def shadowed(verifier: Verifier, name: str, phases: list[Phase]) -> str:
    """Describes the policies that keep another, in force in the same phases, from having any effect, with their lines.

    Returns "" if the policy would have no effect by itself either.
    """
    for phase in phases:
        active = verifier.classes.active(phase)
        if not _differs(verifier, phase, {name: active[name]}, {}):
            continue
        others = {other: policy for other, policy in active.items() if other != name}
        alone = [
            other
            for other, policy in others.items()
            if not _differs(verifier, phase, {name: active[name], other: policy}, {other: policy})
        ]
        deciding = alone or _together(verifier, name, phase, others)
        names = ", ".join(f"`{each}`{_at(verifier, ('policies', each))}" for each in deciding)
        return f": {names} decide{'s' if len(deciding) == 1 else ''} first"
    return ""


def _together(verifier: Verifier, name: str, phase: Phase, others: Mapping[str, Policy]) -> list[str]:
    """Returns a minimal set of other policies that together keep a policy from having any effect."""
    kept, own = dict(others), verifier.classes.active(phase)[name]
    for other in others:
        fewer = {each: policy for each, policy in kept.items() if each != other}
        if not _differs(verifier, phase, {name: own, **fewer}, fewer):
            kept = fewer
    return list(kept)


def _differs(verifier: Verifier, phase: Phase, one: Mapping[str, Policy], other: Mapping[str, Policy]) -> bool:
    """Whether any cell's verdict differs between the phase with only `one` and with only `other` in force."""
    first, second = verifier.classes.imagine(phase, one), verifier.classes.imagine(phase, other)
    cells = cells_of(verifier.shutdown, phase)
    return any(verifier.verdict(first, cell) != verifier.verdict(second, cell) for cell in cells)


def idle_rules(verifier: Verifier, name: str, policy: Policy, phases: list[Phase]) -> Iterator[tuple[Path, str]]:
    """Yields a warning for each DPI rule that is never the first to match, with the rules that match before it."""
    rules = policy.inspect or ()
    for index, rule in enumerate(rules):
        if f"{name}/{rule.name}" in verifier.rules_met:
            continue
        text = f"the rule {rule.name} of `{name}` is the first to match for no measured connection"
        if _is_met(verifier, name, policy, phases, (index,)):
            before = [at for at in range(index) if not _is_met(verifier, name, policy, phases, (at, index))]
            places = {at: _at(verifier, ("policies", name, "inspect", at)) for at in before}
            names = ", ".join(f"{rules[at].name}{place}" for at, place in places.items())
            text += f": {names or 'another policy'} match{'es' if len(before) < 2 else ''} first"
        yield ("policies", name, "inspect", index), text


def _is_met(verifier: Verifier, name: str, policy: Policy, phases: list[Phase], kept: tuple[int, ...]) -> bool:
    """Whether any connection matches the last of the `kept` rules of a policy first, if it has no others."""
    rules = [(policy.inspect or ())[at] for at in kept]
    called = f"{name} with {', '.join(rule.name for rule in rules)} alone"
    changed = policy.model_copy(update={"inspect": tuple(rules)})
    for phase in phases:
        active = {(called if k == name else k): (changed if k == name else p) for k, p in _active(verifier, phase)}
        imagined = verifier.classes.imagine(phase, active, renamed={name: called})
        for cell in cells_of(verifier.shutdown, phase):
            verifier.verdict(imagined, cell)
    return f"{called}/{rules[-1].name}" in verifier.rules_met


def _active(verifier: Verifier, phase: Phase) -> Iterator[tuple[str, Policy]]:
    return iter(verifier.classes.active(phase).items())


def _at(verifier: Verifier, path: Path) -> str:
    place = verifier.shutdown.place(path)
    return f" ({place})" if place else ""
