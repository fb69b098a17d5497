"""What a packet must be like for a box to believe it (the parts that need no sequence numbers)."""

from __future__ import annotations

from shutdownlab.config.numbers import TCP
from shutdownlab.inspection.checksum import header_checksum_good, transport_checksum_good
from shutdownlab.inspection.flow import Flow
from shutdownlab.inspection.packet import OPTION_MD5, Packet
from shutdownlab.inspection.profile import Profile


class Validator:
    """The profile's `validate`, made ready."""

    def __init__(self, profile: Profile) -> None:
        model = profile.validate_
        self.ip_checksum = model.ip_checksum
        self.tcp_checksum = model.tcp_checksum
        kinds = list(model.options_unseen)
        if model.md5:
            kinds.append(OPTION_MD5)
        self.options = kinds
        self.ttl_at_least = model.ttl_at_least
        self.ttl_drop = -1 if model.ttl_drop_at_most is None else model.ttl_drop_at_most
        self.checks = bool(model.ip_checksum or model.tcp_checksum or kinds or model.ttl_at_least or self.ttl_drop >= 0)

    def believes(self, packet: Packet, flow: Flow | None, from_client: bool, trusted: bool) -> bool:
        """`trusted`: the sender's kernel vouches for checksums. `flow` None: the packet would begin one."""
        if not self.checks:
            return True
        if packet.ttl < self.ttl_at_least:
            return False
        if self.ttl_drop >= 0 and flow is not None:
            first = flow.client_ttl if from_client else flow.server_ttl
            if first and packet.ttl + self.ttl_drop < first:
                return False
        if self.options and packet.proto == TCP and packet.payload - packet.l4 > 20:
            for kind in self.options:
                if packet.option(kind) is not None:
                    return False
        if trusted:
            return True
        if self.ip_checksum and not packet.reassembled and not header_checksum_good(packet):
            return False
        return not self.tcp_checksum or transport_checksum_good(packet)
