"""YAML in, plain data and lines out; whatever the bytes, the answer is a document or `BadInput`."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from shutdownlab import library
from shutdownlab.config import yaml_text
from shutdownlab.config.document import did_you_mean, dotted, one_of, parse, quoted
from shutdownlab.config.problems import BadInput, Problem
from shutdownlab.model.layout import lay_out
from shutdownlab.model.scenario_file import load_scenario
from shutdownlab.model.topology_checks import check_topology

APPS = library.catalogue()
SMALL = library.topology("two-operators")
SHIPPED = {kind: dict(library.shipped(kind)) for kind in ("topologies", "scenarios")}


def data(text: str) -> Any:
    return parse(text.encode(), "file.yaml").data


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10:30", "10:30"),  # YAML 1.1 would make 630 of it
        ("2022-01-05T10:30Z", "2022-01-05T10:30Z"),
        ("2022-01-05", "2022-01-05"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("42", 42),
        ("-3", -3),
        ("0.5", 0.5),
        ("1e3", "1e3"),
        (".inf", ".inf"),
        ("yes", True),
        ("off", False),
        ("~", None),
        ("", None),
        ("'42'", "42"),
        ("[1, a]", [1, "a"]),
    ],
)
def test_scalars_are_what_a_person_meant(text: str, value: object) -> None:
    assert data(f"key: {text}") == {"key": value}


def test_every_value_has_its_line() -> None:
    document = parse(b"a: 1\nb:\n  - x\n  - c: 2\n    d: 3\n", "file.yaml")
    assert document.line(("a",)) == 1
    assert document.line(("b", 1)) == 4
    assert document.line(("b", 1, "d")) == 5


def test_a_place_that_the_file_lacks_has_its_parents_line() -> None:
    document = parse(b"a: 1\nb:\n  - x\n", "file.yaml")
    assert document.line(("b", 0, "missing", "deeper")) == 3
    assert document.line(("nothing",)) == 1


def test_aliases_of_ordinary_size_are_followed() -> None:
    assert data("a: &x {k: 1}\nb: *x\n") == {"a": {"k": 1}, "b": {"k": 1}}


def test_a_byte_order_mark_and_windows_line_ends_are_no_mistakes() -> None:
    assert parse(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", "file.yaml").data == {"a": 1, "b": 2}


def test_a_file_too_large_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(BadInput, match="1,048,577 bytes; expected at most 1,048,576"):
        parse(b"#" * ((1 << 20) + 1), "file.yaml")


@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
@pytest.mark.parametrize("depth", [102, 999, 1001, 5_000, 200_000])
@pytest.mark.parametrize(
    ("start", "step"), [("name: ", "["), ("name: ", "{a: "), ("name:\n", "- "), ("", "? ")], ids=["[", "{", "-", "?"]
)
def test_too_deep_is_reported_in_one_way_whichever_limit_is_met_first(
    monkeypatch: pytest.MonkeyPatch, loader: str, depth: int, start: str, step: str
) -> None:
    """Ours, that of PyYAML's parser (1,000 in 6.0.4, none before), or the recursion of its composer."""
    monkeypatch.setattr(yaml_text, "_Loader", getattr(yaml, loader))
    line = 1 + start.count("\n")
    with pytest.raises(BadInput) as raised:
        parse((start + step * depth).encode(), "file.yaml")
    assert str(raised.value) == (
        f"file.yaml:{line}: found values nested more than 100 deep; expected a simpler file\n"
        "    hint: reduce the nesting"
    )


@pytest.mark.parametrize("text", ["a: &x\n  b:\n    - *x\n", "a: &x\n  <<: *x\n", "a: [&x {b: {c: *x}}]\n"])
def test_a_value_that_contains_itself_is_told_as_that_and_not_as_a_deep_one(text: str) -> None:
    with pytest.raises(BadInput, match=r"an alias within what it stands for(.|\n)*take out the `\*name`"):
        parse(text.encode(), "file.yaml")


def test_aliases_of_aliases_that_grow_without_end_are_a_bomb_and_no_value_within_itself() -> None:
    bomb = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 30))
    with pytest.raises(BadInput, match="values, counting every use of an alias"):
        parse(bomb.encode(), "file.yaml")


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-be"])
def test_a_file_in_utf_16_is_told_as_that_and_not_as_a_binary_one(coding: str) -> None:
    with pytest.raises(BadInput, match=r"file\.yaml: found UTF-16; expected YAML text in UTF-8\n.*save the file"):
        parse("\ufeffa: 1\n".encode(coding), "file.yaml")


