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
from collections.abc import Iterable, Sequence

from shutdownlab.config.addresses import is_address
from shutdownlab.config.document import Expected
from shutdownlab.config.domains import NAME, domain, is_host_name
from shutdownlab.config.garbage import nothing_is_garbage
from shutdownlab.config.idn import to_ascii
from shutdownlab.config.problems import BadInput, Problem
from shutdownlab.inspection.list_mistakes import ListMistakes
from shutdownlab.inspection.punycode import a_label
from shutdownlab.inspection.zone_list import ZoneList

MAX_BYTES = 64 << 20
"""A million names, with what other programs' forms add to each."""
MAX_NAMES = 1_000_000
"""Enough for national block lists, and small enough for a message to a DPI box."""
_PLAIN = re.compile(NAME.encode())
"""A name already in canonical form."""
# Nothing here is possessive (`++`): Python before 3.11.5, as Debian 12 has, then takes more than matches (gh-106052).
_LABEL = r"_?[^\W_]+(?:[-_]{1,2}[^\W_]+)*"
_ONE_NAME = rf"{_LABEL}(?:\.{_LABEL})+(?<![0-9])"
"""A name of several labels, in letters of any script; their lengths are not checked, nor what IDNA allows."""
_FULL_NAME = rf"({_ONE_NAME})"
_COMMENT = r"|[ \t]*(?:[#!](?![#@?$%])[^\n]*)?"
_FORMS = tuple(
    re.compile(f"^(?:{form}{_COMMENT})$", re.MULTILINE)
    for form in (
        rf"{_FULL_NAME}\.?(?:[ \t]+#[^\n]*)?",
        rf"(?:0\.0\.0\.0|127\.0\.0\.1|::1?)[ \t]+({_ONE_NAME}(?:[ \t]+{_ONE_NAME})*)\.?(?:[ \t]+#[^\n]*)?",
        rf"\|\|{_FULL_NAME}\^(?:\$(?:important|all))?",
        rf"(?!server=[^\n#]*#)(?:address|server|local)=/({_ONE_NAME}(?:/{_ONE_NAME})*)/[^/\n]*",
        rf"(?:\*\.)?{_FULL_NAME}\.?[ \t]+(?:\d+[ \t]+)?(?:IN[ \t]+)?CNAME[ \t]+\.",
        rf'[ \t]*local-zone:[ \t]*"{_FULL_NAME}\.?"[ \t]+(?:always_n\w+|static|refuse|deny|redirect)',
        rf"\*?\.{_FULL_NAME}",
    )
)
"""A line of each kind of list, with its name or names, or a comment. Fast path: there may be a million of one kind."""
_AT_ONCE = (512, 16)
"""How many lines are tried at once, and how many of them again if not all are of one kind."""
_LONGEST_LINE = 4096
"""In bytes; longer lines are read on their own, since matching one takes memory for each of its labels."""
_LONGEST_LABEL = 63
_OWN = frozenset({b"localhost", b"localhost.localdomain", b"local", b"broadcasthost", b"0.0.0.0"})
"""The names that hosts files give the machine itself, besides `ip6-localhost` and the other `ip6-` names."""
_NO_BROWSER = "write exceptions as separate rules; a box knows no options, paths or parts of pages"
_DNSMASQ = re.compile(r"(address|server|local)=/(.+)/([^/]*)")
_COSMETIC = re.compile(rb"\s*[^\s#]*#[@?$%]*##?[^\s#]")
"""A rule about parts of pages (`example.org##.ad`, `#@#`, `#?#`, `###id`); `## Title` and `#####` are comments."""
_ADGUARD = re.compile(r"\|\|(?:\*\.)?([^/^$|*]+)\^?(?:\$(?:important|all))?")
_HEADINGS = frozenset(
    heading + plural
    for heading in (b"domain", b"domain_name", b"fqdn", b"host", b"hostname", b"name", b"site", b"url", b"website")
    for plural in (b"", b"s")
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


def _names(lines: Sequence[bytes], mistakes: ListMistakes) -> dict[str, None]:
    """Returns the suffixes in these lines, each once, in order; adds unreadable lines to `mistakes`."""
    names: dict[str, None] = {}
    zone = ZoneList()
    forms = list(_FORMS)
    many, few = _AT_ONCE
    for begins in range(0, len(lines), many):
        several = lines[begins : begins + many]
        if names and _add_alike(names, several, zone, forms):
            continue
        for at in range(begins, begins + len(several), few):
            part = lines[at : at + few]
            if not names or not _add_alike(names, part, zone, forms):
                _add_each(names, part, at + 1, zone, mistakes)
    return names


def _add_alike(names: dict[str, None], lines: Sequence[bytes], zone: ZoneList, forms: list[re.Pattern[str]]) -> bool:
    """Adds the names in lines that are all of one form. Returns False if they are not.

    `forms`: those that are tried; the one of these lines becomes the first.
    """
    if zone.within or zone.elsewhere or max(map(len, lines)) > _LONGEST_LINE:
        return False
    try:
        text = b"\n".join(lines).decode("utf-8")
    except UnicodeDecodeError:
        return False
    if "localhost" in text or "ip6-" in text or ".rpz-" in text.lower():
        return False
    if zone.end:
        end = zone.end.decode("utf-8")
        if text.lower().count(end) != text.count(end):
            return False
        text = text.replace(f"{end} ", " ").replace(f"{end}\t", "\t")
    for form in forms:
        found = form.findall(text)
        if len(found) == len(lines):
            listed = "\n".join(found).lower().replace("/", "\n").split()  # without what comments leave
            if not text.isascii():
                try:
                    listed = [name if name.isascii() else _encoded(name) for name in listed]
                except UnicodeError:
                    return False
            if any(len(name) > _LONGEST_LABEL and not is_host_name(name) for name in listed):
                return False
            names |= dict.fromkeys(listed)
            if form is not forms[0]:
                forms.remove(form)
                forms.insert(0, form)
            return True
    return False


def _encoded(name: str) -> str:
    """Returns a name in lower case as `domain` does; raises `UnicodeError` where that refuses it."""
    encoded = to_ascii(name, a_label)
    if not is_host_name(encoded):
        raise UnicodeError
    return encoded


def _add_each(
    names: dict[str, None], lines: Iterable[bytes], first: int, zone: ZoneList, mistakes: ListMistakes
) -> None:
    """Adds the names in lines of any form, of which the first has the number `first`."""
    for number, line in enumerate(lines, start=first):
        entry = (
            line.strip()
            if b"=/" in line or (b"#" in line and _COSMETIC.match(line))
            else line.partition(b"#")[0].strip()
        )
        if not entry:
            continue
        name = entry.removesuffix(b".")
        try:
            if not names and entry.lower() in _HEADINGS:
                hint = f"leave headings out; a top-level domain is written .{name.decode('ascii').lower()}"
                raise Expected("a name in the first line, too", hint)
            if zone.within or name in _OWN or not _PLAIN.fullmatch(name):
                names |= dict.fromkeys(_suffixes(entry, line, zone))
            elif b"-" in entry and b"." not in entry and not entry.startswith(b"xn--"):
                raise Expected("a name that can be asked for", "no top-level domain has a hyphen; leave options out")
            else:
                names[name.decode("ascii")] = None
        except Expected as error:
            mistakes.add(number, entry, error)


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
        if address := next(filter(is_address, found[2].split("/")), ""):
            raise Expected(f"names between the slashes, and {address} after the last one")
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
