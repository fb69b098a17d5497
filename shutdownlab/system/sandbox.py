"""Runs a Python function in namespaces of its own: user, net, mount, pid, ipc and uts.

Four processes make a chain, each living no longer than the one before it, however that one ends:

    outside   the caller's process; waits
    gate      enters the namespaces, as process 1's parent must
    init      process 1 of the sandbox: prepares it, collects orphans; when it ends the kernel kills all the rest
    worker    enters a user namespace once more, where what init has mounted is locked; runs the function

Root's sandbox is in a user namespace too: what runs in it has no rights over the machine, only root's user id.

The first three get SIGKILL when their parent ends (PR_SET_PDEATHSIG); the worker and what it starts go with process 1's
pid namespace, and namespaces, interfaces and mounts with the last process in them. Nothing has to be cleaned up.

Signals. Ctrl-C reaches the worker from the terminal; SIGINT, SIGTERM and SIGHUP sent to any one process of the chain
are passed down it. The worker sees one `Stopped`, a KeyboardInterrupt; a second signal kills it. What the caller's own
parent had it ignore or block means nothing inside, but for SIGHUP under nohup(1).
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import IO

from shutdownlab.system import polling, syscalls
from shutdownlab.system.child_process import exit_code
from shutdownlab.system.inside import prepare_mounts, prepare_worker
from shutdownlab.system.kernel import (
    EXIT_MACHINE_CANNOT,
    MachineCannot,
    enter_inner_namespaces,
    enter_outer_namespaces,
)
from shutdownlab.system.limits import limit_reached
from shutdownlab.system.signals import passed_on, reset_dispositions
from shutdownlab.system.streams import OutputLost, finish_output, flush_standard_streams, guard_standard_streams

EXIT_CRASHED = 70
"""What a sandbox ends with when its function raised (`EX_SOFTWARE` of sysexits.h)."""

_SI_KERNEL = 0x80
_WATCHED = {"lab-init": 1, "lab-worker": 2}
_STOPPED = ("T", "t")
_PATIENCE = 10
# Path and package come first: unpickling the rest needs them. The package is the caller's own, from its file: found by
# the path, a folder of its name in the working directory (a checkout's, seen from above) could stand in for it.
_BOOT = """\
import os, pickle, sys
from importlib.util import module_from_spec, spec_from_file_location
order = os.fdopen(int(sys.argv[1]), "rb")
sys.path[:], package = pickle.load(order)
spec = spec_from_file_location("shutdownlab", package, submodule_search_locations=[os.path.dirname(package)])
sys.modules["shutdownlab"] = module_from_spec(spec)
spec.loader.exec_module(sys.modules["shutdownlab"])
from shutdownlab.system.sandbox import pass_gate
pass_gate(order, int(sys.argv[2]), int(sys.argv[3]))
"""
_PACKAGE = Path(__file__).parent.parent / "__init__.py"


class Stopped(KeyboardInterrupt):
    """Someone asked the sandbox to end: SIGINT, SIGTERM or SIGHUP."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass(frozen=True)
class _Order:
    """What the gate is told to run."""

    target: str
    payload: bytes
    writable: tuple[Path, ...]
    keep: tuple[Path, ...]


