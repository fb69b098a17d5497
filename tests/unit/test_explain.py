"""`shutdownlab explain`: the way of a cell's packets, who decided there by which line, what would let it through."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import shutdownlab as sl
from shutdownlab.cli import app
from shutdownlab.model.scenario import Outcome
from shutdownlab.verifier import mending
from shutdownlab.verifier.explain import explain
from shutdownlab.verifier.explained import as_mermaid, explanation_lines
from shutdownlab.verifier.verify import verify

SCENARIO = Path(__file__).parents[2] / "scenarios/first-shutdown.yaml"
SCREEN = 24


def line_of(text: str) -> int:
    """Where a text stands in the scenario's file."""
    return SCENARIO.read_text().split("\n").index(text) + 1


def test_a_blackout_is_explained_by_the_switch_the_rule_and_the_line_of_the_policy() -> None:
    found = explain(SCENARIO, at="blackout", vantage="southcell/coast", target="ping")
    assert (found.verdict.outcome, found.verdict.failure) == (Outcome.BLOCKED, "generic_timeout_error")
    stop = next(hop for hop in found.hops if hop.stops)
    assert (stop.node, stop.did) == ("southcell-coast-sw", "drops it")
    assert stop.rule == "table 2 blackout, priority 100: everything of its group"
    assert stop.order is not None
    assert (stop.order.policy, stop.order.since) == ("blackout", "blackout")
    assert stop.order.place == f"{SCENARIO}:{line_of('  blackout:')}"
    assert stop.order.ordered == f"{SCENARIO}:{line_of('    start: [blackout]')}"
    assert found.server == "received nothing"


def test_a_dpi_box_is_explained_by_what_it_saw() -> None:
    found = explain("first-shutdown", at="messenger", vantage="northnet/coast", target="whatsapp")
    stop = next(hop for hop in found.hops if hop.stops)
    assert (stop.node, stop.role, stop.did) == ("northnet-box", "DPI box, perfect", "resets it")
    assert found.saw == ("northnet-box at packet 4: tls, name v.whatsapp.net, app whatsapp: reset",)
    assert found.server == "answered until the box stepped in"


def test_what_a_devices_own_rule_slows_is_put_down_to_the_policy_that_has_the_device_inspect_it() -> None:
    """The rule `twitter-2021` is the device's: no policy has it, and the policy `fixed` switches the device on."""
    found = explain(
        "russia-twitter-2021", at="substring", vantage="rostelecom/moscow/behind-boxes", target="www.rt.com"
    )
    box = next(hop for hop in found.hops if hop.node == "rostelecom-box")
    assert (box.did, box.rule, box.stops) == ("slows it", "rule twitter-2021", False)
    assert box.order is not None
    assert (box.order.policy, box.order.since) == ("fixed", "substring")
    assert found.mends
    assert all(mend.policies == ("fixed",) for mend in found.mends)


def test_answers_that_do_not_come_back_are_shown_on_their_way_back() -> None:
    found = explain("first-shutdown", at="one-way", vantage="southcell/coast", target="ping")
    assert found.back
    assert found.hops[0].node == "transit-one-servers"
    assert found.server == "answered, and the answer did not arrive"


