"""BGP as a route collector abroad sees it: whether there are routes to an operator, or their origins."""

from __future__ import annotations

from typing import Literal

from shutdownlab.model.observation import Observation


class Bgp(Observation):
    """With `sees: routes` an operator is ok if every one of its prefixes of the family has a route at some transit.
    With `sees: origins` it is ok if no transit has a route to one of its prefixes that another AS announces, or to
    another's prefix that it announces itself (a hijack). Otherwise it is blocked."""

    sees: Literal["routes", "origins"] = "routes"
    """What is observed: whether there are routes, or their origin AS."""

    runs = "shutdownlab.observers.routes:seen_from_abroad"
    unaffected = True

    @property
    def by_origin(self) -> bool:
        return self.sees == "origins"
