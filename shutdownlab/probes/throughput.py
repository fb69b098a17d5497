"""How fast a download runs, for about a second: throttling shows as a goodput far below the line's rate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import h11

from shutdownlab.model.scenario import Outcome
from shutdownlab.probes.browser import request_headers, target_of
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.dns import lookup
from shutdownlab.probes.failure import StepFailed, failure_of
from shutdownlab.probes.kinds import Download
from shutdownlab.probes.patience import Absence, Patience, patience
from shutdownlab.probes.session import ProbeSession
from shutdownlab.probes.stream import TcpStream, connect, handshake
from shutdownlab.system.processor import waited_s


async def throughput_test(session: ProbeSession, ask: Download) -> Conclusion:
    """Throttled if the file arrives more slowly than `throttled_below` kbit/s.

    Raises `StepFailed` if nothing arrives, or too little to tell and then nothing more: a frozen connection is not
    slow. Goodput counts TCP payload since the response began, which excludes the round trips before it. If this process
    was starved of CPU or frozen while it waited for the response, bytes may have been buffered meanwhile and been read
    all at once: a line that looks fast, but would be slow if they took that long to arrive, is `unknown`.
    """
    parts = urlsplit(ask.url)
    secure, host = parts.scheme == "https", parts.hostname or ""
    address = (await lookup(session, host)).addresses[0]
    with await connect(session, address, parts.port or (443 if secure else 80)) as tcp:
        stream = await handshake(tcp, host, ("http/1.1",)) if secure else tcp
        meter = DownloadMeter(ask.seconds)
        stream.on_octets = meter.count
        head = h11.Request(method="GET", target=target_of(parts), headers=request_headers(parts))
        ended = await download(stream, head, meter, ask.max_bytes)
        if not ended and meter.octets < ask.min_bytes and meter.silence > ask.seconds / 2:
            await _goes_on(stream, meter)
    kbits = meter.octets * 8 / 1000 / max(meter.elapsed, 1e-3)
    session.trace.extra["x_throughput"] = {
        "received_bytes": meter.octets,
        "seconds": round(meter.elapsed, 6),
        "kbits_per_second": round(kbits, 1),
    }
    if ended and meter.octets < ask.min_bytes:
        return Conclusion(Outcome.ERROR, f"unknown_failure: {ask.url} has less than {ask.min_bytes} octets")
    return concluded(meter, ask.throttled_below, round(kbits, 1), "kbit/s")


def concluded(meter: DownloadMeter, throttled_below: int, value: float, unit: str) -> Conclusion:
    """Returns the conclusion from a download's speed; doubtful unless the line is fast by either calculation.

    throttled_below: in kbit/s. value, unit: what is reported as measured.
    """
    slowest = meter.octets * 8 / (throttled_below * 1000)  # seconds below which the line is not slow
    elapsed = max(meter.elapsed, 1e-3)
    if elapsed > slowest:
        return Conclusion(Outcome.THROTTLED, doubtful=True, value=value, unit=unit, margin=elapsed - slowest)
    if elapsed + meter.lain > slowest:
        why = f"unknown_failure: the machine kept this probe waiting {meter.lain:.2f} s, so its speed is not known"
        return Conclusion(Outcome.UNKNOWN, why, doubtful=True, value=value, unit=unit)
    return Conclusion(Outcome.OK, value=value, unit=unit, margin=slowest - elapsed - meter.lain)


class DownloadMeter:
    """Counts bytes and the time since the first of them, which also moves the deadline to the end of the test."""

    def __init__(self, seconds: float, waited: Callable[[], float] = waited_s) -> None:
        """waited: returns for how many seconds the network's readers have been starved of CPU so far.

        Those are this process, or a client in its place. Meanwhile the kernel acknowledges TCP segments for them, so
        any number of bytes may be buffered; a forwarder that waits (a switch, a delay line) holds at most the sender's
        initial window.
        """
        self.seconds = seconds
        self._waited, self._waited_before = waited, waited()
        self._absence: Absence | None = None
        self.lain = 0.0
        """Seconds for which the first bytes may have been buffered, because a reader had no CPU or was frozen."""
        self.octets = 0
        self.late = 0
        """Bytes that arrived after the time was up."""
        self.elapsed = 0.0
        self.silence = 0.0
        """How long nothing had arrived by then, in seconds."""
        self.deadline: Patience | None = None
        self._began = 0.0
        self._closed = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While this process waits for the first bytes and reads them: that it does not run then counts as `lain`."""
        self._absence = Absence()
        try:
            yield
        finally:
            self._absence.end()

    def count(self, octets: int) -> None:
        now = asyncio.get_running_loop().time()
        if self._closed:
            self.late += octets
            if self.deadline is not None:
                self.deadline.reschedule(now)
            return
        if not self.octets:
            away = self._absence.end() if self._absence is not None else 0.0
            self._began, self.lain = now, max(self._waited() - self._waited_before, away)
            if self.deadline is not None:
                self.deadline.reschedule(now + self.seconds)
        self.octets += octets
        self.elapsed = now - self._began

    def close(self) -> None:
        """Called at the deadline: the silence before it counts."""
        elapsed = asyncio.get_running_loop().time() - self._began
        self.silence, self.elapsed, self._closed = elapsed - self.elapsed, elapsed, True


async def download(stream: TcpStream, head: h11.Request, meter: DownloadMeter, max_bytes: int) -> bool:
    """Receives until the time is up or enough has arrived; returns whether the file ended. Raises `StepFailed`."""
    connection = h11.Connection(h11.CLIENT)
    try:
        async with patience(stream.session.patience) as meter.deadline:
            with meter.listening():
                await stream.send((connection.send(head) or b"") + (connection.send(h11.EndOfMessage()) or b""))
                while meter.octets < max_bytes:
                    event = connection.next_event()
                    if isinstance(event, h11.EndOfMessage):
                        return True
                    if event is h11.NEED_DATA:
                        data = await stream.receive()
                        if not data:
                            raise EOFError("closed in the middle of the response")
                        connection.receive_data(data)
    except TimeoutError as error:
        if not meter.octets:
            raise StepFailed(failure_of(error), "http_round_trip") from error
        meter.close()
    except (OSError, EOFError, h11.RemoteProtocolError) as error:
        raise StepFailed(failure_of(error), "http_round_trip") from error
    return False


async def _goes_on(stream: TcpStream, meter: DownloadMeter) -> None:
    """Returns once more data arrives, because TCP retransmits what a policer dropped; else raises `StepFailed`."""
    try:
        async with patience(stream.session.patience) as meter.deadline:
            while await stream.receive():
                pass
    except TimeoutError as error:
        if not meter.late:
            raise StepFailed(failure_of(error), "http_round_trip") from error
    except OSError as error:
        raise StepFailed(failure_of(error), "http_round_trip") from error
