"""The request headers of the browser that OONI Probe imitates. Pure."""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult

_USER_AGENT: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/96.0.4664.110 Safari/537.36"
)
PAGES: Final = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def request_headers(parts: SplitResult, accept: str = PAGES) -> list[tuple[str, str]]:
    return [
        ("Host", parts.netloc),
        ("User-Agent", _USER_AGENT),
        ("Accept", accept),
        ("Accept-Language", "en-US;q=0.8,en;q=0.5"),
        ("Connection", "close"),
    ]


def target_of(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
