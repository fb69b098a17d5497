"""A measurement made from subscribers' lines: what all kinds of probes share, and what each kind declares of itself.

A kind is a subclass of `Probe`, registered under the entry point group `shutdownlab.probes` by the name that scenarios
give as `test:`. Its fields are what a scenario may say of it. Checking a scenario imports the modules of the kinds it
uses, so these stay light: what needs a network library is in the module that `runs` names, which only agents import.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator

from shutdownlab.config.document import Expected
from shutdownlab.config.domains import Host, Url
from shutdownlab.config.mistakes import Mistake
from shutdownlab.config.scalars import Port, Ports
from shutdownlab.inspection.apps import App
from shutdownlab.model.labels import ShortLabel
from shutdownlab.model.network import Hosted, Network
from shutdownlab.model.registered import Registered
from shutdownlab.model.scope import Scope
from shutdownlab.model.topology import Topology, Vantage

MOST_PATIENCE: Final = 4.0
"""How many times its patience a step has at most: what a busy machine took of it can be given back only so often."""

Need = Literal["way", "lookup", "server"]
"""What takes part in a probe beside its own machine: its paths, its resolver, its servers."""


class Family(StrEnum):
    IPV4 = "ipv4"
    IPV6 = "ipv6"

    @property
    def version(self) -> int:
        return 4 if self is Family.IPV4 else 6


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a probe is about to run: the network, the vantage point, the address family to use, the phase if any.

    `throttled_below`: kbit/s below which the scenario calls a line throttled. `folder`: where the scenario's file is.
    `nearest`: which node what is hosted is reached at from here, where that is known: an anycast address is several's.
    """

    network: Network
    vantage: Vantage
    family: Family
    phase: str = ""
    throttled_below: int = 512
    folder: Path = Path()
    nearest: Callable[[Hosted], str] | None = field(default=None, compare=False)

    def node_of(self, hosted: Hosted) -> str:
        """The node at which what is hosted is reached from here; the one abroad, where that is not known."""
        return hosted.node if self.nearest is None else self.nearest(hosted)

    def hosted(self, host: str | None) -> Hosted | None:
        """What answers for a host name or address in this country."""
        return self.network.hosted_as(host) if host else None

    def addresses(self, host: str | None) -> tuple[str, ...]:
        """The true addresses of a host, in this family; none where nothing has that name."""
        hosted = self.hosted(host)
        if hosted is not None and host in hosted.names:
            return tuple(str(a) for a in hosted.addresses if a.version == self.family.version)
        try:
            literal = ipaddress.ip_address(host or "")
        except ValueError:
            return ()
        return (str(literal),) if literal.version == self.family.version else ()


@dataclass(frozen=True, slots=True)
class Errand:
    """What the agent of another vantage point, at `node`, does before a probe: the same function, with this `ask`."""

    node: str
    ask: Any


@dataclass(frozen=True, slots=True)
class ServerControl:
    """What vouches for a server: a probe's function and its `ask`, measured on the server's own node.

    `of_operator`: a server of the operator at hand is asked, by the operator's control subscriber.
    """

    runs: str
    ask: Any
    of_operator: bool = False


