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

from shutdownlab.config.document import Expected, did_you_mean, one_of

_RECORD: Final = re.compile(
    r"(\S*)(?:\s+\d+[smhdw]?)?(?:\s+IN)?(?:\s+\d+[smhdw]?)?\s+(CNAME|DNAME|AAAA|A|TXT|SOA|NS)\s+(.+)", re.IGNORECASE
)
_HEADING: Final = frozenset({"SOA", "NS"})
_OTHER_TRIGGERS: Final = (".rpz-ip", ".rpz-client-ip", ".rpz-nsdname", ".rpz-nsip")
_UNBOUND: Final = re.compile(r"local-(zone|data):\s*[\"']?([^\s\"']+)[\"']?(?:\s+[\"']?([\w-]+))?.*")
_LETS_THROUGH: Final = frozenset(
    {"transparent", "typetransparent", "nodefault", "noview", "inform", "always_transparent", "ipset"}
)
_BLOCKS: Final = (
    *("static", "redirect", "deny", "refuse", "inform_deny", "inform_redirect", "always_refuse", "always_nxdomain"),
    *("always_nodata", "always_deny", "always_null", "block_a"),
)
_PASSES: Final = frozenset({"rpz-passthru", "rpz-tcp-only"})
"""What exceptions are aliases of; the oldest ones are aliases of themselves."""
_EXCEPTION: Final = "write exceptions as separate rules"


@dataclass(slots=True)
class ZoneList:
    """What must be remembered from one line of a zone to the next."""

    within: bool = False
    """Within the parentheses of an SOA record of several lines."""
    end: bytes = b""
    """What its absolute names end in: `.rpz.example.`; empty if it has not said."""
    elsewhere: bool = False
    """Whether relative names are relative to another origin than the zone's own name, as name servers write them."""
    _zone: str = ""
    _origin: str | None = None

    def names(self, line: str) -> Iterable[str] | None:
        """Returns the names that a line blocks, or None if it belongs to no zone; raises `Expected`."""
        text = re.sub(r"(?:^|\s);.*", "", line).rstrip()
        if self.within:
            self.within = ")" not in text
            return ()
        if not text or text.strip() == "server:" or text.upper().startswith("$TTL "):
            return ()
        if text.upper().startswith("$ORIGIN "):
            self._origin = self._absolute(text.split()[1])
            self._begin(self._zone or self._origin)
            return ()
        if unbound := _UNBOUND.fullmatch(text.strip()):
            return _of_unbound(*unbound.groups())
        record = _RECORD.fullmatch(text)
        return self._of_record(record[1], record[2].upper(), record[3]) if record else None

    def _begin(self, zone: str) -> None:
        self._zone = zone
        self.end = f".{zone}.".encode() if zone else b""
        self.elsewhere = self._origin is not None and self._origin != zone

    def _absolute(self, name: str) -> str:
        """Returns a name without its final dot, completed by the origin if it is relative."""
        name = name.lower()
        if name == "@":
            return self._origin or ""
        return f"{name}.{self._origin}" if self._origin and not name.endswith(".") else name.rstrip(".")

    def _of_record(self, owner: str, kind: str, data: str) -> Iterable[str]:
        if kind in _HEADING:
            self.within = "(" in data and ")" not in data
            if kind == "SOA":
                self._begin(self._absolute(owner) if owner else self._zone)
            return ()
        if not owner:
            return ()  # one more record of the same name
        name = self._absolute(owner) if self.elsewhere or owner == "@" else owner.rstrip(".")
        if name.lower() == self._zone:
            name = ""
        elif self._zone and name.lower().endswith(f".{self._zone}"):
            name = name[: -len(self._zone) - 1]
        aim = data.strip().lower().rstrip(".")
        if kind == "CNAME" and (aim in _PASSES or (name and aim == name.lower().removeprefix("*."))):
            raise Expected("a record that blocks a name", _EXCEPTION)
        if name.lower().endswith(_OTHER_TRIGGERS):
            raise Expected("a record of a name", "addresses go to a list of their own, which `address_file` names")
        return (name,) if name else ()  # none: it is about the zone itself


def _of_unbound(key: str, name: str, kind: str | None) -> Iterable[str]:
    if key == "zone" and kind in _LETS_THROUGH:
        raise Expected("a local-zone that blocks its name", _EXCEPTION)
    if key == "zone" and kind not in _BLOCKS:
        raise Expected("a local-zone with its type", lambda: did_you_mean(kind or "", _BLOCKS) or one_of(_BLOCKS))
    return (name,)
