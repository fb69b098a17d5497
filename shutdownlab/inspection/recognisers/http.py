"""Parses HTTP/1.x requests as tolerantly as servers do, and the requests of HTTP/2 in the clear.

It tolerates what nginx, Apache or IIS accept (RFC 9112 §2.2 and §5 allow much of it too): leading empty lines, any case
of the field name, space or tab around the colon and the request line's parts, bare LF, folded lines, absolute URIs,
`host:port`.
"""

from __future__ import annotations

import re
from typing import Final

from shutdownlab.inspection.recognisers.http2 import PREFACE, Requests
from shutdownlab.inspection.recognisers.names import host_name, strip_port
from shutdownlab.inspection.recognisers.recogniser import TcpRecogniser
from shutdownlab.inspection.recognisers.result import UNENDED, Recognition
from shutdownlab.inspection.recognisers.tolerance import TOLERANT, Tolerance

METHODS: Final = frozenset(
    b"GET POST HEAD PUT DELETE OPTIONS TRACE CONNECT PATCH PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK "
    b"SEARCH REPORT CHECKOUT MERGE NOTIFY SUBSCRIBE UNSUBSCRIBE M-SEARCH PURGE LINK UNLINK SOURCE".split()
)
MAX_HEAD: Final = 65536
"""Bytes of request line and headers parsed; nginx and Apache stop at 32 KiB or less."""

_OTHER_VERSION: Final = re.compile(rb"(?:RTSP|ICAP)/\d\.\d")
_ABSOLUTE: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]{0,31}://")
"""How an absolute URI begins (RFC 3986 §4.3), of whatever scheme: proxies are asked for `ftp:` and `ws:` too."""
_BLANK: Final = b" \t\x0b\x0c"
_LETTERS: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_HEXADECIMAL: Final = frozenset(b"0123456789abcdefABCDEF")
_TOKEN: Final = frozenset(_LETTERS | frozenset(b"0123456789!#$%&'*+-.^_`|~"))


def recognise_http(client: bytes, tolerance: Tolerance = TOLERANT) -> Recognition | None:
    """Recognises the first request of a stream; None if these bytes cannot be HTTP to a box of this tolerance."""
    start = 0
    length = len(client)
    while start < length and start < 64 and client[start] in b"\r\n \t":
        start += 1
    if start and not tolerance.http_leading:
        return None
    if start >= length:
        return Recognition(more=length < 64) if start == length and length else None
    end = start
    while end < length and end - start < 24 and client[end] in _TOKEN:
        end += 1
    if end == length:
        return Recognition(more=True) if _method_prefix(client[start:end]) else None
    if client[end] not in _BLANK and client[end] not in b"\r\n":
        return None
    method = client[start:end]
    known = method.upper() in METHODS
    if not known and not method.translate(None, b"-_").isalpha():
        return None
    if method == b"PRI" and PREFACE.startswith(client[start : start + 24][: len(PREFACE)]):
        return _http2(client[start:], tolerance)
    if not (known and method.isupper()) and not tolerance.http_any_method:
        return None
    line_end = _line_end(client, end, MAX_HEAD, tolerance)
    line = client[end:line_end] if line_end >= 0 else client[end:MAX_HEAD]
    if b"\0" in line:
        return None  # git's daemon: "0033git-upload-pack /project.git\0host=example.org\0"
    parts = line.split()
    if not known and not _has_version(parts, line_end < 0):
        return None
    if not parts:
        return Recognition(more=True) if known and line_end < 0 else None
    if parts[-1][:4].upper() == b"SIP/":
        return None
    if not tolerance.http_line_blanks and line_end >= 0 and line.rstrip(b"\r") != b" " + b" ".join(parts):
        return None
    if known and line_end >= 0 and not _is_request(parts):
        return None
    if line_end < 0 and method.upper() != b"CONNECT" and not _is_target(parts[0]):
        return Recognition(more=True) if len(line) < 2048 else None
    if method.upper() == b"CONNECT" and (b":" not in parts[0] or (parts[0][:1] in b"{[" and b"]:" not in parts[0])):
        return Recognition(more=True) if line_end < 0 and len(parts) == 1 and len(parts[0]) < 256 else None
    result = Recognition("http", None, True)
    result.method = method.decode("ascii")
    target = parts[0]
    if line_end < 0:
        result.length = UNENDED
        if len(parts) == 1 and line[-1:] not in (b" ", b"\t"):
            return result
        return _with_target(result, target, None, tolerance)
    if len(parts) == 1:
        if method.upper() != b"GET":
            return None
        result.more = False  # HTTP/0.9: no headers follow
        result.length = line_end + 1
        return _with_target(result, target, None, tolerance)
    return _headers(result, client, line_end + 1, target, tolerance)


