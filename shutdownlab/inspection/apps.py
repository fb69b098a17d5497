"""The app catalogue: what an app is called on the wire, where it lives, and what answers there.

One catalogue serves three ends: the emulated world hosts its endpoints, policies name its apps, and the inspection
engine recognises them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_serializer

from shutdownlab.config.addresses import Prefix
from shutdownlab.config.document import Expected, Record, parse
from shutdownlab.config.domains import Domain, HostName
from shutdownlab.config.extensions import Extensions
from shutdownlab.config.scalars import Whole, text_like, whole, written
from shutdownlab.inspection.terms import Fingerprint

_SERVERS = Extensions("shutdownlab.servers", object)


@cache
def service_kinds() -> tuple[str, ...]:
    """What can answer on a port: the kinds that some server is registered for (see `servers.server`)."""
    return tuple(name for name in _SERVERS if "." not in name)


class Service(Record):
    """What answers on a port: `https/443`, `h3/443` (UDP), `openvpn/1194` (UDP)."""

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


class Endpoint(Record):
    """Names that answer together. Without `addresses` the network that hosts them gives each name its own."""

    names: tuple[HostName, ...] = ()
    """Host names that answer together."""
    addresses: tuple[Prefix, ...] = ()
    """Real addresses, of one IP version or both; without any, the network that hosts them gives each name its own."""
    ports: tuple[ServiceAndPort, ...] = ()
    """What answers: https/443 http/80 h3/443 (UDP) tls/993 tcp/5222 dns/53 (UDP, TCP) openvpn/1194 (UDP)."""


class App(Record):
    """An app or site: what it is called on the wire, where it lives, and what answers there."""

    title: str
    """As people call it."""
    category: str = "site"
    """messenger, social, video, news, search, reference, vpn, dns, tools, mail, bank, government, voip, shop, games,
    cloud, p2p or site."""
    suffixes: tuple[Domain, ...] = ()
    """Domains that are the app's, each with everything below it; the longest of all apps' counts."""
    prefixes: tuple[Prefix, ...] = ()
    """Address ranges that are the app's alone (no shared hosting or CDN); the longest of all apps' counts."""
    ports: tuple[Annotated[Whole, Field(ge=1, le=65535)], ...] = ()
    """With `prefixes`: only traffic with these ports; left out: every port."""
    fingerprints: tuple[Fingerprint, ...] = ()
    """JA4 of its own TLS client, if it has one: whole, or its first part up to an underscore."""
    protocols: tuple[str, ...] = ()
    """What the inspection engine calls the app's own protocols; such a flow is the app's."""
    endpoints: tuple[Endpoint, ...] = ()
    """What the emulated world hosts of it."""
    source: str = ""
    """Where these facts come from, with version or date."""


class Catalogue(Record):
    """A file of apps: the catalogue that ships, or one of your own."""

    format: Literal[1]
    """The version of this file format."""
    replaces: tuple[str, ...] = ()
    """Apps known already that this file's, of the same names, stand in place of."""
    apps: dict[str, App]
    """The apps, by the names that policies and probes use."""


def load_apps(text: bytes, file: str) -> Mapping[str, App]:
    """Parse an app catalogue; raises `BadInput` with all its problems."""
    return parse(text, file).validate_as(Catalogue).apps


def is_whatsapp_endpoint(name: str) -> bool:
    """Whether a host name is one of WhatsApp's chat end points, all alike: e1.whatsapp.net, e2.whatsapp.net, …"""
    return re.fullmatch(r"e\d+\.whatsapp\.net", name) is not None
