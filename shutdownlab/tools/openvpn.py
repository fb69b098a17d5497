"""OpenVPN: a complete tunnel over UDP or TCP to the emulated servers of commercial VPNs."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shutdownlab.model.tool import ToolUse
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.session import ProbeSession
from shutdownlab.servers.vpn import client_file
from shutdownlab.tools.using import Exit, TunnelNamespace, Using, through


async def openvpn_test(session: ProbeSession, ask: ToolUse) -> Conclusion:
    """Fetches a page through an OpenVPN tunnel; raises `StepFailed`."""
    return await through(session, ask, _client)


@asynccontextmanager
async def _client(using: Using) -> AsyncIterator[Exit]:
    device = f"ovpn{secrets.token_hex(5)}"
    config = client_file(using.services, using.use.transport, using.server, using.use.port)
    argv = ["openvpn", "--config", str(config), "--dev", device, "--dev-type", "tun"]
    argv += ["--ifconfig-noexec", "--route-noexec", "--pull-filter", "ignore", "redirect-gateway"]
    with using.start(*argv) as program:
        address = (await program.says(r"PUSH_REPLY,.*ifconfig ([0-9.]+) 255\.255\.255\.0"))[1]
        await program.says("Initialization Sequence Completed")
        with TunnelNamespace() as inside:
            await inside.take(device, f"{address}/24", 4)
            yield inside
