"""Makes sure that standard input, output and error are open, and that failing output has one way to fail.

The first failing write raises `OutputLost`, whatever code is writing (print, Rich, Mininet), unless the output is
optional. Later writes are discarded, so that the interpreter doesn't fail again at exit. Standard error is always
optional, since its failure can't be reported anywhere.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from shutdownlab.system import polling

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

EXIT_OUTPUT = 74
"""Exit code when output can't be written (`EX_IOERR` of sysexits.h)."""
EXIT_UNREAD = 128 + signal.SIGPIPE
"""Exit code when the reader of a pipe is gone, as a shell reports for `cat` in `cat file | head`."""


class OutputLost(Exception):
    """Standard output can't be written: its reader is gone, or the disk is full."""

    def __init__(self, error: OSError) -> None:
        self.why = (error.strerror or str(error)).lower()
        super().__init__(f"standard output cannot be written: {self.why}")
        self._unread = isinstance(error, BrokenPipeError)

    def report(self) -> int:
        """Prints this error on standard error, unless the reader of a pipe just stopped; returns the exit code."""
        if self._unread:
            return EXIT_UNREAD
        sys.stderr.write(f"{self}\n")
        return EXIT_OUTPUT


class _Sink(io.RawIOBase):
    """A raw stream that writes to a descriptor until a write fails, and then discards data.

    extra: whether the output is optional, so that a failure doesn't raise. lost: the failure; None so far.
    """

    def __init__(self, descriptor: int, *, extra: bool) -> None:
        self._descriptor = descriptor
        self.extra = extra
        self.lost: OutputLost | None = None

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer) -> int:
        """Writes data; raises `OutputLost` at the first failure, unless the output is optional."""
        while self.lost is None:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:  # another process sharing the file has made it non-blocking
                polling.wait(writing=[self._descriptor])
            except OSError as error:
                self.lost = OutputLost(error)
                if not self.extra:
                    raise self.lost from None
        return memoryview(data).nbytes


def guard_standard_streams() -> None:
    """Opens closed standard streams as /dev/null, and makes failing output raise `OutputLost` only.

    The number of a closed one would otherwise go to the next file opened: a run's results, for instance.
    """
    for number, flags in enumerate((os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, flags), True)
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = _guarded(1, sys.stdout, extra=False)
    sys.stderr = _guarded(2, sys.stderr, extra=True)


def _guarded(descriptor: int, before: TextIO | None, *, extra: bool) -> TextIO:
    sink = _Sink(descriptor, extra=extra)
    errors = before.errors if before else "strict"
    return io.TextIOWrapper(
        io.BufferedWriter(sink),
        before.encoding if before else "utf-8",
        "backslashreplace" if errors == "strict" else errors,  # an unencodable character is no reason to fail
        line_buffering=extra or sink.isatty(),
        write_through=getattr(before, "write_through", False),
    )


def output_is_extra() -> None:
    """Makes standard output optional from now on: failures don't raise, and are found by `output_lost`."""
    sink = _sink()
    if sink is not None:
        sink.extra = True


def output_lost() -> OutputLost | None:
    """Flushes standard output; returns the error if some of the output was lost, else None."""
    with suppress(OutputLost, OSError, ValueError):
        sys.stdout.flush()
    sink = _sink()
    return sink.lost if sink is not None else None


def finish_output() -> None:
    """Flushes standard output; raises `OutputLost` if any of it was lost, even if that was raised and caught before."""
    lost, sink = output_lost(), _sink()
    if lost is not None and sink is not None and not sink.extra:
        raise lost


def _sink() -> _Sink | None:
    """Returns standard output's `_Sink`; None if it isn't guarded, as in a user's own program or a test."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw if isinstance(raw, _Sink) else None


def flush_standard_streams() -> None:
    """Flushes standard output and error before a fork. Ignores streams that a user's program has closed or lost."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with suppress(OSError, ValueError):
                stream.flush()