@pytest.mark.parametrize(
    ("at", "vantage", "target"),
    [
        ("blackout", "southcell/coast", "dns"),
        ("blackout", "northnet/capital/government", "kaspi.kz"),  # the site's own group is cut
        ("messenger", "southcell/coast", "whatsapp"),
        ("mobile-throttled", "southcell/capital", "speed"),
        ("blackout", "southcell/capital", "youtube"),  # which the scenario does not measure
    ],
)
def test_every_change_that_is_reported_lets_the_cell_through_and_changes_as_many_cells_as_it_says(
    at: str, vantage: str, target: str
) -> None:
    found = explain("first-shutdown", at=at, vantage=vantage, target=target)
    assert found.mends
    assert [mend.cells for mend in found.mends] == sorted(mend.cells for mend in found.mends)
    shutdown = sl.load("first-shutdown")
    before = verify(shutdown, at=at).results
    for mend in found.mends:
        kind, _, values = mend.change.removeprefix("except: {").removesuffix("]}").partition(": [")
        policies = dict(shutdown.scenario.policies)
        for name in mend.policies:
            record = policies[name].model_dump(by_alias=True, exclude_unset=True)
            spared = record.setdefault("except", {})
            spared[kind] = [*spared.get(kind, ()), values]
            policies[name] = type(policies[name]).model_validate(record)
        changed = replace(shutdown, scenario=shutdown.scenario.model_copy(update={"policies": policies}))
        after = verify(changed, at=at).results
        assert sum(a.outcome is not b.outcome for a, b in zip(before, after, strict=True)) == mend.cells
        now = explain(changed, at=at, vantage=vantage, target=target)
        assert now.verdict.outcome is Outcome.OK


def test_the_changes_that_are_told_are_those_of_all_that_change_the_fewest_cells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = {"at": "blackout", "vantage": "southcell/coast", "target": "dns"}
    told = explain("first-shutdown", **asked).mends
    monkeypatch.setattr(mending, "_MOST_TOLD", 100)
    every = explain("first-shutdown", **asked).mends
    assert len(every) > len(told) == 3
    assert told == every[:3]


def test_a_mend_names_both_policies_where_two_block() -> None:
    found = explain("kazakhstan-2022", at="blackout", vantage="kcell/almaty", target="signal")
    assert any(set(mend.policies) == {"blackout", "signal-nationwide"} for mend in found.mends)


def test_the_account_under_which_a_policy_is_in_force_is_named() -> None:
    found = explain("kazakhstan-2022", at="blackout", vantage="kcell/almaty", target="call")
    orders = [hop.order for hop in found.hops if hop.order]
    assert [order.policy for order in orders] == ["voice-off-almaty"]
    assert orders[0].account.startswith("voice=cut-in-almaty: ")


def test_an_answer_is_one_screen_and_json_and_a_drawing_have_the_same_way() -> None:
    asked = ["explain", "kazakhstan-2022", "--at", "blackout", "--from", "kcell/almaty", "--to", "telegram"]
    runner = CliRunner()
    text = runner.invoke(app, asked).output
    assert text.startswith("telegram from kcell/almaty/ordinary in blackout, ipv4: blocked (generic_timeout_error)\n")
    assert len(text.splitlines()) <= SCREEN
    told = json.loads(runner.invoke(app, [*asked, "--format", "json"]).output)
    assert [hop["node"] for hop in told["hops"] if hop["stops"]] == ["kcell-almaty-sw"]
    drawn = runner.invoke(app, [*asked, "--format", "mermaid"]).output
    assert drawn.startswith("flowchart LR\n")
    assert drawn.count("-->") + drawn.count("-.->") == len(told["hops"]) - 1


def test_a_verified_directory_is_explained_beside_what_it_holds(tmp_path: Path) -> None:
    verify("first-shutdown").write(tmp_path / "run")
    found = explain(tmp_path / "run", at="messenger", vantage="southcell/coast", target="whatsapp")
    assert found.measured is not None
    assert (found.measured.outcome, found.measured.failure) == (Outcome.BLOCKED, "generic_timeout_error")