def test_what_is_cut_off_ends_with_the_end_of_the_file() -> None:
    with pytest.raises(BadInput, match=r"file\.yaml:2: found the end of the file; expected ',' or '}'"):
        parse(b'{"format": 1\n', "file.yaml")


def test_a_hundred_deep_is_not_too_deep() -> None:
    assert data("name: " + "[" * 100 + "]" * 100)


def test_a_mistake_in_a_file_that_is_not_deep_stays_that_mistake() -> None:
    with pytest.raises(BadInput, match="line 200"):
        parse(b"a: [x]\n" * 199 + b"a: [x\n", "file.yaml")


def test_a_problem_reads_place_found_expected_hint() -> None:
    problem = Problem("a.yaml", 3, "links[0].delay", "5", "a duration", "write 5ms")
    assert str(problem) == "a.yaml:3: links[0].delay: found 5; expected a duration\n    hint: write 5ms"


def test_problems_come_sorted_and_once() -> None:
    late, early = Problem("a.yaml", 9, "z", "1", "2"), Problem("a.yaml", 2, "y", "1", "2")
    assert BadInput([late, early, late]).problems == (early, late)


def test_words_for_values_and_places() -> None:
    assert dotted(("links", 3, "delay")) == "links[3].delay"
    assert [quoted(v) for v in (None, {}, {"a": 1}, [], [1], True, "x" * 70)] == [
        "nothing", "an empty mapping", "a mapping", "an empty list", "a list", "true", repr("x" * 57 + "..."),
    ]  # fmt: skip
    assert one_of([]) == "none (there are none)"
    assert one_of(str(n) for n in range(14)) == "one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13"
    many = "one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 58 more"
    assert one_of(str(n) for n in range(70)) == many
    assert (
        one_of((str(n) for n in range(70)), "`shutdownlab apps` lists them")
        == f"{many} (`shutdownlab apps` lists them)"
    )
    assert did_you_mean("kcel", ["kcell", "tele2"]) == "did you mean 'kcell'?"
    assert did_you_mean("HTTP", ["dns", "http"]) == "did you mean 'http'?"
    assert did_you_mean("xyz", ["kcell", "tele2"]) == ""
    nodes = ["a-a-border", "a-b_border", "a_border", "a.a-b"]
    assert did_you_mean("a-border", nodes) == "did you mean 'a_border'?", "its separator alone was wrong"
    assert did_you_mean("a-a-b", nodes) == "did you mean 'a.a-b'?"
    assert did_you_mean("---", ["...", "tele2"]) == ""


@given(st.binary(max_size=200) | st.text(alphabet="a:-[]{}&*!|>'\"#%@`, \n\t?0", max_size=80).map(str.encode))
def test_any_bytes_give_a_document_or_bad_input(text: bytes) -> None:
    try:
        assert isinstance(parse(text, "file.yaml").data, dict)
    except BadInput as error:
        assert error.problems
        assert all(problem.found and problem.expected for problem in error.problems)


def _paths(value: Any, here: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(path for key, item in items for path in _paths(item, (*here, key)))]


def _with(value: Any, path: tuple[str | int, ...], new: object) -> Any:
    if not path:
        return new
    head, *rest = path
    if isinstance(value, dict):
        return {k: _with(v, tuple(rest), new) if k == head else v for k, v in value.items()}
    return [_with(v, tuple(rest), new) if k == head else v for k, v in enumerate(value)]


_ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 70000), st.floats(allow_nan=False, allow_infinity=False), st.just([]),
    st.just({}), st.just({"x": 1}), st.just(["x"]), st.just([[]]),
    st.sampled_from(["", "x", "everything", "all", "10.0.0.0/8", "::/0", "2022-01-05T10:30Z", "tcp/443", "12min"]),
    st.just(datetime.date(2022, 1, 5)),
)  # fmt: skip


@given(st.data())
def test_one_value_replaced_by_anything_gives_an_object_or_bad_input(draw: st.DataObject) -> None:
    """Nothing else may be raised: a traceback is no message."""
    if draw.draw(st.booleans()):
        good = data(SHIPPED["topologies"]["two-operators"].read_text())
    else:
        good = data((Path(__file__).parent.parent / "golden" / "valid-scenario.yaml").read_text())
    path = draw.draw(st.sampled_from(_paths(good)))
    text = yaml.safe_dump(_with(good, path, draw.draw(_ANYTHING)), sort_keys=False).encode()
    try:
        if "operators" in good:
            lay_out(check_topology(parse(text, "file.yaml"), APPS), APPS)
        else:
            load_scenario(parse(text, "file.yaml"), SMALL, APPS)
    except BadInput as error:
        for problem in error.problems:
            assert "Input should" not in str(problem)
            assert "pydantic" not in str(problem)
            assert "[key]" not in str(problem)
