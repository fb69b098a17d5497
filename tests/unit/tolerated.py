"""What lesser parsers miss, in bytes: each names twitter.com, and wants one field of `Tolerance` to be read."""

from __future__ import annotations

import dns.message

HTTP = {
    "http_leading": b"\nGET / HTTP/1.1\r\nHost: twitter.com\r\n\r\n",  # Turkmenistan, HTTP strategy 3
    "http_any_method": b"GeT / HTTP/1.1\r\nHost: twitter.com\r\n\r\n",
    "http_line_blanks": b"GET / HTTP/1.1 \n\t\r\nHost: twitter.com\r\n\r\n",  # Turkmenistan, HTTP strategy 2
    "http_bare_lf": b"GET / HTTP/1.1\nHost: twitter.com\n\n",
    "http_field_case": b"GET / HTTP/1.1\r\nhoSt: twitter.com\r\n\r\n",
    "http_field_blanks": b"GET / HTTP/1.1\r\nHost : twitter.com\r\n\r\n",
    "http_value_tabs": b"GET / HTTP/1.1\r\nHost: twitter.com\t\r\n\r\n",  # OONI, Turkmenistan 2013
    "http_folding": b"GET / HTTP/1.1\r\nHost: \t\ntwitter.com\r\n\r\n",  # Turkmenistan, HTTP strategy 1
    "http_absolute": b"GET http://twitter.com/ HTTP/1.1\r\nHost: other.example\r\n\r\n",
    "http_port": b"GET / HTTP/1.1\r\nHost: twitter.com:80\r\n\r\n",
    "trailing_dot": b"GET / HTTP/1.1\r\nHost: twitter.com.\r\n\r\n",
}
PLAIN = b"GET / HTTP/1.1\r\nHost: twitter.com\r\n\r\n"


def _announcing_answers() -> bytes:
    query = dns.message.make_query("twitter.com", "A").to_wire()
    return query[:6] + b"\0\x20" + query[8:]


ANNOUNCED_ANSWERS = _announcing_answers()
"""32 of them, in a query: Turkmenistan, the DNS strategy."""

COMPRESSED_QUESTION = (
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + b"\x07twitter\xc0\x1a" + b"\x00\x01\x00\x01" + b"\x03com\x00"
)
"""`twitter` and a pointer to `com` behind the question."""