@pytest.mark.parametrize(
    ("target", "connection"),
    [
        ("signal", "DNS over UDP to 100.65.0.53:53"),
        ("tengrinews.kz", "DNS over UDP to 100.65.0.53:53"),
        ("8.8.8.8:443", "TCP to 8.8.8.8:443"),
        ("8.8.8.8", "ICMP to 8.8.8.8"),
        ("8.8.8.8:179", "TCP to 8.8.8.8:179"),
        ("speed", "DNS over UDP to 100.65.0.53:53"),
    ],
)
def test_what_the_scenario_does_not_measure_is_explained_and_nothing_is_expected_of_it(
    target: str, connection: str
) -> None:
    found = explain(SCENARIO, at="blackout", vantage="southcell/coast", target=target)
    assert (found.connection, found.expected) == (connection, None)
    assert [hop.order.policy for hop in found.hops if hop.order] == ["blackout"]
    assert any(hop.stops for hop in found.hops) == (target != "8.8.8.8:179"), "the forgotten port"


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--at", "blakout", "--from", "southcell/coast", "--to", "ping"], "--at: found unknown phase 'blakout'"),
        (["--at", "blackout", "--from", "southcell/cost", "--to", "ping"], "--from: found unknown vantage point"),
        (["--at", "blackout", "--from", "southcell/coast", "--to", "pong"], "--to: found unknown target 'pong'"),
        (
            ["--at", "blackout", "--from", "southcell/coast", "--to", "ping", "--family", "ipv6"],
            "--family: found unknown address family 'ipv6'",
        ),
    ],
)
def test_wrong_names_are_bad_input(arguments: list[str], found: str) -> None:
    done = CliRunner().invoke(app, ["explain", "first-shutdown", *arguments])
    assert done.exit_code == 2
    assert found in done.output


def test_withdrawn_routes_are_blamed_on_who_withdrew_them_and_on_nobody_else() -> None:
    told = sl.explain("egypt-2011", at="internet-egypt", vantage="vodafone/cairo", target="www.google.com")
    assert [order.policy for order in told.elsewhere] == ["vodafone"]  # of five that withdraw routes then
    assert (told.mends[0].change, told.mends[0].policies) == ("except: {operators: [vodafone]}", ("vodafone",))
    text = list(explanation_lines(told))
    assert "It cannot open any connection." in text
    assert text[-2].startswith("To let it through: except: {operators: [vodafone]} in vodafone (")
    assert '"vodafone/cairo/ordinary<br/>www.google.com: blocked<br/>for vodafone"' in as_mermaid(told)


def test_a_change_that_brings_routes_back_changes_so_many_cells(tmp_path: Path) -> None:
    told = sl.explain("egypt-2011", at="internet-egypt", vantage="mobinil/cairo", target="www.google.com")
    mend = told.mends[0]
    assert (mend.change, mend.policies) == ("except: {operators: [mobinil]}", ("link",))
    told_file = SCENARIO.with_name("egypt-2011.yaml").read_text()
    of_link = "    where: {operators: [link, mobinil]}"
    assert told_file.count(of_link) == 1
    mine = tmp_path / "mine.yaml"
    mine.write_text(told_file.replace(of_link, f"{of_link}\n    {mend.change}"))
    before, after = (verify(each).results for each in ("egypt-2011", mine))
    both = [(one, other) for one, other in zip(before, after, strict=True) if one.phase == "internet-egypt"]
    otherwise = [one for one, other in both if one.outcome is not other.outcome]
    assert len(otherwise) == mend.cells > 0
    assert {one.operator for one in otherwise} == {"mobinil"}


def test_a_way_that_stays_within_an_operator_is_said_to_pass_no_dpi_box() -> None:
    """It comes out ok although a policy in force blocks the very site: without this line nothing tells why."""
    blocked = {f"policies.{name}.block.apps": ["kaspi"] for name in ("whatsapp-reset", "whatsapp-dropped")}
    shutdown = sl.load("first-shutdown", set=blocked)
    own = sl.explain(shutdown, at="messenger", vantage="northnet/coast", target="kaspi.kz")
    assert own.verdict.outcome is Outcome.OK
    assert own.bypassed == ("whatsapp-reset",)
    assert any(line.startswith("DPI boxes carry out whatsapp-reset") for line in explanation_lines(own))
    other = sl.explain(shutdown, at="messenger", vantage="southcell/coast", target="kaspi.kz")
    assert (other.verdict.outcome, other.bypassed) == (Outcome.BLOCKED, ())
    assert sl.explain(shutdown, at="baseline", vantage="northnet/coast", target="kaspi.kz").bypassed == ()
