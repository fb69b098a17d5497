"""Policies of other files (`include`), and YAML's merge keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from shutdownlab import library
from shutdownlab.config.document import parse
from shutdownlab.config.problems import BadInput

SCENARIO = """\
format: 1
name: own
title: One's own
topology: two-operators
include: [shared.yaml]
sources: {OWN: "one's own"}
policies:
  slow: {title: Slow, throttle: 1mbit, only: everything, source: OWN}
probes:
  ping: {test: ping, host: 8.8.8.8}
timeline:
  - {phase: before, at: 2030-05-01T08:00Z, title: Before, start: [dark, slow], expect: [dark]}
ends: 2030-05-02T08:00Z
"""
SHARED = """\
sources: {SHARED: a file that several have}
policies:
  dark: {title: All off, block: everything, source: SHARED}
expectations:
  dark: [{outcome: blocked, source: SHARED}]
"""


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / "own.yaml"


def test_what_is_included_is_the_scenarios_own(tmp_path: Path) -> None:
    shutdown = library.load(write(tmp_path, own=SCENARIO, shared=SHARED))
    assert set(shutdown.scenario.policies) == {"dark", "slow"}
    assert set(shutdown.scenario.sources) == {"OWN", "SHARED"}
    assert shutdown.place(("policies", "dark", "block")) == f"{tmp_path}/shared.yaml:3"
    assert shutdown.place(("policies", "slow", "title")) == f"{tmp_path}/own.yaml:8"


def test_mistakes_in_what_is_included_are_reported_where_they_are(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as raised:
        library.load(
            write(tmp_path, own=SCENARIO, shared=SHARED.replace("source: SHARED}\nexp", "source: SHERED}\nexp"))
        )
    assert f"{tmp_path}/shared.yaml:3: policies.dark.source: found unknown source 'SHERED'" in str(raised.value)


def test_one_that_extends_another_has_what_that_includes(tmp_path: Path) -> None:
    write(
        tmp_path,
        own=SCENARIO,
        shared=SHARED,
        more="extends: own.yaml\nname: more\npolicies: {dark: {direction: inbound}}\n",
    )
    policy = library.load(tmp_path / "more.yaml").scenario.policies["dark"]
    assert (policy.title, policy.direction.value) == ("All off", "inbound")


def test_a_file_of_another_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    write(tmp_path / "below", shared=SHARED)
    with pytest.raises(BadInput, match=r"include\[0\]: found 'below/shared.yaml', in another folder"):
        library.load(write(tmp_path, own=SCENARIO.replace("[shared.yaml]", "[below/shared.yaml]")))


MERGED = """\
base: &base {a: 1, b: {c: 2}}
more: &more {b: 3, d: 4, <<: *base}
own: {<<: *base, b: 5}
both: {<<: [*more, *base], e: 6}
quoted: {"<<": 7}
"""


def test_merge_keys_add_what_a_mapping_does_not_say_itself_as_yaml_has_it() -> None:
    assert parse(MERGED.encode(), "merged.yaml").data == {
        "base": {"a": 1, "b": {"c": 2}},
        "more": {"a": 1, "b": 3, "d": 4},
        "own": {"a": 1, "b": 5},
        "both": {"a": 1, "b": 3, "d": 4, "e": 6},  # of several the first counts
        "quoted": {"<<": 7},
    }


def test_a_merged_value_keeps_the_line_where_it_is_written() -> None:
    document = parse(MERGED.encode(), "merged.yaml")
    assert (document.line(("own", "a")), document.line(("own", "b")), document.line(("both", "d"))) == (1, 3, 2)


def test_merge_keys_are_no_way_to_a_bomb() -> None:
    lines = ["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12))]
    with pytest.raises(BadInput, match="values"):
        parse("\n".join(lines).encode(), "bomb.yaml")


def test_a_mapping_that_merges_itself_is_refused() -> None:
    with pytest.raises(BadInput):
        parse(b"a: &a {b: 1, <<: *a}\n", "circle.yaml")


def test_a_file_that_was_written_as_a_whole_one_is_told_what_to_leave_out(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as raised:
        library.load(write(tmp_path, own=SCENARIO, shared=f"format: 1\n{SHARED}"))
    assert "hint: leave it out: only the scenario has it" in str(raised.value)
