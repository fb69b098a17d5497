"""International names: letters of any script in a file, A-labels (`xn--…`) on the wire.

IDNA 2008 as clients apply it: after UTS 46's mapping (capitals, full-width letters, ideographic full stops), and not in
its transitional form, so that `faß.de` is `xn--fa-hia.de` and never fass.de. Sources: RFC 5891, Unicode TS 46.
"""

from __future__ import annotations

import idna


def to_ascii(name: str) -> str:
    """Its form on the wire, lower case; labels that are ASCII already stay as they are.

    Raises `UnicodeError` where no client could send it. Symbols, which IDNA 2008 itself leaves out, are encoded as
    browsers do: `☃.net` is `xn--n3h.net`.
    """
    mapped = idna.uts46_remap(name, std3_rules=False, transitional=False)
    return ".".join(label if label.isascii() else _a_label(label) for label in mapped.split("."))


def _a_label(label: str) -> str:
    try:
        return idna.alabel(label).decode("ascii")
    except idna.InvalidCodepointContext:
        raise
    except idna.InvalidCodepoint:
        return punycoded(label)


def punycoded(label: str) -> str:
    """A label in A-form whatever it holds; raises `UnicodeError` for lone surrogates alone."""
    return "xn--" + label.encode("punycode").decode("ascii")


def to_unicode(name: str) -> str:
    """A name from the wire as people write it; labels that are none in A-form stay as they are."""
    return ".".join(map(_u_label, name.split("."))) if "xn--" in name else name


def _u_label(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return label[4:].encode("ascii").decode("punycode")
    except UnicodeError:
        return label


def folded(text: str) -> str:
    """A part of a name, as `to_unicode` has it: lower case by UTS 46, composed."""
    try:
        return idna.uts46_remap(text, std3_rules=False, transitional=False)
    except UnicodeError:
        return text.lower()
