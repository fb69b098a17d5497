"""What a kind of server is: it says which daemons a country needs of it. Registered, as a package's own would be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

from shutdownlab.config.extensions import ExtensionError, Extensions
from shutdownlab.model.network import Network
from shutdownlab.servers.daemon import Daemon
from shutdownlab.servers.tls import CertificateAuthority


@dataclass(frozen=True, slots=True)
class Premises:
    """What servers are configured from, and where: `directory` stays, with the run; `runtime` is gone with the sandbox.

    `ca` signs certificates that every subscriber trusts.
    """

    network: Network
    ca: CertificateAuthority
    directory: Path
    runtime: Path


class Server:
    """A kind of server, registered under the entry point group `shutdownlab.servers`.

    A name without a dot is the kind of service that it answers, as app catalogues write it (`https` of `https/443`);
    one may be registered under several. A name with a dot is of servers that belong to the country, whatever it hosts.
    """

    order: ClassVar[int] = 100
    """They start in this order: what is slow to come up, first."""

    def prepare(self, premises: Premises) -> None:
        """What must be done once before any daemon starts. May raise `OSError`."""
        return

    def daemons(self, premises: Premises) -> Iterator[Daemon]:
        """Every daemon that the country needs of this kind."""
        raise NotImplementedError


@cache
def kinds() -> Extensions[Server]:
    """Every kind of server that is installed."""
    return Extensions("shutdownlab.servers", Server)


def servers() -> list[Server]:
    """One of each kind that is installed, in the order in which they start. Raises `MachineCannot`."""
    from shutdownlab.system.kernel import MachineCannot  # needs Linux, which a module that declares a server need not

    try:
        classes = dict.fromkeys(kinds()[name] for name in kinds())
    except ExtensionError as error:
        raise MachineCannot("start every server", error.found, error.hint) from error
    return [kind() for kind in sorted(classes, key=lambda kind: (kind.order, kind.__module__, kind.__qualname__))]
