"""Finds the parts of a regular expression (RE2's syntax) that can match no host name, or no URL, whatever it is.

What names and URLs look like is a small automaton (`Texts`). An expression is reduced to what its match does to the
automaton's state: for each state in which the match may begin, the states in which it may end. Groups, alternatives and
repetitions join such relations. An expression whose relation is empty matches nothing. Single characters and classes
are tried by RE2 itself with every character that may come next, so that its flags, classes and escapes mean what they
mean there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from functools import cache, lru_cache, partial
from itertools import count
from operator import or_
from typing import Final

import re2

_OF_THE_WIRE: Final = "abcdefghijklmnopqrstuvwxyz0123456789-._:[]\\"
"""The ASCII characters of names as recognisers give them: `:` and brackets of IPv6 addresses, and of ports where a
profile leaves them; a backslash where they escape a byte."""
_OF_IPV6: Final = "0123456789abcdef:."
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


_Move = tuple[str, str, str]
_Rows = tuple[int, ...]
"""A relation between states: for each state in which a match may begin, the set of those in which it may end, as bits.
The last state is that of a text that has ended."""


class Texts:
    """The texts that an expression looks at, as an automaton that reads them from its state "".

    `moves`: (state, characters of which any leads on, next state). `ends`: the states in which a text may end. A text
    can be read to each state, and from each to an end.
    """

    def __init__(self, moves: Iterable[_Move], ends: Collection[str]) -> None:
        moves = tuple(moves)
        states = list(dict.fromkeys(state for before, _, after in moves for state in (before, after)))
        self.moves = tuple((states.index(before), chars, states.index(after)) for before, chars, after in moves)
        ended = 1 << len(states)
        self.same: _Rows = tuple(1 << state for state in range(len(states) + 1))
        self.start: _Rows = tuple(int(state == "") for state in (*states, "ended"))
        self.end: _Rows = (*(ended if state in ends else 0 for state in states), ended)

    @cache  # noqa: B019  # there are two, for ever
    def reading(self, atom: str, flags: frozenset[str]) -> _Rows:
        """Returns what a character, an escape or a class does."""
        on, off = "".join(sorted(flags)), "".join(sorted({*"is"} - flags))
        tried = re2.compile(f"(?{on}{'-' if off else ''}{off}){atom}", pattern_options())
        found: dict[str, bool] = {}
        rows = [0] * len(self.same)
        for before, chars, after in self.moves:
            if chars not in found:
                found[chars] = tried.search(chars) is not None
            if found[chars]:
                rows[before] |= 1 << after
        return tuple(rows)


@cache
def possible_names(ports: bool = True, final_dot: bool = True) -> Texts:
    """Returns what names look like that recognisers give. `ports`, `final_dot`: whether they leave these in a name."""
    some = _OF_THE_WIRE + _of_scripts()
    without = some.translate({ord(char): None for char in "[]:."})
    letters = some if ports else f"{without}."
    moves = [("", letters, "name"), ("name", letters, "name")]
    if not ports:
        moves += [("", _OF_IPV6, "v6"), ("v6", _OF_IPV6, "v6")]
    if not final_dot:
        moves += [(state, letters.replace(".", ""), "end") for state in ("", "name", "end")]
        moves += [("end", ".", "name")]
    return Texts(moves, {"v6", "name" if final_dot else "end"})


@cache
def possible_urls() -> Texts:
    """Returns what URLs look like in which rules are looked for: `http://host/path`, with `:port` unless that is 80,
    the same with `ftp`, which proxies are asked for, and `sip:…`; without `#`, as clients do not send what follows it.
    """
    of_hosts = _OF_THE_WIRE.translate({ord(char): None for char in "[]:"}) + _of_scripts()
    anything = "".join(map(chr, {*range(0x100)} - {ord("#")})) + _of_scripts() + _of_scripts().upper()
    digits = "0123456789"
    moves = [
        *(move for scheme in ("http://", "ftp://") for move in _spelt(scheme, "host?")),
        *(move for scheme in ("sip:", "sips:", "tel:") for move in _spelt(scheme, "path", scheme.upper())),
        *(("host?", of_hosts, "host"), ("host", of_hosts, "host")),
        *(("host?", "[", "v6"), ("v6", of_hosts + ":", "v6"), ("v6", "]", "host")),
        *(("host", ":", "port?"), ("port?", "8", "8"), ("8", "0", "80"), ("80", digits, "port")),
        *(("port?", digits.replace("8", ""), "port"), ("8", digits.replace("0", ""), "port"), ("port", digits, "port")),
        *((state, "/?*", "path") for state in ("host", "8", "port")),
        ("path", anything, "path"),
    ]
    return Texts(moves, {"8", "port", "path"})  # with a port and without a path: of CONNECT


def _spelt(word: str, after: str, capitals: str = "") -> Iterator[_Move]:
    """Yields the moves that read a word at the beginning. `capitals`: the same in capitals, if it may be."""
    for index, char in enumerate(word):
        yield word[:index], char + capitals[index : index + 1], after if word[index + 1 :] == "" else word[: index + 1]


def hopeless_part(pattern: str, texts: Texts) -> str | None:
    """Returns a part of a valid expression for which it, or one of its alternatives, can match none of these texts;
    None if there is none.

    In names that is a character or class that no name has, such as `/` or `[A-Z]` after `(?-i)`, unless it may be left
    out; or an alternative in which characters are to come before the name's beginning or after its end, such as `a$b`.
    """
    return _Reader(pattern, texts).hopeless


class _Reader:
    """Reads an expression; `hopeless` is what makes the first of its alternatives that match nothing do so."""

    def __init__(self, pattern: str, texts: Texts) -> None:
        self.hopeless: str | None = None
        self._texts = texts
        self._pattern = pattern
        self._tokens: Iterator[re.Match[str]] = _TOKEN.finditer(pattern)
        self._group_ended = 0
        self._alternatives(frozenset("i"), 0)

    def _alternatives(self, flags: frozenset[str], begins: int) -> _Rows:
        """Reads up to the end of a group, or of the expression."""
        found = (0,) * len(self._texts.same)
        parts: list[tuple[_Rows, str]] = []
        for token in self._tokens:
            if token["or"] or token["close"]:
                found = _either(found, self._joined(parts, self._pattern[begins : token.start()]))
                parts, begins = [], token.end()
                if token["close"]:
                    self._group_ended = token.end()
                    return found
            elif token["repeat"]:
                rows, text = parts.pop()
                parts.append((self._repeated(rows, token), text + token[0]))
            elif token["group"] == ")":
                flags = _changed(flags, token["flags"])
            elif token["group"] or token["open"]:
                inner = _changed(flags, token["flags"] or "")
                rows = self._alternatives(inner, token.end())
                parts.append((rows, self._pattern[token.start() : self._group_ended]))
            else:
                parts += self._read(token, flags)
        return _either(found, self._joined(parts, self._pattern[begins:]))

    def _joined(self, parts: list[tuple[_Rows, str]], text: str) -> _Rows:
        """Returns what parts match one after another; notes why if that is nothing. `text`: all of them."""
        found = self._texts.same
        for rows, _ in parts:
            found = _then(found, rows)
        if not any(found) and self.hopeless is None:
            self.hopeless = next((text for rows, text in parts if not any(rows)), text)
        return found

    def _read(self, token: re.Match[str], flags: frozenset[str]) -> list[tuple[_Rows, str]]:
        """Returns the parts that a token without parts of its own stands for, with their texts."""
        texts = self._texts
        if token["quoted"]:
            literal = token["quoted"].removeprefix(r"\Q").removesuffix(r"\E")
            return [(texts.reading(re.escape(char), flags), char) for char in literal]
        if token["start"] or token["end"]:
            return [(texts.start if token["start"] else texts.end, token[0])]
        if token["between"]:
            return [(texts.same, token[0])]
        return [(texts.reading(token["atom"], flags), token["atom"])]

    def _repeated(self, rows: _Rows, token: re.Match[str]) -> _Rows:
        """Returns the relation of a part that a token repeats."""
        signs = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        least, most = signs.get(token["repeat"]) or (int(token["least"]), int(token["most"] or token["least"]))
        if token["most"] == "":
            most = None
        found, times, seen = (0,) * len(rows), self._texts.same, set[_Rows]()
        for time in count() if most is None else range(most + 1):
            if time >= least:
                if times in seen:
                    break
                seen.add(times)
                found = _either(found, times)
            times = _then(times, rows)
        return found


@cache
def _of_scripts() -> str:
    """Returns what names decoded from A-labels have besides: lower case, of the planes of scripts and of emoji."""
    found = map(chr, (*range(0x80, 0xD800), *range(0xE000, 0x20000)))
    return "".join([char for char in found if char.lower() == char and char.isprintable()])


def _changed(flags: frozenset[str], change: str) -> frozenset[str]:
    """Returns the flags after a change of them, such as `i` or `s-i`."""
    on, _, off = change.partition("-")
    return (flags | {*on}) - {*off} - {*"mU"}  # names have no lines; what is greedy matches no less


def _then(one: _Rows, other: _Rows) -> _Rows:
    """Returns the relation of one part followed by another."""
    return tuple(map(partial(_reached, other), one))


@lru_cache(4096)
def _reached(rows: _Rows, states: int) -> int:
    found = 0
    for state, after in enumerate(rows):
        if states >> state & 1:
            found |= after
    return found


def _either(one: _Rows, other: _Rows) -> _Rows:
    return tuple(map(or_, one, other))
