"""A model of how the demand for circumvention tools grows when services are blocked. Pure.

People who lose services look for a way around the block, as long as they can reach anything abroad. The number who
search for a VPN or use Tor is that of a quiet day, times 1 plus a gain times `lost` (the share of the use of the
services named by policies that is lost), times the share of people who get through.

The gains are ASSUMED. VPN's is within the published peaks: +650 % in Belarus in August 2020 (Top10VPN, by
belarusfeed.com), +920 % in Uganda in January 2026 (vpnsuper.com), +3,082 % in Iran and +3,405 % in Kazakhstan in 2022
(Top10VPN, by cnbctv18.com). Bridges gained more than relays in Iran in June 2025 (Tor Metrics). The model leaves out
how long people take to find a tool, and that they keep using it afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

DemandName = Literal["tor-relays", "tor-bridges", "vpn-demand"]
GAINS: Final[Mapping[DemandName, float]] = {"tor-relays": 1.0, "tor-bridges": 5.0, "vpn-demand": 10.0}
"""Increase in users or searches when all named services are lost, as a multiple of a quiet day's number (ASSUMED)."""


def demand(name: DemandName, reached: float, lost: float) -> float:
    """Returns the demand as a multiple of a quiet day's.

    reached: share of people who get through abroad. lost: share of the use of the named services that is lost. 0 to 1.
    """
    return reached * (1 + GAINS[name] * lost)
