"""Parses domain names, hosts and URLs in files to a canonical form, and enumerates the parents of a name."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator

from shutdownlab.config.addresses import address, is_address
from shutdownlab.config.document import Expected, quoted
from shutdownlab.config.idn import to_ascii
from shutdownlab.config.scalars import text_like, written

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_LABELS = rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*"
NAME = rf"{_LABELS}(?<![0-9])"
"""A regular expression for a host name in canonical form that does not end with a digit, as hardly any does."""
_NAME, _OTHERS = re.compile(NAME), re.compile(_LABELS)
_NUMBER = re.compile("[0-9]+")
"""A last label that clients take for a part of an IPv4 address (WHATWG URL, "ends in a number checker")."""


def is_host_name(text: str) -> bool:
    """Returns whether `text` is a host name in canonical form, or an IPv4 address, as `host_name` returns it."""
    if _NAME.fullmatch(text):
        return True
    return bool(_OTHERS.fullmatch(text)) and (not _ends_in_a_number(text) or is_address(text))


def _ends_in_a_number(text: str) -> bool:
    return _NUMBER.fullmatch(text.rpartition(".")[2]) is not None


def _text(value: Any) -> str:
    """Returns a name as it was written, or "" for a number such as `1.10`, which YAML has turned into 1.1."""
    return "" if isinstance(value, float) else written(value)


def host_name(value: Any) -> str:
    """Parses the name of one host to canonical form: lower case, A-labels, no final dot.

    Accepts capitals, a final dot and letters of any script. Raises `Expected`. Source: RFC 1035; see `idn`.
    """
    return _canonical(_text(value), one=True)


def _canonical(text: str, one: bool) -> str:
    """Parses the name of one host, or of a domain whose `*.` or `.` is taken off."""
    name = text.rstrip(".").lower()
    if not name.isascii():
        try:
            name = to_ascii(name).rstrip(".")
        except UnicodeError as error:
            raise Expected("a domain name such as kaspi.kz", f"no client could look that up: {error}") from None
    if not is_host_name(name):
        raise Expected("a domain name such as kaspi.kz", _hint(name, one))
    return name


def _hint(name: str, one: bool) -> str:
    """Returns what is wrong with a text that is not a host name."""
    if "://" in name or "/" in name:
        return "write only the name, without https:// and without a path"
    if is_address(name.strip("[]")):
        return "that is an address"
    if re.fullmatch(r".+:\d+", name) and is_host_name(name.rpartition(":")[0]):
        return "write only the name, without a port"
    several = re.split(r"[\s,;]+", name)
    if len(several) > 1 and all("." in each and is_host_name(each) for each in several):
        return f"several names are a list: [{', '.join(several[:3])}{', …' * (len(several) > 3)}]"
    if one and name.startswith(("*.", ".")) and is_host_name(name.lstrip("*").removeprefix(".")):
        return "write the name of one host; `sites` and other keys for whole domains include all names below it"
    if "*" in name:
        below = re.sub(r"\A[*.]+", "", name)
        return (
            f"write {below}, without *" if is_host_name(below) else "* stands only for all names below one: *.kaspi.kz"
        )
    if ".." in name or name.startswith("."):
        return "one dot between two labels, and at most one before the first"
    if _OTHERS.fullmatch(name) and _ends_in_a_number(name):
        return "no top-level domain is a number; an address is written 192.0.2.1"
    return "letters, digits and hyphens, labels of at most 63"


def domain(value: Any) -> str:
    """Parses a domain, which includes its subdomains: `kaspi.kz`, `.kaspi.kz` and `*.kaspi.kz` are the same. Returns it
    as `host_name` does."""
    text = _text(value)
    return _canonical(text.removeprefix("*").removeprefix(".") if text.startswith(("*.", ".")) else text, one=False)


def host(value: Any) -> str:
    """Parses a host name or an address to canonical form. Raises `Expected`."""
    text = _text(value)
    if is_address(text):
        return str(address(text))
    try:
        return host_name(text)
    except Expected as error:
        hint = "without a zone (what follows the %)" if "%" in text else error.hint
        raise Expected("a domain name such as kaspi.kz, or an address", hint) from None


def url(value: Any, schemes: tuple[str, ...] = ("http", "https")) -> SplitResult:
    """Splits a URL such as `"https://kaspi.kz/"`: a host name (in canonical form) or address, an optional port, no
    user. Raises `Expected`."""
    text = written(value)
    scheme, _, rest = text.partition("://")
    authority = re.match(r"[^/?#]*", rest)[0]  # type: ignore[index]  # matches any text
    if not re.fullmatch(r"[!-~]*", scheme + rest.removeprefix(authority)) or re.search(r"[\s\x00-\x1f]", authority):
        raise Expected("a URL without spaces, in ASCII except for the host name", "write %20 for a space, %C3%A9 for é")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise Expected("a URL such as https://kaspi.kz/", "ports are 1 to 65535, IPv6 addresses are in []") from None
    if parts.scheme not in schemes or not host:
        raise Expected(f"a URL that starts with {' or '.join(f'{scheme}://' for scheme in reversed(schemes))}")
    if port == 0:
        raise Expected("a URL such as https://kaspi.kz/", "ports are 1 to 65535")
    if "@" in parts.netloc:
        raise Expected("a URL without a user name")
    if not is_address(host):
        suffix = "" if port is None else f":{port}"
        parts = parts._replace(netloc=host_name(host) + suffix)
    return parts


def _url(value: str) -> str:
    try:
        return url(value).geturl()
    except Expected as error:
        raise Expected(error.expected, error.hint, found=quoted(value)) from None


Url = Annotated[str, AfterValidator(_url), text_like("URL", "https://www.bbc.com/", pattern="https?://.+")]
HostName = Annotated[str, BeforeValidator(host_name), text_like("host name", "www.bbc.com", "пример.рф")]
Domain = Annotated[str, BeforeValidator(domain), text_like("domain", "kaspi.kz", "*.kaspi.kz", ".kaspi.kz")]
Host = Annotated[str, BeforeValidator(host), text_like("host name or address", "www.bbc.com", "8.8.8.8")]


def with_all_above(name: str) -> Iterator[str]:
    """Yields a domain name and its parents, longest first: `www.kaspi.kz`, `kaspi.kz`, `kz`."""
    while name:
        yield name
        name = name.partition(".")[2]


def is_within(name: str, domains: Container[str]) -> bool:
    """Returns whether a name is one of `domains` or a subdomain of one; with a set, independent of its size."""
    return any(domain in domains for domain in with_all_above(name))
