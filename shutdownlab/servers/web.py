"""Web servers: one nginx per node with sites, with the catalogue's names, addresses, ports and protocols."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from shutdownlab.inspection.apps import Service
from shutdownlab.model.network import Hosted, Network
from shutdownlab.model.pages import DOWNLOADS, page
from shutdownlab.servers.daemon import WRITTEN_S, Daemon, Listening
from shutdownlab.servers.dns import OVER_HTTP, answers_https, is_resolver, takes_over_tls
from shutdownlab.servers.server import Premises, Server
from shutdownlab.servers.tls import CertificateAuthority
from shutdownlab.servers.vpn import takes_over_tcp

_KINDS = frozenset({"https", "http", "tls", "tcp"})
_ROOM = 4096
"""Connections per nginx besides its listening sockets (about 2 MB).

Every subscriber tests every address at once, and connections cut by a shutdown stay half-open: beyond the limit nginx
closes waiting connections, which would look like blocking.
"""


class WebServers(Server):
    """Web sites, and all other services over TCP and TLS."""

    order = 40

    def prepare(self, premises: Premises) -> None:
        make_downloads(premises.runtime)

    def daemons(self, premises: Premises) -> Iterator[Daemon]:
        return daemons(premises.network, premises.ca, premises.directory, premises.runtime)


def daemons(network: Network, ca: CertificateAuthority, directory: Path, runtime: Path) -> Iterator[Daemon]:
    """Yields an nginx for every node with something for it to serve; call `make_downloads` before they start."""
    sites: dict[str, list[Hosted]] = defaultdict(list)
    for hosted in network.served:
        if served(hosted):
            sites[hosted.node].append(hosted)
    for node, hosted_there in sites.items():
        home = directory / f"nginx-{node}"
        files: dict[str, str | bytes] = {"nginx.conf": nginx_config(hosted_there, runtime)}
        for hosted in hosted_there:
            name = hosted.site_name
            files[f"sites/{name}/index.html"] = page(name, hosted.app)
            if any(_is_tls(service) for service in served(hosted)):
                by_address = is_resolver(hosted) or not hosted.names
                certificate = ca.issue(hosted.names, hosted.addresses if by_address else ())
                files |= {f"certificates/{name}.pem": certificate.chain, f"certificates/{name}.key": certificate.key}
        sockets = frozenset(
            Listening("tcp", address, service.port)
            for hosted in hosted_there
            for service in served(hosted)
            for address in hosted.addresses
        )
        argv = ("nginx", "-p", str(home), "-e", "stderr", "-c", str(home / "nginx.conf"))
        yield Daemon("nginx", node, argv, home, files, sockets)


def served(hosted: Hosted) -> tuple[Service, ...]:
    """Returns the services of an endpoint that nginx serves: not DNS over TLS, nor a VPN's TCP port."""
    others = takes_over_tls(hosted) | takes_over_tcp(hosted)
    return tuple(s for s in hosted.services if s.kind in _KINDS and not (s.kind in {"tls", "tcp"} and s.port in others))


def make_downloads(runtime: Path) -> None:
    """Writes the downloads that every site offers under `/bytes/`, as sparse files. Raises `OSError`."""
    directory = runtime / "bytes"
    directory.mkdir()
    for size in DOWNLOADS:
        path = directory / str(size)
        path.touch()
        os.truncate(path, size)
        os.utime(path, (WRITTEN_S, WRITTEN_S))


def nginx_config(sites: Iterable[Hosted], runtime: Path) -> str:
    """Returns the configuration of one nginx.

    The downloads are under `runtime`; all other paths are relative to nginx's prefix, because the user's path to it may
    contain any characters.
    """
    chosen = list(sites)
    sockets = sum(len(hosted.addresses) * len(served(hosted)) for hosted in chosen)
    temporary = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    lines = [
        "daemon off;",
        # One process: the server ends with it, and it need not switch to a second user, which an unprivileged
        # sandbox lacks.
        "master_process off;",
        "user root root;",
        "pid pid;",
        "error_log stderr warn;",
        f"events {{ worker_connections {sockets + _ROOM}; }}",
        "http {",
        *(f"  {name}_temp_path {name};" for name in temporary),
        "  types { text/html html; }",
        "  default_type application/octet-stream;",
        "  access_log off;",
        "  server_tokens off;",
        "  sendfile on;",
        "  tcp_nopush on;",
        "  server_names_hash_bucket_size 128;",
        "  server_names_hash_max_size 4096;",
        "  ssl_protocols TLSv1.2 TLSv1.3;",
        "  ssl_session_cache off;",
        "  ssl_session_tickets off;",
    ]
    for hosted in chosen:
        resolves = answers_https(hosted, chosen)
        lines += [f"  {line}" for line in _server(hosted, runtime, resolves=resolves)]
    return "\n".join([*lines, "}"]) + "\n"


def _server(hosted: Hosted, runtime: Path, *, resolves: bool) -> Iterator[str]:
    name = hosted.site_name
    services = served(hosted)
    yield "server {"
    yield f"  server_name {' '.join(hosted.names) or '_'};"
    for service in services:
        protocol = {"https": " ssl http2", "tls": " ssl"}.get(service.kind, "")
        for address in hosted.addresses:
            host = f"[{address}]" if address.version == 6 else str(address)
            yield f"  listen {host}:{service.port}{protocol};"
    if any(_is_tls(service) for service in services):
        yield f"  ssl_certificate certificates/{name}.pem;"
        yield f"  ssl_certificate_key certificates/{name}.key;"
    if Service(kind="http", port=443) in services:
        # Telegram's data centres speak their own protocol over HTTP and answer "not implemented" to anything else.
        yield "  location / { return 501; }"
    else:
        for service in hosted.services:
            if service.kind == "h3":
                yield f"  add_header Alt-Svc 'h3=\":{service.port}\"; ma=60';"
        yield f"  root sites/{name};"
        yield f'  location /bytes/ {{ root "{runtime}"; }}'
        if resolves:
            # DNS over HTTPS. The resolver speaks only HTTP/2; nginx's only upstream module for that is gRPC.
            yield f"  location = /dns-query {{ grpc_pass grpc://{OVER_HTTP.address}:{OVER_HTTP.port}; }}"
        # The site answers any path with its page, as single-page applications do.
        yield "  location / { try_files $uri /index.html; }"
    yield "}"


def _is_tls(service: Service) -> bool:
    return service.kind in {"https", "tls"}