class Probe(Registered):
    """A measurement repeated in every phase from every vantage point that `from` selects."""

    test: str
    """The kind of measurement."""
    families: tuple[Family, ...] = (Family.IPV4,)
    """The address families that it is made over, each a measurement of its own."""
    column: str = ""
    """The heading that tables show it under, together with others of the same; left out: its own name."""
    short: ShortLabel = ""
    """A heading of at most 5 characters, for terminals that are too narrow for the whole one."""
    from_: Scope = Scope()
    """The subscribers who run it; left out: all."""
    during: tuple[str, ...] = ()
    """The phases in which it is run; left out: all."""

    model_config = Registered.model_config | {"alias_generator": lambda name: name.rstrip("_")}

    group: ClassVar[str] = "shutdownlab.probes"
    named_by: ClassVar[str] = "test"
    runs: ClassVar[str] = ""
    """`package.module:function`, a coroutine function of a session and of what `ask` returns; see docs/extending.md."""
    follows: ClassVar[str] = ""
    """`package.module:function`, a function of a line on paper (`verifier.line.ModelledLine`) and of what `ask`
    returns: what `runs` would find. Without, `verify` cannot say what comes of it."""
    ooni_test: ClassVar[str] = "x_probe"
    """OONI's name for the test, with `x_` before it where OONI has none."""
    shares: ClassVar[int] = 1
    """Processor time it takes while it works (client, servers and switches together), compared to a ping's."""
    answered_by: ClassVar[Literal["host", "port", "program"]] = "program"
    """What of its server has to work: the host alone, whose kernel answers; a port that is open, on which the kernel
    takes connections even for a program that hangs; or the program."""
    alone: ClassVar[bool] = False
    """Whether it measures a line's speed, and waits until nothing else of its place is under way."""

    @property
    def host_name(self) -> str | None:
        """The host it talks to, where it has one: its addresses are in the request."""
        return None

    @property
    def hosts(self) -> dict[str, str]:
        """Whatever the topology must have for this to be measured, by the key that names it."""
        return {}

    @property
    def resolver_address(self) -> str | None:
        """Whom name questions go to, if not the operator's resolver."""
        return None

    @property
    def waits_for(self) -> Literal["host", "port", "program"]:
        """What of its server has to work, as `answered_by` says of its kind."""
        return self.answered_by

    @property
    def echoes(self) -> int:
        """ICMP echo requests that it sends, where nothing is lost."""
        return 0

    @property
    def lasts(self) -> float:
        """Seconds that it may take by itself, beside the waits for each of its steps."""
        return 0.0

    @property
    def programs(self) -> tuple[tuple[str, ...], ...]:
        """The programs that it starts, each as its arguments: what a user must trust."""
        return ()

    def mistakes(self, topology: Topology, apps: Mapping[str, App]) -> Iterator[Mistake]:
        """What it asks for that this topology has not; paths begin at the probe."""
        yield from ()

    def ask(self, at: Surroundings) -> Any:
        """What the agent's function is given, worked out for one vantage point: the probe itself, unless it needs more.

        It must be picklable.
        """
        return self

    def errand(self, at: Surroundings) -> Errand | None:
        """What must happen at another vantage point first."""
        return None

    def far_ends(self, at: Surroundings) -> tuple[tuple[str, str], ...]:
        """The paths to its servers, as the nodes at their ends: controls go along them. The first is a subscriber's.

        The one to the operator's resolver, where it has names `looked_up`, goes without saying.
        """
        own, hosted = at.network.subscriber(at.vantage.id).name, at.hosted(self.host_name)
        return ((own, at.node_of(hosted)),) if hosted is not None else ()

    def looked_up(self, at: Surroundings) -> tuple[str, ...]:
        """The names that it asks the operator's resolver for: controls ask for them too."""
        return ()

    def control(self, at: Surroundings) -> ServerControl | None:
        """What is asked of the same server where no policy is, on its own node: by default the very same.

        None where there is no server to ask, or what controls ask the operator's resolver is all there is to it.
        """
        return ServerControl(self.runs, self.ask(at))

    def ooni_name(self) -> str:
        """The `test_name` of its OONI records."""
        return self.ooni_test

    def ooni_input(self, at: Surroundings) -> str | None:
        """The `input` of its OONI records."""
        return None


def probe(test: str, **fields: Any) -> Probe:
    """A probe of an installed kind; raises pydantic's `ValidationError`."""
    return Probe.model_validate({"test": test, **fields})


def _single(ports: Ports) -> Ports:
    if ports.first != ports.last:
        raise Expected("a single port such as tcp/443", found=f"the ports {ports}")
    return ports


SinglePort = Annotated[Port, AfterValidator(_single)]


class HostProbe(Probe):
    """One that goes to `host`, a name or an address of the topology."""

    host: Host
    """A host name that the topology's servers have, or an address."""

    @property
    def host_name(self) -> str | None:
        return self.host

    @property
    def hosts(self) -> dict[str, str]:
        return {"host": self.host}


class PortProbe(HostProbe):
    """One that goes to a port of a host."""

    port: SinglePort
    """One port with its transport."""


class UrlProbe(Probe):
    """One that fetches `url`, from a host of the topology."""

    url: Url
    """Of a host that the topology serves."""

    @property
    def host_name(self) -> str | None:
        return urlsplit(self.url).hostname

    @property
    def hosts(self) -> dict[str, str]:
        return {"url": self.host_name or ""}

    def looked_up(self, at: Surroundings) -> tuple[str, ...]:
        return (self.host_name,) if self.host_name else ()

    def ooni_input(self, at: Surroundings) -> str | None:
        return self.url
