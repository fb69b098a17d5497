"""Compares the page that the probe got with the test helper's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from shutdownlab.ooni.records import ControlPage, ResponseRecord

_TITLE: Final = re.compile(rb"<title>([^<]{1,512})</title>", re.IGNORECASE)
_LONG_WORD: Final = 5
"""Minimum length of a long word, in octets: the average length of an English word."""
_ALIKE: Final = 0.7
_COMMON: Final = frozenset(
    {
        "accept-ranges",
        "age",
        "cache-control",
        "cf-ray",
        "content-encoding",
        "content-language",
        "content-type",
        "date",
        "etag",
        "expires",
        "last-modified",
        "link",
        "location",
        "p3p",
        "pragma",
        "server",
        "set-cookie",
        "strict-transport-security",
        "vary",
        "via",
        "x-content-type-options",
        "x-frame-options",
        "x-powered-by",
        "x-varnish",
        "x-xss-protection",
    }
)
"""Headers that most sites send, including block pages."""


@dataclass(frozen=True, slots=True)
class PageMatch:
    """Which features of two pages agree; None if a feature can't be compared."""

    status: bool | None
    body: bool | None
    headers: bool | None
    title: bool | None

    @property
    def same(self) -> bool:
        """Whether the status and at least one other feature agree (ts-017, "HTTP experiment")."""
        return self.status is True and True in (self.body, self.headers, self.title)

    def __str__(self) -> str:
        words = {True: "agrees", False: "differs", None: "cannot be compared"}
        features = (("status", self.status), ("body length", self.body), ("headers", self.headers))
        return ", ".join(f"{name} {words[found]}" for name, found in (*features, ("title", self.title)))


def title_of(body: bytes) -> bytes:
    """Returns the title of an HTML page; b"" if it has none, or one of more than 512 octets."""
    found = _TITLE.search(body)
    return found[1] if found else b""


def match_v04(seen: ResponseRecord, control: ControlPage) -> PageMatch:
    """Compares pages by the rules of v0.4: probe-cli internal/experiment/webconnectivity/httpanalysis.go."""
    code, expected = seen.code or 0, control.status_code or 0
    status = headers = title = None
    if code > 0 and expected > 0:
        status = True if code == expected else (None if expected // 100 == 5 else False)
        headers = _headers_match(seen, control)
        words = title_of(seen.octets)
        if words and not seen.body_is_truncated:
            title = not _different_words(words, control)
    return PageMatch(status, _body_match(seen, control), headers, title)


def match_flags(seen: ResponseRecord, control: ControlPage) -> PageMatch:
    """Compares pages by the rules of v0.5: probe-cli internal/experiment/webconnectivitylte/analysishttpdiff.go."""
    code, expected = seen.code or 0, control.status_code or 0
    headers = _headers_match(seen, control) if seen.headers and control.headers else None
    words, title = title_of(seen.octets), None
    if code > 0 and expected > 0 and words and control.title and not seen.body_is_truncated:
        title = not _different_words(words, control)
    return PageMatch(_status_match(code, expected), _body_match(seen, control), headers, title)


def match_observations(seen: ResponseRecord, control: ControlPage) -> PageMatch:
    """Compares pages by the rules of v0.5.27: probe-cli internal/minipipeline/httpdiff.go."""
    code, expected = seen.code or 0, control.status_code or 0
    headers = title = None
    if expected > 0:
        headers = bool(_uncommon(seen.headers) & _uncommon(control.headers))
        title = not _different_words(title_of(seen.octets), control)
    return PageMatch(_status_match(code, expected), _body_match(seen, control), headers, title)


def _status_match(code: int, expected: int) -> bool | None:
    """Compares status codes; None if either side got no response, or the test helper's was not a success (2xx)."""
    if code <= 0 or expected <= 0:
        return None
    return True if code == expected else (False if expected // 100 == 2 else None)


def _body_match(seen: ResponseRecord, control: ControlPage) -> bool | None:
    """Whether the shorter body is more than 70 % of the longer; None if one is empty, unknown or truncated."""
    expected, length = control.body_length or 0, len(seen.octets)
    if expected <= 0 or length <= 0 or seen.body_is_truncated:
        return None
    return min(expected, length) / max(expected, length) > _ALIKE


def _headers_match(seen: ResponseRecord, control: ControlPage) -> bool:
    """Whether both have the same header names, or an uncommon one in common."""
    if {name.lower() for name in seen.headers or ()} == {name.lower() for name in control.headers or ()}:
        return True
    return bool(_uncommon(seen.headers) & _uncommon(control.headers))


def _uncommon(headers: dict[str, object] | None) -> set[str]:
    return {name.lower() for name in headers or ()} - _COMMON


def _different_words(title: bytes, control: ControlPage) -> set[str]:
    """Returns the long words that are in only one of the two titles."""
    control_title = (control.title or "").encode("utf-8", "surrogatepass")
    return _long_words(title) ^ _long_words(control_title)


def _long_words(title: bytes) -> set[str]:
    return {word.decode("utf-8", "replace").lower() for word in title.split(b" ") if len(word) >= _LONG_WORD}
