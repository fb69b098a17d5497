"""Parses the values of rule conditions (names, URLs, patterns …) from users' spelling to their form on the wire.

A value that no packet could match is refused, with what to write instead.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Annotated, Any
from urllib.parse import unquote

import re2
from pydantic import AfterValidator, BeforeValidator, Field, WrapValidator

from shutdownlab.config.document import Expected, quoted
from shutdownlab.config.domains import Domain, Host, host_name, is_host_name, url
from shutdownlab.config.idn import folded, to_unicode
from shutdownlab.config.scalars import Whole, written
from shutdownlab.inspection.patterns import hopeless_part, pattern_options, possible_names, possible_urls
from shutdownlab.inspection.query_types import query_type

_IN_NAMES = re.compile(r"[a-z0-9_.:\\\-\u0080-\U0010ffff]+")
_BESIDE_A_URL = re.compile(
    r"\A\^?(?:[A-Z]{3,}(?: |\\s\+?)(?:\\?/|http)|(?i:host|referer|cookie|user-agent): )| HTTP/[12](?:\\?\.[01])?\$?\Z"
)
_INSIDE_TLS = "use `name_suffix` for the host name; without https://, `url` matches requests to a proxy"
_FRAGMENT = "clients do not send what follows #; a # within a path is sent as %23"
_CODE_POINTS = "TLS 1.2 is 771, TLS 1.3 is 772, QUIC's first version is 1"
_JA4 = re.compile(r"[tqd](?:1[0-3]|s[23]|d[1-3]|00)[di][0-9]{4}[0-9a-z]{2}(?:_[0-9a-f]{12}){0,2}", re.IGNORECASE)


def many(value: Any) -> Any:
    """Returns a list's values as a tuple, or a single value (`app: whatsapp`) as a tuple of one."""
    return tuple(value) if isinstance(value, list | tuple | set | frozenset) else (value,)


def domains(value: Any, each: Any) -> Any:
    """Validates a list of names by `each`, unless all are in canonical form already: there may be a million."""
    names = many(value)
    if all(isinstance(name, str) and is_host_name(name) for name in names):
        return names
    return each(names)


def _text(value: Any) -> str:
    """Returns a text value. Raises `Expected` for other types: YAML reads `007` as 7, and the spelling is lost."""
    if not isinstance(value, str):
        raise Expected("text", "write it in quotes, exactly as it is to be found")
    return written(value)


def _pattern(value: Any) -> str:
    """Returns a regular expression in RE2's syntax, which matches in linear time; raises `Expected`."""
    text = _text(value)
    try:
        re2.compile(text, pattern_options())
    except re2.error as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        hint = "RE2 has no look-around or references"
        raise Expected(f"a regular expression in RE2's syntax ({reason})", hint) from None
    if not text:
        raise Expected("a regular expression of at most 2,000 characters")
    return text


def _name_pattern(value: Any) -> str:
    text = _pattern(value)
    if "://" in text:
        raise Expected("a regular expression for host names", "`url_regex` looks at whole URLs")
    part = hopeless_part(text, possible_names())
    if part is None:
        return text
    what = f"has {part[-1]!r} in it" if re.fullmatch(r"\\?[^\w\\]|\w", part) else f"matches {quoted(part)}"
    if "/" in part:
        hint = "`url_regex` looks at whole URLs"
    elif part.lower() != part:
        hint = "names are compared in lower case: leave (?-i) out"
    elif re.search(r"[\^$]|\\[Az]", part) and not part.startswith("["):
        hint = "^ is where the name begins and $ where it ends"
    else:
        hint = "it holds letters, digits, hyphens and dots"
    raise Expected(f"a regular expression for host names, none of which {what}", hint)


def _in_clear(text: str) -> str:
    """Returns the URL; raises `Expected` if its scheme is inside TLS, or ws, which begins as HTTP."""
    scheme = re.match(r"(?i)(https|wss?)(?:://|\Z)", text)
    if scheme and scheme[1].lower() == "ws":
        raise Expected("a URL as it is on the wire", "WebSocket begins as HTTP: write http://")
    if scheme:
        raise Expected("a URL without https://, since no box sees URLs inside TLS", _INSIDE_TLS)
    return text


def _name_part(value: Any) -> str:
    text = folded(_text(value))
    if not _IN_NAMES.fullmatch(text):
        hint = "a name holds letters, digits, hyphens and dots"
        if text.startswith("*."):
            hint = "`name_suffix` matches a name and everything below it"
        elif "/" in text:
            hint = "`url_contains` looks at whole URLs"
        raise Expected("a part of a host name", hint)
    return text


def _no_other_text(text: str) -> None:
    """Raises `Expected` for what is in a request, but not in its URL: the method, the version, a header's name."""
    if _BESIDE_A_URL.search(text):
        raise Expected("a part of a URL", "`keyword` looks at a request's other text")


def _url_part(value: Any) -> str:
    """Returns a part of a URL, with its host (if complete) normalised and port 80 removed, as in matched URLs."""
    text = _text(value)
    if not text:
        raise Expected("a part of a URL")
    if text.startswith("*") or text.endswith("*"):
        raise Expected("a part of a URL", "leave * out: it is found anywhere in the URL")
    _no_other_text(text)
    if "#" in text:
        raise Expected("a part of a URL as it is sent", _FRAGMENT)
    scheme, mark, rest = _in_clear(text).partition("://")
    if not mark and (named := re.match(r"([^/:?\s]+\.[^/:?\s]+):80(?=/|\Z)", text)):
        return named[1] + text[named.end() :]
    host, slash, path = rest.partition("/")
    if "@" in host:
        raise Expected("a URL as it is on the wire", "without a user's name: browsers send that in a header")
    if not (mark and slash and host):
        return text
    with suppress(Expected):
        return f"{scheme}://{host_name(host.removesuffix(':80'))}/{path}"
    if scheme.lower() != "http":
        return text
    if host.startswith("*."):
        raise Expected("a part of a URL", f"write {quoted(f'{host[1:]}/{path}')}: it is found anywhere in the URL")
    try:
        url(f"http://{host}")  # with a port, or an address
    except Expected as error:
        raise Expected("a part of a URL such as http://kaspi.kz/path", error.hint) from None
    return text


