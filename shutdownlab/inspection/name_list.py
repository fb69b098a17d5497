"""Parses domain block lists: one name a line, `#` begins a comment.

A name covers itself and everything below it (`example.org`, `*.example.org` and `.example.org` are the same), may use
capitals, a final dot or an IDN, and may occur twice. Lists made for other programs are read as they are: hosts files
(`0.0.0.0 example.org`), whose names for the machine itself are skipped; dnsmasq's `address=/example.org/`,
`server=/…/` and `local=/…/`; AdGuard's and uBlock's `||example.org^`, whose comments begin with `!`. Anything beyond
plain names (an exception, a browser option) is refused, because a box cannot do it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from shutdownlab.config.addresses import is_address
from shutdownlab.config.document import Expected
from shutdownlab.config.domains import NAME, domain
from shutdownlab.config.garbage import nothing_is_garbage
from shutdownlab.inspection.list_mistakes import ListMistakes

MAX_BYTES = 64 << 20
"""A million names, with what other programs' forms add to each."""
MAX_NAMES = 1_000_000
"""Enough for national block lists, and small enough for a message to a DPI box."""
_PLAIN = re.compile(NAME.encode())
"""A name already in canonical form. Fast path: most lines are one, and there may be a million."""
_WRAPPED = re.compile(
    rb"\|\|([^|^/$*]+)\^|(?:address|server|local)=/([^/]+)/[^/]*"
    rb"|(?:0\.0\.0\.0|127\.0\.0\.1|::1?)[ \t]+([^ \t]+)|\*?\.(.+)"
)
"""A line of another program's list, with one name. Fast path as well: what is around the name must be this exactly."""
_OWN = frozenset({b"localhost", b"localhost.localdomain", b"local", b"broadcasthost", b"0.0.0.0"})
"""The names that hosts files give the machine itself, besides `ip6-localhost` and the other `ip6-` names."""
_NO_BROWSER = "write exceptions as separate rules; a box knows no options, paths or parts of pages"
_DNSMASQ = re.compile(r"(?:address|server|local)=/(.+)/[^/]*")
_ADGUARD = re.compile(r"\|\|([^/^$|*]+)\^?")


def read_names(text: bytes, file: str) -> tuple[str, ...]:
    """Returns the list's suffixes, lower case and in A-labels, each once, in file order. Raises `BadInput`."""
    mistakes = ListMistakes(file, "a name", "names")
    with nothing_is_garbage():
        names = _names(text.removeprefix(b"\xef\xbb\xbf").splitlines(), mistakes)
        mistakes.raise_if_bad(len(names), MAX_NAMES)
        return tuple(names)


def _names(lines: Iterable[bytes], mistakes: ListMistakes) -> dict[str, None]:
    """Returns the suffixes in these lines, each once, in order; adds unreadable lines to `mistakes`."""
    names: dict[str, None] = {}
    for number, line in enumerate(lines, start=1):
        if _PLAIN.fullmatch(line):
            names[line.decode("ascii")] = None
            continue
        entry = line.partition(b"#")[0].strip() if b"##" not in line else line.strip()
        if not entry:
            continue
        wrapped = _WRAPPED.fullmatch(entry)
        name = wrapped[wrapped.lastindex or 0] if wrapped else entry
        try:
            if _PLAIN.fullmatch(name) and name not in _OWN and not name.startswith(b"ip6-"):
                names[name.decode("ascii")] = None
            else:
                names |= dict.fromkeys(_suffixes(entry))
        except Expected as error:
            mistakes.add(number, entry, error)
    return names


def _suffixes(entry: bytes) -> Iterable[str]:
    """Returns the names in a line that is not simply a canonical name; raises `Expected`."""
    try:
        text = entry.decode("utf-8")
    except UnicodeDecodeError:
        raise Expected("a domain name in UTF-8", "save the file as UTF-8") from None
    if text.startswith("!") or (text.startswith("[") and text.endswith("]")):
        return ()  # AdGuard's comments and headings
    if "##" in text:
        raise Expected("a name, such as ||example.org^", _NO_BROWSER)
    first, *others = text.split()
    if others and is_address(first.partition("%")[0]):
        return [_suffix(name) for name in others if name.encode() not in _OWN and not name.startswith("ip6-")]
    if found := _DNSMASQ.fullmatch(text):
        return [_suffix(name) for name in found[1].split("/")]
    if found := _ADGUARD.fullmatch(text):
        return (_suffix(found[1]),)
    if text.startswith(("@@", "||", "/")):
        raise Expected("a name, such as ||example.org^", _NO_BROWSER)
    return (_suffix(text),)


def _suffix(text: str) -> str:
    """Returns one name in canonical form; raises `Expected`."""
    try:
        return domain(text)
    except Expected as error:
        raise Expected(error.expected, f"one name per line; # starts a comment; {error.hint}") from None
