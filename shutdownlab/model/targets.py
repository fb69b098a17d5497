"""The targets and exceptions of a policy: subscribers by scope, traffic by what distinguishes it."""

from __future__ import annotations

from typing import Final, Self

from pydantic import model_validator

from shutdownlab.config.addresses import Prefix
from shutdownlab.config.document import Expected, Record
from shutdownlab.config.narrowing import Narrowing
from shutdownlab.config.numbers import PROTOCOL_NUMBERS
from shutdownlab.config.scalars import Port
from shutdownlab.inspection.conditions import Names
from shutdownlab.inspection.terms import Domains
from shutdownlab.model.protocols import AnyProtocol, Protocol
from shutdownlab.model.scope import Scope
from shutdownlab.model.topology import Access, Vantage

_OF_SCOPES = ("operators", "gateways", "regions", "access", "subscribers", "groups")


LISTS: Final = {"site_file": "sites", "address_file": "addresses"}
"""The keys of targets that name files, each with the key to which their contents belong."""


class _Listed(Record):
    """A record that may name files of sites and addresses; their contents are merged in before validation."""

    @model_validator(mode="after")
    def _is_resolved(self) -> Self:
        for key, target in LISTS.items():
            if getattr(self, key, ()):
                hint = f"only a scenario in a file can name other files; here, put their content into `{target}`"
                raise Expected(target, hint, found="a file", key=key)
        return self


class Targets(_Listed):
    """The targets of a policy: everything that any of these keys names."""

    everything: bool = False
    """All Internet traffic. `block: everything` is short for it."""
    apps: tuple[str, ...] = ()
    """Apps of the catalogue (`shutdownlab apps`) or of `apps` files. By DPI: their names, their own protocols, and the
    addresses that no other app shares. By address: all their prefixes."""
    sites: Domains = ()
    """Domain names, each with all of its subdomains. By address: the addresses that the topology's servers have for
    them."""
    site_file: Names = ()
    """Files of domain names, relative to this one, one a line; added to `sites`."""
    addresses: tuple[Prefix, ...] = ()
    """Prefixes at the far end, in either direction."""
    address_file: Names = ()
    """Files of addresses and prefixes, relative to this one, one a line; added to `addresses`."""
    ports: tuple[Port, ...] = ()
    """Ports at the far end."""
    protocols: tuple[AnyProtocol, ...] = ()
    """IP's own (tcp, udp, icmp, icmp6, gre, esp), quic (as udp/443, if no DPI box is involved), or any that DPI boxes
    recognise (openvpn, wireguard, tor …; see rules)."""
    voice: bool = False
    """Telephone calls: the operators' telephone service, not the Internet."""
    sms: bool = False
    """Short messages, likewise."""

    @property
    def recognised(self) -> tuple[str, ...]:
        """The protocols that a DPI box recognises by their payload."""
        return tuple(name for name in self.protocols if name not in PROTOCOL_NUMBERS)

    @property
    def without_connections(self) -> str:
        """The targets without connections, as text; "" if all have some."""
        names = [name for name in self.protocols if name in PROTOCOL_NUMBERS and name not in ("tcp", "udp")]
        names += [name for name in ("voice", "sms") if getattr(self, name)]
        return ", ".join(names)

    @property
    def for_boxes(self) -> Targets:
        """The targets that DPI boxes recognise: apps and sites by their names, protocols by their payload."""
        return NOTHING.model_copy(update={"apps": self.apps, "sites": self.sites, "protocols": self.recognised})

    @property
    def recognised_by_boxes(self) -> bool:
        """Whether there are any of those."""
        return bool(self.apps or self.sites or self.recognised)

    @property
    def for_switches(self) -> Targets:
        """The other targets, which headers suffice to recognise."""
        plain = tuple(name for name in self.protocols if name not in self.recognised)
        return self.model_copy(update={"apps": (), "sites": (), "protocols": plain})


NOTHING: Final = Targets()


