"""What a DPI box inspects with: an engine made for each policy that is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from shutdownlab.inspection.apps import App
from shutdownlab.inspection.catalogue import AppCatalogue, shipped_apps
from shutdownlab.inspection.engine import Engine
from shutdownlab.inspection.policy import InspectionPolicy
from shutdownlab.inspection.profile import Profile, shipped_profile
from shutdownlab.inspection.verdict import FrameOutcome, Side
from shutdownlab.protocol.messages import BoxPolicy


class Inspector(Protocol):
    """What a box needs of an engine (`Engine` is one); see there."""

    def process(
        self, frame: bytes, side: Side, now: float, *, checksum_trusted: bool = False, segment: int = 0
    ) -> FrameOutcome:
        """Inspect one frame and say what to do with it; never raises."""
        ...

    def expire(self, now: float) -> object:
        """Drop the state that has timed out."""
        ...

    @property
    def on_path(self) -> bool:
        """Whether it is sent copies of packets: it can inject, but not stop any."""
        ...

    @property
    def intercepts(self) -> bool:
        """Whether its rules may hand a connection over to the box's TLS proxy."""
        ...

    @property
    def counters(self) -> Mapping[str, Any]:
        """Counts of what it has seen and done."""
        ...


MakeInspector = Callable[[InspectionPolicy, str, int], Inspector]
"""From a policy, a profile's name and a seed; raises on a profile it does not know."""


def engine_maker(apps: Mapping[str, App] | None = None, profiles: Iterable[Profile] = ()) -> MakeInspector:
    """Return what makes real engines, which know `apps` (None: the shipped catalogue), `profiles`, and those that ship.

    The catalogue is built here, once, so that a box forked later shares it and changes its policy quickly.
    """
    catalogue = shipped_apps() if apps is None else AppCatalogue(apps)
    known = {profile.name: profile for profile in profiles}

    def make(policy: InspectionPolicy, profile: str, seed: int) -> Inspector:
        return Engine(policy, known.get(profile) or shipped_profile(profile), seed=seed, apps=catalogue)

    return make


def inspection_policy(message: BoxPolicy) -> InspectionPolicy:
    """The policy that `message` carries."""
    return InspectionPolicy(name=f"order {message.serial}", profile=message.profile, rules=message.rules)
