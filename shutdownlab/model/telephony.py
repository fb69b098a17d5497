"""The telephone service's ports: what a rule must match to switch voice or SMS off."""

from __future__ import annotations

from typing import Final

VOICE_PORT: Final = 5060
"""UDP, on the telephone node: SIP registration and call signalling (RFC 3261)."""
SMS_PORT: Final = 5062
"""UDP, on the telephone node: SIP MESSAGE (RFC 3428) and the registrations for it."""
RTP_PORTS: Final = range(16384, 16400)
"""UDP, between the subscribers of a call; even ports carry RTP, odd ones RTCP (RFC 3550, 11)."""
