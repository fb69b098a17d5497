"""Measurements as OONI's probes write them, made of what matters to a verdict."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

FIELDS = ("blocking", "accessible", "dns_consistency", "dns_experiment_failure", "http_experiment_failure")
Json = dict[str, Any]


def answer(address: str, asn: int = 0) -> Json:
    """As probes write it: without `asn` where the address is in no AS."""
    kind, key = ("AAAA", "ipv6") if ":" in address else ("A", "ipv4")
    return {"answer_type": kind, key: address, "ttl": None} | ({"asn": asn} if asn else {})


def query(
    host: str,
    *answers: Json,
    failure: str | None = None,
    engine: str = "getaddrinfo",
    kind: str = "ANY",
    depth: int = 0,
    transaction: int = 1,
) -> Json:
    return {
        "engine": engine,
        "hostname": host,
        "query_type": kind,
        "failure": failure,
        "answers": list(answers) or None,
        "tags": [f"depth={depth}"],
        "transaction_id": transaction,
    }


def connect(ip: str, port: int, failure: str | None = None, *, transaction: int = 2, depth: int = 0) -> Json:
    return {
        "ip": ip,
        "port": port,
        "status": {"failure": failure, "success": failure is None},
        "tags": [f"depth={depth}", "fetch_body=true"],
        "transaction_id": transaction,
    }


def handshake(address: str, name: str, failure: str | None = None, *, transaction: int = 2, depth: int = 0) -> Json:
    tags = [f"depth={depth}", "fetch_body=true"]
    told = {"address": address, "server_name": name, "failure": failure, "no_tls_verify": False}
    return told | {"tags": tags, "transaction_id": transaction, "peer_certificates": None}


def request(
    url: str,
    failure: str | None = None,
    *,
    code: int = 0,
    body: object = "",
    headers: Mapping[str, str] | None = None,
    truncated: bool = False,
    method: str = "GET",
    transaction: int = 2,
    depth: int = 0,
) -> Json:
    return {
        "failure": failure,
        "request": {"url": url, "method": method, "headers": {}, "body": ""},
        "response": {"code": code, "body": body, "headers": headers or {}, "body_is_truncated": truncated},
        "tags": [f"depth={depth}", "fetch_body=true"],
        "transaction_id": transaction,
    }


def control(
    *addresses: str,
    dns: str | None = None,
    tcp: Mapping[str, str | None] | None = None,
    tls: Mapping[str, tuple[str, str | None]] | None = None,
    http: str | None = None,
    code: int = 200,
    body_length: int = 0,
    title: str = "",
    headers: Mapping[str, str] | None = None,
    asns: Mapping[str, int] | None = None,
) -> Json:
    page = {"failure": http, "status_code": code, "body_length": body_length, "title": title, "headers": headers or {}}
    if http:
        page |= {"status_code": -1, "body_length": -1}
    return {
        "dns": {"failure": dns, "addrs": list(addresses)},
        "tcp_connect": {end: {"status": failed is None, "failure": failed} for end, failed in (tcp or {}).items()},
        "tls_handshake": {
            end: {"server_name": name, "status": failed is None, "failure": failed}
            for end, (name, failed) in (tls or {}).items()
        },
        "http_request": page,
        "ip_info": {address: {"asn": asn, "flags": 11} for address, asn in (asns or {}).items()},
    }


def website(
    url: str,
    version: str = "0.4.3",
    *,
    queries: Iterable[Json] = (),
    connects: Iterable[Json] = (),
    handshakes: Iterable[Json] = (),
    requests: Iterable[Json] = (),
    helper: Json | None = None,
    helper_failure: str | None = None,
    says: Mapping[str, object] | None = None,
) -> Json:
    """`says`: the file's own verdict."""
    keys = {
        "queries": list(queries),
        "tcp_connect": list(connects),
        "tls_handshakes": list(handshakes),
        "requests": list(requests),
        "control": helper,
        "control_failure": helper_failure,
        "x_control_request": {"http_request": url},
    }
    return measurement("web_connectivity", version, url, keys | dict(says or {}))


def measurement(test: str, version: str, url: str | None, keys: Mapping[str, object]) -> Json:
    return {
        "data_format_version": "0.2.0",
        "input": url,
        "measurement_start_time": "2024-02-12 20:33:47",
        "probe_asn": "AS137",
        "probe_cc": "IT",
        "software_name": "ooniprobe",
        "test_keys": dict(keys),
        "test_name": test,
        "test_version": version,
    }


def lines(*measurements: Json) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in measurements)
