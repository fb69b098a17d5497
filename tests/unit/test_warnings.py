"""What `verify --warn` finds odd about policies, with the line."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from shutdownlab.cli import app
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


def test_what_is_spared_to_no_effect_is_told_with_its_line() -> None:
    line = FIRST.read_text().split("\n").index("      apps: [kaspi, tengrinews]") + 1
    assert [str(warned) for warned in verify(FIRST).warnings] == [
        f"{FIRST}:{line}: `allowlist` spares apps tengrinews to no effect that is measured"
    ]


def test_a_policy_that_changes_nothing_is_told_and_so_is_its_phase(tmp_path: Path) -> None:
    mine = written(tmp_path, ("    throttle: 512kbit", "    throttle: 900mbit"), ("outcome: throttled", "outcome: ok"))
    assert texts(mine)[0] == "`mobile-throttled` changes nothing that is measured"


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


def test_a_rule_behind_one_that_takes_all_is_told(tmp_path: Path) -> None:
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
    told = "the rule telegram of `whatsapp-reset` is the first to match of no connection that is measured"
    assert told in texts(mine)
    assert not any("all-tls" in text for text in texts(mine))


def test_warnings_are_printed_only_where_they_are_asked_for() -> None:
    runner = CliRunner()
    asked = ["verify", "first-shutdown", "--at", "allowlist"]
    assert "warning:" not in runner.invoke(app, asked).output
    assert "`allowlist` spares apps tengrinews" in runner.invoke(app, [*asked, "--warn"]).output
    told = json.loads(runner.invoke(app, [*asked, "--warn", "--format", "json"]).output)
    assert [warned["text"] for warned in told["warnings"]] == [
        "`allowlist` spares apps tengrinews to no effect that is measured"
    ]
