"""What was loaded can be written and loaded again: every shipped file, and random policies and rules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from countries import catalogue
from hypothesis import given, reject
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import BaseModel, TypeAdapter, ValidationError
from random_policies import dpi_policies, policies
from typer.testing import CliRunner

from shutdownlab import library
from shutdownlab.cli import app as command_line
from shutdownlab.config.addresses import Prefix
from shutdownlab.config.document import FROM_A_FILE, Record, parse
from shutdownlab.config.scalars import Hours, Instant, Kbit, Port, Seconds, UtcOffset
from shutdownlab.config.writing import dump, to_yaml
from shutdownlab.inspection.actions.registry import installed_actions
from shutdownlab.inspection.apps import Catalogue, load_apps
from shutdownlab.inspection.forge import DNS_CODES
from shutdownlab.inspection.policy import InspectionPolicy, load_policy
from shutdownlab.inspection.profile import load_profile, shipped_profile
from shutdownlab.inspection.recognition import installed_recognisers
from shutdownlab.inspection.verdict import Action
from shutdownlab.inspection.vocabulary import profile_names
from shutdownlab.model.policy import Policy

SCENARIOS = [name for name, _ in library.shipped("scenarios")]
TOPOLOGIES = [name for name, _ in library.shipped("topologies")]


def again(record: BaseModel) -> BaseModel:
    """The record written as YAML and read by its type."""
    return parse(to_yaml(record).encode(), "written.yaml").validate_as(type(record))


@pytest.mark.parametrize("name", profile_names())
def test_a_profile_that_the_command_prints_is_the_profile(name: str) -> None:
    printed = CliRunner().invoke(command_line, ["profiles", name])
    assert load_profile(printed.output, "printed.yaml") == shipped_profile(name)


def test_an_app_that_the_command_prints_is_a_catalogue_of_that_app() -> None:
    for name in ("whatsapp", "openvpn", "google-dns"):
        printed = CliRunner().invoke(command_line, ["apps", name])
        assert load_apps(printed.output.encode(), "printed.yaml") == {name: catalogue()[name]}


def test_the_whole_catalogue_of_apps_can_be_loaded_again() -> None:
    whole = Catalogue(format=1, apps=catalogue())
    assert again(whole) == whole


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_can_be_loaded_again(name: str, tmp_path: Path) -> None:
    scenario = library.load(name).scenario
    written = tmp_path / "written.yaml"
    written.write_text(to_yaml(scenario))
    assert library.load(written).scenario == scenario
    assert library.load(dump(scenario)).scenario == scenario


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_a_topology_can_be_loaded_again(name: str, tmp_path: Path) -> None:
    topology = library.topology(name)
    written = tmp_path / "written.yaml"
    written.write_text(to_yaml(topology))
    assert library.topology(str(written)) == topology
    assert library.topology(dump(topology)) == topology


@given(st.one_of(policies(), policies(at="gateway"), dpi_policies()))
def test_any_policy_can_be_loaded_again(policy: Policy) -> None:
    assert again(policy) == policy


def scalar(form: str, *values: SearchStrategy[Any]) -> SearchStrategy[str]:
    return st.tuples(*values).map(lambda found: form.format(*found))


NUMBERS = st.one_of(st.integers(0, 100_000), st.decimals(0, 1000, places=3))
DURATIONS = scalar("{}{}", NUMBERS, st.sampled_from(["ms", "s", "min", "h", "d"]))
RATES = scalar("{}{}", st.integers(1, 1000), st.sampled_from(["kbit", "mbit", "gbit"]))
HOURS = scalar("{:02}:{:02}-{:02}:{:02}", *[st.integers(0, 23), st.integers(0, 59)] * 2).filter(
    lambda text: text[:5] != text[6:]
)
OFFSETS = scalar("{}{:02}:{:02}", st.sampled_from("+-"), st.integers(0, 11), st.integers(0, 59))
SPANS = st.lists(st.integers(1, 65535), min_size=2, max_size=2).map(sorted)
PORTS = st.builds(lambda way, span: f"{way}{span[0]}-{span[1]}", st.sampled_from(["", "tcp/", "udp/"]), SPANS)
PREFIXES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6, network="2000::/3")).map(str)
WORDS = st.text(min_size=1, max_size=12)
NAMES = st.from_regex(r"[A-Za-z0-9\u0430-\u044f]{1,20}(\.[A-Za-z0-9]{1,20}){0,3}\.?", fullmatch=True)
PLACES = st.from_regex(r"[!-~]{1,12}", fullmatch=True)
ENDS = st.sampled_from(["client", "server", "both"])


def mapping(**values: SearchStrategy[Any]) -> SearchStrategy[dict[str, Any]]:
    """Some of these keys."""
    return st.fixed_dictionaries({}, optional=values)


def some(values: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return st.one_of(values, st.lists(values, max_size=3))


CONDITIONS = mapping(
    app=some(st.sampled_from(["whatsapp", "telegram"])),
    name_exact=some(NAMES),
    name_regex=st.sampled_from(["^a+$", ["x|y", "[0-9]"]]),
    keyword=some(WORDS),
    address=some(PREFIXES),
    subscriber=some(PREFIXES),
    port=some(PORTS),
    protocol=some(st.sampled_from(installed_recognisers().protocols)),
    ech=st.sampled_from([None, True, False]),
    version=some(st.integers(0, 0xFFFFFFFF)),
    opener=st.sampled_from(["inside", "outside"]),
    probability=st.floats(0, 1),
    hours=HOURS,
    user_agent=some(st.sampled_from(["curl", "Mozilla/5.0"])),
    answer=some(PREFIXES),
    cname=some(NAMES),
)


def verdict(action: Action, needed: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """What the action heeds of all that is given."""
    kind = installed_actions().get(action)
    heeded = set() if kind is None else {*kind.fields, "residual"}
    if "rate_up" in heeded:
        heeded.add("rate")
    return {"action": str(action)} | {key: value for key, value in (needed | more).items() if key in heeded}


VERDICTS = st.builds(
    verdict,
    st.sampled_from(Action),
    st.fixed_dictionaries({"rate": RATES, "cap_bytes": st.integers(0, 10**9), "location": PLACES}),
    mapping(
        directions=ENDS,
        to=ENDS,
        flags=st.sampled_from(["R", "RA", "FSRPAUEC"]),
        count=st.just(16),
        seq_steps=some(st.integers(0, 0xFFFFFFFF)),
        ttl=st.one_of(st.none(), st.integers(1, 255)),
        ipid=st.one_of(st.sampled_from(["copy", "random"]), st.integers(0, 65535)),
        rcode=st.sampled_from(sorted(DNS_CODES)),
        addresses=some(PREFIXES),
        body=st.text(),
        rate_up=RATES,
        burst=st.integers(1500, 1 << 24),
        residual=st.fixed_dictionaries({"for": DURATIONS}, optional={"key": st.just("3-tuple"), "directions": ENDS}),
    ),
)


def can_be_met(rule: Mapping[str, Any]) -> bool:
    """Whether the action can be done to the protocols that the rule names."""
    named = rule.get("when", {}).get("protocol", ())
    kind = installed_actions().get(rule["verdict"]["action"])
    return kind is None or all(kind.can_meet(name) for name in ([named] if isinstance(named, str) else named))


RULES = st.fixed_dictionaries({"name": WORDS, "verdict": VERDICTS}, optional={"when": CONDITIONS}).filter(can_be_met)
POLICIES: SearchStrategy[Mapping[str, Any]] = mapping(
    name=WORDS,
    inside=some(PREFIXES),
    utc_offset=OFFSETS,
    rules=st.lists(RULES, max_size=3, unique_by=lambda rule: rule["name"]),
)


def test_a_name_with_what_yaml_takes_for_the_end_of_a_line_can_be_loaded_again() -> None:
    for end in ("\n", "\r", "\x85", "\u2028", "\u2029", "\0"):
        policy = InspectionPolicy(name=f"a{end}b")
        assert load_policy(to_yaml(policy), "written.yaml") == policy


@given(POLICIES)
def test_any_rules_of_boxes_can_be_loaded_again(data: Mapping[str, Any]) -> None:
    try:
        policy = InspectionPolicy.model_validate(data, context=FROM_A_FILE)
    except ValidationError:  # conditions that no connection meets together, or an action for none of them
        reject()
    assert load_policy(to_yaml(policy), "written.yaml") == policy


@pytest.mark.parametrize(
    ("kind", "texts"),
    [(Seconds, DURATIONS), (Kbit, RATES), (Hours, HOURS), (UtcOffset, OFFSETS), (Port, PORTS), (Prefix, PREFIXES)],
    ids=["Seconds", "Kbit", "Hours", "UtcOffset", "Port", "Prefix"],
)
def test_a_scalar_is_written_as_text_that_reads_as_the_same_value(kind: Any, texts: SearchStrategy[str]) -> None:
    adapter = TypeAdapter[Any](kind)

    @given(texts)
    def check(text: str) -> None:
        value = adapter.validate_python(text)
        written = adapter.dump_python(value, mode="json")
        assert isinstance(written, str)
        assert adapter.validate_python(written) == value

    check()


class Scalars(Record):
    """One of each scalar that has a text of its own."""

    duration: Seconds = 1.0
    rate: Kbit = 1
    moment: Instant | None = None
    hours: Hours | None = None
    offset: UtcOffset = 1
    port: Port | None = None


@pytest.mark.parametrize(
    ("field", "given_as", "written_as"),
    [
        ("duration", "0.02s", "20ms"),
        ("duration", "90s", "90s"),
        ("duration", "720s", "12min"),
        ("duration", "1.5h", "90min"),
        ("duration", "0s", "0s"),
        ("duration", "0.0000001s", "0.0000001s"),
        ("rate", "1.5mbit", "1500kbit"),
        ("rate", "30000kbit", "30mbit"),
        ("moment", "2022-01-05T16:30+06:00", "2022-01-05T10:30Z"),
        ("moment", "2022-01-05T10:30:05Z", "2022-01-05T10:30:05Z"),
        ("hours", "22:00-06:00", "22:00-06:00"),
        ("offset", "-03:30", "-03:30"),
        ("port", "tcp/443-443", "tcp/443"),
    ],
)
def test_a_scalar_is_written_as_a_person_would(field: str, given_as: str, written_as: str) -> None:
    assert dump(Scalars.model_validate({field: given_as})) == {field: written_as}
