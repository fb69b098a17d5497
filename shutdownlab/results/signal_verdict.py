"""The verdict on an expectation about a signal abroad, as recorded in a run's manifest and events."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class SignalVerdict(BaseModel):
    """An expectation about what outside observers should see, beside what was observed."""

    model_config = ConfigDict(
        frozen=True, defer_build=True, extra="ignore", json_schema_serialization_defaults_required=True
    )

    expected: str
    """What should be observed, in a few words."""
    source: str
    """The source of the expectation."""
    met: bool | None
    """Whether it was observed; null if it was not judged, because no observation covers it."""
    found: str
    """What was observed, or why it was not judged, in a few words."""
    basis: Literal["measured", "modelled", ""]
    """The basis of the readings that it was judged by; empty if it was not judged."""
