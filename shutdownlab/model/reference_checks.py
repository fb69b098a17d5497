"""Checks what a scenario refers to: names, sources, and whom a scope selects."""

from __future__ import annotations

from collections.abc import Iterable

from shutdownlab.config.addresses import is_part
from shutdownlab.config.document import Document, Path, quoted
from shutdownlab.model.scenario import Scenario
from shutdownlab.model.scope import Scope
from shutdownlab.model.topology import Topology, Vantage


class ReferenceChecker:
    """Checks references of any part of a scenario, and reports those to nothing or nobody."""

    def __init__(self, scenario: Scenario, topology: Topology, document: Document) -> None:
        self.scenario, self.topology, self.document = scenario, topology, document
        self.vantages = tuple(topology.vantages())
        self._selected: dict[Scope, tuple[Vantage, ...]] = {}

    def _names(self, path: Path, kind: str, given: object, known: object) -> None:
        """Reports unknown names. `given`: a tuple (its indexes extend the path) or a mapping (its keys do)."""
        for index, name in enumerate(given):  # type: ignore[arg-type,var-annotated]
            if name not in known:  # type: ignore[operator]
                place = name if isinstance(given, dict) else index
                self.document.report_unknown((*path, place), kind, name, known)  # type: ignore[arg-type]

    def _sources(self, path: Path, text: str) -> None:
        for code in text.replace(",", " ").split():
            if self.scenario.sources and code.isupper() and code.isalnum() and code not in self.scenario.sources:
                self.document.report_unknown(path, "source", code, self.scenario.sources, "add it under `sources:`")

    def _scope(self, path: Path, scope: Scope) -> None:
        before = self.document.problems.in_all
        self._scope_names(path, scope)
        if self.document.problems.in_all == before and not self._select(scope):
            hint = f"the topology {quoted(self.topology.name)} lists the subscribers of each operator and region"
            self.document.report(path, "a scope that selects nobody", "at least one subscriber group", hint)

    def _scope_names(self, path: Path, scope: Scope) -> None:
        self._names((*path, "operators"), "operator", scope.operators, self.topology.operators)
        self._names((*path, "gateways"), "gateway", scope.gateways, self.topology.all_gateways)
        self._names((*path, "regions"), "region", scope.regions, self.topology.regions)
        self._classes((*path, "subscribers"), scope.subscribers)
        self._names((*path, "groups"), "subscriber group", scope.groups, {v.id.group for v in self.vantages})
        subnets = [subnet for vantage in self.vantages for subnet in vantage.subnets] if scope.prefixes else []
        for index, prefix in enumerate(scope.prefixes):
            if not any(is_part(subnet, prefix) for subnet in subnets):
                whole = next((subnet for subnet in subnets if is_part(prefix, subnet)), None)
                found = f"{prefix}, in which nobody has an address" if whole is None else f"{prefix}, a part of {whole}"
                hint = "each group of subscribers has a /24 and a /64" + (f", such as {subnets[0]}" if subnets else "")
                self.document.report((*path, "prefixes", index), found, "a prefix that holds whole groups", hint)
        for place, part in scope.parts:
            self._scope_names((*path, *place), part)

    def _classes(self, path: Path, given: object) -> None:
        self._names(path, "class of subscribers", given, self.topology.class_names)

    def _select(self, scope: Scope) -> tuple[Vantage, ...]:
        if scope not in self._selected:
            self._selected[scope] = scope.select(self.vantages)
        return self._selected[scope]

    def _versions(self, operators: Iterable[str]) -> set[int]:
        """Returns the IP versions that some of these operators have; without any, those of all."""
        own = self.topology.operators
        return {version for name in operators or own for version in own[name].versions}