def _is_request(parts: list[bytes]) -> bool:
    """Returns whether what follows a method on its line may be HTTP's: with its version, or a target without another
    protocol's, as of RTSP (AirPlay's too: `GET /info RTSP/1.0`) and ICAP.

    Not "GET the prisoners ready", nor a key that memcached or Redis is asked for (`get hello`).
    """
    if parts[-1][:5].upper() == b"HTTP/":
        return True
    if len(parts) > 1 and _OTHER_VERSION.fullmatch(parts[-1]):
        return False
    return _is_target(parts[0])


def _is_target(target: bytes) -> bool:
    """Returns whether a request's target begins like one: a path, `*`, or an absolute URI."""
    start = target[:8].lower()
    return start[:1] in (b"/", b"*") or start[:7] == b"http://" or start == b"https://"


def _http2(stream: bytes, tolerance: Tolerance) -> Recognition:
    """Parses a stream that begins like HTTP/2's preface; `more` until its first request is complete."""
    if len(stream) < 14:
        return Recognition(more=True)
    return recognise_request(Requests(), stream, tolerance)


def recognise_request(requests: Requests, stream: bytes, tolerance: Tolerance) -> Recognition:
    """Recognises the current request of an HTTP/2 connection; `stream` as for `Requests.parse`."""
    requests.parse(stream)
    request = requests.request
    result = Recognition("http2", None, request is None)
    result.length = requests.end
    result.resume = requests.resume
    if request is None:
        return result
    result.method = request.method.decode("latin-1") or None
    result.user_agent = request.user_agent.decode("latin-1") or None
    if not request.path and not request.authority:
        return result
    return _with_target(result, request.path or request.authority, request.authority or None, tolerance)


def _line_end(data: bytes, start: int, end: int, tolerance: Tolerance) -> int:
    """Returns the offset of the line feed that ends the line; -1 if there is none yet."""
    if tolerance.http_bare_lf:
        return data.find(b"\n", start, end)
    at = data.find(b"\r\n", start, end)
    return at + 1 if at >= 0 else -1


def _method_prefix(token: bytes) -> bool:
    """Returns whether these bytes, all there are so far, begin a known method or HTTP/2's PRI."""
    if token[0] not in _LETTERS:
        return False
    upper = token.upper()
    return any(method.startswith(upper) for method in METHODS) or b"PRI".startswith(upper)


def _has_version(parts: list[bytes], open_line: bool) -> bool:
    if len(parts) < 2:
        return open_line and len(parts) == 1 and parts[0][:1] == b"/"
    return parts[-1][:5].upper() == b"HTTP/" or (open_line and parts[0][:1] == b"/")


def _headers(result: Recognition, data: bytes, index: int, target: bytes, tolerance: Tolerance) -> Recognition:
    """Parses the header lines, sets `result`'s host, user agent, length and `more`, and returns it."""
    host: bytes | None = None
    size: bytes | None = None
    chunked = False
    length = min(len(data), MAX_HEAD)
    ended = False
    while index < length:
        line_end = _line_end(data, index, length, tolerance)
        if line_end < 0:
            break
        line = data[index:line_end]
        following = line_end + 1
        if line.strip() == b"":
            if line in (b"", b"\r"):
                ended = True
                index = following
                break
            index = following
            continue
        if following >= length and host is None:
            if following >= MAX_HEAD:
                break
            if tolerance.http_folding and _possible_fold(line):
                break
        while tolerance.http_folding and following < length and data[following] in b" \t":
            # obs-fold: the value continues on the next line (RFC 9112 §5.2)
            next_end = _line_end(data, following, length, tolerance)
            if next_end < 0:
                break
            line = line.rstrip(b"\r") + b" " + data[following:next_end]
            following = next_end + 1
        colon = line.find(b":")
        if colon > 0:
            name = line[:colon].strip() if tolerance.http_field_blanks else line[:colon]
            lowered = name.lower()
            if lowered == b"host" and (tolerance.http_field_case or name == b"Host"):
                if host is None:
                    value = line[colon + 1 :]
                    host = value.strip() if tolerance.http_value_tabs else value.strip(b" \r")
                    if not host and tolerance.http_folding:
                        host = _orphan(data, following, length, tolerance)
            elif lowered == b"user-agent" and result.user_agent is None:
                result.user_agent = line[colon + 1 :].strip().decode("latin-1")
            elif lowered == b"content-length":
                size = line[colon + 1 :].strip()
            elif lowered == b"transfer-encoding":
                chunked = line.lower().rstrip().endswith(b"chunked")
        index = following
    result.more = not ended and host is None and len(data) < MAX_HEAD
    if not ended:
        result.length = UNENDED
    elif chunked:
        result.length, result.resume = end_of_chunks(data, index)
    elif size is None:
        result.length = index
    elif b"," in size and len({each.strip() for each in size.split(b",")}) == 1:
        # The same length twice, merged into one field by an intermediary (RFC 9112 §6.3).
        result.length = _with_body(index, size.partition(b",")[0].strip())
    else:
        result.length = _with_body(index, size)
    return _with_target(result, target, host, tolerance)


