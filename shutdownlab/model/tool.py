"""A circumvention tool as a probe: a client at the subscriber, a server somewhere else, a page fetched through both.

A kind of tool is a subclass of `Tool`, registered like every kind of probe; its server is registered under the same
name, as a kind of service (`ports: [shadowsocks/8388]` of an app). Those that ship are in `shutdownlab.tools`, a module
each. A tool that names no `host` is one of a scenario's `tools:`, or of `shutdownlab matrix`, which gives it a server.
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
from shutdownlab.inspection.apps import App
from shutdownlab.model.probe import MOST_PATIENCE, Probe, ServerControl, SinglePort, Surroundings
from shutdownlab.model.topology import Topology


@dataclass(frozen=True, slots=True)
class ToolUse:
    """One use of a tool. `host`, `port` and `transport` are its server's, `url` the page that is fetched, of `site` (an
    address).

    `user`: whose keys it uses, of those that the server knows. `timeout`: seconds until the page must begin to come,
    `works`: seconds that its client works, before it but waits.
    `throttled_below`: kbit/s. `by_chance`: see `Tool.by_chance`.
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
    """The use of a tool that changes packets by a strategy."""

    use: ToolUse
    strategy: str


_LONGEST_S = 300.0
_TURN_S = 60.0
"""What a client may wait for its turn."""


def _patience(value: float) -> float:
    if not 0 < value <= _LONGEST_S:
        raise Expected("more than 0s and at most 5min", "it is how long one try may take")
    return value


class Tool(Probe):
    """A circumvention tool, used as a subscriber would: started anew, connected, and a page fetched through it."""

    host: Host | None = None
    """Its server: a host name of the topology. Under `tools:` it may be left out: `matrix` puts one abroad."""
    port: SinglePort | None = None
    """The port that the server listens on; left out: the usual one."""
    url: Url | None = None
    """What is fetched through it, of a site on the server's own node. Under `tools:` it may be left out."""
    timeout: Annotated[Seconds, AfterValidator(_patience)] | None = None
    """Until the page must begin to come; left out: what the tool usually needs, many times over. Further tries have
    more."""

    title: ClassVar[str] = ""
    """What people call it."""
    usual_port: ClassVar[str] = ""
    """Where its server listens if nothing else is said, with the transport: `tcp/8388`."""
    aids: ClassVar[tuple[str, ...]] = ()
    """Services that its server's host must offer besides, as app catalogues write them."""
    needs: ClassVar[Mapping[str, str]] = {}
    """The programs of client and server, and the Debian package that has each."""
    modules: ClassVar[tuple[str, ...]] = ()
    """Packages of Python's that it needs beside those of shutdownlab itself."""
    serves_page: ClassVar[bool] = False
    """Whether what is fetched is a site at `host` itself."""
    patience: ClassVar[float] = 6.0
    """Seconds that suffice to connect on a slow line and a busy machine."""
    works: ClassVar[float] = 0.4
    """Seconds that its client works at first, before it but waits for the network: few clients do so at once."""
    by_chance: ClassVar[bool] = False
    """Whether a firewall that blocks it lets some of its connections through by chance, as the Great Firewall's rule
    does with what looks like noise (a shadowsocks packet of 73 octets is exempt in 1 to 2 of 100 cases; Wu et al.,
    USENIX Security 2023): a page that came once is then no proof that the tool works, one that came twice is."""
    shares = 6
    ooni_test = "x_tool"

    @property
    def listens(self) -> SinglePort:
        """Where its server listens."""
        return self.port or ports(self.usual_port)

    @property
    def services(self) -> tuple[str, ...]:
        """What its server's host must offer, as app catalogues write it."""
        return (f"{self.test}/{self.listens.first}", *self.aids)

    @property
    def host_name(self) -> str | None:
        return self.host

    @property
    def hosts(self) -> dict[str, str]:
        site = urlsplit(self.url).hostname if self.url else None
        return ({"host": self.host} if self.host else {}) | ({"url": site} if site else {})

    @property
    def lasts(self) -> float:
        return _TURN_S + MOST_PATIENCE * self.budget

    @property
    def budget(self) -> float:
        """Seconds until the page must begin to come, once it is the client's turn to start."""
        return self.timeout or self.patience

    def mistakes(self, topology: Topology, apps: Mapping[str, App]) -> Iterator[Mistake]:
        """Among `probes:` it must say where its server is, and what to fetch."""
        for key, given in (("host", self.host), ("url", self.url)):
            if given is None:
                hint = "or put it under `tools:`, which `shutdownlab matrix` measures: there it gets a server"
                yield Mistake((), f"no `{key}`", f"`host` and `url` with `test: {self.test}`", hint)
                return

    def ask(self, at: Surroundings) -> ToolUse | StrategyUse:
        return self._use(at, f"{at.vantage.id}/{at.family}")

    def control(self, at: Surroundings) -> ServerControl:
        """The same tool, from the server's own node."""
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
    """Whose keys a server must know: every vantage point's (by its id) and the control's, in each address family."""
    for who in (*map(str, vantages), "control"):
        for family in ("ipv4", "ipv6"):
            yield f"{who}/{family}"
