"""Extracts of measurement records: the few lines that the page shows when a cell is opened. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_MOST_STEPS = 8
_MOST_CONTROLS = 8
_CONCLUDED = ("blocking", "accessible", "dns_consistency")


@dataclass(frozen=True, slots=True)
class Extract:
    """The extract of one measurement record.

    line: the record's line in measurements.jsonl, from 1. what: what was measured, as OONI names it. test: OONI's name
    of the test. seconds: how long it took. verdict: the test's own conclusions, as OONI publishes them (`blocking`,
    `accessible` and the like), which may differ from the cell's outcome. steps: what was tried, with the results.
    controls: the control measurements, with their results.
    """

    line: int
    what: str
    test: str
    seconds: float
    verdict: tuple[str, ...]
    steps: tuple[str, ...]
    controls: tuple[str, ...]


def cell_id(phase: str, vantage: str, target: str, family: str) -> str:
    """Returns a cell's id in measurement records (`x_id`)."""
    return f"{phase} {vantage} {target} {family}"


def extract_of(line: int, record: Mapping[str, Any]) -> tuple[str, Extract] | None:
    """Returns a record's cell id and extract; None if it belongs to no cell, such as a record of another program."""
    keys = record.get("test_keys")
    if not isinstance(keys, Mapping) or not isinstance(keys.get("x_id"), str):
        return None
    controls = [_control(each) for each in _list(keys, "x_control")]
    return keys["x_id"], Extract(
        line, str(record.get("input") or ""), str(record.get("test_name") or ""), _seconds(record.get("test_runtime")),
        tuple(_verdict(keys)),
        _shown(list(_steps(keys))), _cut(controls, _MOST_CONTROLS),
    )  # fmt: skip


def _cut(lines: list[str], most: int) -> tuple[str, ...]:
    return tuple(lines) if len(lines) <= most else (*lines[: most - 1], f"and {len(lines) - most + 1} more")


def _shown(steps: list[tuple[bool, str]]) -> tuple[str, ...]:
    """Returns the steps as text; if there are too many to show, failed ones first."""
    many = len(steps) > _MOST_STEPS
    return _cut([text for _, text in (sorted(steps, key=lambda step: not step[0]) if many else steps)], _MOST_STEPS)


def _list(keys: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    found = keys.get(name)
    yield from (each for each in (found if isinstance(found, list) else []) if isinstance(each, Mapping))


def _seconds(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _verdict(keys: Mapping[str, Any]) -> Iterator[str]:
    """Yields what OONI's test concluded; conclusions are recognised by the endings of their names (ooni/spec,
    nettests)."""
    for name, value in keys.items():
        if _is_conclusion(name) and (value is None or isinstance(value, bool | str)):
            yield f"{name}: {value if isinstance(value, str) else json.dumps(value)}"


@lru_cache(maxsize=1024)
def _is_conclusion(name: str) -> bool:
    return name in _CONCLUDED or (name.endswith(("_blocking", "_status")) and not name.startswith("x_"))


def _steps(keys: Mapping[str, Any]) -> Iterator[tuple[bool, str]]:
    """Yields each step that was tried, in OONI's order: whether it failed, and its text."""
    for query in _list(keys, "queries"):
        answers = [a for a in query.get("answers") or () if isinstance(a, Mapping)]
        found = ", ".join(str(a.get("ipv4") or a.get("ipv6") or a.get("hostname") or "") for a in answers[:2])
        asked = f"DNS {query.get('query_type', '')} {query.get('hostname', '')} of {query.get('resolver_address', '')}"
        yield bool(query.get("failure")), f"{asked}: {query.get('failure') or found or 'no address'}"
    for connection in _list(keys, "tcp_connect"):
        status = connection.get("status")
        failure = status.get("failure") if isinstance(status, Mapping) else None
        yield bool(failure), f"TCP to {connection.get('ip', '')}:{connection.get('port', '')}: {failure or 'connected'}"
    for name, title in (("tls_handshakes", "TLS"), ("quic_handshakes", "QUIC")):
        for handshake in _list(keys, name):
            done = handshake.get("failure") or handshake.get("tls_version") or "done"
            where = f"{handshake.get('server_name') or ''} at {handshake.get('address', '')}"
            yield bool(handshake.get("failure")), f"{title} {where}: {done}"
    for exchange in _list(keys, "requests"):
        request, response = exchange.get("request"), exchange.get("response")
        asked = (
            f"{request.get('method', 'GET')} {request.get('url', '')}" if isinstance(request, Mapping) else "request"
        )
        status = response.get("code") if isinstance(response, Mapping) else None
        yield bool(exchange.get("failure")), f"{asked}: {exchange.get('failure') or f'status {status}'}"


def _control(control: Mapping[str, Any]) -> str:
    seconds = _seconds(control.get("runtime"))
    return f"{control.get('name', '')}: {control.get('failure') or 'succeeded'} in {seconds:.3f} s"
