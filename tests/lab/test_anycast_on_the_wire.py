"""A service abroad some of whose servers are in the country, at the same addresses: BGP says who reaches which."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from foretold import cells, run_as_foretold

import shutdownlab as sl

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[2]
INSIDE, ABROAD = "northnet-capital-datacentre", "transit-two-servers"
WHO = r"""
import sys, dns.message, dns.query, dns.rdataclass

question = dns.message.make_query("id.server", "TXT", dns.rdataclass.CH)
try:
    print(dns.query.udp(question, sys.argv[1], timeout=4).answer[0][0].strings[0].decode())
except (OSError, dns.exception.Timeout):
    print("nobody")
"""


def policy(**what: Any) -> dict[str, Any]:
    return {"title": "", "source": "made up", **what}


PHASES = {
    "before": {},
    "blackout": {"start": ["blackout"]},
    "withdrawn": {"start": ["withdrawn"]},
    "open": {"stop": ["blackout"]},
    "back": {"stop": ["withdrawn"]},
    "dead": {"faults": ["dead"]},
    "dead-withdrawn": {"faults": ["dead"], "start": ["withdrawn"]},
}


def scenario(folder: Path) -> dict[str, Any]:
    """In two-operators, the fixed operator's data centre has servers of 1.1.1.1."""
    serves = "serves: [kaspi, tengrinews, egov-kz]"
    text = (ROOT / "topologies/two-operators.yaml").read_text()
    assert serves in text
    text = text.replace(serves, f"{serves}, anycast: [cloudflare-dns]").replace("name: two-operators", "name: anycast")
    (folder / "anycast.yaml").write_text(text)
    own = {"prefixes": ["1.1.1.0/24", "1.0.0.0/24"]}
    return {
        "format": 1,
        "name": "anycast-blackout",
        "title": "A blackout, with servers of 1.1.1.1 inside",
        "topology": str(folder / "anycast.yaml"),
        "policies": {
            "blackout": policy(block="everything", at="gateway"),
            "withdrawn": policy(withdraw=own, where={"operators": ["northnet"]}),
        },
        "faults": {"dead": {"title": "", "kill": {"servers": ["northnet"]}, "source": "made up"}},
        "probes": {
            "home": {"test": "dns", "host": "kaspi.kz", "resolver": "1.1.1.1"},
            "foreign": {"test": "dns", "host": "www.bbc.com", "resolver": "1.1.1.1"},
            "page": {"test": "web", "url": "https://one.one.one.one/"},
            "other": {"test": "dns", "host": "kaspi.kz", "resolver": "8.8.8.8"},
        },
        "timeline": [
            {"phase": name, "at": f"2030-05-01T{number:02}:00Z", "title": "", **phase}
            for number, (name, phase) in enumerate(PHASES.items())
        ],
        "ends": "2030-05-02T00:00Z",
    }


def test_servers_inside_answer_in_a_blackout_for_what_they_need_nobody_abroad(tmp_path: Path) -> None:
    made = scenario(tmp_path)
    measured = run_as_foretold(made, tmp_path)
    found = {cell[:3]: cell[4] for cell in cells(measured.results)}
    for own, other in (("northnet/coast/ordinary", True), ("southcell/coast/ordinary", False)):
        assert {found["before", own, target] for target in made["probes"]} == {"ok"}
        assert [found["blackout", own, target] for target in made["probes"]] == ["ok", "blocked", "ok", "blocked"]
        # Its own subscribers are led to the servers by its own routers, whatever it announces.
        assert (found["withdrawn", own, "home"] == "ok") is other
        assert (found["withdrawn", own, "page"] == "ok") is other
        assert {found["open", own, target] for target in made["probes"]} == {"ok"}
        assert found["dead", own, "foreign"] == "down"
        assert found["dead-withdrawn", own, "foreign"] == ("down" if other else "ok")


def test_who_answers_says_where_it_is_and_the_route_to_it_goes_and_comes_with_its_announcement(tmp_path: Path) -> None:
    with sl.lab(scenario(tmp_path), at="before") as lab:

        def who(vantage: str, address: str = "1.1.1.1") -> str:
            said = lab.exec(vantage, [sys.executable, "-c", WHO, address], check=True)
            return str(said.stdout).strip()

        assert [who(each) for each in ("northnet/coast", "southcell/coast")] == [INSIDE, INSIDE]
        assert who("southcell/coast", "2606:4700:4700::1111") == INSIDE
        assert who("transit-one-servers") == ABROAD  # networks abroad are not told of the servers inside
        lab.phase("blackout")
        assert [who(each) for each in ("northnet/coast", "southcell/coast")] == [INSIDE, INSIDE]
        lab.phase("withdrawn")
        assert [who(each) for each in ("northnet/coast", "southcell/coast")] == [INSIDE, "nobody"]
        lab.phase("open")
        assert [who(each) for each in ("northnet/coast", "southcell/coast")] == [INSIDE, ABROAD]
        assert who("southcell/coast", "2606:4700:4700::1111") == INSIDE
        lab.phase("back")
        assert who("southcell/coast") == INSIDE
