"""Actions as classes: what each declares and heeds, and that a package of a user's may bring one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from wire import Connection, client_hello, engine, rule

from shutdownlab.config.problems import BadInput
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
            "found `rate_up`; expected only keys that the action drop uses: after_packets, directions",
        ),
        ("throttle", "rate: 1mbit, to: client", "found `to`; expected only keys that the action throttle uses: burst"),
        ("pass", "ttl: 3", "found `ttl`; expected only keys that the action pass uses: residual"),
        ("block", "flags: R", "found `flags`; expected only keys that the action block uses: residual"),
        ("redirect", "status: 302", "expected a location for the action redirect"),
        ("redirect", "location: /x, status: 200", "found `status` 200; expected 300 to 399"),
        ("reset", "seq_steps: [0, 1460]", "found 2 `seq_steps`; expected at most 1"),
        ("block-page", "count: 2, seq_steps: [0, 1, 2]", "found 3 `seq_steps`; expected at most 2"),
        (
            "reset",
            "rewrite: true, ttl: 3",
            "found `ttl`; expected only keys that the action reset uses: after_packets, flags",
        ),
        (
            "reset",
            "after_packets: 3",
            "found `after_packets` for the action reset; expected `residual` together with `after_packets`",
        ),
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


USE = """
from wire import Connection, client_hello, engine, rule
verdict = {"action": "thin", "options": {"one_in": 3}}
connection = Connection(engine("perfect", rule(verdict, name_suffix="blocked.example")))
connection.open()
decision = connection.data(client_hello()).decision
print(decision.action, decision.flow_rule, *[connection.data(b"x").forward for _ in range(5)])
"""
MISUSE = """
from shutdownlab.inspection.policy import load_policy
load_policy("rules: [{name: a, verdict: {action: thin}}]", "mine.yaml")
"""


GOPHER = """
from shutdownlab.inspection.policy import load_policy
from shutdownlab.inspection.profile import shipped_profile
from shutdownlab.inspection.engine import Engine
from wire import Connection
rules = "rules: [{name: a, when: {protocol: gopher}, verdict: drop}]"
connection = Connection(Engine(load_policy(rules, "mine.yaml"), shipped_profile("perfect")), dport=70)
connection.open()
print(connection.data(b"/about").forward, connection.data(b"\\r\\n").forward)
"""


def run(where: Path, program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": f"{where}:{Path(__file__).parent}", "PATH": ""},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package, installed by pip into a directory of its own."""
    where = tmp_path_factory.mktemp("installed")
    source = where / "source"
    shutil.copytree(Path(__file__).parents[2] / "examples" / "plugin", source)
    offline = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, "--target", where, source], check=True)
    shutil.rmtree(source)
    return where


def test_an_action_of_an_installed_package_is_carried_out_and_its_options_are_checked(installed: Path) -> None:
    assert run(installed, USE).stdout == "thin None True False True True False\n"
    assert (
        "mine.yaml:1: rules[0].verdict.options: found {}; expected options: {one_in: 5}"
        in run(installed, MISUSE).stderr
    )
    assert "expected one of block-page, dns, drop" in run(installed / "elsewhere", MISUSE).stderr


def test_a_recogniser_of_an_installed_package_is_asked_about_connections_that_rules_name(installed: Path) -> None:
    assert run(installed, GOPHER).stdout == "True False\n"


MINE = """
from shutdownlab.inspection.actions.action import DpiAction
class Mine(DpiAction):
    name = "mine"
    def first(self, flow, verdict, packet, from_opener, side, now):
        return RETURNED
"""
CRASHES = """
from wire import Connection, client_hello, engine, rule
from shutdownlab.cli.crash import report_crash
connection = Connection(engine("perfect", rule({"action": "mine"}, name_suffix="blocked.example")))
connection.open()
try:
    print(connection.data(client_hello()).forward)
except Exception as error:
    report_crash(error)
"""


@pytest.mark.parametrize(
    ("returned", "printed", "told"),
    [
        ("None", "", "returned None; expected a tuple: whether to forward the packet, a replacement frame (bytes) or"),
        ("(1, None, ())", "", "returned (1, None, ())"),
        ("(True, None, [])", "", "returned (True, None, [])"),
        ("(True, None, (b'frame',))", "", "returned (True, None, (b'frame',))"),
        ("(True, None, ())", "True\n", ""),
    ],
)
def test_an_action_s_wrong_result_is_told_as_its_package_s_bug(
    returned: str, printed: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(MINE.replace("RETURNED", returned))
    package = tmp_path / "dpi_mine-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: dpi-mine\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[shutdownlab.actions]\nmine = mine:Mine\n")
    done = run(tmp_path, CRASHES)
    assert done.stdout == printed
    if told:
        said = done.stderr.splitlines()[0]
        assert said.startswith("the package dpi-mine has a bug: `first` of the action mine ")
        assert told in said
        assert said.endswith(f" ({tmp_path}/mine.py, line 5)")
