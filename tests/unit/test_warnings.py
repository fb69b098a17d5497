"""What `verify --warn` finds odd about policies, with the line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shutdownlab.cli import app
from shutdownlab.results.cells import cells_of
from shutdownlab.verifier.leaks import idle_expectations, is_named, one_way_results
from shutdownlab.verifier.verify import verify

FIRST = Path(__file__).parents[2] / "scenarios/first-shutdown.yaml"


def written(folder: Path, *replaced: tuple[str, str]) -> Path:
    """first-shutdown with some texts replaced, each once."""
    text = FIRST.read_text()
    for old, new in replaced:
        assert old in text
        text = text.replace(old, new, 1)
    file = folder / "mine.yaml"
    file.write_text(text)
    return file


def texts(file: Path) -> list[str]:
    return [warned.text for warned in verify(file).warnings]


def test_exceptions_without_effect_and_leaks_are_reported_with_their_lines() -> None:
    text = FIRST.read_text().split("\n")
    inbound, line = text.index("    direction: inbound") + 1, text.index("      apps: [kaspi, tengrinews]") + 1
    assert [str(warned) for warned in verify(FIRST).warnings] == [
        f"{FIRST}:{inbound}: `coast-one-way` blocks only one direction: packets to whatsapp, telegram, www.bbc.com, "
        "youtube-http3, kaspi.kz and 4 more arrive, but no answer comes back",
        f"{FIRST}:{line}: `allowlist` spares apps tengrinews without any measured effect",
    ]


def test_a_policy_that_changes_nothing_is_reported_and_so_is_its_phase(tmp_path: Path) -> None:
    mine = written(tmp_path, ("    throttle: 512kbit", "    throttle: 900mbit"), ("outcome: throttled", "outcome: ok"))
    assert texts(mine)[0] == "`mobile-throttled` changes nothing that is measured"


def test_the_policies_that_decide_before_an_idle_one_are_reported_with_their_lines(tmp_path: Path) -> None:
    shadow = (
        "  all-of-it:\n    title: All\n    block: {protocols: [tcp, udp]}\n    source: EXAMPLE\n  mobile-throttled:\n"
    )
    start = "    start: [whatsapp-reset, whatsapp-dropped]"
    mine = written(tmp_path, ("  mobile-throttled:\n", shadow), (start, f"{start[:-1]}, all-of-it]"))
    line = mine.read_text().split("\n").index("  all-of-it:") + 1
    told = f"changes nothing that is measured: `all-of-it` ({mine}:{line}) decides first"
    assert [each for each in texts(mine) if "changes nothing that" in each] == [
        f"`whatsapp-reset` {told}",
        f"`whatsapp-dropped` {told}",
        f"`mobile-throttled` {told}",
    ]


def test_what_falls_with_an_apps_addresses_is_collateral_damage(tmp_path: Path) -> None:
    by_address = (
        "    block: {apps: [whatsapp]}\n    by: dpi\n    action: reset",
        "    block: {apps: [facebook]}\n    by: address",
    )
    mine = written(
        tmp_path, by_address, ("  telegram: {test", "  messenger: {test: app, app: facebook}\n  telegram: {test")
    )
    found = [text for text in texts(mine) if text.startswith("`whatsapp-reset`")]
    assert found == ["`whatsapp-reset` also blocks what it does not name: whatsapp"]


def test_a_rule_behind_one_that_takes_all_is_reported(tmp_path: Path) -> None:
    rules = (
        "    inspect:\n"
        "      - {name: all-tls, when: {protocol: tls}, verdict: drop}\n"
        "      - {name: telegram, when: {name_suffix: telegram.org}, verdict: reset}"
    )
    mine = written(
        tmp_path,
        (
            "    block: {apps: [whatsapp]}\n    by: dpi\n    action: reset  # the app fails at once: connection_reset",
            rules,
        ),
    )
    line = next(n for n, text in enumerate(mine.read_text().split("\n"), start=1) if "name: all-tls" in text)
    told = "the rule telegram of `whatsapp-reset` is the first to match for no measured connection"
    assert [text for text in texts(mine) if "rule" in text] == [f"{told}: all-tls ({mine}:{line}) matches first"]


def test_warnings_are_printed_only_where_they_are_asked_for() -> None:
    runner = CliRunner()
    asked = ["verify", "first-shutdown", "--at", "allowlist"]
    assert "warning:" not in runner.invoke(app, asked).output
    assert "`allowlist` spares apps tengrinews" in runner.invoke(app, [*asked, "--warn"]).output
    told = json.loads(runner.invoke(app, [*asked, "--warn", "--format", "json"]).output)
    assert [warned["text"] for warned in told["warnings"]] == [
        "`allowlist` spares apps tengrinews without any measured effect"
    ]


def test_an_exception_that_lets_through_what_it_does_not_name_is_reported(tmp_path: Path) -> None:
    """A site is spared by its address, whatever else is there: pings."""
    spared = "    except: {sites: [dns.google], ports: [udp/53]}"
    mine = written(tmp_path, ("    except: {subscribers: [government], ports: [tcp/179]}", spared))
    line = mine.read_text().split("\n").index(spared) + 1
    found = [str(warned) for warned in verify(mine).warnings if "that it does not name" in warned.text]
    assert found == [
        f"{mine}:{line}: `blackout` spares sites dns.google, and with them others that it does not name: ping"
    ]


def test_a_spared_site_that_nobody_can_resolve_is_reported(tmp_path: Path) -> None:
    lies = (
        "  blackout:\n    title: Everything off but the government and one forgotten port",
        "  lies:\n    title: No names\n    block: {sites: [kaspi.kz]}\n    by: dns\n    source: EXAMPLE\n"
        "  blackout:\n    title: Everything off but the government and one forgotten port",
    )
    text = FIRST.read_text()
    start = next(line for line in text.split("\n") if "start: [allowlist" in line)
    mine = written(tmp_path, lies, (start, start.replace("[allowlist", "[lies, allowlist")))
    found = [warned.text for warned in verify(mine).warnings if "name resolution" in warned.text]
    assert found == ["`allowlist` spares kaspi.kz, but their name resolution is blocked"]


def test_a_block_that_forgets_an_address_family_is_reported(tmp_path: Path) -> None:
    old = "    block: {apps: [whatsapp]}\n    by: dpi\n    action: reset"
    mine = written(tmp_path, (old, '    block: {addresses: ["0.0.0.0/0"]}\n    by: address'))
    found = [warned.text for warned in verify(mine).warnings if "only over ipv4" in warned.text]
    assert found == ["`whatsapp-reset` blocks www.bbc.com only over ipv4: over ipv6 it gets through"]


def test_an_expectation_that_later_ones_cover_is_reported_with_its_line(tmp_path: Path) -> None:
    text = FIRST.read_text().split("\n")
    index = next(i for i, each in enumerate(text) if "expect:" in each)
    mine = tmp_path / "mine.yaml"
    dead = "{probes: [whatsapp], outcome: blocked, source: EXAMPLE}"
    mine.write_text("\n".join(text).replace(text[index], text[index].replace("expect: [", f"expect: [{dead}, "), 1))
    assert dead in mine.read_text()
    found = [str(warned) for warned in verify(mine).warnings if "expectation" in warned.text]
    expected = "this expectation applies to no measurement: later expectations replace it, or nothing matches it"
    assert found == [f"{mine}:{index + 1}: {expected}"]


def test_no_warning_is_about_an_expectation_that_the_program_made() -> None:
    """Phases of operators that obey one after another take over what was expected before."""
    found = verify("egypt-2011")
    assert list(idle_expectations(found.verifier, found.timeline)) == []


def test_an_expectation_that_counts_in_one_of_the_phases_that_take_it_over_counts() -> None:
    found = verify("myanmar-2021")
    assert list(idle_expectations(found.verifier, found.timeline)) == []


def test_a_probe_that_asks_a_resolver_is_about_the_resolver_too() -> None:
    found = verify("belarus-august-2020")
    policy = found.shutdown.scenario.policies["public-dns"]
    assert is_named(found.verifier, policy.targets, "public-dns")
    assert not is_named(found.verifier, policy.targets, "www.facebook.com")


def test_resets_of_a_box_beside_the_way_are_not_one_way_alone() -> None:
    """The server's answer comes too: the box was before it."""
    found = verify("belarus-august-2020", at="social-networks")
    (phase,) = found.timeline
    felt = [(phase, cell) for cell in cells_of(found.shutdown, phase) if cell.target == "www.facebook.com"]
    assert {found.verifier.verdict(*each).failure for each in felt} >= {"connection_refused"}
    policy = found.shutdown.scenario.policies["social-networks"]
    assert list(one_way_results(found.verifier, "social-networks", policy, felt)) == []


