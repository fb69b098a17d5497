"""A country of two operators, of which the mobile one translates its subscribers' addresses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from shutdownlab.config.document import parse
from shutdownlab.library import shipped
from shutdownlab.results.result import Result

Json = dict[str, Any]
MADE_UP = {"title": "Made up", "source": "made up"}
SOUTH = {"where": {"operators": ["southcell"]}}
NORTH = {"where": {"operators": ["northnet"]}}
INNER, SHARED = "100.65.1.10", "100.65.1.3"
DROP = {"action": "drop"}
POLICIES: dict[str, Json] = {
    "gateway-inner": {"block": "everything", "at": "gateway", "allow": [{"inside": [INNER]}]} | SOUTH,
    "gateway-shared": {"block": "everything", "at": "gateway", "allow": [{"inside": [SHARED]}]} | SOUTH,
    "access-inner": {"block": "everything", "allow": [{"inside": [INNER]}]} | SOUTH,
    "box-shared": {
        "inspect": [{"name": "one", "when": {"subscriber": [SHARED], "app": ["whatsapp"]}, "verdict": DROP}]
    },
    "reset": {"block": {"sites": ["bbc.com"]}, "action": "reset"} | SOUTH,
    "rejected": {"block": {"addresses": ["8.8.8.8"]}, "action": "reject"} | SOUTH,
    "discarded": {"null_route": {"spare": [f"{INNER}/32"]}} | SOUTH,
    "elsewhere-inner": {"block": {"addresses": [INNER]}} | NORTH,
    "elsewhere-shared": {"block": {"addresses": [SHARED]}} | NORTH,
    "withdrawn": {"withdraw": {"from": "abroad"}} | SOUTH,
}  # fmt: skip


def topology(name: str = "behind", translating: str = "cgnat") -> Json:
    """translating: the key by which an operator's mobile lines are translated."""
    made = dict(parse(dict(shipped("topologies"))["two-operators"].read_bytes(), "two-operators").data)
    made["name"] = name
    made["operators"] = made["operators"] | {"southcell": made["operators"]["southcell"] | {translating: ["mobile"]}}
    return made


def scenario() -> Json:
    return played(topology(), "Behind a NAT", POLICIES)


def in_turn(policies: Iterable[str]) -> list[Json]:
    """A quiet phase, then one in which each policy alone is in force."""
    names = list(policies)
    return [
        {"phase": "baseline", "at": "2030-05-01T00:00Z", "title": ""},
        *(
            {
                "phase": name, "at": f"2030-05-01T{hour:02}:00Z", "title": "", "start": [name],
                "stop": names[: hour - 1][-1:],
            }
            for hour, name in enumerate(names, 1)
        ),
    ]  # fmt: skip


def played(country: Json, title: str, policies: dict[str, Json], **of_calls_and_the_bank: list[str]) -> Json:
    """A phase for each policy, after a quiet one."""
    return {
        "format": 1, "name": country["name"], "title": title, "topology": country,
        "policies": {name: MADE_UP | policy for name, policy in policies.items()},
        "probes": {
            "bbc": {"test": "web", "url": "https://www.bbc.com/", "families": ["ipv4", "ipv6"]},
            "whatsapp": {"test": "app", "app": "whatsapp"},
            "http3": {"test": "http3", "url": "https://www.youtube.com/"},
            "bank": {"test": "web", "url": "https://kaspi.kz/", **of_calls_and_the_bank},
            "ping": {"test": "ping", "host": "8.8.8.8"},
            "dns": {"test": "dns", "host": "www.bbc.com", "resolver": "8.8.8.8"},
            "call": {"test": "call", **of_calls_and_the_bank},
        },
        "timeline": in_turn(policies),
        "ends": "2030-05-02T00:00Z",
    }  # fmt: skip


def through(results: list[Result], phase: str, vantage: str) -> set[tuple[str, str]]:
    """What gets through, by target and address family."""
    return {
        (r.target, r.family.value)
        for r in results
        if r.phase == phase and str(r.vantage) == vantage and r.outcome.got_through
    }
