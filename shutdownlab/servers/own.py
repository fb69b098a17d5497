"""The user's own server programs, each on the node of the network that hosts it."""

from __future__ import annotations

from collections.abc import Iterator

from shutdownlab.model.network import Hosted
from shutdownlab.servers.daemon import Daemon, Listening
from shutdownlab.servers.server import Premises, Server


class OwnServers(Server):
    """The server programs given in the topology's `serves`."""

    order = 70

    def daemons(self, premises: Premises) -> Iterator[Daemon]:
        brought = [hosted for hosted in premises.network.hosted if hosted.program is not None]
        for number, hosted in enumerate(brought, start=1):
            yield _daemon(hosted, number, premises)


def _daemon(hosted: Hosted, number: int, premises: Premises) -> Daemon:
    assert hosted.program is not None
    program = hosted.program
    home = premises.directory / f"own-{number}-{program.name.replace('/', '-')}"
    files: dict[str, str | bytes] = {}
    meant = {f"address{'6' if a.version == 6 else ''}": str(a) for a in hosted.addresses}
    if any("{certificate}" in argument or "{key}" in argument for argument in program.command):
        certificate = premises.ca.issue(hosted.names, () if hosted.names else hosted.addresses)
        files = {"certificate.pem": certificate.chain, "key.pem": certificate.key}
        meant |= {"certificate": str(home / "certificate.pem"), "key": str(home / "key.pem")}
    argv = tuple(_filled(argument, meant) for argument in program.command)
    sockets = frozenset(
        Listening("udp" if ports.protocol == "udp" else "tcp", address, ports.first)
        for ports in program.ports
        for address in hosted.addresses
    )
    # whatever it starts may end when it likes
    return Daemon(program.name, hosted.node, argv, home, files, sockets, lenient=True, forks=True)


def _filled(argument: str, meant: dict[str, str]) -> str:
    for name, value in meant.items():
        argument = argument.replace(f"{{{name}}}", value)
    return argument
