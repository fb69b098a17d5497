"""Signal dispositions of a process, independent of those it inherited."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that ask a sandbox to end."""
_PYTHONS = {signal.SIGPIPE, signal.SIGXFSZ}
"""Signals that Python ignores itself, and resets for the programs it starts."""
_FIXED = {signal.SIGKILL, signal.SIGSTOP}


def reset_dispositions(blocked: Iterable[int] = ()) -> None:
    """Resets inherited signal dispositions to their defaults, and unblocks all signals except those in `blocked`.

    A shell starts background jobs with SIGINT ignored, and some servers ignore SIGCHLD, so that a child's exit status
    is lost. SIGHUP is left alone, for nohup(1). Call it in the main thread.
    """
    for number in signal.valid_signals() - {signal.SIGHUP} - _PYTHONS - _FIXED:
        if signal.getsignal(number) is signal.SIG_IGN:
            default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, default)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals() - set(blocked))


def passed_on() -> tuple[signal.Signals, ...]:
    """Returns the signals that ask this sandbox to end: without those ignored, such as SIGHUP under nohup(1)."""
    return tuple(number for number in PASSED_ON if signal.getsignal(number) is not signal.SIG_IGN)


def ignore_alone() -> frozenset[int]:
    """Makes this process's ignored signals have no effect on it, but their default one on programs it starts.

    It gives them handlers that do nothing: programs inherit ignored signals, but not handled ones. These signals now
    reach a descriptor made by `child_process.stop_descriptor`, where the numbers returned here must be disregarded.
    Call it in the main thread.
    """
    ignored = _ignored()
    for number in ignored:
        signal.signal(number, _nothing)
    return ignored


@contextmanager
def defaults_for_others() -> Iterator[None]:
    """Gives programs started in the block the default disposition of signals that this process ignores.

    It gives these signals handlers that do nothing: execve resets handled signals, but not ignored ones. Use it in the
    main thread.
    """
    ignored = _ignored()
    for number in ignored:
        signal.signal(number, _nothing)
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)


def _ignored() -> frozenset[int]:
    handled = signal.valid_signals() - _PYTHONS - _FIXED
    return frozenset(number for number in handled if signal.getsignal(number) is signal.SIG_IGN)


def _nothing(*_: object) -> None:
    pass
