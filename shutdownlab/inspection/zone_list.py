"""Reads names from what name servers answer falsely: response policy zones (RPZ) and Unbound's `local-zone`.

A zone's record blocks its owner's name: `example.org CNAME .` (also with a TTL, `IN`, another target or an address, and
with `*.` before the name). Names end where the zone's own begins (`$ORIGIN`, or the SOA record's owner). Its heading
(`$TTL`, SOA, NS) and its comments, which begin with `;`, are skipped.

Sources: draft-vixie-dnsop-dns-rpz-00; unbound.conf(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from shutdownlab.config.document import Expected

_RECORD: Final = re.compile(
    r"(\S*)(?:\s+\d+[smhdw]?)?(?:\s+IN)?(?:\s+\d+[smhdw]?)?\s+(CNAME|DNAME|AAAA|A|TXT|SOA|NS)\s+(.+)", re.IGNORECASE
)
_HEADING: Final = frozenset({"SOA", "NS"})
_OTHER_TRIGGERS: Final = (".rpz-ip", ".rpz-client-ip", ".rpz-nsdname", ".rpz-nsip")
_UNBOUND: Final = re.compile(r"local-(zone|data):\s*[\"']?([^\s\"']+)[\"']?(?:\s+([\w-]+))?.*")
_LETS_THROUGH: Final = frozenset({"transparent", "typetransparent", "nodefault", "inform", "always_transparent"})
_EXCEPTION: Final = "write exceptions as separate rules"


@dataclass(slots=True)
class ZoneList:
    """What must be remembered from one line of a zone to the next."""

    within: bool = False
    """Within the parentheses of an SOA record of several lines."""
    end: bytes = b""
    """What its absolute names end in: `.rpz.example.`; empty if it has not said."""
    _origin: str = ""

    def names(self, line: str) -> Iterable[str] | None:
        """Returns the names that a line blocks, or None if it belongs to no zone; raises `Expected`."""
        text = re.sub(r"(?:^|\s);.*", "", line).rstrip()
        if self.within:
            self.within = ")" not in text
            return ()
        if not text or text.strip() == "server:" or text.upper().startswith("$TTL "):
            return ()
        if text.upper().startswith("$ORIGIN "):
            self._begin(text.split()[1])
            return ()
        if unbound := _UNBOUND.fullmatch(text.strip()):
            return _of_unbound(*unbound.groups())
        record = _RECORD.fullmatch(text)
        return self._of_record(record[1], record[2].upper(), record[3]) if record else None

    def _begin(self, origin: str) -> None:
        self._origin = origin.rstrip(".").lower()
        self.end = f".{self._origin}.".encode() if self._origin else b""

    def _of_record(self, owner: str, kind: str, data: str) -> Iterable[str]:
        if kind in _HEADING:
            self.within = "(" in data and ")" not in data
            if kind == "SOA" and owner.endswith("."):
                self._begin(owner)
            return ()
        if data.strip().lower() == "rpz-passthru.":
            raise Expected("a record that blocks a name", _EXCEPTION)
        name = owner.rstrip(".")
        if self._origin and name.lower().endswith(f".{self._origin}"):
            name = name[: -len(self._origin) - 1]
        if name.lower().endswith(_OTHER_TRIGGERS):
            raise Expected("a record of a name", "addresses go to a list of their own, which `address_file` names")
        return (name,)


def _of_unbound(key: str, name: str, kind: str | None) -> Iterable[str]:
    if key == "zone" and kind in _LETS_THROUGH:
        raise Expected("a local-zone that blocks its name", _EXCEPTION)
    return (name,)
