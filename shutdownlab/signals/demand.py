"""How many turn to tools as sites fall: a stated model of what people do. Pure.

Whoever misses services looks for a way around, where anything abroad can be reached at all: with `lost`, the share of
what they are used to of the services that policies name, the number who search for a VPN or use Tor is that of a quiet
day, times 1 plus a gain for all that is lost, times the share who get through.

The gains are ASSUMED, VPN's within what has been published of its peaks: +650 % in Belarus in August 2020 (Top10VPN, by
belarusfeed.com), +920 % in Uganda in January 2026 (vpnsuper.com), +3,082 % in Iran and +3,405 % in Kazakhstan in 2022
(Top10VPN, by cnbctv18.com). That more turn to bridges than to relays is so in Iran in June 2025 (Tor Metrics). How long
people take to find a tool, and that they go on using it afterwards, is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

DemandName = Literal["tor-relays", "tor-bridges", "vpn-demand"]
GAINS: Final[Mapping[DemandName, float]] = {"tor-relays": 1.0, "tor-bridges": 5.0, "vpn-demand": 10.0}
"""How many times as many as on a quiet day there are more, once everything that is named is lost (ASSUMED)."""


def demand(name: DemandName, reached: float, lost: float) -> float:
    """Of a quiet day's. reached: the share who get through abroad; lost: of the services that are named; 0 to 1."""
    return reached * (1 + GAINS[name] * lost)
