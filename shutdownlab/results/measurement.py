"""A measurement in OONI's format: one JSON object, data format 0.2.0 (ooni/spec, data-formats/df-000-base.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, cast

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from shutdownlab.model.probe import Family
from shutdownlab.model.scenario import Outcome
from shutdownlab.protocol.probing import Measurement, ProbeRequest, Proof

_EXTENSIONS: Final = {"dnst": 0, "httpt": 0, "netevents": 0, "tcpconnect": 0, "tlshandshake": 0}
_TEST_VERSION: Final = "0.1.0"
_SCHEMA = ConfigDict(extra="allow")

Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$")]
Asn = Annotated[str, Field(pattern=r"^AS\d+$")]


@dataclass(frozen=True, slots=True)
class Context:
    """Where and when a measurement was taken.

    `cc`: ISO 3166 country code. `run`: identifies the run. `began` and `at`: when the phase began and the measurement
    was taken, in scenario time. `resolver_asn` 0: the same as the probe's. `annotations`: further information, such as
    the phase.
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


@with_config(_SCHEMA)
class ControlKeys(TypedDict):
    """A control: a measurement made beside the cell's own, of something it depends on that no policy affects."""

    name: str
    """What it tests: a path, a resolver, a server."""
    failure: str | None
    """OONI's name for the failure; null if it succeeded."""
    measured_at: str
    """The wall-clock time of the control."""
    runtime: Annotated[float, Field(ge=0)]
    """Its round-trip time in seconds."""


@with_config(_SCHEMA)
class TestKeys(TypedDict):
    """The probe's observations, under OONI's keys (`queries`, `tcp_connect`, `tls_handshakes`, `requests`,
    `network_events` and others) and ours, which begin with `x_`."""

    x_id: str
    """The cell: phase, vantage point, probe and address family."""
    x_probe: str
    """The name of the probe: `target` in results.csv."""
    x_family: Family
    """The address family."""
    x_outcome: Outcome
    """The outcome, as in results.csv."""
    x_failure: str | None
    """OONI's name for the failure, as in results.csv."""
    x_passes: Annotated[int, Field(ge=1)]
    """How many measurements it took until the outcome was accepted: `tries` in results.csv."""
    x_control: list[ControlKeys]
    """For an outcome other than success: the controls that succeeded between the two tries that agree; for `unknown`,
    the controls that failed."""


@with_config(_SCHEMA)
class MeasurementRecord(TypedDict):
    """A measurement in OONI's data format 0.2.0: a line of measurements.jsonl. Times are scenario times, in UTC."""

    annotations: dict[str, str]
    """`engine_name`; `measured_at`, the wall-clock time; `scenario`, `phase`, `region` and `subscriber`."""
    data_format_version: Literal["0.2.0"]
    extensions: dict[str, int]
    """Versions of the data formats in `test_keys`."""
    input: str | None
    """The target in OONI's notation: a URL, `dnslookup://…`, `tcpconnect://…`."""
    measurement_start_time: Time
    probe_asn: Asn
    """The AS number of the operator."""
    probe_cc: Annotated[str, Field(pattern="^[A-Z]{2}$")]
    """ISO 3166 code of the country; ZZ: none."""
    probe_ip: Literal["127.0.0.1"]
    """OONI's placeholder for the probe's own address, which it omits."""
    probe_network_name: str
    """The operator's title."""
    report_id: str
    """The same for all measurements of a test, a network and a phase."""
    resolver_asn: Asn
    """The AS number of the resolver's network."""
    resolver_ip: str
    """The operator's resolver, or the one that the probe was configured to use."""
    resolver_network_name: str
    software_name: Literal["shutdownlab"]
    software_version: str
    test_helpers: dict[str, str]
    """Always empty."""
    test_keys: TestKeys
    test_name: str
    """OONI's test: `urlgetter`, `web_connectivity` and others; tests that OONI does not have begin with `x_`."""
    test_runtime: Annotated[float, Field(ge=0)]
    """Seconds that the measurement took."""
    test_start_time: Time
    """When the phase began."""
    test_version: str


def record(request: ProbeRequest, measurement: Measurement, context: Context) -> MeasurementRecord:
    """Returns the measurement as a JSON-ready dictionary."""
    own: TestKeys = {
        "x_id": request.id,
        "x_probe": request.name,
        "x_family": request.family,
        "x_outcome": measurement.outcome,
        "x_failure": measurement.failure,
        "x_passes": measurement.passes,
        "x_control": [_control(proof) for proof in measurement.controls],
    }
    return {
        "annotations": {
            "engine_name": "shutdownlab",
            "measured_at": _wall_clock(measurement.started),
            **context.annotations,
        },
        "data_format_version": "0.2.0",
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
        "test_keys": cast(TestKeys, {**measurement.test_keys, **own}),
        "test_name": request.ooni_test,
        "test_runtime": measurement.runtime,
        "test_start_time": _time(context.began),
        "test_version": _TEST_VERSION,
    }


def _control(proof: Proof) -> ControlKeys:
    return {
        "name": proof.name,
        "failure": proof.failure,
        "measured_at": _wall_clock(proof.started),
        "runtime": round(proof.ended - proof.began, 6),
    }


def _wall_clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _report_id(test_name: str, context: Context) -> str:
    """Returns an id in OONI's form, the same for all measurements of a test and network in a phase."""
    moment = context.began.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(f"{context.run} {test_name} {context.asn} {moment}".encode()).hexdigest()[:16]
    return f"{moment}_{test_name.replace('_', '')}_{context.cc}_{context.asn}_n1_{digest}"
