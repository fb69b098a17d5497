"""How much a box's parsers tolerate. Where a server parses a message that the box rejects, names get past the box.

Every field is something that evasion research has found boxes to lack: Geneva's application-layer strategies (Harrity
et al., "GET /out", USENIX Security 2022), those for Turkmenistan (Nourin et al., WWW 2023), OONI's "stuffed HTTP
camouflage" (tq-028), TLS record fragmentation (Niere et al., 2023).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shutdownlab.config.document import Record
from shutdownlab.config.scalars import Whole


class Tolerance(Record):
    """What the box's parsers accept. The defaults accept everything that the most tolerant server would, except that
    `starttls` and `proxies` are off."""

    http_leading: bool = True
    """Empty lines and blanks before the method."""
    http_any_method: bool = True
    """Methods in lower case, and ones that no RFC defines."""
    http_line_blanks: bool = True
    """Anything but one space between the parts of the request line, and blanks at its end."""
    http_bare_lf: bool = True
    """Lines that end without a carriage return."""
    http_field_case: bool = True
    """Any case of the field name `Host`."""
    http_field_blanks: bool = True
    """Blanks around the field name."""
    http_value_tabs: bool = True
    """Tabs, and other blanks than spaces, around the value."""
    http_folding: bool = True
    """Values continued on the next line."""
    http_absolute: bool = True
    """The name in an absolute URI."""
    http_port: bool = True
    """A port after the name; if off, it is read as part of the name, which then matches nothing."""
    trailing_dot: bool = True
    """A dot at the end of an HTTP or TLS name; if off, it stays in the name, which then matches nothing."""
    tls_records: bool = True
    """A ClientHello split over several records."""
    tls_partial: bool = True
    """The name in an incomplete ClientHello."""
    dns_counts: bool = True
    """Queries with answers, or with more than one question."""
    dns_pointers: bool = True
    """A compression pointer in the question."""
    starttls: bool = False
    """Reads TLS that begins within another protocol (STARTTLS in mail and XMPP, PostgreSQL …) as TLS."""
    proxies: bool = False
    """Reads what follows a request to a proxy (SOCKS 4, 4a and 5, HTTP's CONNECT) or a proxy's header (PROXY protocol,
    SOCKS 5 over UDP), what a TURN server relays, and the name that a SOCKS proxy is asked for."""
    quic_datagrams: Annotated[Whole, Field(ge=0, le=32)] = 32
    """How many datagrams' Initials are decrypted (Great Firewall: 1); 0: none, so QUIC has no name."""


TOLERANT = Tolerance()
