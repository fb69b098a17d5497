"""`verify` works out the table and the sums kind by kind of cells: they are those of the rows, which are made late."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import shutdownlab as sl
from shutdownlab.library import load
from shutdownlab.model.layout import lay_out
from shutdownlab.model.scenario import Outcome
from shutdownlab.results.cells import cells_of
from shutdownlab.results.table import table_of
from shutdownlab.verifier.classes import Classes
from shutdownlab.verifier.verdicts import Verifier

BREAKDOWNS = Path(__file__).parents[2] / "examples" / "breakdowns.yaml"


def made_up() -> dict[str, Any]:
    """Policies that say the same for different subscribers, one that withdraws routes, and one that nobody decides."""
    blackout = {"title": "", "block": "everything", "except": {"ports": [179]}, "source": "made up"}
    return {
        "format": 1, "name": "made-up", "title": "", "topology": "two-operators",
        "policies": {
            "coast": blackout | {"where": {"regions": ["coast"]}},
            "capital": blackout | {"where": {"regions": ["capital"]}},
            "narrower": blackout | {"except": {}, "where": {"operators": ["southcell"]}},
            "gone": {"title": "", "withdraw": {"family": "ipv4"}, "source": "made up"},
            "often": {
                "title": "", "source": "made up",
                "inspect": [
                    {"name": "half", "when": {"name_suffix": ["bbc.com"], "probability": 0.5},
                     "verdict": {"action": "drop"}}
                ],
            },
        },
        "probes": {
            "whatsapp": {"test": "app", "app": "whatsapp"},
            "web": {"test": "web", "url": "https://www.bbc.com/", "families": ["ipv4", "ipv6"]},
            "bank": {"test": "web", "url": "https://kaspi.kz/", "from": {"regions": ["coast"]}},
            "hole": {"test": "tcp", "host": "bridge.example.net", "port": "tcp/179", "during": ["both"]},
            "call": {"test": "call", "to": "coast"},
        },
        "observations": {"routes": {"observer": "bgp"}},
        "timeline": [
            {"phase": "none", "at": "2030-01-01T00:00Z", "title": "", "expect": [{"outcome": "ok", "source": "a"}]},
            {"phase": "both", "at": "2030-01-01T01:00Z", "title": "", "start": ["coast", "capital"],
             "expect": [{"outcome": "blocked", "source": "a"},
                        {"who": {"operators": ["northnet"]}, "probes": ["call"], "outcome": "ok", "source": "b"}]},
            {"phase": "narrower", "at": "2030-01-01T02:00Z", "title": "", "start": ["narrower"], "stop": ["coast"]},
            {"phase": "gone", "at": "2030-01-01T03:00Z", "title": "", "start": ["gone"],
             "stop": ["capital", "narrower"]},
            {"phase": "often", "at": "2030-01-01T04:00Z", "title": "", "start": ["often"], "stop": ["gone"],
             "expect": [{"outcome": "ok", "source": "a"}]},
        ],
        "ends": "2030-01-01T05:00Z",
    }  # fmt: skip


@pytest.mark.parametrize("scenario", ["first-shutdown", BREAKDOWNS, made_up()], ids=["first", "breakdowns", "made-up"])
@pytest.mark.parametrize("strict", [False, True])
def test_table_and_sums_are_those_of_the_rows(scenario: Any, strict: bool) -> None:
    found = sl.verify(scenario, strict=strict)
    rows = list(found)
    headings = found.shutdown.scenario.headings
    assert str(found.table) == str(table_of(rows, headings, strict=strict))
    assert found.table.phases == table_of(rows, headings).phases
    assert found.cells == len(rows)
    assert found.unmet == [row for row in rows if not row.met and (strict or row.outcome.is_measured)]
    assert found.undecided == [row for row in rows if row.outcome is Outcome.UNKNOWN]
    assert found.exit_code == (1 if found.unmet else 0)
    assert found.results == rows


def test_the_made_up_scenario_has_what_could_go_wrong() -> None:
    found = sl.verify(made_up())
    assert found.undecided and found.unmet
    assert {row.outcome for row in found.results} == {Outcome.OK, Outcome.BLOCKED, Outcome.UNKNOWN}


def test_every_cell_comes_out_as_it_does_followed_by_itself() -> None:
    """What a class has in common decides: no cell differs from the one that was followed in its stead."""
    shutdown = load(made_up())
    together, alone = Verifier(shutdown, {}), Verifier(shutdown, {})
    for phase in shutdown.scenario.timeline:
        for cell, row in sl.verify(shutdown).of_phase(phase):
            if cell.vantage is not None:
                by_itself = alone.measure(phase, cell, cell.vantage)
                assert together.verdict(phase, cell) == by_itself, cell.id
                assert row.outcome is by_itself.outcome, cell.id


def test_policies_that_say_the_same_under_other_names_are_followed_once_and_still_named() -> None:
    shutdown = load(made_up())
    phase = shutdown.scenario.phase("both")
    coast, capital = (
        next(c for c, _ in sl.verify(shutdown).of_phase(phase)
             if c.vantage and c.vantage.id[:2] == ("southcell", region) and c.target == "whatsapp")
        for region in ("coast", "capital")
    )  # fmt: skip
    assert coast.vantage is not None and capital.vantage is not None
    alike, named = Classes(shutdown, {}), Classes(shutdown, {}, by_name=True)
    assert alike.situation(phase, coast.vantage) == alike.situation(phase, capital.vantage)
    assert named.of(phase, coast, coast.vantage) != named.of(phase, capital, capital.vantage)
    for region in ("coast", "capital"):
        told = sl.explain(shutdown, at="both", vantage=f"southcell/{region}", target="web")
        assert {hop.order.policy for hop in told.hops if hop.order} == {region}


def test_a_country_several_times_as_large_has_as_many_kinds_of_cells() -> None:
    made = made_up()
    del made["policies"]["gone"]  # routes are found for each by itself
    timeline = [phase for phase in made["timeline"] if phase["phase"] not in {"gone", "often"}]
    shutdown = load(made | {"observations": {}, "timeline": timeline})
    kinds, cells = [], []
    for operators in (20, 100):
        country = shutdown.topology.model_dump(by_alias=True)
        country["operators"] |= {
            f"operator-{n}": {
                "title": "", "asn": 4_200_000_000 + n, "subscribers": 1.0,
                "prefixes": [f"10.{n}.0.0/16", f"2001:db8:{0x1000 + n:x}::/48"],
                "transit": ["transit-one"], "regions": {"coast": {"ordinary": {"access": "mobile"}}},
            }
            for n in range(operators)
        }  # fmt: skip
        topology = type(shutdown.topology).model_validate(country)
        profile = shutdown.profiles["northnet"]
        large = replace(
            shutdown, topology=topology, network=lay_out(topology, shutdown.apps),
            profiles=dict.fromkeys(topology.operators, profile),
        )  # fmt: skip
        found = sl.verify(large)
        assert str(found.table)
        assert "results" not in vars(found)
        kinds.append(len(found.verifier.verdicts))
        cells.append(found.cells)
    assert kinds[0] == kinds[1]
    assert cells[1] > 3 * cells[0]


def test_policies_that_operators_go_on_with_come_in_the_order_in_which_they_are_said_to() -> None:
    """Else what `explain` prints would differ from one process to the next, with the hashes of names."""
    shutdown = load("egypt-2011")
    phase = next(phase for phase in shutdown.scenario.timeline if phase.obey)
    kept = dict.fromkeys(name for how in phase.obey.values() for name in how.keeps)
    assert len(kept) > 1
    anywhere = Classes(shutdown, {}).anywhere(phase)
    assert [name for name in anywhere if name in kept] == list(kept)


def test_a_box_policy_that_spares_somebody_is_the_same_to_all_others() -> None:
    """What `explain` counts cells with: who is spared is followed anew, who is not is not, and both come out right."""
    made = made_up()
    when = {"name_suffix": ["bbc.com", "whatsapp.net"]}
    rule = {"name": "names", "when": when, "verdict": "drop"}
    made["policies"]["named"] = {"title": "", "source": "made up", "inspect": [rule]}
    del made["probes"]["hole"]  # of a phase that goes
    made["timeline"] = [made["timeline"][0] | {"start": ["named"], "expect": []}]
    shutdown = load(made)
    phase, together = shutdown.scenario.timeline[0], Verifier(shutdown, {})
    policy = shutdown.scenario.policies["named"]
    spared = policy.model_copy(update={"except_": policy.except_.model_copy(update={"operators": ("southcell",)})})
    imagined = together.classes.imagine(phase, {"named~0": spared}, {"named~0": "named"})
    outcomes: dict[tuple[str, str], set[Outcome]] = {}
    for cell in cells_of(shutdown, phase):
        vantage = cell.vantage
        if vantage is None or cell.target not in {"web", "whatsapp"}:
            continue
        of = together.classes.of
        assert (of(phase, cell, vantage) == of(imagined, cell, vantage)) is (cell.operator == "northnet")
        assert together.verdict(imagined, cell) == together.measure(imagined, cell, vantage)
        outcomes.setdefault((cell.target, cell.operator), set()).add(together.verdict(imagined, cell).outcome)
    assert outcomes["web", "northnet"] == {Outcome.BLOCKED}
    assert outcomes["web", "southcell"] == {Outcome.OK}
