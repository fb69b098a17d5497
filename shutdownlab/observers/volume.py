"""What a CDN would count, as Cloudflare Radar and Google's Transparency Report publish traffic: times and values. Pure.

A reading says how much of what people ask for gets through, by what probes got where they asked (`requests`), else by
the model; the curve of the day and the week (`signals.curve`), which is a model, how much they ask for. The values of a
workday's peak with nothing shut off are 1.
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
"""Radar's, of periods of up to a week."""
COLUMNS: Final = ("timestamps", "values")


def volumes(
    readings: Iterable[Reading], topology: Topology, begins: datetime, ends: datetime, utc_offset: timedelta,
    noise: Noise | None = None,
) -> dict[str, bytes]:  # fmt: skip
    """A file of the country's volume in a phase, and one of each operator's, by its AS number: names and contents."""
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
