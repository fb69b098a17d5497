"""Shadowsocks with AEAD ciphers (shadowsocks-libev), whose stream looks random from its first octet."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from shutdownlab.model.tool import ToolUse
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.session import ProbeSession
from shutdownlab.servers.daemon import Daemon
from shutdownlab.tools.serving import Outpost, ToolServer
from shutdownlab.tools.using import Exit, Using, free_port, socks_client, through

_METHOD = "chacha20-ietf-poly1305"


class ShadowsocksServers(ToolServer):
    """ss-server."""

    kind = "shadowsocks"

    def serve(self, outpost: Outpost) -> Iterator[Daemon]:
        settings = {
            "server": str(outpost.address),
            "server_port": outpost.port,
            "password": secrets.token_urlsafe(),
            "method": _METHOD,
            "mode": "tcp_only",
            "no_delay": True,
        }
        files: dict[str, str | bytes] = {"config.json": json.dumps(settings, indent=1)}
        argv = ("ss-server", "-c", "config.json")
        yield Daemon("ss-server", outpost.node, argv, outpost.home, files, outpost.listening("tcp"))


async def shadowsocks_test(session: ProbeSession, ask: ToolUse) -> Conclusion:
    """Fetches a page through ss-local; raises `StepFailed`."""
    return await through(session, ask, _client)


@asynccontextmanager
async def _client(using: Using) -> AsyncIterator[Exit]:
    port = free_port()
    argv = ["ss-local", "-c", str(using.handed_out / "config.json"), "-b", "127.0.0.1", "-l", str(port)]
    async with socks_client(using, argv, rf"listening at 127\.0\.0\.1:{port}", port) as door:
        yield door
