"""Tor, with a private network abroad: through a plain bridge, obfs4 or meek.

One network serves all bridges of a country (`tor_network.py`): an authority, which is also a relay, and two relays. The
client is a tor with an empty data directory and one bridge; obfs4proxy is its transport.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from shutdownlab.model.tool import ToolUse
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.session import ProbeSession
from shutdownlab.servers.daemon import Daemon, Listening
from shutdownlab.servers.server import Premises, Server
from shutdownlab.tools.cdn import edge, hidden
from shutdownlab.tools.serving import Outpost, outposts
from shutdownlab.tools.using import Exit, Using, free_port, socks_client, through

_HERE = Path(__file__)
_PORTS = {"authority": 9101, "relay-one": 9102, "relay-two": 9103, "directory": 9130}
_READY = 9199
_FIRST_BRIDGE = 9201
_FIRST_MEEK = 9401
_UP_S = 90.0
_NETWORK = "tor-network"
_TRANSPORTS = {"tor": "", "obfs4": "obfs4", "meek": "meek"}

_CLIENT = """\
TestingTorNetwork 1
DataDirectory {folder}/tor
{authority}
UseBridges 1
Bridge {bridge}
{transport}
SOCKSPort {port}
ClientRejectInternalAddresses 0
ClientDNSRejectInternalAddresses 0
SafeLogging 0
Log notice stdout
"""


class TorBridges(Server):
    """The private Tor network and all its bridges: `tor`, `obfs4` and `meek` services, at IPv4 addresses."""

    order = 5  # the slowest to start: a consensus is made every ten seconds

    def daemons(self, premises: Premises) -> Iterator[Daemon]:
        """Yields one on each node with bridges; the first also runs the network's authority and relays."""
        places = [(kind, outpost) for kind in _TRANSPORTS for outpost in outposts(premises, kind)]
        places = [(kind, outpost) for kind, outpost in places if outpost.address.version == 4]
        ports, own = count(_FIRST_BRIDGE), count(_FIRST_MEEK)
        by_node: dict[str, list[tuple[str, Outpost, int]]] = {}
        for kind, outpost in places:
            by_node.setdefault(outpost.node, []).append((kind, outpost, _or_port(kind, outpost, next(ports))))
        network = premises.directory / _NETWORK
        for number, (node, bridges) in enumerate(by_node.items()):
            yield _tors(network, node, bridges, leads=number == 0)
            for kind, outpost, or_port in bridges:
                if kind == "meek":
                    yield from _meek(outpost, or_port, next(own))


def _or_port(kind: str, outpost: Outpost, given: int) -> int:
    return outpost.port if kind == "tor" else given


def _tors(network: Path, node: str, bridges: list[tuple[str, Outpost, int]], *, leads: bool) -> Daemon:
    address = bridges[0][1].address
    plan = {
        "network": str(network),
        "leads": leads,
        "address": str(address),
        "ports": _PORTS,
        "ready": _READY,
        "bridges": [
            {
                "home": str(outpost.home),
                "transport": _TRANSPORTS[kind],
                "address": str(outpost.address),
                "port": outpost.port,
                "or_port": or_port,
            }
            for kind, outpost, or_port in bridges
        ],
    }
    home = network if leads else network.with_name(f"{_NETWORK}-{node}")
    argv = (sys.executable, str(_HERE.with_name("tor_network.py")))
    sockets = frozenset({Listening("tcp", address, _READY)})
    return Daemon("tor", node, argv, home, {"network.json": json.dumps(plan, indent=1)}, sockets, patience=_UP_S)


def _meek(outpost: Outpost, or_port: int, port: int) -> Iterator[Daemon]:
    """Yields a meek server and the CDN's edge in front of it, which forwards the front's hidden name to it."""
    argv = (sys.executable, str(_HERE.with_name("meek_server.py")), str(port), str(outpost.address), str(or_port))
    environment = {"PYTHONPATH": os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)}
    yield Daemon("meek", outpost.node, argv, outpost.home / "meek", environment=environment)
    yield edge(outpost, f"proxy_pass http://127.0.0.1:{port};")


async def tor_test(session: ProbeSession, ask: ToolUse) -> Conclusion:
    """Fetches a page through Tor by the tool's kind of bridge; raises `StepFailed`."""
    return await through(session, ask, _client)


@asynccontextmanager
async def _client(using: Using) -> AsyncIterator[Exit]:
    port, kind = free_port(), using.use.tool
    there, home = f"{using.server}:{using.use.port}", using.handed_out
    fingerprint = (home / "tor" / "fingerprint").read_text().split()[1]
    transport = f"ClientTransportPlugin {'meek_lite' if kind == 'meek' else kind} exec /usr/bin/obfs4proxy"
    bridge = f"{there} {fingerprint}"
    if kind == "tor":
        transport = ""
    elif kind == "obfs4":
        line = (home / "tor" / "pt_state" / "obfs4_bridgeline.txt").read_text()
        certificate = re.search(r"cert=\S+ iat-mode=\d", line)
        assert certificate is not None, line
        bridge = f"obfs4 {bridge} {certificate[0]}"
    else:  # the address is not used: the client connects to the front by name
        at = f":{using.use.port}" if using.use.port != 443 else ""
        front = using.use.host
        bridge = f"meek_lite 192.0.2.1:1 {fingerprint} url=https://{hidden(front)}{at}/ front={front}{at}"
    authority = (using.services / _NETWORK / "directory-authority").read_text().strip()
    text = _CLIENT.format(folder=using.folder, authority=authority, bridge=bridge, transport=transport, port=port)
    (using.folder / "torrc").write_text(text)
    argv = ["tor", "-f", str(using.folder / "torrc")]
    if kind == "meek" and not using.session.request.looks_up:
        argv = [*knowing(using, front=using.use.host), *argv]
    async with socks_client(using, argv, r"Bootstrapped 100%", port) as way_out:
        yield way_out


def knowing(using: Using, front: str) -> list[str]:
    """Returns the arguments that start a program with the front in its /etc/hosts: for a control, which runs on a
    server without a resolver."""
    hosts = using.folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n{using.server} {front}\n")
    return ["unshare", "--mount", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh"]


__all__ = ["TorBridges", "tor_test"]