def _with_body(index: int, size: bytes) -> int:
    return index + int(size) if size.isdigit() and len(size) < 16 else 0


def end_of_chunks(data: bytes, index: int) -> tuple[int, int]:
    """Returns the end offset of a chunked body that begins at `index` (RFC 9112 §7.1), and where its next chunk begins.

    The end is UNENDED if it has not arrived, 0 if this is not a chunked body.
    """
    while True:
        resume = index
        line_end = data.find(b"\n", index)
        if line_end < 0:
            return UNENDED if len(data) - index < 64 else 0, resume
        digits = data[index:line_end].partition(b";")[0].strip()
        if not 0 < len(digits) <= 8 or not all(byte in _HEXADECIMAL for byte in digits):
            return 0, resume
        size = int(digits, 16)
        if size:
            index = line_end + 1 + size
            if data[index : index + 2] == b"\r\n":
                index += 2
            elif data[index : index + 1] == b"\n":
                index += 1
            elif len(data) >= index + 2:
                return 0, resume
            else:
                return UNENDED, index + 2 if data[line_end - 1 : line_end] == b"\r" else resume
            continue
        index = line_end + 1
        while True:  # trailer fields
            line_end = data.find(b"\n", index)
            if line_end < 0:
                return UNENDED, resume
            blank = data[index:line_end] in (b"", b"\r")
            index = line_end + 1
            if blank:
                return index, index


def _possible_fold(line: bytes) -> bool:
    """Returns whether this is a Host line without a value, which may be folded onto the next line."""
    colon = line.find(b":")
    return colon > 0 and line[:colon].strip().lower() == b"host" and not line[colon + 1 :].strip()


def _orphan(data: bytes, index: int, end: int, tolerance: Tolerance) -> bytes:
    """Returns a host alone on the line after an empty `Host:`, without folding's leading blank; some servers accept it.

    b"" if the line is something else.
    """
    line_end = _line_end(data, index, end, tolerance)
    line = data[index:line_end].strip() if line_end >= 0 else b""
    return b"" if b":" in line or b" " in line else line


def _with_target(result: Recognition, target: bytes, host: bytes | None, tolerance: Tolerance) -> Recognition:
    """Sets `result`'s host and URL; an absolute URI takes precedence over the Host field (RFC 9112 §3.2.2)."""
    authority = host
    path = target
    scheme = "http"
    absolute = _ABSOLUTE.match(target) if tolerance.http_absolute and target[:1] != b"/" else None
    if absolute is not None:
        at = absolute.end()
        scheme = target[: at - 3].decode("ascii").lower()
        slash = at
        while slash < len(target) and target[slash] not in b"/?#":
            slash += 1
        authority = target[at:slash]
        path = target[slash:] or b"/"
    elif (result.method or "").upper() == "CONNECT":
        authority = target
        path = b""
    if authority is not None:
        bare = strip_port(authority) if tolerance.http_port else authority
        result.host = host_name(bare, tolerance.trailing_dot)
        if result.host is not None:
            port = authority[authority.rfind(b":") :] if authority[-1:].isdigit() and b":" in authority else b""
            if port.count(b":") != 1 or not port[1:].isdigit() or (authority.count(b":") > 1 and b"]" not in authority):
                port = b""
            shown = f"[{result.host}]" if ":" in result.host else result.host
            suffix = "" if port in (b":80", b"") else port.decode("ascii")
            result.url = f"{scheme}://{shown}{suffix}{path.decode('latin-1')}"
            return result
    result.url = path.decode("latin-1")
    return result


def is_response(server: bytes) -> bool:
    """Returns whether a stream begins with an HTTP/1.x response, for flows whose request was not recognised."""
    return len(server) >= 9 and server[:7] == b"HTTP/1." and server[8:9] == b" "


class Http(TcpRecogniser):
    protocols = ("http", "http2")
    order = 40
    first = frozenset(range(0x80))

    def recognise(self, client: bytes, server: bytes, dport: int, tolerance: Tolerance) -> Recognition | None:
        found = recognise_http(client, tolerance)
        if found is not None and tolerance.proxies and found.length > 0 and found.method == "CONNECT":
            found.preamble = True
        return found


class HttpJoinedLate(TcpRecogniser):
    """Recognises HTTP by its response, if the request was missed."""

    protocols = ("http",)
    order = 140
    reads = "either"

    def recognise(self, client: bytes, server: bytes, dport: int, tolerance: Tolerance) -> Recognition | None:
        if recognise_http(client, tolerance) is not None:
            return None  # a request has begun: a response is to the one before it
        return Recognition("http") if is_response(server) or is_response(client) else None
