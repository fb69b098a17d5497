"""Circumvention tools as probes: a client at the subscriber, a server elsewhere, and a page fetched through both.

A kind of tool is a subclass of `Tool`, registered like every kind of probe; its server is registered under the same
name, as a kind of service (`ports: [shadowsocks/8388]` of an app). Those that ship are in `shutdownlab.tools`, a module
each. A tool without a `host` is one of a scenario's `tools:`, or of `shutdownlab matrix`, which gives it a server.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator

from shutdownlab.config.addresses import endpoint
from shutdownlab.config.document import Expected
from shutdownlab.config.domains import Host, Url
from shutdownlab.config.mistakes import Mistake
from shutdownlab.config.scalars import Seconds, ports
from shutdownlab.inspection.apps import App, transports_of
from shutdownlab.model.probe import MOST_PATIENCE, Asked, Probe, ServerControl, SinglePort, Surroundings, asked_by_url
from shutdownlab.model.topology import Topology


@dataclass(frozen=True, slots=True)
class ToolUse:
    """One use of a tool. `host`, `port` and `transport` are its server's; `url` is the page to fetch, from `site` (an
    address).

    `user`: whose keys it uses, among those that the server knows. `timeout`: seconds until the page must begin to
    arrive. `works`: seconds for which its client computes before it only waits. `throttled_below`: kbit/s. `by_chance`:
    see `Tool.by_chance`.
    """

    tool: str
    host: str
    port: int
    url: str
    site: str
    user: str
    timeout: float
    throttled_below: int = 512
    transport: str = "tcp"
    works: float = 0.4
    by_chance: bool = False


@dataclass(frozen=True, slots=True)
class StrategyUse:
    """The use of a tool that modifies packets by a strategy."""

    use: ToolUse
    strategy: str


_LONGEST_S = 300.0
_TURN_S = 60.0
"""The longest time that a client may wait for its turn, in seconds."""


def _patience(value: float) -> float:
    if not 0 < value <= _LONGEST_S:
        raise Expected("more than 0s and at most 5min", "it is the time limit of one try")
    return value


class Tool(Probe):
    """A circumvention tool, used as a subscriber would: started, connected, and a page fetched through it."""

    host: Host | None = None
    """Its server: a host name of the topology. Under `tools:` it may be left out: `matrix` then puts a server
    abroad."""
    port: SinglePort | None = None
    """The port that the server listens on; left out: the usual one."""
    url: Url | None = None
    """The page to fetch through it, from a site on the server's own node. Under `tools:` it may be left out."""
    timeout: Annotated[Seconds, AfterValidator(_patience)] | None = None
    """The time until the page must begin to arrive; left out: many times what the tool usually needs. Retries have
    more."""

    title: ClassVar[str] = ""
    """Its name."""
    usual_port: ClassVar[str] = ""
    """The port on which its server listens by default, with the transport: `tcp/8388`."""
    aids: ClassVar[tuple[str, ...]] = ()
    """Other services that its server's host must offer, as app catalogues write them."""
    needs: ClassVar[Mapping[str, str]] = {}
    """The programs that client and server need, and the Debian package of each."""
    modules: ClassVar[tuple[str, ...]] = ()
    """Python packages that it needs beside those of shutdownlab itself."""
    serves_page: ClassVar[bool] = False
    """Whether it fetches a site at `host` itself."""
    patience: ClassVar[float] = 6.0
    """Seconds that suffice to connect on a slow line and a busy machine."""
    works: ClassVar[float] = 0.4
    """Seconds for which its client computes at first, before it only waits for the network: few clients do so at
    once."""
    by_chance: ClassVar[bool] = False
    """Whether a firewall that blocks it lets some of its connections through by chance, as the Great Firewall's rule
    against random-looking traffic does (a shadowsocks packet of 73 octets is exempt in 1 to 2 of 100 cases; Wu et al.,
    USENIX Security 2023): a page that arrived once is then no proof that the tool works; one that arrived twice is."""
    shares = 6
    ooni_test = "x_tool"

    @property
    def listens(self) -> SinglePort:
        """The port on which its server listens."""
        return self.port or ports(self.usual_port)

    @property
    def services(self) -> tuple[str, ...]:
        """The services that its server's host must offer, as app catalogues write them."""
        return (f"{self.test}/{self.listens.first}", *self.aids)

    @property
    def host_name(self) -> str | None:
        return self.host

    @property
    def hosts(self) -> dict[str, str]:
        site = urlsplit(self.url).hostname if self.url else None
        return ({"host": self.host} if self.host else {}) | ({"url": site} if site else {})

    @property
    def asked(self) -> tuple[Asked, ...]:
        found = [asked_by_url("url", self.url)] if self.url else []
        for service in self.services if self.host else ():
            kind, _, port = service.partition("/")
            found.append(Asked("host", self.host or "", int(port), transports_of(kind)[0], (kind,)))
        return tuple(found)

    @property
    def lasts(self) -> float:
        return _TURN_S + MOST_PATIENCE * self.budget

    @property
    def budget(self) -> float:
        """Seconds until the page must begin to arrive, from the client's turn to start on."""
        return self.timeout or self.patience

    def mistakes(self, topology: Topology, apps: Mapping[str, App]) -> Iterator[Mistake]:
        """Yields a mistake if it is among `probes:` without a server or a page to fetch."""
        for key, given in (("host", self.host), ("url", self.url)):
            if given is None:
                hint = "or move it to `tools:`, which `shutdownlab matrix` measures and gives a server"
                yield Mistake((), f"no `{key}`", f"`host` and `url` with `test: {self.test}`", hint)
                return

    def ask(self, at: Surroundings) -> ToolUse | StrategyUse:
        return self._use(at, f"{at.vantage.id}/{at.family}")

    def control(self, at: Surroundings) -> ServerControl:
        """Returns the same tool, used from the server's own node."""
        return ServerControl(self.runs, self._use(at, f"control/{at.family}"))

    def _use(self, at: Surroundings, user: str) -> ToolUse:
        url = self.url or ""
        site = next(iter(at.addresses(urlsplit(url).hostname)), "")
        host, port = self.host or "", self.listens.first
        transport = self.listens.protocol or "tcp"
        return ToolUse(
            self.test,
            host,
            port,
            url,
            site,
            user,
            self.budget,
            at.throttled_below,
            transport,
            self.works,
            self.by_chance,
        )

    def ooni_input(self, at: Surroundings) -> str:
        return f"{self.test}://{endpoint(self.host or '', self.listens.first)}"


def users(vantages: tuple[object, ...]) -> Iterator[str]:
    """Yields the users whose keys a server must know: every vantage point (by its id) and the control, in each address
    family."""
    for who in (*map(str, vantages), "control"):
        for family in ("ipv4", "ipv6"):
            yield f"{who}/{family}"