SUBSCRIBER_FIELDS: Final = ("operators", "regions", "access", "subscribers")
"""The fields of `Exceptions` that name subscribers; the others name traffic."""


class Exceptions(_Listed):
    """The exceptions of a policy: subscribers by scope, and traffic by target."""

    operators: tuple[str, ...] = ()
    """All subscribers of these operators are left alone."""
    regions: tuple[str, ...] = ()
    """All subscribers in these regions are left alone."""
    access: tuple[Access, ...] = ()
    """All subscribers with this kind of connection are left alone."""
    subscribers: tuple[str, ...] = ()
    """All subscribers of these classes are left alone."""
    apps: tuple[str, ...] = ()
    """Traffic with these apps passes: as a DPI box recognises them, if one enforces the policy; else by their
    addresses."""
    sites: Domains = ()
    """Traffic with these domain names and their subdomains passes, recognised likewise."""
    site_file: Names = ()
    """Files of domain names, relative to this one, one a line; added to `sites`."""
    addresses: tuple[Prefix, ...] = ()
    """Traffic with these prefixes passes."""
    address_file: Names = ()
    """Files of addresses and prefixes, relative to this one, one a line; added to `addresses`."""
    ports: tuple[Port, ...] = ()
    """Traffic with these ports at the far end passes: a port hole."""
    protocols: tuple[Protocol, ...] = ()
    """Traffic of these protocols passes: IP's own, or quic (as udp/443)."""

    @property
    def spare_traffic(self) -> bool:
        """Whether they name traffic, and not only subscribers."""
        return self != Exceptions(**{key: getattr(self, key) for key in SUBSCRIBER_FIELDS})

    def spares(self, vantage: Vantage) -> bool:
        """Returns whether a vantage point is left alone altogether: one field that names it is enough."""
        return (
            vantage.id.operator in self.operators
            or vantage.id.region in self.regions
            or vantage.access in self.access
            or vantage.is_of(self.subscribers)
        )


_TRAFFIC = ("inside", "addresses", "apps", "sites", "ports", "protocols")


class Allowance(_Listed, Narrowing):
    """Traffic that is let through: it must match every key that is given, and any one item of a key's list."""

    who: Scope = Scope()
    """The subscribers concerned, among those of the policy; left out: all."""
    inside: tuple[Prefix, ...] = ()
    """Only from and to these addresses of the subscribers: single ones, if not whole networks are allowed."""
    addresses: tuple[Prefix, ...] = ()
    """Only with these prefixes at the far end."""
    address_file: Names = ()
    """Files of addresses and prefixes, relative to this one, one a line; added to `addresses`."""
    apps: tuple[str, ...] = ()
    """Only these apps: as a DPI box recognises them, if one enforces the policy; else by their addresses."""
    sites: Domains = ()
    """Only these domain names and their subdomains, recognised likewise."""
    site_file: Names = ()
    """Files of domain names, relative to this one, one a line; added to `sites`."""
    ports: tuple[Port, ...] = ()
    """Only with these ports at the far end."""
    protocols: tuple[Protocol, ...] = ()
    """Only these protocols: IP's own, or quic (as udp/443)."""

    @model_validator(mode="after")
    def _says_something(self) -> Allowance:
        if self.who == Scope() and self.is_whole:
            hint = "such as {who: {subscribers: [government]}, sites: [google.com]}"
            raise Expected("the subscribers or targets that it lets through", hint, found="nothing")
        return self

    @property
    def is_whole(self) -> bool:
        """Whether it lets through all traffic of its subscribers."""
        return not any(getattr(self, key) for key in _TRAFFIC)

    def __str__(self) -> str:
        parts = [f"{key} {', '.join(map(str, getattr(self, key)))}" for key in _TRAFFIC if getattr(self, key)]
        parts += [f"{key} {', '.join(value)}" for key in _OF_SCOPES if (value := getattr(self.who, key))]
        return " with ".join(parts) or "some"
