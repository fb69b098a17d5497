"""Operators' own resolvers are late with some names, for whom the policy says: real questions wait, others do not."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from foretold import cells, run_as_foretold
from invocation import finished, kill_inside, under_way, wait_for_event
from outside import wait_until

import shutdownlab as sl

pytestmark = pytest.mark.thorough

ASK = r"""
import socket, sys, time
import dns.flags, dns.message, dns.query

resolver, *names = sys.argv[1:]
for name in names:
    host, _, way = name.partition("/")
    question = dns.message.make_query(host, "A")
    ask = dns.query.tcp if way == "tcp" else dns.query.udp
    begun = time.monotonic()
    try:
        answer = ask(question, resolver, timeout=20)
        said = answer.answer[-1][0].address if answer.answer else dns.rcode.to_text(answer.rcode())
    except OSError as error:
        said = type(error).__name__
    print(name, said, time.monotonic() - begun)
"""


def policy(sites: list[str], **more: Any) -> dict[str, Any]:
    return {"title": "", "block": {"sites": sites}, "by": "dns", "source": "made up", **more}


PHASES = {
    "whole": {},
    "late": {"start": ["late", "below"]},
    "too-late": {"stop": ["late"], "start": ["too-late"]},
    "dead": {"faults": ["resolver"]},
    "back": {"stop": ["too-late", "below"]},
}
SCENARIO: dict[str, Any] = {
    "format": 1,
    "name": "late",
    "title": "Resolvers are late",
    "topology": "two-operators",
    "policies": {
        "late": policy(["bbc.com"], slow="3s", where={"operators": ["northnet"], "subscribers": ["ordinary"]}),
        "too-late": policy(["bbc.com"], slow="12s", where={"operators": ["northnet"]}),
        "below": policy(["kaspi.kz"], answer="nxdomain", where={"operators": ["northnet"]}),
    },
    "faults": {"resolver": {"title": "", "kill": {"resolvers": ["northnet"]}, "source": "made up"}},
    "probes": {
        "www.bbc.com": {"test": "web", "url": "https://www.bbc.com/", "families": ["ipv4", "ipv6"]},
        "dns": {"test": "dns", "host": "www.bbc.com", "families": ["ipv4", "ipv6"]},
        "other": {"test": "dns", "host": "www.wikipedia.org"},
        "elsewhere": {"test": "dns", "host": "www.bbc.com", "resolver": "8.8.8.8"},
    },
    "timeline": [
        {"phase": name, "at": f"2030-05-01T{number:02}:00Z", "title": "", **phase}
        for number, (name, phase) in enumerate(PHASES.items())
    ],
    "ends": "2030-05-02T00:00Z",
}


def test_answers_come_late_to_whom_they_are_to_and_clients_give_up_on_what_comes_too_late(tmp_path: Path) -> None:
    measured = run_as_foretold(SCENARIO, tmp_path)
    found = {cell[:4]: cell[4:] for cell in cells(measured.results)}
    for family in ("ipv4", "ipv6"):
        assert found["late", "northnet/coast/ordinary", "www.bbc.com", family] == ("ok", None)
        for target in ("dns", "www.bbc.com"):
            seen = found["too-late", "northnet/coast/ordinary", target, family]
            assert seen == ("blocked", "generic_timeout_error")
        assert found["too-late", "southcell/coast/ordinary", "dns", family] == ("ok", None)
        assert found["back", "northnet/coast/ordinary", "dns", family] == ("ok", None)
    assert found["too-late", "northnet/coast/ordinary", "other", "ipv4"] == ("ok", None)
    assert found["dead", "northnet/coast/ordinary", "dns", "ipv4"] == ("down", "fault: resolver")
    assert found["too-late", "northnet/coast/ordinary", "elsewhere", "ipv4"] == ("ok", None)
    late = waited(measured, "late")
    assert min(late["AS64501", "ordinary", "www.bbc.com"]) >= 3
    assert min(late["AS64501", "government", "www.bbc.com"]) < 3
    assert min(late["AS64501", "ordinary", "www.wikipedia.org"]) < 3
    assert min(late["AS64502", "ordinary", "www.bbc.com"]) < 3


def waited(measured: sl.Run, phase: str) -> dict[tuple[str, str, str], list[float]]:
    """For how many seconds answers of operators' own resolvers were waited for, by operator, subscribers and name."""
    found = defaultdict(list)
    for record in measured.measurements():
        for query in record["test_keys"].get("queries") or ():
            asked_own = query["resolver_address"] != "8.8.8.8:53"
            if record["annotations"]["phase"] == phase and query["failure"] is None and asked_own:
                who = record["probe_asn"], record["annotations"]["subscriber"], query["hostname"]
                found[who].append(query["t"] - query["t0"])
    return found


