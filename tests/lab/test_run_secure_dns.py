"""DNS over TLS and HTTPS in a whole run: asked as scenarios say it, and blocked by port and by name."""

from __future__ import annotations

from pathlib import Path

from invocation import Json, Record, invoke, small

NAMED: Json = {"title": "Encrypted DNS by name", "block": {"sites": ["dns.google"]}, "by": "dpi", "source": "FACT"}
PORT: Json = {"title": "DNS over TLS", "block": {"ports": ["tcp/853"]}, "source": "FACT"}
RESOLVERS = {
    "DoH": "https://dns.google/dns-query",
    "DoH by address": "https://1.1.1.1/dns-query",
    "DoT": "tls://one.one.one.one",
    "DoT by address": "tls://8.8.8.8:853",
    "plain": "8.8.8.8",
}


def secured(scenario: Json) -> None:
    scenario["policies"] = {"named": NAMED, "port": PORT}
    scenario["probes"] = {
        name: {"test": "dns", "host": "www.bbc.com", "resolver": resolver, "families": ["ipv4", "ipv6"]}
        for name, resolver in RESOLVERS.items()
    }
    fine: Json = {"outcome": "ok", "source": "FACT"}
    scenario["timeline"] = [
        {"phase": "baseline", "at": "2030-05-01T08:00Z", "title": "An ordinary day", "expect": [fine]},
        {
            "phase": "by-name", "at": "2030-05-01T08:10Z", "title": "dns.google", "start": ["named"],
            "expect": [fine, {"probes": ["DoH"], "outcome": "blocked", "source": "FACT"}],
        },
        {
            "phase": "by-port", "at": "2030-05-01T08:20Z", "title": "853", "stop": ["named"], "start": ["port"],
            "expect": [fine, {"probes": ["DoT", "DoT by address"], "outcome": "blocked", "source": "FACT"}],
        },
    ]  # fmt: skip


def test_encrypted_questions_are_answered_and_blocked_by_their_resolvers_name_or_port(tmp_path: Path) -> None:
    done = invoke(tmp_path, "run", small(tmp_path, secured), "--out", "results")
    assert done.code == 0, done.output
    record = Record(tmp_path / "results")
    failures = {(row["phase"], row["target"], row["failure"]) for row in record.rows if row["outcome"] == "blocked"}
    assert {(phase, target) for phase, target, _ in failures} == {
        ("by-name", "DoH"), ("by-port", "DoT"), ("by-port", "DoT by address"),
    }  # fmt: skip
    engines = {query["engine"] for one in record.measurements for query in one["test_keys"]["queries"]}
    assert {"doh", "dot", "udp"} <= engines
