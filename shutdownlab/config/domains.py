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
NAME = rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*"
"""A regular expression for a host name in canonical form."""
_NAME = re.compile(NAME)


def is_host_name(text: str) -> bool:
    """Returns whether `text` is a host name in canonical form, as `host_name` returns it."""
    return _NAME.fullmatch(text) is not None


def _text(value: Any) -> str:
    """Returns a name as it was written, or "" for a number such as `1.10`, which YAML has turned into 1.1."""
    return "" if isinstance(value, float) else written(value)


def host_name(value: Any) -> str:
    """Parses the name of one host to canonical form: lower case, A-labels, no final dot.

    Accepts capitals, a final dot and letters of any script. Raises `Expected`. Source: RFC 1035; see `idn`.
    """
    text = _text(value)
    name = text.rstrip(".").lower()
    if not name.isascii():
        try:
            name = to_ascii(name).rstrip(".")
        except UnicodeError as error:
            raise Expected("a domain name such as kaspi.kz", f"no client could look that up: {error}") from None
    if not is_host_name(name):
        hint = "letters, digits and hyphens, labels of at most 63"
        if name.startswith(("*.", ".")) and is_host_name(name.lstrip("*").removeprefix(".")):
            hint = "write the name of one host; `sites` and other keys for whole domains include all names below it"
        elif "://" in name or "/" in name:
            hint = "write only the name, without https:// and without a path"
        elif re.fullmatch(r".+:\d+", name) and is_host_name(name.rpartition(":")[0]):
            hint = "write only the name, without a port"
        raise Expected("a domain name such as kaspi.kz", hint)
    return name


def domain(value: Any) -> str:
    """Parses a domain, which includes its subdomains: `kaspi.kz`, `.kaspi.kz` and `*.kaspi.kz` are the same. Returns it
    as `host_name` does."""
    text = _text(value)
    return host_name(text.removeprefix("*").removeprefix(".") if text.startswith(("*.", ".")) else text)


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
