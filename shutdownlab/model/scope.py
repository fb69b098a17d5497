"""Scopes: sets of subscribers, selected by their properties."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated

from pydantic import BeforeValidator, Field

from shutdownlab.config.addresses import Prefix, is_part
from shutdownlab.config.narrowing import Narrowing
from shutdownlab.config.scalars import part
from shutdownlab.model.topology import Access, Vantage


class Scope(Narrowing):
    """A set of subscribers. An empty field means all; the fields that are given must all hold."""

    operators: tuple[str, ...] = ()
    """Only subscribers of these operators."""
    gateways: tuple[str, ...] = ()
    """Only subscribers of operators at these gateways; the national one is called `gateway`."""
    regions: tuple[str, ...] = ()
    """Only subscribers in these regions."""
    access: tuple[Access, ...] = ()
    """Only subscribers with this kind of connection."""
    subscribers: tuple[str, ...] = ()
    """Only subscribers of these classes: every country's, or the topology's own."""
    groups: tuple[str, ...] = ()
    """Only the groups of these names, whatever their class: the keys below an operator's regions in the topology."""
    prefixes: tuple[Prefix, ...] = ()
    """Only the groups with addresses in one of these prefixes; then all of their traffic, over the other IP version
    too."""
    share: Annotated[float, BeforeValidator(part)] = 1.0
    """The share of each operator's groups, which have as many addresses each: the first ones, rounded up."""
    not_: Scope | None = Field(alias="not", default=None)
    """Excludes the subscribers that this scope covers."""
    any_: tuple[Scope, ...] = Field(alias="any", default=())
    """Only subscribers that at least one of these scopes covers."""
    all_: tuple[Scope, ...] = Field(alias="all", default=())
    """Only subscribers that all of these scopes cover."""

    def covers(self, vantage: Vantage) -> bool:
        return self._itself_covers(vantage) and self._holds(lambda scope: scope.covers(vantage))

    def _holds(self, covered: Callable[[Scope], bool]) -> bool:
        """Returns whether its `not`, `any` and `all` hold; `covered`: whether one of those scopes covers the
        subject."""
        return (
            (self.not_ is None or not covered(self.not_))
            and (not self.any_ or any(map(covered, self.any_)))
            and all(map(covered, self.all_))
        )

    @property
    def parts(self) -> Iterator[tuple[tuple[str | int, ...], Scope]]:
        """Yields the scopes nested in it, with their path."""
        if self.not_ is not None:
            yield ("not",), self.not_
        for key, scopes in (("any", self.any_), ("all", self.all_)):
            for index, scope in enumerate(scopes):
                yield (key, index), scope

    def _itself_covers(self, vantage: Vantage) -> bool:
        return (
            (not self.operators or vantage.id.operator in self.operators)
            and (not self.gateways or vantage.gateway in self.gateways)
            and (not self.regions or vantage.id.region in self.regions)
            and (not self.access or vantage.access in self.access)
            and (not self.subscribers or vantage.is_of(self.subscribers))
            and (not self.groups or vantage.id.group in self.groups)
            and (not self.prefixes or any(is_part(own, p) for own in vantage.subnets for p in self.prefixes))
            and (self.share == 1 or vantage.place < math.ceil(self.share * vantage.of))
        )

    @property
    def is_of_operators(self) -> bool:
        """Whether it covers operators as a whole, without distinguishing between subscribers of one."""
        own = self.gateways or self.regions or self.access or self.subscribers or self.groups or self.prefixes
        return not own and self.share == 1 and all(part.is_of_operators for _, part in self.parts)

    def covers_operator(self, operator: str) -> bool:
        """Returns whether it covers an operator as a whole, as seen from outside."""
        itself = self.is_of_operators and (not self.operators or operator in self.operators)
        return itself and self._holds(lambda scope: scope.covers_operator(operator))

    def select(self, vantages: Iterable[Vantage]) -> tuple[Vantage, ...]:
        return tuple(vantage for vantage in vantages if self.covers(vantage))
