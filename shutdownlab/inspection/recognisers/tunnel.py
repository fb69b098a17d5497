"""Tunnels over UDP by name: for boxes that do not look inside them."""

from __future__ import annotations

from shutdownlab.inspection.recognisers.recogniser import UdpRecogniser, UdpSession
from shutdownlab.inspection.recognisers.result import Recognition
from shutdownlab.inspection.tunnels import tunnel_name


class Tunnel(UdpRecogniser):
    protocols = ("geneve", "gtp", "l2tp", "teredo", "vxlan")
    order = 35

    def recognise(self, payload: bytes, from_client: bool, dport: int, session: UdpSession) -> Recognition | None:
        name = tunnel_name(payload, session.sport, dport)
        return None if name is None else Recognition(name)
