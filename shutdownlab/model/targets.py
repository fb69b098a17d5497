"""What a policy is about and what it leaves alone: subscribers by scope, traffic by what tells it apart."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from shutdownlab.config.document import Expected, Record
from shutdownlab.config.numbers import PROTOCOL_NUMBERS
from shutdownlab.config.scalars import Port, Prefix
from shutdownlab.inspection.policy import Names
from shutdownlab.inspection.terms import Domains
from shutdownlab.model.protocols import AnyProtocol, Protocol
from shutdownlab.model.topology import Access, Vantage


class _Listed(Record):
    """What may name files of addresses. What they hold is among the addresses before these are checked."""

    @model_validator(mode="after")
    def _is_resolved(self) -> Self:
        if getattr(self, "address_file", ()):
            hint = "files are read for scenarios that stand in files; here, give `addresses` what they hold"
            raise Expected("addresses", hint, found="a file", key="address_file")
        return self


class Targets(_Listed):
    """What a policy is about: all that any of these keys names."""

    everything: bool = False
    """All traffic of the Internet. `block: everything` is short for it."""
    apps: tuple[str, ...] = ()
    """Apps of the catalogue (`shutdownlab apps`) or of `apps` files. By DPI: their names, their own protocols, and
    those addresses that no other app shares. By address: all their prefixes."""
    sites: Domains = ()
    """Domain names, each with everything below it. By address: the addresses that the topology's servers have for
    them."""
    addresses: tuple[Prefix, ...] = ()
    """Prefixes at the far end, in either direction."""
    address_file: Names = ()
    """Files of addresses and prefixes, relative to this one, one a line; added to `addresses`."""
    ports: tuple[Port, ...] = ()
    """Ports at the far end."""
    protocols: tuple[AnyProtocol, ...] = ()
    """IP's own (tcp, udp, icmp, icmp6, gre, esp), quic (as udp/443, where no DPI box is asked), or any that DPI boxes
    recognise (openvpn, wireguard, tor …; see rules)."""
    voice: bool = False
    """Telephone calls: the operators' telephone service, not the Internet."""
    sms: bool = False
    """Short messages, likewise."""

    @property
    def recognised(self) -> tuple[str, ...]:
        """The protocols that a DPI box tells apart by what they look like."""
        return tuple(name for name in self.protocols if name not in PROTOCOL_NUMBERS)

    @property
    def without_connections(self) -> str:
        """What of it has no connections; empty where all has."""
        told = [name for name in self.protocols if name in PROTOCOL_NUMBERS and name not in ("tcp", "udp")]
        told += [name for name in ("voice", "sms") if getattr(self, name)]
        return ", ".join(told)

    @property
    def for_boxes(self) -> Targets:
        """What DPI boxes tell apart: apps and sites by their names, protocols by their looks."""
        return Targets(apps=self.apps, sites=self.sites, protocols=self.recognised)

    @property
    def for_switches(self) -> Targets:
        """The rest, which headers tell apart."""
        plain = tuple(name for name in self.protocols if name not in self.recognised)
        return self.model_copy(update={"apps": (), "sites": (), "protocols": plain})


class Exceptions(_Listed):
    """Who and what a policy leaves alone: subscribers by scope, and traffic by target."""

    operators: tuple[str, ...] = ()
    """All subscribers of these operators are left alone."""
    regions: tuple[str, ...] = ()
    """All subscribers in these regions are left alone."""
    access: tuple[Access, ...] = ()
    """All subscribers who are connected so are left alone."""
    subscribers: tuple[str, ...] = ()
    """All subscribers of these classes are left alone."""
    apps: tuple[str, ...] = ()
    """Traffic with these apps passes: as a DPI box tells them apart, where one blocks; else by the addresses that they
    have."""
    sites: Domains = ()
    """Traffic with these domain names and what is below them passes, told apart likewise."""
    addresses: tuple[Prefix, ...] = ()
    """Traffic with these prefixes passes."""
    address_file: Names = ()
    """Files of addresses and prefixes, relative to this one, one a line; added to `addresses`."""
    ports: tuple[Port, ...] = ()
    """Traffic with these ports at the far end passes: a port hole."""
    protocols: tuple[Protocol, ...] = ()
    """Traffic of these protocols passes: IP's own, or quic (as udp/443)."""

    def spares(self, vantage: Vantage) -> bool:
        """Whether a vantage point is left alone altogether: any one field that names it is enough."""
        return (
            vantage.id.operator in self.operators
            or vantage.id.region in self.regions
            or vantage.access in self.access
            or vantage.is_of(self.subscribers)
        )
