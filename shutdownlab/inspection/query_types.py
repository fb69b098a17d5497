"""DNS record types by name and number, as dnspython knows them; `TYPE65400` for the rest (RFC 3597)."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Any, Final

from dns.rdatatype import RdataType

from shutdownlab.config.scalars import whole, written
from shutdownlab.config.wording import Expected, did_you_mean, one_of

NAMES: Final = MappingProxyType({kind.value: kind.name.replace("_", "-") for kind in RdataType if kind.value})
"""By number: the canonical names, in which questions are shown and rules are compared."""
_NUMBERS: Final = MappingProxyType({name: number for number, name in NAMES.items()})
_COMMON: Final = ("A", "AAAA", "HTTPS", "SVCB", "TXT", "MX", "NS", "CNAME", "PTR", "ANY")


def name_of(number: int) -> str:
    """Returns a record type's canonical name: "HTTPS" for 65, "TYPE65400" for 65400."""
    return NAMES.get(number) or f"TYPE{number}"


def query_type(value: Any) -> str:
    """Parses `HTTPS`, `https`, `TYPE65` or `65` to the canonical name "HTTPS"; raises `Expected`."""
    text = written(value).upper()
    if text in _NUMBERS:
        return text
    number = whole(re.sub(r"\ATYPE(?=[0-9])", "", text), 1, 65535)
    if number is None:
        expected = f"a DNS record type: {one_of(_COMMON)}, or another's name or number"
        raise Expected(expected, lambda: did_you_mean(text, _NUMBERS))
    return name_of(number)