def _url_pattern(value: Any) -> str:
    text = _pattern(value)
    _no_other_text(text)
    part = hopeless_part(text, possible_urls())
    if part is None:
        return text
    if re.search(r"(?i)https|http\W?s", part):
        raise Expected("a regular expression for URLs that are not inside TLS, which no box sees", _INSIDE_TLS)
    expected = f"a regular expression for URLs, none of which matches {quoted(part)}"
    if re.match(r"(\^|\\A)(\(\?:)?\\?/", part):
        raise Expected(expected, "leave ^ out to find a path: it is where http:// begins")
    if "#" in part:
        raise Expected(expected, _FRAGMENT)
    raise Expected(expected, "they are like http://kaspi.kz/path?query, with at least a / after the name, without :80")


def _keyword(value: Any) -> str:
    text = _text(value)
    if not text:
        raise Expected("a keyword of at most 2,000 characters")
    if escape := re.search(r"\\r\\n|\\x[0-9a-fA-F]{2}", text):
        raise Expected("the text itself", f"only in double quotes does {escape[0]} stand for something else")
    return text


def _software(value: Any) -> str:
    text = _text(value)
    if not re.fullmatch(r"[ -~]+", text) or text != text.strip():
        hint = "in ASCII, without spaces before or after it, as clients send it"
        raise Expected("a part of what a program says of itself, such as curl/8", hint)
    if text.startswith("*") or text.endswith("*"):
        raise Expected("a part of what a program says of itself, such as curl/8", "leave * out: it is found anywhere")
    if text.lower().startswith("user-agent:"):
        raise Expected("a part of what a program says of itself, such as curl/8", "without the name of the header")
    return text


def _ja4(value: Any) -> str:
    text = written(value)
    if not _JA4.fullmatch(text):
        hint = "that is JA3, which is not computed" if re.fullmatch(r"[0-9a-fA-F]{32}", text) else ""
        raise Expected("a JA4 such as t13d1516h2_8daaf6152771_e5627efa2ab1, or its first one or two parts", hint)
    return text.lower()


def _code_point(value: Any) -> Any:
    """Converts hexadecimal text such as `0x0304` to an int; leaves other values as they are."""
    text = value if isinstance(value, str) else ""
    if re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}", text):
        return int(text, 16)
    if isinstance(value, float) or (text and not text.isdigit()):
        raise Expected("a version's code point, a whole number", _CODE_POINTS)
    return value


def _version(value: int) -> int:
    """Raises `Expected` for GREASE (RFC 8701, RFC 9000 §15), which is never compared, and for what no version is."""
    if (value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF) or value & 0x0F0F0F0F == 0x0A0A0A0A:
        raise Expected("a version's code point, such as 772 for TLS 1.3", "that is GREASE, which stands for no version")
    if value == 0 or 2 < value < 0x100:
        raise Expected("a version's code point", _CODE_POINTS)
    return value


def readable_url(url: str) -> str:
    """Decodes a URL from the wire to Unicode: the host from A-labels, the path from UTF-8 bytes or percent-encoding.

    A path that is not UTF-8 stays as it is.
    """
    absolute = url.startswith(("http://", "https://"))
    scheme, mark, rest = url.partition("://") if absolute else ("", "", url)
    host, slash, path = rest.partition("/") if absolute else ("", "", rest)
    with suppress(UnicodeError):
        path = unquote(path.encode("latin-1").decode("utf-8"), errors="strict")
    return f"{scheme}{mark}{to_unicode(host)}{slash}{path}"


Hosts = Annotated[tuple[Host, ...], BeforeValidator(many)]
Domains = Annotated[tuple[Domain, ...], WrapValidator(domains)]
NameParts = Annotated[tuple[Annotated[str, BeforeValidator(_name_part)], ...], BeforeValidator(many)]
NamePatterns = Annotated[tuple[Annotated[str, BeforeValidator(_name_pattern)], ...], BeforeValidator(many)]
UrlParts = Annotated[tuple[Annotated[str, BeforeValidator(_url_part)], ...], BeforeValidator(many)]
UrlPatterns = Annotated[tuple[Annotated[str, BeforeValidator(_url_pattern)], ...], BeforeValidator(many)]
SoftwareNames = Annotated[tuple[Annotated[str, BeforeValidator(_software)], ...], BeforeValidator(many)]
Keywords = Annotated[tuple[Annotated[str, BeforeValidator(_keyword)], ...], BeforeValidator(many)]
QueryType = Annotated[str, BeforeValidator(query_type, json_schema_input_type=str | int)]
QueryTypes = Annotated[tuple[QueryType, ...], BeforeValidator(many)]
Version = Annotated[
    Whole,
    Field(ge=0, le=0xFFFFFFFF),
    AfterValidator(_version),
    BeforeValidator(_code_point, json_schema_input_type=int | str),
]
Fingerprint = Annotated[str, BeforeValidator(_ja4)]
Fingerprints = Annotated[tuple[Fingerprint, ...], BeforeValidator(many)]
