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

from shutdownlab.config.document import Expected, Record, parse
from shutdownlab.config.extensions import Extensions
from shutdownlab.config.scalars import Domain, HostName, Prefix, Whole, whole, written
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


class Endpoint(Record):
    """Names that answer together. Without `addresses` the network that hosts them gives each name its own."""

    names: tuple[HostName, ...] = ()
    addresses: tuple[Prefix, ...] = ()
    ports: tuple[Annotated[Service, BeforeValidator(_service)], ...] = ()


class App(Record):
    """An app or site.

    `suffixes`: domains that are the app's with everything below them. `prefixes`: address ranges. `fingerprints`: JA4
    of its own TLS client, where it has one. `protocols`: what the inspection engine calls its own protocols.
    """

    title: str
    category: str = "site"
    suffixes: tuple[Domain, ...] = ()
    prefixes: tuple[Prefix, ...] = ()
    ports: tuple[Annotated[Whole, Field(ge=1, le=65535)], ...] = ()
    fingerprints: tuple[Fingerprint, ...] = ()
    protocols: tuple[str, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    source: str = ""


class Catalogue(Record):
    """A file of apps. `replaces`: apps known already that this file's, of the same names, stand in place of."""

    format: Literal[1]
    replaces: tuple[str, ...] = ()
    apps: dict[str, App]


def load_apps(text: bytes, file: str) -> Mapping[str, App]:
    """Parse an app catalogue; raises `BadInput` with all its problems."""
    return parse(text, file).validate_as(Catalogue).apps


def is_whatsapp_endpoint(name: str) -> bool:
    """Whether a host name is one of WhatsApp's chat end points, all alike: e1.whatsapp.net, e2.whatsapp.net, …"""
    return re.fullmatch(r"e\d+\.whatsapp\.net", name) is not None
