"""Gopher (RFC 1436): a client sends a selector and a line end, and nothing else."""

from __future__ import annotations

from shutdownlab.inspection.recognisers.recogniser import TcpRecogniser
from shutdownlab.inspection.recognition import Recognition, Tolerance

PORT = 70
LONGEST_SELECTOR = 255


class Gopher(TcpRecogniser):
    protocols = ("gopher",)
    order = 300  # whatever ships has been asked before

    def recognise(self, client: bytes, server: bytes, dport: int, tolerance: Tolerance) -> Recognition | None:
        if dport != PORT or len(client) > LONGEST_SELECTOR + 2:
            return None
        selector, end, rest = client.partition(b"\r\n")
        if not end:
            return Recognition(more=True)  # the line may go on in the next segment
        if rest:
            return None
        found = Recognition("gopher")
        found.url = f"gopher:{selector.decode('latin-1')}"
        return found
