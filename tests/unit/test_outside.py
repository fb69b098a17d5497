"""What outsiders' signals show of a shutdown, as the model has it: by how it is done, each shows something else."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import yaml

from shutdownlab.library import load
from shutdownlab.results.reading import Reading
from shutdownlab.verifier.outside import Outside, blocks_of
from shutdownlab.verifier.outside_packets import TRIES


@cache
def outside(scenario: str) -> Outside:
    loaded = load(scenario)
    return Outside(loaded, loaded.scenario.default_choices())


def read(scenario: str, phase: str, signal: str, of: str = "", family: str = "both") -> float | None:
    """The value of the one reading that fits; None: there is none."""
    seen = outside(scenario)
    found = [
        reading
        for reading in seen.of(seen.shutdown.scenario.phase(phase), [signal])
        if reading.of == of and reading.family == family
    ]
    return found[0].value if found else None


@pytest.mark.parametrize("scenario", ["kazakhstan-2022", "egypt-2011", "syria-exams-2019"])
def test_on_an_ordinary_day_every_signal_shows_all_there_is(scenario: str) -> None:
    seen = outside(scenario)
    readings = seen.of(seen.shutdown.scenario.timeline[0])
    assert {reading.value for reading in readings} == {1.0}
    assert {"bgp", "active-probing", "telescope", "cdn", "http3", "mobile", "dns-queries", "atlas-home"} <= {
        reading.signal for reading in readings
    }
    assert {reading.scope for reading in readings} == {"country", "operator", "region"}
    assert all(reading.basis == "modelled" and reading.unit == "share" for reading in readings)


def test_a_blackout_by_dropping_leaves_bgp_as_it_is_and_empties_all_else() -> None:
    assert read("kazakhstan-2022", "blackout", "bgp", family="ipv4") == 1
    probing = read("kazakhstan-2022", "blackout", "active-probing", family="ipv4")
    assert probing is not None and 0 < probing < 0.02, "the government's blocks still answer"
    for signal in ("cdn", "atlas-home", "atlas-datacentre"):
        assert read("kazakhstan-2022", "blackout", signal) == 0
    assert read("kazakhstan-2022", "blackout", "telescope", family="ipv4") == 0


def test_a_share_of_what_comes_through_has_no_value_where_nothing_does() -> None:
    assert read("kazakhstan-2022", "blackout", "http3") is None
    assert read("kazakhstan-2022", "blackout", "mobile") is None


def test_data_centres_come_back_before_people_at_home() -> None:
    assert read("kazakhstan-2022", "datacentres-back", "atlas-datacentre") == 1
    assert read("kazakhstan-2022", "datacentres-back", "atlas-home") == 0


def test_throttled_mobile_lines_carry_less_and_are_a_smaller_part_of_it() -> None:
    volume, mobile = (read("kazakhstan-2022", "mobile-throttled", signal) for signal in ("cdn", "mobile"))
    assert volume is not None and 0.2 < volume < 0.6
    assert mobile is not None and mobile < 0.9
    assert read("kazakhstan-2022", "mobile-throttled", "cdn", of="kazakhtelecom") == 1


def test_withdrawn_routes_are_gone_by_operator_as_many_of_its_blocks_as_it_withdraws() -> None:
    kept = 2**20 / (2**20 + 2**21 + 2**21 + 2**20)  # 154.176.0.0/12 of what Telecom Egypt announces
    assert read("egypt-2011", "telecom-egypt", "bgp", "telecom-egypt", "ipv4") == pytest.approx(kept)
    assert read("egypt-2011", "telecom-egypt", "bgp", "noor", "ipv4") == 1
    assert read("egypt-2011", "link", "bgp", "vodafone", "ipv4") == 0


def test_names_are_asked_for_more_often_where_answers_are_lost_on_their_way_back() -> None:
    assert read("syria-exams-2019", "exam-1", "dns-queries") == TRIES
    assert read("syria-exams-2019", "exam-1", "active-probing", family="ipv4") == 0


def test_address_families_are_read_apart() -> None:
    assert read("iran-january-2026", "ipv6", "bgp", family="ipv6") == 0
    assert read("iran-january-2026", "ipv6", "bgp", family="ipv4") == 1
    assert read("iran-january-2026", "quic", "http3") == 0
    assert read("iran-january-2026", "quic", "cdn") == 1


def test_one_region_that_is_off_shows_in_its_own_readings_and_hardly_in_the_countrys() -> None:
    assert read("karakalpakstan-2022", "all-off", "active-probing", "karakalpakstan", "ipv4") == 0
    country = read("karakalpakstan-2022", "all-off", "active-probing", family="ipv4")
    assert country is not None and 0.9 < country < 1


def test_apps_that_are_blocked_by_name_are_not_what_a_cdn_carries() -> None:
    assert read("cuba-2021", "apps", "cdn") == 1


def test_policies_can_be_looked_at_alone() -> None:
    seen = outside("egypt-2011")
    only = {"vodafone": seen.shutdown.scenario.policies["vodafone"]}
    found: dict[str, Reading] = {r.of: r for r in seen.alone(only, ["bgp"]) if r.family == "ipv4"}
    assert found["vodafone"].value == 0 and found["telecom-egypt"].value == 1


def test_a_group_stands_for_its_part_of_its_operators_blocks() -> None:
    network = outside("kazakhstan-2022").shutdown.network
    blocks = {str(vantage): size for vantage, size in blocks_of(network).items()}
    assert sum(size for name, size in blocks.items() if name.startswith("kcell/")) == pytest.approx(256)
    assert blocks["kazakhtelecom/almaty/government"] == 1


def ordered(**policy: object) -> dict[str, float]:
    """What the country's signals show while one order is in force in the country of `first-shutdown`."""
    made = {
        "extends": "first-shutdown",
        "name": "ordered",
        "policies": {"order": {"title": "an order", "source": "EXAMPLE", **policy}},
    }
    loaded = load(made)
    seen = Outside(loaded, loaded.scenario.default_choices())
    readings = seen.alone({"order": loaded.scenario.policies["order"]})
    return {r.signal: r.value for r in readings if r.scope == "country" and r.family != "ipv6"}


