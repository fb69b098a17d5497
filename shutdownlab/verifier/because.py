"""Which lines of a scenario decide a cell's outcome: a short reason for results that are not as expected. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from shutdownlab.model.policy import Exceptions, Policy
from shutdownlab.model.scenario import Phase
from shutdownlab.results.cells import Cell
from shutdownlab.verifier.explain import explain_cell
from shutdownlab.verifier.verdicts import Verifier


def because(verifier: Verifier, phase: Phase, cell: Cell) -> str:
    """Returns what decides a cell's outcome, each item with its line in the scenario; "" if nothing does.

    If the cell gets through: the exceptions without which its verdict would differ, tried on the model one by one. If
    not: the policies that its packets meet, and the faults that have taken away what it needs.
    """
    if cell.vantage is None:
        return ""
    if verifier.verdict(phase, cell).outcome.got_through:
        reasons = list(_spared(verifier, phase, cell))
    else:
        explanation = explain_cell(verifier, phase, cell)
        orders = [*explanation.elsewhere, *(hop.order for hop in explanation.hops if hop.order is not None)]
        reasons = [f"{fault.fault}{_at(fault.place)}" for fault in explanation.faults]
        reasons += [f"`{order.policy}`{_at(order.place)}" for order in orders]
    return "; ".join(dict.fromkeys(reasons))


def _spared(verifier: Verifier, phase: Phase, cell: Cell) -> Iterator[str]:
    """Yields the exceptions that a cell's verdict depends on; all of a policy's together if no single one decides."""
    was, place = verifier.verdict(phase, cell), verifier.shutdown.place
    for name, policy in verifier.classes.active(phase).items():
        found = []
        for key in type(policy.except_).model_fields:
            given = getattr(policy.except_, key)
            for item in given:
                left = tuple(other for other in given if other != item)
                fewer = policy.except_.model_copy(update={key: left})
                changed = policy.model_copy(update={"except_": fewer})
                imagined = _imagined(verifier, phase, name, f"{key} {item}", changed)
                if verifier.verdict(imagined, cell) != was:
                    found.append(f"`{name}` spares {key} {item}{_at(place(('policies', name, 'except', key)))}")
        for index, item in enumerate(policy.allow):
            changed = policy.model_copy(update={"allow": policy.allow[:index] + policy.allow[index + 1 :]})
            imagined = _imagined(verifier, phase, name, f"allowance {index}", changed)
            if verifier.verdict(imagined, cell) != was:
                found.append(f"`{name}` allows {item}{_at(place(('policies', name, 'allow', index)))}")
        if not found and (policy.except_ != Exceptions() or policy.allow):
            changed = policy.model_copy(update={"except_": Exceptions(), "allow": ()})
            imagined = _imagined(verifier, phase, name, "nothing", changed)
            if verifier.verdict(imagined, cell) != was:
                key = "except" if policy.except_ != Exceptions() else "allow"
                found.append(f"`{name}` spares it{_at(place(('policies', name, key)))}")
        yield from found


def _imagined(verifier: Verifier, phase: Phase, name: str, less: str, changed: Policy) -> Phase:
    """Returns the phase with the policy `name` replaced by `changed`, which lacks the exception `less`."""
    other = f"{name} but {less}"
    active = verifier.classes.active(phase)
    return verifier.classes.imagine(
        phase,
        {(other if key == name else key): (changed if key == name else each) for key, each in active.items()},
        renamed={name: other},
    )


def _at(place: str) -> str:
    return f", {place}" if place else ""
