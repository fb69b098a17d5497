"""Makes an observation: calls what its kind names, with the running country."""

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
"""What was concluded of each operator, over each address family."""


@dataclass(frozen=True, slots=True)
class World:
    """The running country, as those outside can reach it: `net` has its nodes by name, transits and servers abroad."""

    network: Network
    net: EmulatedNetwork
    services: Services


def observe(observation: Observation, world: World) -> Observed:
    """What there is to see now; raises what the kind's function does."""
    function: Callable[[Observation, World], Observed] = resolve_name(observation.runs)
    return function(observation, world)