def test_null_routes_leave_bgp_as_it_is_and_no_block_answers() -> None:
    found = ordered(null_route={})
    assert (found["bgp"], found["active-probing"], found["telescope"]) == (1, 0, 1)
    assert found["dns-queries"] > 1, "questions leave, answers are discarded"


def test_a_region_without_power_is_missing_in_all_that_its_lines_send_and_in_no_route() -> None:
    found = ordered(power_off={"regions": ["coast"]})
    assert found["bgp"] == 1
    assert {signal for signal, value in found.items() if 0 < value < 1} >= {"active-probing", "telescope", "cdn"}


@pytest.mark.parametrize("scenario", ["first-shutdown", "syria-exams-2019", "karakalpakstan-2022"])
def test_groups_that_fare_alike_are_looked_at_once_and_come_out_as_each_by_itself(
    scenario: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = outside(scenario)
    phases = seen.shutdown.scenario.timeline
    together = [seen.of(phase) for phase in phases]
    loaded = load(scenario)
    alone = Outside(loaded, loaded.scenario.default_choices())
    monkeypatch.setattr(alone, "_class_of", lambda phase, vantage: (phase.phase, vantage.id))
    assert [alone.of(phase) for phase in phases] == together


def test_names_are_answered_for_as_ever_where_boxes_act_on_connections_from_inside_alone() -> None:
    for phase in ("baseline", "state-sites-back", "exact"):
        assert read("russia-twitter-2021", phase, "hyperquack", family="ipv4") == 1
    assert read("russia-twitter-2021", "substring", "hyperquack", family="ipv4") == 0, "state sites are down"


def test_names_are_not_answered_for_where_a_box_on_the_way_to_the_server_acts_on_any_connection() -> None:
    assert read("iran-2022", "sanandaj", "hyperquack", family="ipv4") == 1
    two_of_three = pytest.approx(1 / 3, abs=1e-6)
    assert read("iran-2022", "apps", "hyperquack", family="ipv4") == two_of_three
    assert read("iran-2022", "apps", "hyperquack", "itc", "ipv4") == two_of_three
    assert read("iran-2022", "apps", "hyperquack", "tci", "ipv4") is None, "it has no server"


@pytest.mark.parametrize(
    ("scenario", "names"),
    [
        ("iran-2022", ("e1.whatsapp.net", "www.instagram.com", "play.google.com")),
        ("russia-twitter-2021", ("abs.twimg.com", "t.co", "www.reddit.com")),
    ],
)
def test_names_are_those_that_policies_block_and_else_those_that_probes_ask_for(
    scenario: str, names: tuple[str, ...]
) -> None:
    assert Outside.names_asked(load(scenario), outside(scenario).sites) == names


@pytest.mark.parametrize("hours", [{}, {"hours": "20:00-06:00"}])
def test_phases_of_the_same_orders_show_the_same_unless_a_rule_goes_by_the_time_of_day(hours: dict[str, str]) -> None:
    rule = {"name": "web", "when": {"protocol": "tls"} | hours, "verdict": "drop"}
    given = yaml.safe_load((Path(__file__).parents[2] / "scenarios/first-shutdown.yaml").read_text())
    kept = {key: given[key] for key in ("format", "name", "title", "topology", "sources")}
    kept["probes"] = {"youtube": given["probes"]["youtube-http3"]}
    timeline = [
        {"phase": "before", "at": "2030-05-01T08:00Z", "title": "Nothing"},
        {"phase": "day", "at": "2030-05-01T12:00Z", "title": "By day", "start": ["no-web"]},
        {"phase": "night", "at": "2030-05-01T22:00Z", "title": "By night"},
    ]
    ordered = {"no-web": {"title": "No web", "source": "EXAMPLE", "inspect": [rule]}}
    ends = "2030-05-02T08:00Z"
    shutdown = load({**kept, "policies": ordered, "timeline": timeline, "ends": ends})
    together, _, day, night = Outside(shutdown, {}), *shutdown.scenario.timeline
    found = {phase.phase: together.of(phase) for phase in (day, night)}
    for phase in (day, night):
        assert found[phase.phase] == Outside(shutdown, {}).of(phase)
    by_day, by_night = ([replace(each, phase="") for each in found[phase]] for phase in ("day", "night"))
    assert (by_day == by_night) is (not hours)
