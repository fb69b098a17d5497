"""Internationalised domain names: letters of any script in a file, A-labels (`xn--…`) on the wire.

IDNA 2008 as clients apply it: after UTS 46's mapping (capitals, full-width letters, ideographic full stops), in its
non-transitional form, so that `faß.de` is `xn--fa-hia.de` and never fass.de. Sources: RFC 5891, Unicode TS 46.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import idna

from shutdownlab.config.wording import quoted

_CYRILLIC: Final = re.compile(r"(?!..--)[a-z0-9\u0430-\u045f](?:[a-z0-9\u0430-\u045f-]{0,58}[a-z0-9\u0430-\u045f])?")
"""A label of lower-case Cyrillic, all of whose letters IDNA 2008 allows anywhere (RFC 5892 appendix B.1) and no mapping
changes. Fast path: national block lists have many."""


def to_ascii(name: str, encode: Callable[[str], str] | None = None) -> str:
    """Returns a name as sent on the wire, lower case; labels that are ASCII already are unchanged.

    Raises `UnicodeError` if no client could send it. Symbols, which IDNA 2008 disallows, are encoded as browsers do:
    `☃.net` is `xn--n3h.net`. `encode`: used instead of `punycoded`, by who has a faster one.
    """
    encode = encode or punycoded
    labels = name.split(".")
    if all(_CYRILLIC.fullmatch(label) for label in labels):
        encoded = [label if label.isascii() else encode(label) for label in labels]
        if max(map(len, encoded)) <= 63:
            return ".".join(encoded)
    mapped = idna.uts46_remap(name, std3_rules=False, transitional=False)
    return ".".join(label if label.isascii() else _a_label(label) for label in mapped.split("."))


def _a_label(label: str) -> str:
    try:
        return idna.alabel(label).decode("ascii")
    except idna.InvalidCodepointContext:
        raise
    except idna.InvalidCodepoint:
        return punycoded(label)


@lru_cache(1024)  # the same few top-level domains end most names
def punycoded(label: str) -> str:
    """Returns a label as an A-label without checking its letters; raises `UnicodeError` only for lone surrogates."""
    return "xn--" + label.encode("punycode").decode("ascii")


def to_unicode(name: str) -> str:
    """Returns a name from the wire as people write it; labels that are not A-labels are unchanged."""
    return ".".join(map(_u_label, name.split("."))) if "xn--" in name else name


def both_forms(name: str) -> str:
    """Returns a name in quotes for a message: as people write it, with its form on the wire if that is another."""
    written = to_unicode(name)
    return quoted(name) if written == name else f"{quoted(written)} ({name})"


def _u_label(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return label[4:].encode("ascii").decode("punycode")
    except UnicodeError:
        return label


def folded(text: str) -> str:
    """Returns part of a name normalised as in `to_unicode`'s results: lower case by UTS 46, composed."""
    try:
        return idna.uts46_remap(text, std3_rules=False, transitional=False)
    except UnicodeError:
        return text.lower()
