"""Recognises SSH by its identification line (RFC 4253 §4.2), from either end."""

from __future__ import annotations

from shutdownlab.inspection.recognisers.recogniser import TcpRecogniser
from shutdownlab.inspection.recognisers.result import Recognition
from shutdownlab.inspection.recognisers.tolerance import Tolerance

MAX_BANNER = 255


def recognise_ssh(client: bytes, server: bytes) -> Recognition | None:
    """Recognises SSH; `user_agent` is the client's identification line, or the server's until the client sends one."""
    for stream in (client, server):
        if stream[:4] != b"SSH-":
            continue
        if len(stream) < 8:
            return Recognition(more=True)
        if stream[4:5] not in (b"1", b"2") or stream[5:6] != b".":
            return None
        result = Recognition("ssh")
        end = stream.find(b"\n", 0, MAX_BANNER)
        result.user_agent = stream[: end if end >= 0 else MAX_BANNER].rstrip(b"\r").decode("latin-1")
        return result
    if 0 < len(client) < 4 and b"SSH-".startswith(client):
        return Recognition(more=True)
    return None


class Ssh(TcpRecogniser):
    protocols = ("ssh",)
    order = 50
    reads = "either"

    def recognise(self, client: bytes, server: bytes, dport: int, tolerance: Tolerance) -> Recognition | None:
        return recognise_ssh(client, server)
