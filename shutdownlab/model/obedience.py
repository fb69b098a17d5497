"""How an operator departs from its orders: it obeys late, in part, not at all, or for too long. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from pydantic import model_validator

from shutdownlab.config.document import Expected, Record
from shutdownlab.config.scalars import Seconds
from shutdownlab.model.policy import Exceptions, Policy
from shutdownlab.model.topology import Access


class Leniency(Record):
    """The subscribers that an operator leaves alone, beside those that the order spares."""

    regions: tuple[str, ...] = ()
    """Subscribers in these regions."""
    access: tuple[Access, ...] = ()
    """Subscribers with this kind of connection."""
    subscribers: tuple[str, ...] = ()
    """Subscribers of these classes."""

    @model_validator(mode="after")
    def _somebody(self) -> Leniency:
        if not (self.regions or self.access or self.subscribers):
            raise Expected("the subscribers to spare", "such as {regions: [coast]}", found="nobody")
        return self

    def of(self, policy: Policy) -> Policy:
        """Returns the policy as the operator carries it out."""
        spared = policy.except_
        wider = Exceptions.model_construct(
            **{name: getattr(spared, name) for name in Exceptions.model_fields}
            | {name: (*getattr(spared, name), *getattr(self, name)) for name in Leniency.model_fields}
        )
        return policy.model_copy(update={"except_": wider})


class Obedience(Record):
    """How one operator departs from the orders in force in one phase. From the next phase on it obeys, unless that
    phase says so too."""

    ignores: tuple[str, ...] = ()
    """Policies in force that it does not carry out."""
    keeps: tuple[str, ...] = ()
    """Policies that are no longer in force but that it still carries out: it comes back late."""
    spares: dict[str, Leniency] = {}
    """Policies that it carries out only in part, by name: whom it leaves alone."""
    after: Seconds | None = None
    """How long it takes to obey in this phase, in the scenario's time, at most as long as the phase lasts; left out: as
    usual (`delays`)."""

    @model_validator(mode="after")
    def _otherwise(self) -> Obedience:
        if not self.model_fields_set:
            hint = "such as {ignores: [blackout]}, {keeps: [blackout]} or {after: 2h}"
            raise Expected("a difference from the order", hint, found="nothing")
        return self

    def carries_out(self, active: Mapping[str, Policy], known: Mapping[str, Policy]) -> dict[str, Policy]:
        """Returns the policies that it carries out. `active`: those in force; `known`: all that exist."""
        left = {name: policy for name, policy in active.items() if name not in self.ignores}
        left |= {name: known[name] for name in self.keeps if name in known}
        return {n: self.spares[n].of(p) if n in self.spares else p for n, p in left.items()}

    def renamed(self, names: Mapping[str, str]) -> Obedience:
        """Returns the same with other names for some policies. `names`: the new ones, by the old."""
        changes = {
            "ignores": tuple(names.get(each, each) for each in self.ignores),
            "keeps": tuple(names.get(each, each) for each in self.keeps),
            "spares": {names.get(each, each): left for each, left in self.spares.items()},
        }
        return self.model_copy(update=changes)

    def named(self) -> Iterator[tuple[str, int | str, str]]:
        """Yields the policies that it names: the key, the place under it, the name."""
        yield from (("ignores", index, name) for index, name in enumerate(self.ignores))
        yield from (("keeps", index, name) for index, name in enumerate(self.keeps))
        yield from (("spares", name, name) for name in self.spares)


class _Obeyed(Protocol):
    @property
    def obey(self) -> Mapping[str, Obedience]: ...


def carried_out(
    phase: _Obeyed, owner: str, active: Mapping[str, Policy], known: Mapping[str, Policy]
) -> Mapping[str, Policy]:
    """Returns what an operator carries out in a phase, out of the policies in force."""
    how = phase.obey.get(owner)
    return active if how is None else how.carries_out(active, known)