def answers(lab: Any, vantage: str, names: Sequence[str]) -> dict[str, tuple[str, float]]:
    """What a subscriber's own resolver says of names, and after how many seconds."""
    operator = vantage.partition("/")[0]
    resolver = str(next(a for a in lab.node(f"{operator}-resolver").addresses if a.version == 4))
    said = lab.exec(vantage, [sys.executable, "-c", ASK, resolver, *names], check=True)
    lines = [line.split() for line in said.stdout.splitlines()]
    return {name: (answer, float(seconds)) for name, answer, seconds in lines}


def left_open(lab: sl.Lab) -> list[str]:
    """The streams of questions that their clients have closed and the resolver's side has not (tcp(7): CLOSE_WAIT)."""
    table = lab.exec("northnet-resolver", ["cat", "/proc/net/tcp"], check=True).stdout.splitlines()[1:]
    return [line for line in table if line.split()[1].endswith(":14E9") and line.split()[3] == "08"]


def test_what_is_late_is_late_over_tcp_too_and_a_longer_name_of_which_the_resolver_lies_is_not() -> None:
    scenario = SCENARIO | {
        "policies": {
            "late": policy(["bbc.com"], slow="4s"),
            "lies": policy(["www.bbc.com"], answer="nxdomain"),
            "above": policy(["wikipedia.org"], answer="refused"),
            "within": policy(["www.wikipedia.org"], slow="4s"),
        },
        "faults": {},
        "timeline": [
            {"phase": "on", "at": "2030-05-01T00:00Z", "title": "", "start": ["late", "lies", "above", "within"]},
            {"phase": "off", "at": "2030-05-01T01:00Z", "title": "", "stop": ["late", "lies", "above", "within"]},
        ],
    }
    with sl.lab(scenario, at="on") as lab:
        asked = ["bbc.com", "bbc.com/tcp", "www.bbc.com", "www.wikipedia.org", "wikipedia.org", "kaspi.kz"]
        there = answers(lab, "northnet/coast", asked)
        assert there["bbc.com"][1] >= 4 <= there["bbc.com/tcp"][1]
        assert there["bbc.com"][0] == there["bbc.com/tcp"][0]
        assert there["www.bbc.com"][0] == "NXDOMAIN"
        assert there["wikipedia.org"][0] == "REFUSED"
        assert there["www.wikipedia.org"][0].count(".") == 3
        assert there["www.wikipedia.org"][1] >= 4
        assert max(there[name][1] for name in ("www.bbc.com", "wikipedia.org", "kaspi.kz")) < 4
        wait_until(lambda: not left_open(lab), "streams of clients that have gone are closed", 60)
        lab.phase("off")
        assert answers(lab, "northnet/coast", ["bbc.com"])["bbc.com"][1] < 4


def test_what_holds_questions_and_dies_blocks_nothing_its_phase_is_measured_in_a_country_built_anew(
    tmp_path: Path,
) -> None:
    asked = {"test": "dns", "host": "www.bbc.com", "from": {"operators": ["northnet"], "regions": ["coast"]}}
    scenario = SCENARIO | {
        "policies": {"late": policy(["bbc.com"], slow="4s")},
        "faults": {},
        "probes": {"dns": asked},
        "timeline": [
            {"phase": "whole", "at": "2030-05-01T00:00Z", "title": ""},
            {"phase": "late", "at": "2030-05-01T01:00Z", "title": "", "start": ["late"]},
        ],
    }
    path = tmp_path / "late.yaml"
    path.write_text(yaml.safe_dump(scenario, sort_keys=False))
    with under_way(tmp_path, path) as (process, record):
        wait_for_event(process, record, "confirmed", "late")
        kill_inside(process, "late-northnet-r")
        done = finished(process)
    assert done.code == 0, done.output
    assert "late is measured in a country built anew" in done.output
    assert any("late-northnet-resolver was killed by SIGKILL" in fault for fault in record.manifest["faults"])
    assert [(row["phase"], row["outcome"]) for row in record.rows] == [("whole", "ok"), ("late", "ok")]
