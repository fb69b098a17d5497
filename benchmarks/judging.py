"""Measures how many website measurements, and megabytes of them, one core judges per second by OONI's rules.

    python benchmarks/judging.py [--count N]

Each measurement has 20 KB, as many real ones do, half of it the page; the three sets of rules take turns.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import shutdownlab as sl

_SIZE: Final = 20_000
_URL, _HOST, _ADDRESS = "http://www.example.com/", "www.example.com", "93.184.216.34"
_TAGS: Final = {"tags": ["depth=0", "fetch_body=true"], "transaction_id": 2}


def measurement(version: str) -> dict[str, Any]:
    """Returns a measurement of a page that matches the test helper's, padded with network events to its size."""
    body = "<title>Default Web Page</title>".ljust(_SIZE // 2, "x")
    headers = {"Date": "Thu, 24 Aug 2023 14:35:29 GMT", "Alt-Svc": "h3"}
    answers = [{"answer_type": "A", "ipv4": _ADDRESS, "asn": 15133}]
    page = {"status_code": 200, "body_length": len(body), "title": "Default Web Page", "headers": headers}
    keys: dict[str, Any] = {
        "queries": [
            {"engine": "getaddrinfo", "hostname": _HOST, "query_type": "ANY", "failure": None, "answers": answers}
        ],
        "tcp_connect": [{"ip": _ADDRESS, "port": 80, "status": {"failure": None, "success": True}} | _TAGS],
        "requests": [
            {"failure": None, "request": {"url": _URL}, "response": {"code": 200, "body": body, "headers": headers}}
            | _TAGS
        ],
        "x_control_request": {"http_request": _URL},
        "control": {"dns": {"failure": None, "addrs": [_ADDRESS]}, "http_request": page},
    }
    keys["queries"][0] |= {"tags": ["depth=0"], "transaction_id": 1}
    event = {"operation": "read", "address": f"{_ADDRESS}:80", "failure": None, "num_bytes": 1400, "t": 0.123456}
    found = {"test_name": "web_connectivity", "test_version": version, "input": _URL, "test_keys": keys}
    keys["network_events"] = [event] * ((_SIZE - len(json.dumps(found))) // (len(json.dumps(event)) + 2))
    return found


def main() -> None:
    """Writes a file, judges it, and prints the rates per second of processor time as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=20_000, help="measurements (20,000)")
    count = parser.parse_args().count
    lines = [json.dumps(measurement(version)).encode() + b"\n" for version in ("0.4.3", "0.5.26", "0.5.28")]
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "measurements.jsonl"
        with path.open("wb") as file:
            for number in range(count):
                file.write(lines[number % len(lines)])
        size, began = path.stat().st_size, time.process_time()
        judged = sum(1 for _ in sl.judge(path))
        seconds = time.process_time() - began
    assert judged == count
    print(json.dumps({"per_s": judged / seconds, "mb_per_s": size / seconds / 1e6}))


if __name__ == "__main__":
    main()
