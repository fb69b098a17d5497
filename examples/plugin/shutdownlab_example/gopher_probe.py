"""A menu of a Gopher server (RFC 1436) as a kind of probe: `test: gopher`."""

from __future__ import annotations

import asyncio

from shutdownlab.config.addresses import endpoint
from shutdownlab.model.probe import HostProbe, Surroundings
from shutdownlab.model.scenario import Outcome
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.dns import locate
from shutdownlab.probes.failure import StepFailed, failure_of
from shutdownlab.probes.session import ProbeSession
from shutdownlab.probes.stream import connect

PORT = 70
END = b".\r\n"


class GopherProbe(HostProbe):
    """A menu of the Gopher server `host`, by its true address: ok where it comes, and is one."""

    selector: str = ""

    runs = "shutdownlab_example.gopher_probe:gopher_test"
    ooni_test = "x_gopher"

    def ooni_input(self, at: Surroundings) -> str:
        return f"gopher://{endpoint(self.host, PORT)}/1{self.selector}"


async def gopher_test(session: ProbeSession, probe: GopherProbe) -> Conclusion:
    """Blocked when no connection comes about (`connect` raises `StepFailed`), or no menu comes over it."""
    with await connect(session, await locate(session, probe.host), PORT) as tcp:
        menu = b""
        try:
            async with asyncio.timeout(session.patience):
                await tcp.send(f"{probe.selector}\r\n".encode())
                while not menu.endswith(END) and (more := await tcp.receive()):
                    menu += more
        except OSError as error:
            raise StepFailed(failure_of(error), "gopher") from error
    session.trace.extra["x_gopher"] = {"menu": menu.decode("latin-1")}
    if not menu.endswith(END):
        return Conclusion(Outcome.BLOCKED, "unknown_failure: no Gopher menu")
    return Conclusion(Outcome.OK, value=menu.count(b"\r\n") - 1, unit="items")
