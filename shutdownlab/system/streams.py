"""Standard input, output and error as a program wants them: there, and with one way to fail.

A write that fails raises `OutputLost`, once, whoever writes (print, Rich, Mininet), unless what is printed is an extra.
Whatever is written later is dropped, so that nothing of it comes up again at the interpreter's end. Standard error is
always an extra: where it cannot be written there is nobody to tell.
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
"""What a program ends with whose output cannot be written (`EX_IOERR` of sysexits.h)."""
EXIT_UNREAD = 128 + signal.SIGPIPE
"""Nobody reads it any more: what a shell reports of `cat` in `cat file | head`."""


class OutputLost(Exception):
    """Standard output takes no more: nobody reads it, or the disk is full."""

    def __init__(self, error: OSError) -> None:
        self.why = (error.strerror or str(error)).lower()
        super().__init__(f"standard output cannot be written: {self.why}")
        self._unread = isinstance(error, BrokenPipeError)

    def told(self) -> int:
        """Say so on standard error, but for the end of a pipe that has been read enough of; returns the exit code."""
        if self._unread:
            return EXIT_UNREAD
        sys.stderr.write(f"{self}\n")
        return EXIT_OUTPUT


class _Sink(io.RawIOBase):
    """Writes to a descriptor as long as that goes well."""

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
        """Raises `OutputLost` the first time that it fails, unless what is written is an extra."""
        while self.lost is None:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:  # whoever shares it has made it non-blocking
                polling.wait(writing=[self._descriptor])
            except OSError as error:
                self.lost = OutputLost(error)
                if not self.extra:
                    raise self.lost from None
        return memoryview(data).nbytes


def guard_standard_streams() -> None:
    """Open what is closed of this process's standard streams as /dev/null, and have output fail in one way only.

    A closed one would be the next file that is opened: a run's results, for instance.
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
        "backslashreplace" if errors == "strict" else errors,  # a letter that cannot be shown is no reason to end
        line_buffering=extra or sink.isatty(),
        write_through=getattr(before, "write_through", False),
    )


def output_is_extra() -> None:
    """What is printed from here on is not what the program is for; see `output_lost`."""
    sink = _sink()
    if sink is not None:
        sink.extra = True


def output_lost() -> OutputLost | None:
    """Why some of what was printed has not come out; None if all of it has."""
    with suppress(OutputLost, OSError, ValueError):
        sys.stdout.flush()
    sink = _sink()
    return sink.lost if sink is not None else None


def finish_output() -> None:
    """Write what is still held back; raises `OutputLost`, also where somebody has caught that and gone on."""
    lost, sink = output_lost(), _sink()
    if lost is not None and sink is not None and not sink.extra:
        raise lost


def _sink() -> _Sink | None:
    """That of standard output; None where it is not guarded: a program of somebody else's, a test."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw if isinstance(raw, _Sink) else None


def flush_standard_streams() -> None:
    """Before this process is duplicated. Somebody else's program may have closed them, or lost them."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with suppress(OSError, ValueError):
                stream.flush()
