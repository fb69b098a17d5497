"""The shipped countries, the YAML files beside this one, as Mininet topologies.

shutdownlab builds these classes with its own fast nodes. Stock Mininet can load them too, as plain hosts and switches,
for your own controller (without one the switches do nothing, and the country has loops):

    sudo mn --custom topologies/country.py --topo two-operators --controller remote
"""

from __future__ import annotations

from collections.abc import Callable

from shutdownlab import library
from shutdownlab.network.topo import CountryTopo


def _stock(name: str) -> Callable[[], CountryTopo]:
    return lambda: CountryTopo(library.network(name), stock=True)


topos = {name: _stock(name) for name, _ in library.shipped("topologies")}
"""The topologies by name, as `mn --custom` expects them."""
