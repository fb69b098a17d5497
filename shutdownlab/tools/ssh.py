"""SSH dynamic port forwarding (`ssh -D`), with OpenSSH at both ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from shutdownlab.model.tool import ToolUse
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.session import ProbeSession
from shutdownlab.servers.daemon import Daemon
from shutdownlab.tools.serving import Outpost, ToolServer
from shutdownlab.tools.using import Exit, Using, free_port, socks_client, through

_NOBODY = 65534
"""The user id of `nobody`, which every system has. sshd runs under it in a nested user namespace: its child that parses
network input switches to another user, and the sandbox itself has only root."""


class SshServers(ToolServer):
    """OpenSSH's sshd, which allows its only user to forward connections."""

    kind = "ssh"

    def serve(self, outpost: Outpost) -> Iterator[Daemon]:
        host, user = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        home = outpost.home
        at = f"[{outpost.address}]" if outpost.address.version == 6 else str(outpost.address)
        lines = [
            f"ListenAddress {at}:{outpost.port}",
            f"HostKey {home}/host_key",
            f"AuthorizedKeysFile {home}/authorized_keys",
            "PidFile none",
            "UsePAM no",
            "StrictModes no",
            "PasswordAuthentication no",
            "AllowTcpForwarding yes",
            "MaxStartups 1000",
            "UseDNS no",
        ]
        known = f"* {_public(host)}\n"
        files: dict[str, str | bytes] = {
            "sshd_config": "\n".join(lines) + "\n",
            "host_key": _private(host),
            "authorized_keys": f"{_public(user)}\n",
            "user_key": _private(user),
            "known_hosts": known,
        }
        as_nobody = ("unshare", "--user", f"--map-user={_NOBODY}", f"--map-group={_NOBODY}")
        argv = (*as_nobody, "/usr/sbin/sshd", "-D", "-e", "-f", "sshd_config")
        yield Daemon("sshd", outpost.node, argv, home, files, outpost.listening("tcp"), forks=True)


def _private(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


def _public(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


async def ssh_test(session: ProbeSession, ask: ToolUse) -> Conclusion:
    """Fetches a page through `ssh -D`; raises `StepFailed`."""
    return await through(session, ask, _client)


@asynccontextmanager
async def _client(using: Using) -> AsyncIterator[Exit]:
    port, keys = free_port(), using.handed_out
    options = {
        "BatchMode": "yes",
        "ExitOnForwardFailure": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": f'"{keys}/known_hosts"',
        "IdentitiesOnly": "yes",
        "Compression": "no",
    }
    argv = ["ssh", "-v", "-N", "-F", "none", "-D", f"127.0.0.1:{port}", "-p", str(using.use.port)]
    argv += ["-i", str(keys / "user_key"), *(f"-o{name}={value}" for name, value in options.items())]
    async with socks_client(using, [*argv, f"nobody@{using.server}"], r"Entering interactive session", port) as door:
        yield door
