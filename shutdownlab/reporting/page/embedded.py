"""The data from which the page's script draws cells, in a compact form. Pure."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Hashable, Mapping
from typing import Any

from shutdownlab.reporting.page.account import RunAccount, column_of
from shutdownlab.reporting.page.country import drawings
from shutdownlab.reporting.page.difference import Difference, embedded_difference
from shutdownlab.reporting.page.evidence import Extract, cell_id
from shutdownlab.reporting.page.orders import Order
from shutdownlab.reporting.page.whys import Whys, access_switch
from shutdownlab.reporting.page.words import clock
from shutdownlab.results.result import THE_MODEL, Result

_LEVEL = 9


class _Pool:
    """Numbers distinct values, in the order in which they are first used."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    def number(self, value: Hashable) -> int:
        return self._numbers.setdefault(value, len(self._numbers))

    @property
    def values(self) -> list[Any]:
        return list(self._numbers)


def embedded(
    account: RunAccount,
    orders: tuple[Order, ...],
    whys: Whys,
    extracts: Mapping[str, Extract],
    difference: Difference | None = None,
) -> dict[str, Any]:
    """Returns what the script needs, as data for JSON.

    `phases`, `rows` (vantage points, and operators as seen from outside) and `columns` (targets and families) are
    lists. `cells` has for each phase a mapping from rows to a flat list with five numbers per cell: column, index in
    `facts`, index in `whys` or -1, line in measurements.jsonl or 0, index in `extracts` or -1. `drawn` has for each
    phase an index in `drawings`; both are empty if nothing in the network ever changes. `was`: the other run's
    differing outcomes, or null.
    """
    pictures, drawn = drawings(account)
    rows: dict[tuple[str, str, str], int] = {}
    columns: dict[tuple[str, str], int] = {}
    shown_rows: list[list[Any]] = []
    shown_columns: list[list[str]] = []
    facts, seen = _Pool(), _Pool()
    places = {span.name: place for place, span in enumerate(account.spans)}
    cells: list[dict[int, list[int]]] = [{} for _ in account.spans]
    for target in _targets(account):
        columns[target] = len(columns)
        shown_columns.append([*target, "", ""])
    for result in account.results:
        at, target = (result.operator, result.region, result.subscriber), (result.target, result.family.value)
        if at not in rows:
            rows[at] = len(shown_rows)
            shown_rows.append([*at, result.access, result.class_, result.weight, _nodes(account, result)])
        shown_columns[columns[target]][2:] = column_of(result), "" if result.region else "outside"
        fact = facts.number((
            result.outcome.value, result.failure, result.expected and result.expected.value, result.source,
            result.tries, _certainty(result),
            result.value, result.unit,
        ))  # fmt: skip
        key = result.phase, result.vantage, result.target, result.family.value
        extract = extracts.get(cell_id(*key))
        what = (
            -1
            if extract is None
            else seen.number((extract.what, extract.test, extract.verdict, extract.steps, extract.controls))
        )
        line = 0 if extract is None else extract.line
        cell = (columns[target], fact, whys.of.get(key, -1), line, what)
        cells[places[result.phase]].setdefault(rows[at], []).extend(cell)
    return {
        "phases": [
            [span.name, span.title, f"{span.at:%Y-%m-%d} {clock(span.at)} UTC", round(span.hours, 3)]
            for span in account.spans
        ],
        "operators": account.operators,
        "regions": account.regions,
        "rows": shown_rows,
        "columns": shown_columns,
        "facts": facts.values,
        "extracts": seen.values,
        "whys": whys.explanations,
        "orders": {order.name: [order.title, order.source, order.place, list(order.phases)] for order in orders},
        "drawings": pictures,
        "drawn": drawn,
        "cells": [{str(row): flat for row, flat in of_phase.items()} for of_phase in cells],
        "run": account.name,
        "worst": account.worst,
        "measured": account.is_measured,
        "common": list(account.common),
        "was": None if difference is None else embedded_difference(difference, _numbered(rows), account),
    }


def _targets(account: RunAccount) -> list[tuple[str, str]]:
    """Returns targets and families in the scenario's order if it is available, not in the order of the results."""
    found = list(dict.fromkeys((result.target, result.family.value) for result in account.results))
    if account.shutdown is None:
        return found
    scenario = account.shutdown.scenario
    places = {name: place for place, name in enumerate((*scenario.probes, *scenario.observations))}
    return sorted(found, key=lambda target: (places.get(target[0], len(places)), target[1]))


def _certainty(result: Result) -> str:
    """Returns how sure a result is; if it was not measured, what stands for it."""
    if result.held == THE_MODEL:
        return "not measured: as the model has it, which has it as before"
    return f"not measured here: held, as measured in {result.held}" if result.held else result.certainty


def _numbered(rows: Mapping[tuple[str, str, str], int]) -> dict[str, int]:
    """Returns the rows' indices by vantage point id, as results have it."""
    return {"/".join(part for part in row if part): number for row, number in rows.items()}


def _nodes(account: RunAccount, result: Result) -> dict[str, str]:
    """Returns the names of the nodes that serve a vantage point, by role."""
    if account.shutdown is None or not result.region:
        return {}
    network = account.shutdown.network
    vantage = next(v for v in network.vantages if str(v.id) == result.vantage)
    own = {node.role.value: node.name for node in network.nodes.values() if node.owner == result.operator}
    wanted = ("border", "dpi-switch", "dpi-box", "resolver")
    return {role: own[role] for role in wanted if role in own} | {"access-switch": access_switch(network, vantage).name}


def packed(data: Mapping[str, Any]) -> str:
    """Serialises data as base64 of a zlib stream of JSON, which `DecompressionStream("deflate")` reads."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return base64.b64encode(zlib.compress(text.encode(), _LEVEL)).decode()