def test_only_those_are_named_that_decide_before_a_policy_together(tmp_path: Path) -> None:
    beside = "  {name}:\n    title: Some\n    block: {what}\n    where: {where}\n    source: EXAMPLE\n"
    made = [
        beside.format(name="north", what="everything", where="{operators: [northnet]}"),
        beside.format(name="south", what="everything", where="{operators: [southcell]}"),
        beside.format(name="messages", what="{sms: true}", where="{operators: [southcell]}"),
        beside.format(name="mobile", what="everything", where="{access: [mobile, fixed], regions: [coast, capital]}"),
    ]
    text = FIRST.read_text()
    start = next(line for line in text.split("\n") if "start: [allowlist" in line)
    after = start.replace("[allowlist", "[north, south, messages, mobile, allowlist")
    mine = written(tmp_path, ("policies:\n", "policies:\n" + "".join(made)), (start, after))
    lines = mine.read_text().split("\n")
    north, south = (f"`{name}` ({mine}:{lines.index(f'  {name}:') + 1})" for name in ("north", "south"))
    assert f"`mobile` changes nothing that is measured: {north}, {south} decide first" in texts(mine)


def test_a_spared_site_that_another_blackout_takes_away_is_not_reported_as_unresolved(tmp_path: Path) -> None:
    """Where all is dark, the names are too; the allowlist has nothing to do with it."""
    dark = "  dark:\n    title: Dark\n    block: everything\n    where: {regions: [capital]}\n    source: EXAMPLE\n"
    start = next(line for line in FIRST.read_text().split("\n") if "start: [allowlist" in line)
    mine = written(
        tmp_path, ("policies:\n", f"policies:\n{dark}"), (start, start.replace("[allowlist", "[allowlist, dark"))
    )
    assert not any("name resolution" in text for text in texts(mine))


