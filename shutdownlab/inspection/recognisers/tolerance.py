"""How much a box's parsers forgive. Where a server reads on and a box gives up, names slip through.

Every field is something that tools which search for evasions have found boxes to lack: Geneva's application-layer
strategies (Harrity et al., "GET /out", USENIX Security 2022), those for Turkmenistan (Nourin et al., WWW 2023), OONI's
"stuffed HTTP camouflage" (tq-028), TLS record fragmentation (Niere et al., 2023).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shutdownlab.config.document import Record
from shutdownlab.config.scalars import Whole


class Tolerance(Record):
    """What is accepted; everything, as the most forgiving server would, unless a profile's `parse` says otherwise."""

    http_leading: bool = True
    """Empty lines and blanks before the method."""
    http_any_method: bool = True
    """Methods in lower case, and ones no RFC knows."""
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
    """Values that go on in the next line."""
    http_absolute: bool = True
    """The name in an absolute URI."""
    http_port: bool = True
    """A port after the name; else the name is read with it, and matches nothing."""
    trailing_dot: bool = True
    """A dot at the end of an HTTP or TLS name; else it stays, and the name matches nothing."""
    tls_records: bool = True
    """A ClientHello cut into several records."""
    tls_partial: bool = True
    """The name in a ClientHello that has not come completely."""
    dns_counts: bool = True
    """Queries that announce answers, or more than one question."""
    dns_pointers: bool = True
    """A compression pointer in the question."""
    starttls: bool = False
    """TLS that begins within another protocol (STARTTLS of mail and XMPP, PostgreSQL …) is read as TLS."""
    proxies: bool = False
    """What follows a request to a proxy (SOCKS 4, 4a and 5, HTTP's CONNECT) or its header (PROXY protocol, a datagram's
    of SOCKS 5) is read, and the name that a SOCKS proxy is asked for."""
    quic_datagrams: Annotated[Whole, Field(ge=0, le=32)] = 32
    """Datagrams whose Initials are opened (the Great Firewall: 1); 0 leaves QUIC closed and without a name."""


TOLERANT = Tolerance()
