"""BGP visibility: whether networks abroad have routes to an operator, as a route collector would see."""

from __future__ import annotations

from shutdownlab.model.observation import Observation


class Bgp(Observation):
    """An operator is ok where some transit has a route to each of its prefixes of the family, else blocked."""

    runs = "shutdownlab.observers.routes:seen_from_abroad"
    unaffected = True
