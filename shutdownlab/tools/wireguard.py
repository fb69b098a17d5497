"""WireGuard, with wireguard-go at both ends: a sandbox cannot load the kernel's module."""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from shutdownlab.config.addresses import endpoint
from shutdownlab.model.tool import ToolUse
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.session import ProbeSession
from shutdownlab.servers.daemon import Daemon
from shutdownlab.servers.server import Premises
from shutdownlab.tools.serving import Outpost, ToolServer, outposts
from shutdownlab.tools.using import Exit, TunnelNamespace, Using, through

_PROGRAM = Path(__file__).with_name("wireguard_server.py")
_USERS = "users.json"
_QUIET = {"WG_PROCESS_FOREGROUND": "1", "LOG_LEVEL": "error"}


class WireGuardServers(ToolServer):
    """A WireGuard peer with a key for each vantage point; it listens at all addresses of its node."""

    kind = "wireguard"

    def daemons(self, premises: Premises) -> Iterator[Daemon]:
        """Yields one for each port of a node."""
        alike: dict[tuple[str, int], list[Outpost]] = {}
        for outpost in outposts(premises, self.kind):
            alike.setdefault((outpost.node, outpost.port), []).append(outpost)
        for first, *others in alike.values():
            for daemon in self.serve(first):
                handed_out = {f"../{other.home.name}/{_USERS}": daemon.files[_USERS] for other in others}
                yield replace(daemon, files={**daemon.files, **handed_out})

    def serve(self, outpost: Outpost) -> Iterator[Daemon]:
        own = X25519PrivateKey.generate()
        lines = [f"private_key={own.private_bytes_raw().hex()}", f"listen_port={outpost.port}"]
        users: dict[str, dict[str, str]] = {}
        for number, user in enumerate(outpost.users, start=2):
            key = X25519PrivateKey.generate()
            inside = _address(outpost.number, number)
            lines += [f"public_key={key.public_key().public_bytes_raw().hex()}", f"allowed_ip={inside}/32"]
            users[user] = {"private": _text(key.private_bytes_raw()), "address": f"{inside}/32"}
        device = f"wg-{outpost.number}"
        handed_out = {"public": _text(own.public_key().public_bytes_raw()), "users": users}
        files: dict[str, str | bytes] = {
            "uapi.conf": "\n".join(lines) + "\n",
            _USERS: json.dumps(handed_out, indent=1),
        }
        argv = (sys.executable, str(_PROGRAM), device, f"{_address(outpost.number, 1)}/16")
        sockets, path = outpost.listening("udp"), os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        environment = {**_QUIET, "PYTHONPATH": path}
        yield Daemon("wireguard", outpost.node, argv, outpost.home, files, sockets, None, environment, lenient=True)


def _address(server: int, number: int) -> str:
    """Returns the address inside the tunnel of the server (`number` 1) or of a user (from 2)."""
    return f"10.{100 + server % 100}.{number // 256}.{number % 256}"


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()


async def wireguard_test(session: ProbeSession, ask: ToolUse) -> Conclusion:
    """Fetches a page through a WireGuard tunnel; raises `StepFailed`."""
    return await through(session, ask, _client)


@asynccontextmanager
async def _client(using: Using) -> AsyncIterator[Exit]:
    known = json.loads((using.handed_out / _USERS).read_text())
    user = known["users"][using.use.user]
    # The control socket is named after the device, in a directory that all nodes share.
    device = f"wg{secrets.token_hex(6)}"
    there = endpoint(using.server, using.use.port)
    config = using.folder / "wg.conf"
    config.write_text(
        f"[Interface]\nPrivateKey = {user['private']}\n"
        f"[Peer]\nPublicKey = {known['public']}\nEndpoint = {there}\nAllowedIPs = 0.0.0.0/0\n"
    )
    with using.start("wireguard-go", "-f", device, WG_PROCESS_FOREGROUND="1", LOG_LEVEL="verbose") as program:
        await program.says("UAPI listener started")
        with using.start("wg", "setconf", device, str(config)) as setting:
            await setting.ends_within(using.session.patience)
        with TunnelNamespace() as inside:
            await inside.take(device, user["address"], 4)
            yield inside
