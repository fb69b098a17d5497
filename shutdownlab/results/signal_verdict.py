"""What became of an expectation about a signal abroad, as a run's manifest and events have it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class SignalVerdict(BaseModel):
    """An expectation about what outsiders should see, beside what was seen."""

    model_config = ConfigDict(frozen=True, extra="ignore", json_schema_serialization_defaults_required=True)

    expected: str
    """What should be seen, in a few words."""
    source: str
    """Who says so."""
    met: bool | None
    """Whether it was; null where it was left out: nothing was observed of it."""
    found: str
    """What was seen, or why it was left out, in a few words."""
    basis: Literal["measured", "modelled", ""]
    """Of what it was judged by; empty where it was left out."""
