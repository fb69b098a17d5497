"""Errors that this machine alone causes: no packet, and nobody at the other end, can."""

from __future__ import annotations

import errno
from typing import Final

OWN_ERRORS: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS}
)
"""Of sockets and files: too many are open, or there is no room."""
