"""Parses domain block lists: one name a line, `#` begins a comment.

A name covers itself and everything below it (`example.org`, `*.example.org` and `.example.org` are the same), may use
capitals, a final dot or an IDN, and may occur twice. Lists made for other programs are read as they are: hosts files
(`0.0.0.0 example.org`), whose names for the machine itself are skipped; dnsmasq's `address=/example.org/`,
`server=/…/` and `local=/…/`; AdGuard's and uBlock's `||example.org^`, whose comments begin with `!`; response policy
zones and Unbound's `local-zone` (see `zone_list`). Anything beyond plain names (an exception, a browser option) is
refused, because a box cannot do it, and so is a table, with the command that gives its column of names.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from shutdownlab.config.addresses import is_address
from shutdownlab.config.document import Expected
from shutdownlab.config.domains import NAME, domain
from shutdownlab.config.garbage import nothing_is_garbage
from shutdownlab.config.problems import BadInput, Problem
from shutdownlab.inspection.list_mistakes import ListMistakes
from shutdownlab.inspection.zone_list import ZoneList

MAX_BYTES = 64 << 20
"""A million names, with what other programs' forms add to each."""
MAX_NAMES = 1_000_000
"""Enough for national block lists, and small enough for a message to a DPI box."""
_PLAIN = re.compile(NAME.encode())
"""A name already in canonical form. Fast path: most lines are one, and there may be a million."""
_WRAPPED = re.compile(
    rb"\|\|([^|^/$*]+)\^|(?:address|server|local)=/([^/]+)/[^/#]*"
    rb"|(?:0\.0\.0\.0|127\.0\.0\.1|::1?)[ \t]+([^ \t]+)"
    rb"|(?:\*\.)?([^ \t]+)[ \t]+(?:\d+[ \t]+)?(?:IN[ \t]+)?CNAME[ \t]+\."
    rb"|local-zone:[ \t]*\"([^\"]+?)\.?\"[ \t]+(?:always_n\w+|static|refuse|deny|redirect)|\*?\.(.+)"
)
"""A line of another program's list, with one name. Fast path as well: what is around the name must be this exactly."""
_OWN = frozenset({b"localhost", b"localhost.localdomain", b"local", b"broadcasthost", b"0.0.0.0"})
"""The names that hosts files give the machine itself, besides `ip6-localhost` and the other `ip6-` names."""
_NO_BROWSER = "write exceptions as separate rules; a box knows no options, paths or parts of pages"
_DNSMASQ = re.compile(r"(address|server|local)=/(.+)/([^/]*)")
_COSMETIC = re.compile(rb"\s*[^\s#]*#[@?$%]*##?[^\s#]")
"""A rule about parts of pages (`example.org##.ad`, `#@#`, `#?#`, `###id`); `## Title` and `#####` are comments."""
_ADGUARD = re.compile(r"\|\|(?:\*\.)?([^/^$|*]+)\^?(?:\$(?:important|all))?")
_HEADINGS = frozenset(
    {b"domain", b"domains", b"domain_name", b"fqdn", b"host", b"hostname", b"name", b"site", b"url", b"website"}
)
"""What the column of names is called in the first line of a table. Some are top-level domains as well."""
_SEPARATORS = (";", ",", "\t", "|", " ")


def read_names(text: bytes, file: str) -> tuple[str, ...]:
    """Returns the list's suffixes, lower case and in A-labels, each once, in file order. Raises `BadInput`."""
    mistakes = ListMistakes(file, "a name", "names")
    mistakes.raise_if_packed(text)
    with nothing_is_garbage():
        names = _names(text.removeprefix(b"\xef\xbb\xbf").splitlines(), mistakes)
        mistakes.raise_if_bad(len(names), MAX_NAMES)
        if all(map(is_address, names)):
            raise BadInput(
                [Problem(file, 0, "", "addresses only", "names", "`address_file` takes a list of addresses")]
            )
        return tuple(names)