def run_in_sandbox(
    target: str,
    payload: Mapping[str, object],
    *,
    run_dir: Path | None = None,
    keep: Sequence[Path] = (),
    writable: Sequence[Path] = (),
    stdin: int | IO[bytes] | None = None,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
    pass_fds: Sequence[int] = (),
) -> int:
    """Call `package.module:function`(payload) in a sandbox of its own and return the int it returns.

    payload: anything that can be pickled.
    run_dir: stays visible and writable at its own path (made if missing), as do the directories in `writable`.
        The rest of the machine's files are read-only inside; the root directory is, whoever asks.
    keep: paths under /tmp, /run, /var/tmp or /var/log to keep visible; those are empty inside, but for the working
        directory, this Python and its path.
    pass_fds: descriptors that stay open inside, under their numbers.

    Returns 3 never: raises MachineCannot instead, also if the function does. EXIT_CRASHED: the function raised, its
    traceback is on stderr. 128 + N: ended by signal N (130: Ctrl-C). Interpreter exit handlers don't run inside.
    """
    with _signals_held() as held:
        sandbox = start_sandbox(
            target,
            payload,
            run_dir=run_dir,
            keep=keep,
            writable=writable,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=pass_fds,
        )
        try:
            if held:
                _wait_for(sandbox.gate.pid, sandbox.gate.poll)
        except BaseException:
            sandbox.kill()
            raise
        return sandbox.wait()


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A sandbox at work. `gate`: the process that starts its chain, a child of this one."""

    gate: subprocess.Popen[bytes]
    report: IO[bytes]

    def wait(self) -> int:
        """What `run_in_sandbox` returns, once it has ended; raises MachineCannot as that does."""
        try:
            status = self.gate.wait()
        except BaseException:
            self.kill()
            raise
        with self.report:
            complaint = self.report.read()
        if complaint:
            raise MachineCannot(*json.loads(complaint))
        return exit_code(status)

    def kill(self) -> None:
        """End it at once, whatever it does; the kernel ends all that is in it."""
        self.gate.kill()
        self.gate.wait()


def start_sandbox(
    target: str,
    payload: Mapping[str, object],
    *,
    run_dir: Path | None = None,
    keep: Sequence[Path] = (),
    writable: Sequence[Path] = (),
    stdin: int | IO[bytes] | None = None,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
    pass_fds: Sequence[int] = (),
    own_session: bool = False,
) -> Sandbox:
    """The same as `run_in_sandbox`, but return at once. The sandbox ends with the thread that calls this, or before.

    pass_fds: descriptors that stay open inside, under their numbers.
    own_session: away from this process's terminal, whose Ctrl-C does not reach it.
    """
    if run_dir is not None:
        run_dir.mkdir(parents=True, exist_ok=True)
    places = [path.resolve() for path in (*writable, *([run_dir] if run_dir else []))]
    places = [path for path in places if path != Path(path.anchor)]  # with it, every mount would become writable
    order = _Order(target, pickle.dumps(payload), tuple(places), tuple(path.absolute() for path in keep))
    flush_standard_streams()
    with os.fdopen(os.memfd_create("order"), "wb") as order_file:
        pickle.dump(([entry or str(Path.cwd()) for entry in sys.path], str(_PACKAGE)), order_file)
        pickle.dump(order, order_file)
        order_file.seek(0)
        report_read, report_write = os.pipe()
        try:
            gate = subprocess.Popen(
                [sys.executable, "-P", "-c", _BOOT, *map(str, (order_file.fileno(), report_write, os.getpid()))],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                pass_fds=(order_file.fileno(), report_write, *pass_fds),
                start_new_session=own_session,
            )
        except BaseException:
            os.close(report_read)
            raise
        finally:
            os.close(report_write)
    return Sandbox(gate, os.fdopen(report_read, "rb"))


@contextmanager
def _signals_held() -> Iterator[bool]:
    """Keep this thread's signals for `_wait_for`. Only the main thread can: no when in another."""
    if threading.current_thread() is not threading.main_thread():
        yield False
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*passed_on(), signal.SIGCHLD})
    try:
        yield True
    finally:
        while signal.sigtimedwait(passed_on(), 0):  # seen to: the sandbox got it from the terminal
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait_for(pid: int, poll: Callable[[], int | None]) -> int:
    """Wait until `poll` has a result, handing signals down to process `pid`. All of them must be blocked."""
    while (result := poll()) is None:
        info = signal.sigwaitinfo({*passed_on(), signal.SIGCHLD})
        # A key pressed at the terminal went to the whole chain at once; passing it on would make two of it.
        if info.si_signo != signal.SIGCHLD and info.si_code != _SI_KERNEL:
            with suppress(ProcessLookupError):
                os.kill(pid, info.si_signo)
    return result


def pass_gate(order_file: IO[bytes], report_fd: int, parent: int) -> None:
    """The gate: enter new namespaces and fork process 1 into them. Never returns."""
    guard_standard_streams()
    syscalls.die_with_parent(parent)
    syscalls.name_process("lab-gate")
    signal.pthread_sigmask(signal.SIG_BLOCK, {*passed_on(), signal.SIGCHLD})
    reset_dispositions(blocked={*passed_on(), signal.SIGCHLD})
    os.set_inheritable(report_fd, False)
    order: _Order = pickle.load(order_file)
    alive_read, alive_write = os.pipe()
    try:
        enter_outer_namespaces()
    except MachineCannot as problem:
        _report(report_fd, problem)
        os._exit(EXIT_MACHINE_CANNOT)
    try:
        init = os.fork()
    except OSError as error:
        _report(report_fd, _no_process(error))
        os._exit(EXIT_MACHINE_CANNOT)
    if init == 0:
        os.close(alive_write)
        _be_init(order, report_fd, alive_read)
    os._exit(exit_code(_watch(init, report_fd)))


