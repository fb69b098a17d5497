"""What a RIPE Atlas probe sends of its own accord: the built-in ping and traceroute of a round."""

from __future__ import annotations

from typing import Final

PACKETS: Final = 3
"""Packets per ping, and per hop of a traceroute."""
MOST_HOPS: Final = 10
ECHOES_ABROAD: Final = PACKETS * MOST_HOPS
"""Echo requests that pass the first router, which answers those of the first hop."""
