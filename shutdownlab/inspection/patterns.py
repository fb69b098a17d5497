"""Finds the parts of a regular expression (RE2's syntax) that can match no host name, whatever the name is.

An expression is reduced to the shapes of what it can match: whether that has to begin where the name begins, to end
where the name ends, and whether it has characters at all. There are eight, so that groups, alternatives and repetitions
are sets of few. An expression without any shape matches nothing. Single characters and classes are tried by RE2 itself
with every character that a name can have, so that its flags, classes and escapes mean what they mean there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

import re2

_OF_THE_WIRE: Final = "abcdefghijklmnopqrstuvwxyz0123456789-._:[]\\"
"""The ASCII characters of names as recognisers give them: `:` and brackets of IPv6 addresses, and of ports where a
profile leaves them; a backslash where they escape a byte."""
_TOKEN: Final = re.compile(
    r"(?P<quoted>\\Q.*?(?:\\E|\Z))|(?P<start>\^|\\A)|(?P<end>\$|\\z)|(?P<between>\\[bB])"
    r"|\(\?(?P<flags>[imsU]*(?:-[imsU]+)?)(?P<group>[:)])|(?P<open>\((?:\?P?<[^>]*>)?)|(?P<close>\))|(?P<or>\|)"
    r"|(?P<repeat>[*+?]|\{(?P<least>\d+)(?:,(?P<most>\d*))?\})\??"
    r"|(?P<atom>\[\^?\]?(?:\\[pP](?:\{[^}]*\}|.)|\\x\{[^}]*\}|\\.|\[:\^?[a-z]+:\]|[^\]\\])*\]"
    r"|\\[pP](?:\{[^}]*\}|.)|\\x(?:\{[^}]*\}|..)|\\[0-7]{1,3}|\\.|.)",
    re.DOTALL,
)


def pattern_options() -> re2.Options:
    """Returns RE2's options for rules: ignore case, unless the pattern has `(?-i)`."""
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False  # RE2 would log to standard error
    return options


class _Shape(NamedTuple):
    """What a part matches: at the name's beginning only, at its end only, and whether it has any characters."""

    first: bool
    last: bool
    some: bool


_Shapes = frozenset[_Shape]
_EMPTY: Final = frozenset({_Shape(False, False, False)})
_SOME: Final = frozenset({_Shape(False, False, True)})
_TURNS: Final = 9
"""More turns of a repetition than there are shapes change none."""
_START: Final = frozenset({_Shape(True, False, False)})
_END: Final = frozenset({_Shape(False, True, False)})


def hopeless_part(pattern: str) -> str | None:
    """Returns a part of a valid expression for which it, or one of its alternatives, can match no name; None if there
    is none.

    That is a character or class that no name has, such as `/` or `[A-Z]` after `(?-i)`, unless it may be left out; or
    an alternative in which characters are to come before the name's beginning or after its end, such as `a$b`.
    """
    return _Reader(pattern).hopeless


class _Reader:
    """Reads an expression; `hopeless` is what makes the first of its alternatives that match nothing do so."""

    def __init__(self, pattern: str) -> None:
        self.hopeless: str | None = None
        self._pattern = pattern
        self._tokens: Iterator[re.Match[str]] = _TOKEN.finditer(pattern)
        self._group_ended = 0
        self._alternatives(frozenset("i"), 0)

    def _alternatives(self, flags: frozenset[str], begins: int) -> _Shapes:
        """Reads up to the end of a group, or of the expression."""
        found: _Shapes = frozenset()
        parts: list[tuple[_Shapes, str]] = []
        for token in self._tokens:
            if token["or"] or token["close"]:
                found |= self._joined(parts, self._pattern[begins : token.start()])
                parts, begins = [], token.end()
                if token["close"]:
                    self._group_ended = token.end()
                    return found
            elif token["repeat"]:
                shapes, text = parts.pop()
                parts.append((_repeated(shapes, token), text + token[0]))
            elif token["group"] == ")":
                flags = _changed(flags, token["flags"])
            elif token["group"] or token["open"]:
                inner = _changed(flags, token["flags"] or "")
                shapes = self._alternatives(inner, token.end())
                parts.append((shapes, self._pattern[token.start() : self._group_ended]))
            else:
                parts += _read(token, flags)
        return found | self._joined(parts, self._pattern[begins:])

    def _joined(self, parts: list[tuple[_Shapes, str]], text: str) -> _Shapes:
        """Returns what parts match one after another; notes why if that is nothing. `text`: all of them."""
        found = _EMPTY
        for shapes, _ in parts:
            found = _after(found, shapes)
        if not found and self.hopeless is None:
            self.hopeless = next((text for shapes, text in parts if not shapes), text)
        return found


def _read(token: re.Match[str], flags: frozenset[str]) -> list[tuple[_Shapes, str]]:
    """Returns the parts that a token without parts of its own stands for, with their texts."""
    if token["quoted"]:
        literal = token["quoted"].removeprefix(r"\Q").removesuffix(r"\E")
        return [(_of_atom(re.escape(char), flags), char) for char in literal]
    if token["start"] or token["end"]:
        return [(_START if token["start"] else _END, token[0])]
    if token["between"]:
        return [(_EMPTY, token[0])]
    return [(_of_atom(token["atom"], flags), token["atom"])]


@cache
def _of_atom(atom: str, flags: frozenset[str]) -> _Shapes:
    """Returns what a character, an escape or a class matches of a name: `_SOME`, or nothing."""
    on, off = "".join(sorted(flags)), "".join(sorted({*"is"} - flags))
    tried = f"(?{on}{'-' if off else ''}{off}){atom}"
    within = any(re2.search(tried, some, pattern_options()) for some in (_OF_THE_WIRE, _decoded()))
    return _SOME if within else frozenset()


@cache
def _decoded() -> str:
    """Returns what names decoded from A-labels have besides: lower case, of the planes of scripts and of emoji."""
    found = map(chr, (*range(0x80, 0xD800), *range(0xE000, 0x20000)))
    return "".join([char for char in found if char.lower() == char and char.isprintable()])


def _changed(flags: frozenset[str], change: str) -> frozenset[str]:
    """Returns the flags after a change of them, such as `i` or `s-i`."""
    on, _, off = change.partition("-")
    return (flags | {*on}) - {*off} - {*"mU"}  # names have no lines; what is greedy matches no less


def _after(one: _Shapes, other: _Shapes) -> _Shapes:
    """Returns the shapes of one part followed by another."""
    return frozenset(
        _Shape(a.first or b.first, a.last or b.last, a.some or b.some)
        for a in one
        for b in other
        if not (a.some and b.first) and not (a.last and b.some)
    )


def _repeated(shapes: _Shapes, token: re.Match[str]) -> _Shapes:
    """Returns the shapes of a part that a token repeats."""
    signs = {"*": (0, _TURNS), "+": (1, _TURNS), "?": (0, 1)}
    least, most = signs.get(token["repeat"]) or (int(token["least"]), int(token["most"] or token["least"]))
    if token["most"] == "":
        most = _TURNS
    least, most = min(least, _TURNS), min(most, _TURNS)
    found, times = frozenset[_Shape](), _EMPTY
    for time in range(most + 1):
        if time >= least:
            found |= times
        times = _after(times, shapes)
    return found
