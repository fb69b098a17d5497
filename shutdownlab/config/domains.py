"""Domain names, hosts and URLs as files have them, each in its one spelling; and what is above a name."""

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
"""A host name in its one spelling, as a regular expression."""
_NAME = re.compile(NAME)


def is_host_name(text: str) -> bool:
    """Whether it is a name in its one spelling already: as `host_name` returns it."""
    return _NAME.fullmatch(text) is not None


def _text(value: Any) -> str:
    """A name as it was written: of `1.10`, which YAML takes for 1.1, nobody knows any more how that was."""
    return "" if isinstance(value, float) else written(value)


def host_name(value: Any) -> str:
    """The name of one host, in its one spelling: lower case, A-labels, no dot at the end.

    It may be written as people do: capitals, a final dot, letters of any script. Source: RFC 1035; see `idn`.
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
            hint = "the name of one host; what is below a name is meant where whole domains are, as in `sites`"
        elif "://" in name or "/" in name:
            hint = "the name alone, without https:// and without a path"
        elif re.fullmatch(r".+:\d+", name) and is_host_name(name.rpartition(":")[0]):
            hint = "the name alone, without a port"
        raise Expected("a domain name such as kaspi.kz", hint)
    return name


def domain(value: Any) -> str:
    """A name with everything below it: `kaspi.kz`, `.kaspi.kz` and `*.kaspi.kz` are the same, spelt as `host_name`."""
    text = _text(value)
    return host_name(text.removeprefix("*").removeprefix(".") if text.startswith(("*.", ".")) else text)


def host(value: Any) -> str:
    """A host's name or its address, each in its one spelling."""
    text = _text(value)
    if is_address(text):
        return str(address(text))
    try:
        return host_name(text)
    except Expected as error:
        hint = "without a zone (what follows the %)" if "%" in text else error.hint
        raise Expected("a domain name such as kaspi.kz, or an address", hint) from None


def url(value: Any, schemes: tuple[str, ...] = ("http", "https")) -> SplitResult:
    """`"https://kaspi.kz/"` in its parts: a host name (in its one spelling) or address, a port or none, no user."""
    text = written(value)
    scheme, _, rest = text.partition("://")
    authority = re.match(r"[^/?#]*", rest)[0]  # type: ignore[index]  # it matches whatever there is
    if not re.fullmatch(r"[!-~]*", scheme + rest.removeprefix(authority)) or re.search(r"[\s\x00-\x1f]", authority):
        raise Expected("a URL in ASCII but for its host's name, without spaces", "write %20 for a space, %C3%A9 for é")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise Expected("a URL such as https://kaspi.kz/", "ports are 1 to 65535, IPv6 addresses stand in []") from None
    if parts.scheme not in schemes or not host:
        raise Expected(f"a URL that starts with {' or '.join(f'{scheme}://' for scheme in reversed(schemes))}")
    if port == 0:
        raise Expected("a URL such as https://kaspi.kz/", "ports are 1 to 65535")
    if "@" in parts.netloc:
        raise Expected("a URL without a user's name")
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
    """A domain name, and those that it is below, the longest first: `www.kaspi.kz`, `kaspi.kz`, `kz`."""
    while name:
        yield name
        name = name.partition(".")[2]


def is_within(name: str, domains: Container[str]) -> bool:
    """Whether a name is one of the domains or below one: as quickly of a million in a set as of one."""
    return any(domain in domains for domain in with_all_above(name))