def _watch(init: int, report_fd: int) -> int:
    """Wait until process 1 ends, as `_wait_for` does; end it when it, or the worker, stays stopped.

    A command inside can stop the worker, and nobody outside would hear of it again. Only seconds in which this process
    itself runs are counted: Ctrl-Z at a terminal stops the whole chain.
    """
    seconds = 0
    while (result := _reap(init)) is None:
        info = signal.sigtimedwait({*passed_on(), signal.SIGCHLD}, 1)
        if info is None:
            stopped = [name for name, pid in _WATCHED.items() if _state(pid) in _STOPPED]
            seconds = seconds + 1 if stopped else 0
            if seconds == _PATIENCE:
                os.kill(init, signal.SIGKILL)
                _report(report_fd, _was_stopped(stopped[0]))
                return EXIT_MACHINE_CANNOT
        elif info.si_signo != signal.SIGCHLD and info.si_code != _SI_KERNEL:
            with suppress(ProcessLookupError):
                os.kill(init, info.si_signo)
    return result


def _state(pid: int) -> str:
    """What a process of the sandbox does, as its /proc tells it (which process 1 has mounted for the gate as well)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def _was_stopped(name: str) -> MachineCannot:
    return MachineCannot(
        "go on with the sandbox",
        f"{name}, its process {_WATCHED[name]}, has been stopped for {_PATIENCE} s (SIGSTOP, or a debugger)",
        "leave that process alone; if a command inside stopped it, run without that command",
    )


def _no_process(error: OSError) -> MachineCannot:
    why = (error.strerror or str(error)).lower()
    return MachineCannot("start a sandbox", limit_reached(error) or why, "raise that limit, or free what uses it up")


def _be_init(order: _Order, report_fd: int, gate_alive: int) -> None:
    """Process 1. Never returns."""
    status = EXIT_CRASHED
    try:
        syscalls.die_with_parent()
        if polling.wait([gate_alive], seconds=0):
            return  # the gate was killed before the kernel knew whom to tell
        os.close(gate_alive)
        syscalls.name_process("lab-init")
        owners = prepare_mounts(order.writable, order.keep)
        ours, theirs = socket.socketpair()
        worker = os.fork()
        if worker == 0:
            ours.close()
            _be_worker(order, report_fd, theirs)
        theirs.close()
        with ours:
            if ours.recv(1):  # it is in its user namespace, or has failed and ended
                owners.map_into(worker)
                ours.send(b".")
        os.close(report_fd)
        status = _wait_for(worker, lambda: _reap(worker))
    except MachineCannot as problem:
        _report(report_fd, problem)
        status = EXIT_MACHINE_CANNOT
    except OSError as error:
        _report(report_fd, _no_process(error))
        status = EXIT_MACHINE_CANNOT
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(exit_code(status))


def _reap(child: int) -> int | None:
    """Collect every process that has ended (process 1 gets orphans too); `child`'s status if it is one of them."""
    while True:
        try:
            done, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return EXIT_CRASHED
        if done == child:
            return os.waitstatus_to_exitcode(status)
        if not done:
            return None


def _be_worker(order: _Order, report_fd: int, init: socket.socket) -> None:
    """Run the function, in namespaces in which the mounts made by process 1 are locked. Never returns."""
    status = EXIT_CRASHED
    try:
        syscalls.name_process("lab-worker")
        with init:
            enter_inner_namespaces()
            init.send(b".")
            if not init.recv(1):
                return  # process 1 says why
        prepare_worker()
        for number in passed_on():
            signal.signal(number, _stop_once)
        reset_dispositions()
        module, _, function = order.target.partition(":")
        status = int(getattr(import_module(module), function)(pickle.loads(order.payload)))
        finish_output()
    except MachineCannot as problem:
        _report(report_fd, problem)
        status = EXIT_MACHINE_CANNOT
    except OutputLost as lost:
        status = lost.told()
    except Stopped as stopped:
        status = 128 + stopped.number
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OutputLost):
            flush_standard_streams()
        os._exit(status)


def _stop_once(number: int, _frame: FrameType | None) -> None:
    for each in passed_on():
        signal.signal(each, signal.SIG_DFL)
    raise Stopped(number)


@contextmanager
def interactive() -> Iterator[None]:
    """While a person types at a prompt of ours (Mininet's CLI): any number of Ctrl-C, each a KeyboardInterrupt."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def foreground_program() -> Iterator[None]:
    """While a program of ours has the terminal: Ctrl-C is for it alone.

    By a handler that does nothing: what is started gets the default again, where what is ignored would stay ignored.
    """
    before = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _report(fd: int, problem: MachineCannot) -> None:
    with suppress(OSError):
        os.write(fd, json.dumps((problem.what, problem.why, problem.mend)).encode())