def test_what_new_scenario_writes_is_warned_of_by_nothing(tmp_path: Path) -> None:
    """Its nights take over what was expected before them, which counts in other phases."""
    assert CliRunner().invoke(app, ["new", "scenario", "mine", "--out", str(tmp_path / "mine.yaml")]).exit_code == 0
    assert verify(tmp_path / "mine.yaml").warnings == []


@pytest.mark.parametrize(
    ("addresses", "told"),
    [
        (
            "8.8.8.8, 8.8.0.0/16",
            "addresses 8.8.8.8/32 and addresses 8.8.0.0/16: either can be left out without any measured effect, but "
            "not both",
        ),
        (
            "8.8.8.8, 8.8.8.0/24, 8.8.0.0/16",
            "addresses 8.8.8.8/32 and addresses 8.8.8.0/24 and addresses 8.8.0.0/16: any one can be left out without "
            "any measured effect, but not all",
        ),
    ],
)
def test_exceptions_that_spare_the_same_are_told_together_as_neither_is_superfluous_beside_another(
    tmp_path: Path, addresses: str, told: str
) -> None:
    spared = f"    except: {{subscribers: [government], ports: [tcp/179, tcp/5], addresses: [{addresses}]}}"
    mine = written(tmp_path, ("    except: {subscribers: [government], ports: [tcp/179]}", spared))
    line = mine.read_text().split("\n").index(spared) + 1
    found = [str(warned) for warned in verify(mine, at="blackout").warnings if "measured effect" in warned.text]
    assert found == [
        f"{mine}:{line}: `blackout` spares {told}",
        f"{mine}:{line}: `blackout` spares ports tcp/5 without any measured effect",
    ]
