"""OONI's names of failures (ooni/spec, data format df-007-errors)."""

from __future__ import annotations

import errno
import ssl
from typing import Final

from shutdownlab.protocol.own_errors import OWN_ERRORS

TIMEOUT: Final = "generic_timeout_error"
RESET: Final = "connection_reset"
EOF: Final = "eof_error"
HOST_UNREACHABLE: Final = "host_unreachable"

_ERRNO: Final = {
    errno.ECONNREFUSED: "connection_refused",
    errno.ECONNRESET: RESET,
    errno.EPIPE: RESET,
    errno.ECONNABORTED: "connection_aborted",
    errno.EHOSTUNREACH: HOST_UNREACHABLE,
    errno.ENETUNREACH: "network_unreachable",
    errno.ENETDOWN: "network_down",
    errno.ETIMEDOUT: TIMEOUT,
    errno.EINTR: "interrupted",
    errno.EACCES: HOST_UNREACHABLE,  # ICMPv6's "communication administratively prohibited"
}

_OWN: Final = OWN_ERRORS | {
    errno.EADDRINUSE,
    errno.EADDRNOTAVAIL,
    errno.EAGAIN,
    errno.EPERM,
    errno.EBADF,
    errno.ENOTSOCK,
    errno.ECANCELED,
    errno.EAFNOSUPPORT,
    errno.EPROTONOSUPPORT,
}
"""No ICMP error becomes one of these. EPERM is a filter on the prober's own node, where no policy has any, or a raw
socket that it may not open; EADDRNOTAVAIL: all its ports are in use (ip(7)), or its IPv6 is off. A host without a
route, or without an address of that family, has ENETUNREACH instead."""
_OWN_PREFIX: Final = "unknown_failure: the prober itself: "

# X509_V_ERR_*, <openssl/x509_vfy.h>: no chain to a trusted root, and names that do not match.
_UNTRUSTED: Final = frozenset({2, 18, 19, 20, 21, 27})
_MISMATCH: Final = frozenset({62, 63, 64})

# Failures that an overloaded machine can also cause: believed only once a repetition with a longer timeout confirms
# them.
_DOUBTFUL: Final = frozenset({TIMEOUT, "dns_servfail_error", HOST_UNREACHABLE})


class StepFailed(Exception):
    """Raised if a step of a probe fails.

    `operation` is OONI's: resolve, connect, tls_handshake, http_round_trip ... `doubtful`: whether load alone could
    have caused it; None: depends on the failure.
    """

    def __init__(self, failure: str, operation: str, doubtful: bool | None = None) -> None:
        super().__init__(f"{operation}: {failure}")
        self.failure = failure
        self.operation = operation
        self.doubtful = is_doubtful(failure) if doubtful is None else doubtful


def failure_of(error: BaseException) -> str:
    """Returns an exception's failure string; `unknown_failure: …` with its text if OONI has no name for it.

    An error of this machine's own is marked as such (see `is_own`).
    """
    if isinstance(error, StepFailed):
        return error.failure
    # An error of OpenSSL's has a number of OpenSSL's: SSL_ERROR_SSL is 1, as EPERM.
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and error.errno in _OWN:
        return own_failure((error.strerror or str(error)).lower())
    if isinstance(error, TimeoutError) and not getattr(error, "errno", None):
        return TIMEOUT
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _MISMATCH:
            return "ssl_invalid_hostname"
        return "ssl_unknown_authority" if error.verify_code in _UNTRUSTED else "ssl_invalid_certificate"
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError, EOFError)):
        return EOF
    if isinstance(error, ssl.SSLError):
        return "ssl_failed_handshake"
    if isinstance(error, OSError) and error.errno in _ERRNO:
        return _ERRNO[error.errno]
    return f"unknown_failure: {type(error).__name__}: {error}"


def is_doubtful(failure: str | None) -> bool:
    """Whether load alone could have caused this failure."""
    return failure in _DOUBTFUL


def own_failure(what: str) -> str:
    """Returns the failure string for what this machine alone caused."""
    return f"{_OWN_PREFIX}{what}"


def is_own(failure: str | None) -> bool:
    """Whether this machine alone caused the failure, in whatever step: too many open files, for instance."""
    return failure is not None and failure.startswith(_OWN_PREFIX)
