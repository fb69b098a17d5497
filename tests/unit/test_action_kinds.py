"""Actions as classes: what each declares and heeds, and that a package of a user's may bring one."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from wire import Connection, client_hello, engine, rule

from shutdownlab.config.document import BadInput
from shutdownlab.inspection.actions.registry import GROUP, installed_actions
from shutdownlab.inspection.policy import Verdict, load_policy
from shutdownlab.inspection.verdict import Action

GIVEN = {"throttle": {"rate": "1mbit"}, "freeze": {"cap_bytes": 1000}, "redirect": {"location": "http://a.example/"}}


def test_each_action_is_registered_under_its_own_name() -> None:
    registered = {entry.name: entry.load() for entry in entry_points(group=GROUP)}
    assert {name: kind.name for name, kind in registered.items()} == {name: name for name in registered}
    assert set(registered) == {str(action) for action in Action} - {"block"}


def test_every_field_that_an_action_heeds_is_one_that_a_verdict_has() -> None:
    for name, kind in installed_actions().items():
        assert kind.fields <= set(Verdict.model_fields) - {"action", "residual"}, name


@pytest.mark.parametrize(
    ("action", "given", "told"),
    [
        (
            "drop",
            "rate_up: 1mbit",
            "found `rate_up`; expected only what the action drop heeds: after_packets, directions",
        ),
        ("throttle", "rate: 1mbit, to: client", "found `to`; expected only what the action throttle heeds: burst"),
        ("pass", "ttl: 3", "found `ttl`; expected only what the action pass heeds: residual"),
        ("block", "flags: R", "found `flags`; expected only what the action block heeds: nothing"),
        ("redirect", "status: 302", "expected a location for the action redirect"),
    ],
)
def test_what_an_action_would_not_heed_is_refused(action: str, given: str, told: str) -> None:
    with pytest.raises(BadInput) as raised:
        load_policy(f"rules: [{{name: a, verdict: {{action: {action}, {given}}}}}]", "policy.yaml")
    assert told in str(raised.value)


def test_a_switch_takes_over_what_a_rule_can_carry_out_and_nothing_else() -> None:
    rules = {name: kind.flow_rule for name, kind in installed_actions().items()}
    assert {name for name, rule in rules.items() if rule} == {"pass", "drop", "reset", "throttle"}
    for name in installed_actions().keys() - {"pass"}:
        connection = Connection(
            engine("perfect", rule({"action": name, **GIVEN.get(name, {})}, name_suffix="blocked.example"))
        )
        connection.open()
        decision = connection.data(client_hello()).decision
        assert decision is not None
        assert decision.flow_rule == rules[name], name


def test_an_on_path_box_can_do_what_injects_and_nothing_that_stops() -> None:
    def beyond(name: str, **given: object) -> bool:
        verdict = Verdict.model_validate({"action": name, **GIVEN.get(name, {}), **given})
        return bool(installed_actions()[name].beyond_on_path(verdict))

    assert {name for name in installed_actions() if beyond(name)} == {"drop", "throttle", "freeze", "intercept"}
    assert beyond("reset", rewrite=True)


THIN = """
from shutdownlab.config.wording import Expected
from shutdownlab.inspection.actions.action import GO_ON, STOP, DpiAction

class Thin(DpiAction):
    '''Loses one packet in so many of a connection.'''

    name = "thin"
    fields = frozenset({"options"})
    in_path_only = True

    @classmethod
    def check(cls, verdict):
        if set(verdict.options) != {"one_in"}:
            raise Expected("options: {one_in: 3}", found=str(verdict.options), key="options")

    def later(self, flow, verdict, packet, from_opener, side, now):
        flow.counted += 1
        return STOP if flow.counted % verdict.options["one_in"] == 0 else GO_ON
"""
USE = """
from wire import Connection, client_hello, engine, rule
verdict = {"action": "thin", "options": {"one_in": 3}}
connection = Connection(engine("perfect", rule(verdict, name_suffix="blocked.example")))
connection.open()
decision = connection.data(client_hello()).decision
print(decision.action, decision.flow_rule, *[connection.data(b"x").forward for _ in range(6)])
"""
MISUSE = """
from shutdownlab.inspection.policy import load_policy
load_policy("rules: [{name: a, verdict: {action: thin}}]", "mine.yaml")
"""


def run(where: Path, program: str) -> subprocess.CompletedProcess[str]:
    paths = f"{where}:{Path(__file__).parent}"
    return subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": paths, "PATH": ""},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_action_of_an_installed_package_is_carried_out_and_its_options_are_checked(tmp_path: Path) -> None:
    (tmp_path / "thinning.py").write_text(THIN)
    info = tmp_path / "thinning-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: thinning\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nthin = thinning:Thin\n")
    assert run(tmp_path, USE).stdout == "thin None True True False True True False\n"
    assert (
        "mine.yaml:1: rules[0].verdict.options: found {}; expected options: {one_in: 3}" in run(tmp_path, MISUSE).stderr
    )
    assert "expected one of block-page, dns, drop" in run(tmp_path / "elsewhere", MISUSE).stderr
