"""Probes of a web page: whether it loads, over TCP or QUIC, and how fast a download runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from shutdownlab.config.addresses import is_address
from shutdownlab.config.document import one_of, quoted
from shutdownlab.config.mistakes import Mistake
from shutdownlab.inspection.apps import App
from shutdownlab.model.pages import DOWNLOADS
from shutdownlab.model.probe import Asked, Surroundings, UrlProbe
from shutdownlab.model.topology import Topology

_LEAST_BYTES: Final = 64 * 1024
"""A smaller download does not show how fast a line is."""


@dataclass(frozen=True, slots=True)
class Page:
    """A web page. `marker`: text that the genuine one contains; "" accepts any page with a status below 400."""

    url: str
    marker: str = ""


class Web(UrlProbe):
    """A web page, looked up through the operator's resolver: OONI's web_connectivity."""

    runs = "shutdownlab.probes.web:web_test"
    follows = "shutdownlab.verifier.follow:web"
    ooni_test = "web_connectivity"

    def ask(self, at: Surroundings) -> Page:
        hosted = at.hosted(self.host_name)
        is_home_page = hosted is not None and hosted.program is None and urlsplit(self.url).path in {"", "/"}
        return Page(self.url, f"<title>{hosted.site_name}</title>" if hosted and is_home_page else "")


class Http3(Web):
    """A web page over HTTP/3, looked up through the operator's resolver."""

    runs = "shutdownlab.probes.http3:http3_test"
    follows = "shutdownlab.verifier.follow:http3"
    ooni_test = "urlgetter"
    shares = 6

    @property
    def asked(self) -> tuple[Asked, ...]:
        return tuple(replace(each, transport="udp", kinds=("h3",)) for each in super().asked)


@dataclass(frozen=True, slots=True)
class Download:
    """A file to fetch for `seconds` or up to `max_bytes`; less than `min_bytes` does not show a speed.

    Below `throttled_below` kbit/s the line is throttled.
    """

    url: str
    min_bytes: int = _LEAST_BYTES
    max_bytes: int = 512 * 1024
    seconds: float = 1.0
    throttled_below: int = 512


class Throughput(UrlProbe):
    """How fast a download runs, in kbit/s; `throttled` below the scenario's `throttled_below`."""

    runs = "shutdownlab.probes.throughput:throughput_test"
    follows = "shutdownlab.verifier.follow:throughput"
    ooni_test = "x_throughput"
    shares = 8
    alone = True

    def mistakes(self, topology: Topology, apps: Mapping[str, App]) -> Iterator[Mistake]:
        own = {name for _, program in topology.programs() for name in program.names}
        offered = [f"/bytes/{size}" for size in DOWNLOADS if size >= _LEAST_BYTES]
        path, host = urlsplit(self.url).path, self.host_name or ""
        if path not in offered and host not in own and not is_address(host):
            found = f"{quoted(path)}, which is not a download, or too small"
            yield Mistake(("url",), found, one_of(offered), "every site of the catalogue offers these")

    def ask(self, at: Surroundings) -> Download:
        return Download(self.url, throttled_below=at.throttled_below)
