"""What is made of a tool whose client ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from shutdownlab.model.scenario import Family
from shutdownlab.model.tool import ToolUse
from shutdownlab.probes.equipment import Equipment
from shutdownlab.probes.failure import StepFailed, is_own
from shutdownlab.probes.session import ProbeSession
from shutdownlab.protocol.probing import ProbeRequest
from shutdownlab.tools.using import Exit, Using, through


def failure_of_one_that(does: str, *, connects: bool) -> StepFailed:
    """The failure of a tool whose client does this; `connects`: only after it was ready."""

    class Local:
        async def open(self, address: str, port: int) -> None:
            raise ConnectionResetError(104, "Connection reset by peer")

    @asynccontextmanager
    async def client(using: Using) -> AsyncIterator[Exit]:
        with using.start("sh", "-c", f"echo ready; {does}") as program:
            await program.says("ready" if connects else "connected")
            await program.out.changed()
            yield Local()  # type: ignore[misc]

    async def fetch() -> None:
        use = ToolUse("x", "127.0.0.1", 1, "http://127.0.0.1:1/", "127.0.0.1", "u", timeout=20.0, throttled_below=1000)
        request = ProbeRequest("x", "x", "", family=Family.IPV4, timeout=5.0)
        await through(ProbeSession(request, Equipment()), use, client)

    with pytest.raises(StepFailed) as failed:
        asyncio.run(fetch())
    return failed.value


@pytest.mark.parametrize("connects", [False, True])
def test_a_client_that_a_signal_ends_is_the_prober_s_own_error(connects: bool) -> None:
    """The kernel does it where memory is short; twice, it looked as if the tool was blocked."""
    failed = failure_of_one_that("kill -KILL $$", connects=connects)
    assert failed.failure == "unknown_failure: the prober itself: sh was killed by SIGKILL"
    assert is_own(failed.failure)


@pytest.mark.parametrize(
    ("does", "connects", "failure"),
    [
        ("echo connection refused >&2; exit 1", False, "connection_refused"),
        ("exit 1", True, "connection_reset"),
        ("kill -PIPE $$", True, "connection_reset"),
        ("exec >&- 2>&-; sleep 60", True, "connection_reset"),
    ],
)
def test_one_that_gives_up_or_goes_on_failed_by_what_it_met(does: str, connects: bool, failure: str) -> None:
    assert failure_of_one_that(does, connects=connects).failure == failure
