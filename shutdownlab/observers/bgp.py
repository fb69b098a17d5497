"""BGP as a route collector abroad sees it: whether there are routes to an operator, or whose they are."""

from __future__ import annotations

from typing import Literal

from shutdownlab.model.observation import Observation


class Bgp(Observation):
    """With `sees: routes` an operator is ok where some transit has a route to each of its prefixes of the family. With
    `sees: origins` it is ok where no transit has a route to a prefix of its that another AS announces, or to another's
    prefix that it announces itself (a hijack). Else it is blocked."""

    sees: Literal["routes", "origins"] = "routes"
    """What is looked at: whether there are routes, or which AS they start from."""

    runs = "shutdownlab.observers.routes:seen_from_abroad"
    unaffected = True

    @property
    def by_origin(self) -> bool:
        return self.sees == "origins"
