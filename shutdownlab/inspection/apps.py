"""The app catalogue: each app's names and addresses, and the services that run there.

It has three uses: the emulated world hosts its endpoints, policies name its apps, and the engine recognises them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, model_serializer, model_validator

from shutdownlab.config.addresses import Prefix
from shutdownlab.config.document import Expected, Record, parse
from shutdownlab.config.domains import Domain, HostName
from shutdownlab.config.extensions import Extensions
from shutdownlab.config.scalars import Title, Whole, text_like, whole, written
from shutdownlab.inspection.terms import Fingerprint

_SERVERS = Extensions("shutdownlab.servers", object)


@cache
def service_kinds() -> tuple[str, ...]:
    """Returns the kinds of service for which a server is registered (see `servers.server`)."""
    return tuple(name for name in _SERVERS if "." not in name)


class Service(Record):
    """A service on a port: `https/443`, `h3/443` (UDP), `openvpn/1194` (UDP)."""

    kind: str
    port: Annotated[Whole, Field(ge=1, le=65535)]

    @model_serializer
    def _text(self) -> str:
        return f"{self.kind}/{self.port}"

    def __str__(self) -> str:
        return self._text()


def _service(value: Any) -> Any:
    if isinstance(value, Service):
        return value
    kind, _, port = written(value).partition("/")
    if kind not in service_kinds() or whole(port, 1, 65535) is None:
        _, hint = _SERVERS.unknown(value)
        known = f"services: {', '.join(service_kinds())}" if service_kinds() else hint()
        raise Expected("a service and its port such as https/443", known)
    return {"kind": kind, "port": int(port)}


ServiceAndPort = Annotated[
    Service, BeforeValidator(_service), text_like("service and its port", "https/443", "dns/53", pattern="[^/]+/[0-9]+")
]


_TRANSPORTS: Final[dict[str, tuple[Literal["tcp", "udp"], ...]]] = {
    **dict.fromkeys(("h3", "doq", "openvpn", "wireguard"), ("udp",)),
    "dns": ("udp", "tcp"),
}
"""What services listen on; those that are not here, TCP."""


def transports_of(kind: str) -> tuple[Literal["tcp", "udp"], ...]:
    """Returns the transports on which a service of this kind listens."""
    return _TRANSPORTS.get(kind, ("tcp",))


class Endpoint(Record):
    """Host names that share addresses and services."""

    names: tuple[HostName, ...] = ()
    """The host names."""
    addresses: tuple[Prefix, ...] = ()
    """Real addresses, of one IP version or both; left out: the network that hosts them gives each name its own."""
    ports: tuple[ServiceAndPort, ...] = ()
    """Their services: https/443 http/80 h3/443 (UDP) tls/993 tcp/5222 dns/53 (UDP, TCP) openvpn/1194 (UDP)."""

    @model_validator(mode="after")
    def _can_be_served(self) -> Endpoint:
        if not self.names and not self.addresses:
            raise Expected("`names` or `addresses`, to be reached by", found="an endpoint without either", key="names")
        taken: dict[tuple[str, int], Service] = {}
        for service in self.ports:
            for transport in transports_of(service.kind) if "." not in service.kind else ():
                if (first := taken.setdefault((transport, service.port), service)) is not service:
                    found = f"{first} and {service}, which both listen on {transport}/{service.port}"
                    raise Expected("one service on a port", "or an endpoint of its own", found=found, key="ports")
        return self


class App(Record):
    """An app or site: its names, addresses and services."""

    title: Title
    """The name that people know it by."""
    category: str = "site"
    """Its kind, for its readers: messenger, social, video, news, search, reference, vpn, dns, tools, mail, bank,
    government, voip, shop, games, cloud, p2p, site, or a word of your own. Nothing depends on it."""
    suffixes: tuple[Domain, ...] = ()
    """The app's domains, each with everything below it; the longest match among all apps counts."""
    prefixes: tuple[Prefix, ...] = ()
    """Address ranges that only this app uses (no shared hosting or CDN); the longest match among all apps counts."""
    ports: tuple[Annotated[Whole, Field(ge=1, le=65535)], ...] = ()
    """Restricts `prefixes` to these server ports; left out: every port."""
    fingerprints: tuple[Fingerprint, ...] = ()
    """JA4 fingerprints of the app's own TLS client, if it has one: whole, or their first one or two parts."""
    protocols: tuple[str, ...] = ()
    """The inspection engine's names of the app's own protocols; a flow of one is the app's."""
    endpoints: tuple[Endpoint, ...] = ()
    """The app's endpoints that the emulated world hosts."""
    source: str = ""
    """Where these facts come from, with version or date."""


class Catalogue(Record):
    """A file of apps: the catalogue that ships, or a user's own."""

    format: Literal[1]
    """The version of this file format."""
    replaces: tuple[str, ...] = ()
    """Already known apps that this file's apps of the same names replace."""
    apps: dict[str, App]
    """The apps, by the names that policies and probes use."""


def load_apps(text: bytes, file: str) -> Mapping[str, App]:
    """Parses an app catalogue; raises `BadInput` with all its problems."""
    return parse(text, file).validate_as(Catalogue).apps


def is_whatsapp_endpoint(name: str) -> bool:
    """Returns whether a host name is one of WhatsApp's identical chat endpoints: e1.whatsapp.net, e2.whatsapp.net, …"""
    return re.fullmatch(r"e\d+\.whatsapp\.net", name) is not None
