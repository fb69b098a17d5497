"""The first exchange of an OpenVPN session: the client's hard reset, and the server's."""

from __future__ import annotations

import os
import socket
import struct
from typing import Final

from shutdownlab.config.addresses import endpoint
from shutdownlab.model.scenario import Outcome
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.dns import locate
from shutdownlab.probes.failure import StepFailed, failure_of
from shutdownlab.probes.kinds import Destination
from shutdownlab.probes.openvpn import SESSION_ID_SIZE, answers, client_reset
from shutdownlab.probes.patience import patience
from shutdownlab.probes.session import ProbeSession
from shutdownlab.probes.stream import TcpStream, connect

_OPERATION: Final = "openvpn_handshake"


async def vpn_test(session: ProbeSession, ask: Destination) -> Conclusion:
    """Blocked if the server's hard reset does not come; raises `StepFailed`."""
    address = await locate(session, ask.host)
    reset = _over_tcp if ask.transport == "tcp" else _over_udp
    started = session.trace.now()
    failure: str | None = None
    try:
        await reset(session, address, ask.port)
    except StepFailed as failed:
        failure = failed.failure
        raise
    finally:
        session.trace.extra["openvpn_handshake"] = [
            {
                "endpoint": f"openvpn://{endpoint(address, ask.port)}/{ask.transport}",
                "failure": failure,
                "t0": started,
                "t": session.trace.now(),
            }
        ]
    return Conclusion(Outcome.OK)


async def _over_udp(session: ProbeSession, address: str, port: int) -> None:
    loop, session_id = session.loop, os.urandom(SESSION_ID_SIZE)
    with socket.socket(session.address_family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        try:
            async with patience(session.patience):
                sock.connect((address, port))
                sock.send(client_reset(session_id))
                resend = loop.call_later(session.patience / 2, _send_again, sock, session_id)
                try:
                    while not answers(await loop.sock_recv(sock, 2048), session_id):
                        pass
                finally:
                    resend.cancel()
        except OSError as error:
            raise StepFailed(failure_of(error), _OPERATION) from error


def _send_again(sock: socket.socket, session_id: bytes) -> None:
    try:
        sock.send(client_reset(session_id))
    except OSError:
        return  # an ICMP error: the receiver gets it too


async def _over_tcp(session: ProbeSession, address: str, port: int) -> None:
    session_id = os.urandom(SESSION_ID_SIZE)
    packet = client_reset(session_id)
    with await connect(session, address, port) as tcp:
        try:
            async with patience(session.patience):
                await tcp.send(struct.pack("!H", len(packet)) + packet)
                if not answers(await _packet(tcp), session_id):
                    raise StepFailed("unknown_failure: not an OpenVPN server", _OPERATION)
        except (OSError, EOFError) as error:
            raise StepFailed(failure_of(error), _OPERATION) from error


async def _packet(tcp: TcpStream) -> bytes:
    data = b""
    while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2]):
        chunk = await tcp.receive()
        if not chunk:
            raise EOFError("closed before a reset")
        data += chunk
    return data[2 : 2 + int.from_bytes(data[:2])]
