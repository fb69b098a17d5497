"""The inspection engine of a DPI box, of which it makes one for each policy."""

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
    """The interface of an engine, which `Engine` implements."""

    def process(
        self, frame: bytes, side: Side, now: float, *, checksum_trusted: bool = False, segment: int = 0
    ) -> FrameOutcome:
        """Inspects one frame and returns what to do with it; never raises."""
        ...

    def expire(self, now: float) -> object:
        """Drops the state that has timed out."""
        ...

    @property
    def on_path(self) -> bool:
        """Whether it receives copies of packets: it can inject, but not block."""
        ...

    @property
    def intercepts(self) -> bool:
        """Whether its rules may hand connections over to the box's TLS proxy."""
        ...

    @property
    def counters(self) -> Mapping[str, Any]:
        """Counters of what it has seen and done."""
        ...


MakeInspector = Callable[[InspectionPolicy, str, int], Inspector]
"""Makes an engine from a policy, a profile's name and a seed; raises for an unknown profile."""


def engine_maker(apps: Mapping[str, App] | None = None, profiles: Iterable[Profile] = ()) -> MakeInspector:
    """Returns a function that makes real engines, with `apps` (None: the shipped catalogue), `profiles` and those that
    ship.

    The catalogue is built here, once, so that boxes forked later share it and change their policy quickly.
    """
    catalogue = shipped_apps() if apps is None else AppCatalogue(apps)
    known = {profile.name: profile for profile in profiles}

    def make(policy: InspectionPolicy, profile: str, seed: int) -> Inspector:
        return Engine(policy, known.get(profile) or shipped_profile(profile), seed=seed, apps=catalogue)

    return make


def inspection_policy(message: BoxPolicy) -> InspectionPolicy:
    """Returns the policy in `message`."""
    return InspectionPolicy(name=f"order {message.serial}", profile=message.profile, rules=message.rules)
