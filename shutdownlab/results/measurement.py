"""A measurement as OONI publishes them: one JSON object, data format 0.2.0 (ooni/spec, data-formats/df-000-base.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from shutdownlab.protocol.probing import Measurement, ProbeRequest

_FORMAT_VERSION: Final = "0.2.0"
_EXTENSIONS: Final = {"dnst": 0, "httpt": 0, "netevents": 0, "tcpconnect": 0, "tlshandshake": 0}
_TEST_VERSION: Final = "0.1.0"


@dataclass(frozen=True, slots=True)
class Context:
    """Where and when a measurement was taken.

    `cc`: ISO 3166 country code. `run`: what tells this run from others. `began` and `at`: when the phase began and the
    measurement was taken, in the scenario's time. `resolver_asn` 0: as the probe's. `annotations`: whatever else
    a reader should know, the phase for example.
    """

    asn: int
    cc: str
    network_name: str
    run: str
    began: datetime
    at: datetime
    software_version: str
    resolver_asn: int = 0
    resolver_network_name: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)


def record(request: ProbeRequest, measurement: Measurement, context: Context) -> dict[str, Any]:
    """The measurement as a JSON-ready dictionary."""
    return {
        "annotations": {
            "engine_name": "shutdownlab",
            "measured_at": datetime.fromtimestamp(measurement.started, UTC).isoformat(timespec="milliseconds"),
            **context.annotations,
        },
        "data_format_version": _FORMAT_VERSION,
        "extensions": dict(_EXTENSIONS),
        "input": request.ooni_input,
        "measurement_start_time": _time(context.at),
        "probe_asn": f"AS{context.asn}",
        "probe_cc": context.cc,
        "probe_ip": "127.0.0.1",
        "probe_network_name": context.network_name,
        "report_id": _report_id(request.ooni_test, context),
        "resolver_asn": f"AS{context.resolver_asn or context.asn}",
        "resolver_ip": request.resolver,
        "resolver_network_name": context.resolver_network_name or context.network_name,
        "software_name": "shutdownlab",
        "software_version": context.software_version,
        "test_helpers": {},
        "test_keys": {
            **measurement.test_keys,
            "x_id": request.id,
            "x_probe": request.name,
            "x_family": request.family.value,
            "x_outcome": measurement.outcome.value,
            "x_failure": measurement.failure,
            "x_passes": measurement.passes,
        },
        "test_name": request.ooni_test,
        "test_runtime": measurement.runtime,
        "test_start_time": _time(context.began),
        "test_version": _TEST_VERSION,
    }


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _report_id(test_name: str, context: Context) -> str:
    """OONI's form; the same for all measurements of a test and network in a phase."""
    moment = context.began.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(f"{context.run} {test_name} {context.asn} {moment}".encode()).hexdigest()[:16]
    return f"{moment}_{test_name.replace('_', '')}_{context.cc}_{context.asn}_n1_{digest}"