def _names(lines: Iterable[bytes], mistakes: ListMistakes) -> dict[str, None]:
    """Returns the suffixes in these lines, each once, in order; adds unreadable lines to `mistakes`."""
    names: dict[str, None] = {}
    zone = ZoneList()
    for number, line in enumerate(lines, start=1):
        plain = line.removesuffix(b".")
        if names and not zone.within and b"." in plain and _PLAIN.fullmatch(plain):
            names[plain.decode("ascii")] = None
            continue
        entry = (
            line.strip()
            if b"=/" in line or (b"#" in line and _COSMETIC.match(line))
            else line.partition(b"#")[0].strip()
        )
        if not entry:
            continue
        wrapped = _WRAPPED.fullmatch(entry)
        name = wrapped[wrapped.lastindex or 0] if wrapped else entry
        if name.endswith(b"."):
            name = name.removesuffix(zone.end) if wrapped and zone.end and name.endswith(zone.end) else name[:-1]
        try:
            if (
                zone.within
                or not _PLAIN.fullmatch(name)
                or name in _OWN
                or name.startswith(b"ip6-")
                or b".rpz-" in name
                or zone.elsewhere
            ):
                names |= dict.fromkeys(_suffixes(entry, line, zone))
            elif not names and entry in _HEADINGS:
                raise Expected(
                    "a name in the first line, too",
                    f"leave headings out; a top-level domain is written .{name.decode('ascii')}",
                )
            elif wrapped is None and b"-" in entry and b"." not in entry and not entry.startswith(b"xn--"):
                raise Expected("a name that can be asked for", "no top-level domain has a hyphen; leave options out")
            else:
                names[name.decode("ascii")] = None
        except Expected as error:
            mistakes.add(number, entry, error)
    return names


def _suffixes(entry: bytes, line: bytes, zone: ZoneList) -> Iterable[str]:
    """Returns the names in a line (`entry` is it without its comment) that is not simply a canonical name; raises
    `Expected`."""
    try:
        text = entry.decode("utf-8")
    except UnicodeDecodeError:
        raise Expected("a domain name in UTF-8", "save the file as UTF-8") from None
    if text.startswith("!") or (text.startswith("[") and text.endswith("]") and '"' not in text):
        return ()  # AdGuard's comments and headings
    if _COSMETIC.match(entry):
        raise Expected("a name, such as ||example.org^", _NO_BROWSER)
    first, *others = text.split()
    if others and is_address(first.partition("%")[0]):
        return [_suffix(name, text) for name in others if name.encode() not in _OWN and not name.startswith("ip6-")]
    if found := _DNSMASQ.fullmatch(text):
        if found[2] == "#":
            raise Expected("a name", "# stands for all names there; a rule without a name covers them")
        if found[1] == "server" and found[3].partition(" ")[0] == "#":
            raise Expected("a name that is blocked", "# lets it through: write exceptions as separate rules")
        return [_suffix(name, text) for name in found[2].split("/")]
    if found := _ADGUARD.fullmatch(text):
        return (_suffix(found[1], text),)
    if text.startswith(("@@", "||", "/")):
        raise Expected("a name, such as ||example.org^", _NO_BROWSER)
    if (of_zone := zone.names(f" {text}" if line[:1].isspace() else text)) is not None:
        return [_suffix(name, text) for name in of_zone]
    return (_suffix(text, text),)


def _suffix(name: str, text: str) -> str:
    """Returns one name of a line in canonical form; raises `Expected`."""
    try:
        return domain(name)
    except Expected as error:
        raise Expected(
            error.expected, f"one name per line; {_column(text) or f'# starts a comment; {error.hint}'}"
        ) from None


def _column(text: str) -> str:
    """Returns the command that gives a table's column of names, of a line of such a table; else ""."""
    for separator in _SEPARATORS:
        cells = [cell.strip().strip("\"'") for cell in text.split(separator)]
        columns = [number for number, cell in enumerate(cells, start=1) if _is_suffix(cell)]
        if len(columns) == len(cells) > 1:
            one = "'\\t'" if separator == "\t" else shlex.quote(separator)
            return f"`tr {one} '\\n' < FILE` writes each on a line of its own"
        if len(cells) > 1 and columns:
            unquoted = " | tr -d '\"'" if '"' in text else ""
            cut = "cut" if separator == "\t" else f"cut -d{shlex.quote(separator)}"
            return f"`{cut} -f{columns[0]} FILE{unquoted}` writes this table's column of names"
    return ""


def _is_suffix(text: str) -> bool:
    try:
        return "." in domain(text) and not is_address(text)
    except Expected:
        return False
