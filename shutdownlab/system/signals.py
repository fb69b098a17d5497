"""What a process does with signals, whatever the one that started it did with them."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""With which a sandbox is asked to end."""
_PYTHONS = {signal.SIGPIPE, signal.SIGXFSZ}
"""Python ignores them itself, and gives what it starts the default again."""
_FIXED = {signal.SIGKILL, signal.SIGSTOP}


def reset_dispositions(blocked: Iterable[int] = ()) -> None:
    """Undo what was ignored or blocked when this process began: `blocked` alone stays so.

    A shell that starts something in the background ignores SIGINT for it, some servers SIGCHLD: then nobody learns how
    a child has ended. SIGHUP stays as it is: that is what nohup(1) is for. To be called by the main thread.
    """
    for number in signal.valid_signals() - {signal.SIGHUP} - _PYTHONS - _FIXED:
        if signal.getsignal(number) is signal.SIG_IGN:
            default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, default)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals() - set(blocked))


def passed_on() -> tuple[signal.Signals, ...]:
    """With which this sandbox is asked to end: not with SIGHUP where nohup(1) has started it."""
    return tuple(number for number in PASSED_ON if signal.getsignal(number) is not signal.SIG_IGN)


def ignore_alone() -> frozenset[int]:
    """Go on ignoring what this process ignores, and have what it starts get the default. In the main thread.

    By handlers that do nothing: programs inherit what is ignored, not what is handled.
    A descriptor of `child_process.stop_descriptor` is told of what is handled: the numbers returned mean nothing there.
    """
    ignored = _ignored()
    for number in ignored:
        signal.signal(number, _nothing)
    return ignored


@contextmanager
def defaults_for_others() -> Iterator[None]:
    """What is started meanwhile gets the default of signals that this process ignores. In the main thread.

    By a handler that does nothing, for a moment: what a process handles, the program that it becomes does not.
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
