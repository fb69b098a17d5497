"""Checks whether a box believes a packet, as far as that needs no sequence numbers."""

from __future__ import annotations

from shutdownlab.config.numbers import TCP
from shutdownlab.inspection.checksum import header_checksum_good, transport_checksum_good
from shutdownlab.inspection.flow import Flow
from shutdownlab.inspection.packet import OPTION_MD5, Packet
from shutdownlab.inspection.profile import Profile


class Validator:
    """The profile's `validate`, compiled."""

    def __init__(self, profile: Profile) -> None:
        model = profile.validate_
        self.ip_checksum = model.ip_checksum
        self.tcp_checksum = model.tcp_checksum
        self.md5 = model.md5
        self.known = None if model.options_known is None else frozenset(model.options_known)
        options = model.md5 or self.known is not None
        self.options = options
        self.ttl_at_least = model.ttl_at_least
        self.ttl_drop = -1 if model.ttl_drop_at_most is None else model.ttl_drop_at_most
        others = model.ip_checksum or model.tcp_checksum or model.ttl_at_least or self.ttl_drop >= 0
        self.checks = bool(options or others)

    def believes(self, packet: Packet, flow: Flow | None, from_client: bool, trusted: bool) -> bool:
        """Returns whether the box believes `packet`. `trusted`: skip checksums. `flow` None: it would begin a flow."""
        if not self.checks:
            return True
        if packet.ttl < self.ttl_at_least:
            return False
        if self.ttl_drop >= 0 and flow is not None:
            first = flow.client_ttl if from_client else flow.server_ttl
            if first and packet.ttl + self.ttl_drop < first:
                return False
        if self.options and packet.proto == TCP and packet.payload - packet.l4 > 20:
            if self.md5 and packet.option(OPTION_MD5) is not None:
                return False
            if self.known is not None and not packet.options_among(self.known):
                return False
        if trusted:
            return True
        if self.ip_checksum and not packet.reassembled and not header_checksum_good(packet):
            return False
        return not self.tcp_checksum or transport_checksum_good(packet)
