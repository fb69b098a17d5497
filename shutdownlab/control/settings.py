"""The settings that a controller app is started with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from shutdownlab.control.addresses import ControllerAddresses
from shutdownlab.control.domain import Domain
from shutdownlab.inspection.apps import App
from shutdownlab.inspection.profile import Profile
from shutdownlab.model.box_checks import profile_named
from shutdownlab.model.network import Network
from shutdownlab.protocol.messages import Message

DEFAULT_PROFILE = "perfect"


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """The settings of one controller. `name`: its operator, or `authority`.

    `profiles`: the profiles of operators' DPI boxes, if not the perfect one.
    """

    name: str
    network: Network
    apps: Mapping[str, App]
    addresses: ControllerAddresses
    profiles: Mapping[str, Profile] = field(default_factory=dict)

    def domain(self, owner: str, tell: Callable[[Message], None]) -> Domain:
        """Returns the domain of `owner`: its switches and box."""
        return Domain(self.network, self.apps, owner, self.profiles.get(owner) or profile_named(DEFAULT_PROFILE), tell)
