"""Which regular expressions can match a host name: those of which RE2 finds one are never refused."""

from __future__ import annotations

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from shutdownlab.inspection.patterns import hopeless_part, pattern_options, possible_names, possible_urls

ATOMS = st.sampled_from(
    ["a", "B", r"\.", ".", "[a-c]", "[^a]", r"\d", r"\pL", "я", "/", r"\s", "[[:upper:]]", r"\x61", r"\Qa.\E"]
)
ANCHORS = st.sampled_from(["^", "$", r"\A", r"\z", r"\b", "(?-i)", "(?i)"])
OPTIONAL = st.sampled_from(["*", "?", "{0,1}", "{0}"])
REPEATS = st.sampled_from(["", "+?", "{2}", "{1,}", "{12,}"])
"""Of groups: one that may be left out is refused if nothing matches it, as a part for nothing."""
PATTERNS = st.recursive(
    st.builds("".join, st.tuples(ATOMS, OPTIONAL | REPEATS)) | ANCHORS,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=4).map("".join)
        | st.builds("({}){}".format, inner, REPEATS)
        | st.builds("(?-i:{})".format, inner)
        | st.builds("(?:{}|{})".format, inner, inner)
    ),
    max_leaves=8,
)
NAMES = st.lists(st.text("abcz1.-_я", min_size=1, max_size=14), min_size=20, max_size=20)
URL_PARTS = st.sampled_from(
    [
        "^",
        "http",
        "s",
        "s?",
        ":",
        "//",
        r"\/",
        r"\.",
        "a",
        "[^/]+",
        ":80",
        "(:8080)?",
        "/",
        "$",
        ".*",
        "я",
        "sip:",
        r"\d",
        "#",
    ]
)
URL_PATTERNS = st.lists(URL_PARTS, min_size=1, max_size=9).map("".join)
URLS = st.lists(
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from(["http://", "ftp://", "sip:", "SIPS:"]),
        st.text("abcz1.-я", min_size=1, max_size=6),
        st.sampled_from(["", ":8080", ":8", ":801"]),
        st.text("/?aB1.-я", max_size=6).map("/{}".format),
    ),
    min_size=20,
    max_size=20,
)


def _is_valid(pattern: str) -> bool:
    try:
        re2.compile(pattern, pattern_options())
    except re2.error:
        return False
    return True


@given(PATTERNS.filter(_is_valid).filter(lambda pattern: "|" not in pattern), NAMES)
@settings(max_examples=200, deadline=None)
def test_a_pattern_that_a_name_matches_is_not_refused(pattern: str, names: list[str]) -> None:
    if hopeless_part(pattern, possible_names()) is not None:
        assert not [name for name in names if re2.search(pattern, name, pattern_options())]


@given(URL_PATTERNS.filter(_is_valid), URLS)
@settings(max_examples=200, deadline=None)
def test_a_pattern_that_a_url_matches_is_not_refused(pattern: str, urls: list[str]) -> None:
    if hopeless_part(pattern, possible_urls()) is not None:
        assert not [url for url in urls if re2.search(pattern, url, pattern_options())]


@given(PATTERNS.filter(_is_valid))
@settings(max_examples=200, deadline=None)
def test_what_is_refused_is_a_part_of_the_pattern(pattern: str) -> None:
    part = hopeless_part(pattern, possible_names())
    assert part is None or part in pattern


@pytest.mark.parametrize(
    "pattern",
    [
        r"(^|\.)kaspi\.kz$",
        r"^(www\.)?kaspi",
        r"\s*kaspi",
        r"(?-i)kaspi",
        r"kaspi{50,}",
        r"(a$)?b",
        "[ж-я]+",
        r"\W",
    ],
)
def test_a_pattern_that_some_name_matches_is_taken(pattern: str) -> None:
    assert hopeless_part(pattern, possible_names()) is None


@pytest.mark.parametrize(
    ("pattern", "part"),
    [
        ("^$", "^$"),
        ("a$b", "a$b"),
        ("a(b|c^d)", "c^d"),
        ("(?-i)kaspi|KZ", "K"),
        ("(a$){2}", "(a$){2}"),
        (r"ab\Qc/d\E", "/"),
        (r"x[[:space:]]{3,}y", "[[:space:]]{3,}"),
    ],
)
def test_the_part_that_no_name_matches_is_found(pattern: str, part: str) -> None:
    assert hopeless_part(pattern, possible_names()) == part
