"""The interface of a kind of server, which yields the daemons that a country needs. Kinds are entry points."""

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
    """What servers are configured from: `directory` is kept with the run; `runtime` is deleted with the sandbox.

    `ca` signs certificates that every subscriber trusts.
    """

    network: Network
    ca: CertificateAuthority
    directory: Path
    runtime: Path


class Server:
    """A kind of server, registered under the entry point group `shutdownlab.servers`.

    A name without a dot is the kind of service that it answers, as app catalogues write it (`https` in `https/443`); a
    class may be registered under several. A name with a dot marks servers that the country has, whatever it hosts.
    """

    order: ClassVar[int] = 100
    """Servers start in ascending order; slow ones have low numbers."""

    def prepare(self, premises: Premises) -> None:
        """Does what is needed once before any daemon starts. May raise `OSError`."""
        return

    def daemons(self, premises: Premises) -> Iterator[Daemon]:
        """Yields every daemon of this kind that the country needs."""
        raise NotImplementedError


@cache
def kinds() -> Extensions[Server]:
    """Returns the kinds of server that are installed."""
    return Extensions("shutdownlab.servers", Server)


def servers() -> list[Server]:
    """Returns an instance of each kind that is installed, in start order. Raises `MachineCannot`."""
    from shutdownlab.system.kernel import MachineCannot  # needs Linux, unlike declaring a server

    try:
        classes = dict.fromkeys(kinds()[name] for name in kinds())
    except ExtensionError as error:
        raise MachineCannot("start every server", error.found, error.hint) from error
    return [kind() for kind in sorted(classes, key=lambda kind: (kind.order, kind.__module__, kind.__qualname__))]
