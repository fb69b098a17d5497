"""A CDN's traffic as time series, as Cloudflare Radar and Google's Transparency Report publish it. Pure.

The readings give the share of requests that get through, from measurements (`requests`) where there are any, else from
the model; the daily and weekly curve (`signals.curve`), a model, gives the demand. A value of 1 is a workday's peak
with nothing shut down.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import count
from random import Random
from typing import Final

from shutdownlab.model.noise import Noise
from shutdownlab.model.topology import Topology
from shutdownlab.observers.naming import stamp
from shutdownlab.results.reading import Reading
from shutdownlab.signals.curve import usual

STEP: Final = timedelta(minutes=15)
"""The interval of Cloudflare Radar for periods of up to a week."""
COLUMNS: Final = ("timestamps", "values")


def volumes(
    readings: Iterable[Reading], topology: Topology, begins: datetime, ends: datetime, utc_offset: timedelta,
    noise: Noise | None = None,
) -> dict[str, bytes]:  # fmt: skip
    """Returns the files of a phase by name: the country's volume, and each operator's, named by its AS number."""
    found = {}
    spread = noise.spread.get("cdn", 0.0) if noise is not None else 0.0
    for reading in readings:
        if reading.signal == "cdn" and reading.scope != "region":
            name = f"AS{topology.operators[reading.of].asn}" if reading.of else topology.country
            drawn = Random(f"{noise.seed if noise is not None else 0} {name} {begins}")
            found[f"{name}.{stamp(begins)}.csv"] = _series(
                (reading.value * max(0.0, drawn.gauss(1.0, spread)) for _ in count()), begins, ends, utc_offset
            )
    return found


def _series(shares: Iterable[float], begins: datetime, ends: datetime, utc_offset: timedelta) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    at = begins
    for share in shares:
        if at >= ends:
            break
        local = at + utc_offset
        minute = (local.weekday() * 24 + local.hour) * 60 + local.minute
        writer.writerow((f"{at:%Y-%m-%dT%H:%M:%SZ}", f"{share * usual(minute):.6g}"))
        at += STEP
    return out.getvalue().encode()
