"""Input of every bad kind: refused with messages, in time and room that its size allows; bugs are told as such."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel, Strict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from shutdownlab import library
from shutdownlab.config.addresses import Prefix, is_for_hosts
from shutdownlab.config.document import MAX_BYTES, parse
from shutdownlab.config.domains import HostName, Url
from shutdownlab.config.problems import BadInput
from shutdownlab.config.scalars import Hours, Instant, Kbit, Port, Seconds, UtcOffset
from shutdownlab.inspection.apps import Catalogue
from shutdownlab.inspection.policy import InspectionPolicy
from shutdownlab.inspection.profile import Profile
from shutdownlab.model.probe import Probe
from shutdownlab.model.scenario import Scenario
from shutdownlab.model.topology import Topology

TOPOLOGY = dict(library.shipped("topologies"))["two-operators"].read_text()
STRANGE: tuple[Any, ...] = (
    *(None, True, [], {}, -1, 10**5000, float("inf"), float("nan"), "", " ", "\0", "x" * 5000, "9" * 5000, "\ud800"),
    *(
        "9" * 400 + "s",
        "9" * 400 + "mbit",
        "0001-01-01T00:00+14:00",
        "9999-12-31T23:59-14:00",
        "1.1.1.1%\n",
        "http://[",
    ),
    *("\u0663s", "\u0663mbit", "tcp/\u0663", "http://x:99999/", "http://x/\n", "http://x/\u00e9", object()),
)


@pytest.mark.parametrize("kind", [Hours, HostName, Instant, Kbit, Port, Prefix, Seconds, Url, UtcOffset])
@pytest.mark.parametrize("value", STRANGE, ids=map(str, range(len(STRANGE))))
def test_reading_a_value_returns_it_or_says_what_was_expected(kind: Any, value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(kind).validate_python(value)
    for detail in refused.value.errors():
        assert detail["type"] in {"value_error", "string_type", "string_unicode"}


def _types(annotation: Any, metadata: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        yield from _types(inner, (*metadata, *more))
    elif get_origin(annotation) in (Union, UnionType):
        for part in get_args(annotation):
            yield from _types(part, metadata)
    elif get_origin(annotation) in (tuple, dict, list):
        for part in get_args(annotation):
            yield from _types(part)
    else:
        yield annotation, metadata


def _fields(kind: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[tuple[str, Any, tuple[Any, ...]]]:
    if kind in seen:
        return
    seen.add(kind)
    for name, info in kind.model_fields.items():
        for part, metadata in _types(info.annotation, tuple(info.metadata)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from _fields(part, seen)
            yield f"{kind.__name__}.{name}", part, metadata


def test_no_number_of_a_file_may_be_true_or_text() -> None:
    seen: set[type[BaseModel]] = set()
    numbers = {
        name: metadata
        for kind in (Scenario, Topology, Catalogue, Profile, InspectionPolicy)
        for name, part, metadata in _fields(kind, seen)
        if part in (int, float)
    }
    assert len(numbers) > 40
    for name, metadata in numbers.items():
        flat = [part for each in metadata for part in (each.metadata if isinstance(each, FieldInfo) else [each])]
        parsed = any(type(part).__name__ in {"BeforeValidator", "PlainValidator"} for part in flat)
        computed = name in {"Ports.first", "Ports.last", "Budget.packets"}  # made by what reads the whole
        assert parsed or computed or any(isinstance(part, Strict) and part.strict for part in flat), name


@pytest.mark.parametrize(
    ("prefix", "good"),
    [
        ("100.64.0.0/16", True), ("8.8.8.8/32", True), ("2001:db8::/32", True), ("127.0.0.0/8", False),
        ("224.0.0.0/4", False), ("240.0.0.0/4", False), ("0.0.0.0/0", False), ("169.254.1.0/24", False),
        ("::/0", False), ("::1/128", False), ("fe80::/10", False), ("ff02::/16", False),
    ],
)  # fmt: skip
def test_hosts_have_no_addresses_in_loopback_link_local_or_multicast(prefix: str, good: bool) -> None:
    assert is_for_hosts(TypeAdapter[Any](Prefix).validate_python(prefix)) is good


def refusal(text: str, file: Path) -> BadInput:
    file.write_text(text)
    with pytest.raises(BadInput) as refused:
        library.check(str(file))
    return refused.value


def with_many(after: str, form: str, count: int = 9000) -> str:
    """The topology with so many of something behind the first `after`; `#` is the number of each."""
    return TOPOLOGY.replace(after, after + "".join(form.replace("#", str(number)) for number in range(count)), 1)


MANY = {
    "empty operators": with_many("operators:\n", "  o#: {}\n", 4000),
    "operators with unknown keys": with_many("operators:\n", "  o#: {titel: x, prefix: y}\n", 4000),
    "equal prefixes": with_many("prefixes: [", "100.64.0.0/16, ", 1200),
    "unknown carriers": with_many("transit: [", "t#, "),
    "unknown apps": with_many("serves: [", "whatsap#, "),
    "unknown keys": with_many("format: 1\n", "title#: x\n"),
    "unknown keys of one mapping": with_many("gateway: {", "key#: x, "),
}


@pytest.mark.parametrize("text", MANY.values(), ids=MANY)
def test_many_mistakes_take_little_time_and_a_hundred_are_reported(text: str, tmp_path: Path) -> None:
    began = time.process_time()
    error = refusal(text, tmp_path / "many.yaml")
    assert time.process_time() - began < 5  # seconds, not minutes
    *told, rest = error.lines()
    assert len(told) == 100
    assert rest == f"and {error.count - 100:,} more problems"
    assert error.count >= 1000


def large(written_once: bool, wrong: str = "") -> str:
    """A country of 1,000 operators in 20 regions, all of which an alias can stand for."""
    names = [f"region-{n}" for n in range(20)]
    everywhere = "{" + ", ".join(f"{name}: {{ordinary: {{access: fixed{wrong}}}}}" for name in names) + "}"
    operators = (
        f"  o{n}: {{title: O, asn: {4_200_000_000 + n}, subscribers: 1, transit: [t0], "
        f"prefixes: [10.{n >> 2}.{(n & 3) * 64}.0/18, '2001:db8:{0x1000 + n:x}::/48'], "
        f"regions: {'*all' if written_once and n else f'&all {everywhere}' if written_once else everywhere}}}"
        for n in range(1000)
    )
    return "\n".join(
        [
            "format: 1\nname: large\ntitle: Large\ncountry: ZZ\nlinks: {fixed: {}}",
            "gateway: {title: G}\nexchange: {title: X, asn: 64599}",
            "transits: {t0: {title: T, asn: 64601, prefixes: [198.51.100.0/24, '2001:db8:71::/48'], serves: [bbc]}}",
            "regions: {" + ", ".join(f"{name}: {{title: R, weight: 1}}" for name in names) + "}",
            "operators:",
            *operators,
        ]
    )


def test_a_country_of_a_thousand_operators_in_twenty_regions_fits_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    file.write_text(large(written_once=True))
    assert len(library.network(str(file)).vantages) == 20_000


def test_a_file_that_repeats_what_it_could_write_once_is_told_how() -> None:
    text = large(written_once=False).replace("ordinary", "o").replace("region-", "r")
    with pytest.raises(
        BadInput, match=r"more than 25,000 values; expected .*\n    hint: write repeated parts once, as"
    ):
        parse(text.encode(), "file.yaml")


def test_mistakes_in_what_aliases_stand_for_are_all_counted_in_little_time(tmp_path: Path) -> None:
    began = time.process_time()
    error = refusal(large(written_once=True, wrong=", titel: x, weigth: 1"), tmp_path / "large.yaml")
    assert time.process_time() - began < 5
    assert error.count == 40_000
    assert all("unknown key" in line for line in [*error.lines()][:100:2])


def test_a_file_of_a_megabyte_of_nothing_but_values_is_refused_before_it_is_built() -> None:
    with pytest.raises(BadInput, match="more than 25,000 values; expected a simpler file"):
        parse(b"a: [" + b"0," * 500_000 + b"]", "file.yaml")


@pytest.mark.parametrize("kind", [[], {}, ["web"], None, 1, "no-such-test"])
def test_a_kind_that_is_none_is_read_by_what_all_kinds_have_in_common(kind: Any) -> None:
    assert Probe.variant({"test": kind}) is Probe


def test_a_scenario_names_a_hundred_files_at_most(tmp_path: Path) -> None:
    (tmp_path / "apps.yaml").write_text("format: 1\napps: {}\n")
    text = TOPOLOGY + f"apps: [{', '.join(['apps.yaml'] * 101)}]\n"
    error = refusal(text, tmp_path / "many.yaml")
    assert [problem.found for problem in error.problems] == ["more than 100 files to read"]


def command(*arguments: str, code: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    program = f"import sys; from shutdownlab.cli import main; sys.argv[0] = 'shutdownlab'; {code}\nmain()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True, text=True, timeout=60, env={**os.environ, **variables},
    )  # fmt: skip


@pytest.fixture
def odd_files(tmp_path: Path) -> dict[str, Path]:
    files = {"zero": Path("/dev/zero"), "none": Path("/dev/null"), "directory": tmp_path}
    files["pipe"] = tmp_path / "pipe"
    os.mkfifo(files["pipe"])
    files["large"] = tmp_path / "large.yaml"
    files["large"].touch()
    os.truncate(files["large"], 40 << 30)
    files["long"] = tmp_path / ("x" * 300)
    files["endless"] = tmp_path / "endless.yaml"
    files["endless"].symlink_to("/proc/self/pagemap" if os.access("/proc/self/pagemap", os.R_OK) else "/proc/kallsyms")
    return files


def test_a_path_that_is_not_a_regular_file_is_refused_at_once(odd_files: dict[str, Path]) -> None:
    result = command("check", "", *map(str, odd_files.values()))
    assert result.returncode == 2
    lines = result.stderr.splitlines()
    assert lines[-1] == f"{len(odd_files) + 1} problems found; the command stopped."
    assert "'': found an empty name; " in result.stderr
    for file in odd_files.values():
        assert f"{file}: found " in result.stderr
    assert "Traceback" not in result.stderr


def test_a_file_that_is_too_long_is_told_how_long_it_may_be_and_how_to_write_less(tmp_path: Path) -> None:
    long = tmp_path / "long.yaml"
    long.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(BadInput) as raised:
        library.check(str(long))
    (problem,) = raised.value.problems
    assert problem.found == "a file which has 1,048,577 bytes, more than 1,048,576"
    assert (problem.expected, "&name" in problem.hint) == ("at most 1,048,576 bytes", True)


def test_a_policy_for_captures_is_read_to_its_limit_and_no_further(odd_files: dict[str, Path]) -> None:
    for name in ("zero", "pipe", "large"):
        result = command("inspect", "no-matter.pcap", "--policy", str(odd_files[name]))
        assert result.returncode == 2
        assert f"{odd_files[name]}: found a file which " in result.stderr


def test_re2_says_nothing_of_its_own(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        'format: 1\nrules: [{name: a, when: {name_regex: ["a(?=b)", "(a{1000}){1000}"]}, verdict: drop}]\n'
    )
    result = command("inspect", "no-matter.pcap", "--policy", str(policy))
    assert result.returncode == 2
    assert "re2.cc" not in result.stderr
    assert len(result.stderr.splitlines()) == 5


def test_a_bug_is_reported_as_one_with_what_to_report(tmp_path: Path) -> None:
    broken = "import shutdownlab.library as l; l.check = lambda *_, **__: 1 / 0"
    result = command("check", "a b", code=broken, TMPDIR=str(tmp_path))
    assert result.returncode == 70
    first, second = result.stderr.splitlines()
    assert first.startswith("shutdownlab ")
    assert first.endswith(" has a bug: ZeroDivisionError: division by zero")
    (report,) = tmp_path.iterdir()
    assert second == f"    to report it, send the file {report} and what you gave it, as of: shutdownlab check 'a b'"
    assert "ZeroDivisionError" in report.read_text()
    assert "Traceback" in report.read_text()


def test_a_bug_in_a_package_that_extends_it_is_reported_as_that_packages(tmp_path: Path) -> None:
    (tmp_path / "finger.py").write_text("def check(*_, **__):\n    return 1 / 0\n")
    package = tmp_path / "dpi_finger-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: dpi-finger\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[shutdownlab.recognisers]\nfinger = finger:Finger\n")
    there = f"import sys; sys.path.append({str(tmp_path)!r})"
    code = f"{there}; import finger, shutdownlab.library as l; l.check = finger.check"
    result = command("check", "x", code=code, TMPDIR=str(tmp_path))
    assert result.returncode == 70
    whose = "the package dpi-finger, or its use of shutdownlab, has a bug"
    place = f"{tmp_path}/finger.py, line 2"
    assert result.stderr.splitlines()[0] == f"{whose}: ZeroDivisionError: division by zero ({place})"


def test_an_interruption_is_no_bug() -> None:
    result = command(
        "check",
        "x",
        code="import shutdownlab.library as l\ndef stop(*_, **__): raise KeyboardInterrupt\nl.check = stop",
    )
    assert result.returncode == 130


def test_a_mistake_beyond_those_that_are_kept_is_one_to_the_checks_that_follow(tmp_path: Path) -> None:
    """Whoever looks whether a name was told of must not go by how many problems there is room for."""
    scenario = yaml.safe_load((Path(__file__).parents[2] / "scenarios/first-shutdown.yaml").read_text())
    scenario["expectations"]["everything-works"] = [
        {"probes": [f"nobody-{number}"], "outcome": "ok", "source": "EXAMPLE"} for number in range(1_200)
    ]
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(scenario))
    with pytest.raises(BadInput) as raised:
        library.check(str(tmp_path / "scenario.yaml"))
    assert raised.value.count == 1_200
    assert "found unknown probe 'nobody-0'" in str(raised.value)
