"""Makes an observation by calling the function of its kind with the running country."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TypeAlias

from shutdownlab.model.network import Network
from shutdownlab.model.observation import Observation
from shutdownlab.model.scenario import Family
from shutdownlab.network.net import EmulatedNetwork
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.servers.start import Services

Observed: TypeAlias = Mapping[tuple[str, Family], Conclusion]
"""The conclusion for each operator and address family."""


@dataclass(frozen=True, slots=True)
class World:
    """The running country and the world abroad; `net` has its nodes by name."""

    network: Network
    net: EmulatedNetwork
    services: Services


def observe(observation: Observation, world: World) -> Observed:
    """Returns the observation's conclusions now; raises what its function raises."""
    function: Callable[[Observation, World], Observed] = resolve_name(observation.runs)
    return function(observation, world)
