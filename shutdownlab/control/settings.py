"""What a controller app is given when it starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shutdownlab.control.domain import Domain
from shutdownlab.control.messages import Message
from shutdownlab.control.plan import Posts
from shutdownlab.model.apps import App
from shutdownlab.model.network import Network

DEFAULT_PROFILE = "perfect"


@dataclass(frozen=True, slots=True)
class Settings:
    """`name` is the operator whose controller it is, or `authority`. `profile`: what the DPI boxes work by."""

    name: str
    network: Network
    apps: Mapping[str, App]
    posts: Posts
    profile: str = DEFAULT_PROFILE

    def domain(self, owner: str, tell: Callable[[Message], None]) -> Domain:
        """What there is to command of `owner`."""
        return Domain(self.network, self.apps, owner, self.profile, tell)
