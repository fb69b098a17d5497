"""HTTP/3 sites: one process on each node that hosts any, running `http3_server.py`."""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from shutdownlab.model import pages
from shutdownlab.model.network import Hosted, Network
from shutdownlab.servers.daemon import Daemon, Listening
from shutdownlab.servers.server import Premises, Server
from shutdownlab.servers.tls import CertificateAuthority

_PROGRAM = Path(__file__).with_name("http3_server.py")


class Http3Servers(Server):
    """HTTP/3 sites."""

    order = 20

    def daemons(self, premises: Premises) -> Iterator[Daemon]:
        return daemons(premises.network, premises.ca, premises.directory)


def daemons(network: Network, ca: CertificateAuthority, directory: Path) -> Iterator[Daemon]:
    """Yields a server for every node with `h3` endpoints.

    Sites that share an address share a certificate with all their names: aioquic gives a socket one certificate.
    """
    places: dict[str, dict[Listening, list[Hosted]]] = defaultdict(lambda: defaultdict(list))
    for hosted in network.served:
        for service in hosted.services:
            if service.kind == "h3":
                for address in hosted.addresses:
                    places[hosted.node][Listening("udp", address, service.port)].append(hosted)
    for node, sockets in places.items():
        home = directory / f"http3-{node}"
        files: dict[str, str | bytes] = {}
        certificates: dict[tuple[str, ...], str] = {}
        listed = []
        for socket, sites in sockets.items():
            names = tuple(name for site in sites for name in site.names)
            known = certificates.get(names)
            if known is None:
                known = certificates[names] = f"{len(certificates)}"
                certificate = ca.issue(names, () if names else [socket.address])
                files |= {f"{known}.pem": certificate.chain, f"{known}.key": certificate.key}
            texts = {name: pages.page(site.site_name, site.app) for site in sites for name in site.names}
            listed.append({"address": str(socket.address), "port": socket.port, "certificate": known, "pages": texts})
        files["sites.json"] = json.dumps({"downloads": pages.DOWNLOADS, "sockets": listed}, indent=1)
        argv = (sys.executable, str(_PROGRAM), str(home))
        environment = {"PYTHONPATH": os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)}
        yield Daemon("http3", node, argv, home, files, frozenset(sockets), environment=environment)
