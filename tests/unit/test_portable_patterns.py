"""The product's regular expressions mean the same in every Python that it runs on."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from re import _parser  # type: ignore[attr-defined]  # of the standard library, without types

import pytest

ROOT = Path(__file__).parents[2]
_POSSESSIVE = re.compile(r"[+*?}]\+|\(\?>")
_OTHER_SYNTAX = frozenset("[(\\")
"""A text without any of these is a list of characters, or a name such as C++."""


def patterns(file: Path) -> Iterator[str]:
    """Yields the texts in a module that may be possessive patterns, or parts of them; docstrings are none."""
    tree = ast.parse(file.read_text())
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and id(node) not in prose:
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
            if _POSSESSIVE.search(text) and not _OTHER_SYNTAX.isdisjoint(text):
                yield text


def is_possessive(text: str) -> bool:
    """Whether text is a pattern with a possessive quantifier or an atomic group; False if it is no pattern."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            said = repr(_parser.parse(text))
        except re.error:
            return False
    return "POSSESSIVE_REPEAT" in said or "ATOMIC_GROUP" in said


@pytest.mark.parametrize("folder", ["shutdownlab", "controllers", "topologies", "scripts"])
def test_no_pattern_is_possessive_since_python_before_3_11_5_takes_more_than_matches(folder: str) -> None:
    """gh-106052: `example.org.` had a final dot in block lists on Debian 12, and blocked nothing."""
    found = [(file.name, text) for file in (ROOT / folder).rglob("*.py") for text in patterns(file)]
    assert [each for each in found if is_possessive(each[1])] == []


def test_a_possessive_pattern_is_known_as_one() -> None:
    assert [is_possessive(text) for text in ("[a-z]++", "(?:a|b)*+", "(?>a)", "a{2}+", "a+b+", "[++]")] == [
        True
    ] * 4 + [False] * 2
