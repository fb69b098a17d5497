"""Records a measurement's steps in OONI's data formats.

They are df-001-httpt, df-002-dnst, df-005-tcpconnect, df-006-tlshandshake and df-008-netevents.
"""

from __future__ import annotations

import base64
import itertools
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_MAX_EVENTS = 64
_MAX_BODY = 1024
_MAX_PLAIN_BODY = 64 * 1024

Json = dict[str, Any]


class Trace:
    """The records of one measurement; times are seconds since it began."""

    def __init__(self) -> None:
        self.began = time.time()
        self._zero = time.monotonic()
        self._transactions = itertools.count(1)
        self.queries: list[Json] = []
        self.tcp_connect: list[Json] = []
        self.tls_handshakes: list[Json] = []
        self.quic_handshakes: list[Json] = []
        self.requests: list[Json] = []
        self.network_events: list[Json] = []
        self.extra: Json = {}

    def now(self) -> float:
        return round(time.monotonic() - self._zero, 6)

    def transaction(self) -> int:
        return next(self._transactions)

    def event(
        self,
        operation: str,
        transaction: int,
        *,
        address: str | None = None,
        proto: str | None = None,
        num_bytes: int | None = None,
        failure: str | None = None,
    ) -> None:
        """Records a network event; ignores all after the first 64 of a measurement."""
        if len(self.network_events) >= _MAX_EVENTS:
            return
        now = self.now()
        record: Json = {"operation": operation, "failure": failure, "t0": now, "t": now}
        record |= {"address": address} if address else {}
        record |= {"proto": proto} if proto else {}
        record |= {"num_bytes": num_bytes} if num_bytes is not None else {}
        self.network_events.append(record | {"tags": [], "transaction_id": transaction})

    def query(
        self,
        started: float,
        *,
        hostname: str,
        query_type: str,
        resolver: str,
        engine: str,
        answers: Sequence[Json],
        rcode: int | None,
        failure: str | None,
        transaction: int,
    ) -> None:
        self.queries.append(
            {
                "engine": engine,
                "hostname": hostname,
                "query_type": query_type,
                "failure": failure,
                "rcode": rcode,
                "resolver_address": resolver,
                "answers": list(answers) or None,
                "t0": started,
                "t": self.now(),
                "tags": [],
                "transaction_id": transaction,
            }
        )

    def connected(self, started: float, ip: str, port: int, failure: str | None, transaction: int) -> None:
        self.tcp_connect.append(
            {
                "ip": ip,
                "port": port,
                "status": {"failure": failure, "success": failure is None},
                "t0": started,
                "t": self.now(),
                "tags": [],
                "transaction_id": transaction,
            }
        )

    def shook_hands(
        self,
        started: float,
        *,
        address: str,
        server_name: str,
        failure: str | None,
        transaction: int,
        network: str = "tcp",
        cipher: str = "",
        version: str = "",
        alpn: str = "",
        certificates: Iterable[bytes] = (),
    ) -> None:
        (self.quic_handshakes if network == "udp" else self.tls_handshakes).append(
            {
                "network": network,
                "address": address,
                "server_name": server_name,
                "failure": failure,
                "cipher_suite": cipher,
                "tls_version": version,
                "negotiated_protocol": alpn,
                "no_tls_verify": False,
                "peer_certificates": [binary(der) for der in certificates],
                "t0": started,
                "t": self.now(),
                "tags": [],
                "transaction_id": transaction,
            }
        )

    def requested(
        self,
        started: float,
        *,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]],
        failure: str | None,
        transaction: int,
        transport: str = "tcp",
        address: str = "",
        alpn: str = "",
        code: int = 0,
        response_headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        truncated: bool = False,
    ) -> None:
        """Records an HTTP round trip.

        Keeps the first 1024 bytes of the body, or the first 64 KiB of a page without TLS, because OONI's verdicts
        compare those.
        """
        request = {"method": method, "url": url, "body": "", "body_is_truncated": False, "x_transport": transport}
        plain = method == "GET" and url.startswith("http:")
        kept = body[: _MAX_PLAIN_BODY if plain else _MAX_BODY]
        response = {"code": code, "body": _text(kept), "body_is_truncated": truncated or len(kept) < len(body)}
        self.requests.insert(
            0,  # newest first
            {
                "failure": failure,
                "network": "udp" if transport == "quic" else "tcp",
                "address": address,
                "alpn": alpn,
                "request": request | _headers(headers),
                "response": response | _headers(response_headers),
                "t0": started,
                "t": self.now(),
                "tags": [],
                "transaction_id": transaction,
            },
        )

    def keys(self) -> Json:
        """Returns the test keys: what was recorded, and what the test concluded (`extra`)."""
        keys: Json = {
            "queries": self.queries,
            "tcp_connect": self.tcp_connect,
            "tls_handshakes": self.tls_handshakes,
            "requests": self.requests,
            "network_events": self.network_events,
        }
        if self.quic_handshakes:
            keys["quic_handshakes"] = self.quic_handshakes
        return keys | self.extra


def binary(data: bytes) -> Json:
    return {"format": "base64", "data": base64.b64encode(data).decode("ascii")}


def _text(data: bytes) -> str | Json:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return binary(data)


def _headers(headers: Sequence[tuple[str, str]]) -> Json:
    listed: Mapping[str, str] = dict(reversed(headers))
    return {"headers": dict(listed), "headers_list": [list(pair) for pair in headers]}
