"""What a controller app is given when it starts."""

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
    """`name` is the operator whose controller it is, or `authority`.

    `profiles`: what operators' DPI boxes work by, where that is not the perfect one.
    """

    name: str
    network: Network
    apps: Mapping[str, App]
    addresses: ControllerAddresses
    profiles: Mapping[str, Profile] = field(default_factory=dict)

    def domain(self, owner: str, tell: Callable[[Message], None]) -> Domain:
        """What there is to command of `owner`."""
        return Domain(self.network, self.apps, owner, self.profiles.get(owner) or profile_named(DEFAULT_PROFILE), tell)
