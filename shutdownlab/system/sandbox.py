"""Runs a Python function in its own namespaces: user, net, mount, pid, ipc and uts.

Four processes form a chain, in which each ends when the one before it ends, for whatever reason:

    outside   the caller's process; waits
    gate      enters the namespaces, as process 1's parent must
    init      process 1 of the sandbox: prepares it and reaps orphans; when it ends the kernel kills all the rest
    worker    enters another user namespace, in which the mounts made by init are locked; runs the function

Root's sandbox is in a user namespace too: programs in it have root's user id, but no rights over the machine.

Gate and init get SIGKILL when their parent ends (PR_SET_PDEATHSIG). The worker and its children end with process 1's
pid namespace; namespaces, interfaces and mounts go with the last process in them. Nothing has to be cleaned up.

Signals: Ctrl-C reaches the worker from the terminal. SIGINT, SIGTERM and SIGHUP sent to any process of the chain are
forwarded down it. The worker gets one `Stopped`, a KeyboardInterrupt; a second signal kills it. Signals that the caller
inherited as ignored or blocked are reset inside, except SIGHUP under nohup(1).
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
from shutdownlab.system.inside import listening_sockets, prepare_mounts, prepare_worker
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
"""Exit code of a sandbox whose function raised an exception (`EX_SOFTWARE` of sysexits.h)."""

_SI_KERNEL = 0x80
_WATCHED = {"lab-init": 1, "lab-worker": 2}
_STOPPED = ("T", "t")
_PATIENCE = 10
# Path and package come first: unpickling the rest needs them. The package is loaded from the caller's own file: an
# import by name could find another folder called shutdownlab, in the working directory.
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
    """The sandbox got SIGINT, SIGTERM or SIGHUP (`number`), and should end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass(frozen=True)
class _Order:
    """What the gate is to run; see `run_in_sandbox` for the fields."""

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
    """Calls `target` ("package.module:function") with `payload` in a new sandbox, and returns the int it returns.

    payload: any mapping that can be pickled.
    run_dir: stays visible and writable at its own path (created if missing), as do the directories in `writable`.
        All other files of the machine are read-only inside; so is the root directory, even if it is listed here.
    keep: paths under /tmp, /run, /var/tmp or /var/log that stay visible. These directories are empty inside except for
        the working directory, this Python installation and its path.
    pass_fds: descriptors that stay open inside, with the same numbers.

    Raises MachineCannot if the machine can't run a sandbox, or if the function raises it. Returns EXIT_CRASHED if the
    function raised another exception (its traceback is on stderr), and 128 + N if signal N ended it (130: Ctrl-C).
    Interpreter exit handlers don't run inside.
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
    """A running sandbox. `gate`: the first process of its chain, a child of this process."""

    gate: subprocess.Popen[bytes]
    report: IO[bytes]

    def wait(self) -> int:
        """Waits for the sandbox to end; returns and raises the same as `run_in_sandbox`."""
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
        """Kills the sandbox at once; the kernel kills all processes in it."""
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
    """Starts a sandbox as `run_in_sandbox` does, without waiting for it. It ends no later than the calling thread.

    own_session: whether it runs in a new session, where Ctrl-C at this process's terminal doesn't reach it.
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
    """Blocks this thread's signals, for `_wait_for` to handle. Yields False outside the main thread, where it can't."""
    if threading.current_thread() is not threading.main_thread():
        yield False
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*passed_on(), signal.SIGCHLD})
    try:
        yield True
    finally:
        while signal.sigtimedwait(passed_on(), 0):  # already handled: the sandbox got it from the terminal
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait_for(pid: int, poll: Callable[[], int | None]) -> int:
    """Waits until `poll` returns a result, forwarding signals to process `pid`. These and SIGCHLD must be blocked."""
    while (result := poll()) is None:
        info = signal.sigwaitinfo({*passed_on(), signal.SIGCHLD})
        # The terminal has sent Ctrl-C to the whole chain already; forwarding it would deliver it twice.
        if info.si_signo != signal.SIGCHLD and info.si_code != _SI_KERNEL:
            with suppress(ProcessLookupError):
                os.kill(pid, info.si_signo)
    return result


def pass_gate(order_file: IO[bytes], report_fd: int, parent: int) -> None:
    """Runs the gate: enters new namespaces, forks process 1 into them and waits for it. Never returns."""
    guard_standard_streams()
    syscalls.die_with_parent(parent)
    syscalls.name_process("lab-gate")
    signal.pthread_sigmask(signal.SIG_BLOCK, {*passed_on(), signal.SIGCHLD})
    reset_dispositions(blocked={*passed_on(), signal.SIGCHLD})
    os.set_inheritable(report_fd, False)
    order: _Order = pickle.load(order_file)
    alive_read, alive_write = os.pipe()
    sockets = listening_sockets()
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
        _be_init(order, report_fd, alive_read, sockets)
    os._exit(exit_code(_watch(init, report_fd)))


def _watch(init: int, report_fd: int) -> int:
    """Waits until process 1 ends, as `_wait_for` does, but kills it if it or the worker stays stopped for 10 seconds.

    A command inside can stop the worker, and the sandbox would then hang. Only seconds in which this process itself
    runs are counted, as Ctrl-Z at a terminal stops the whole chain.
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
    """Returns the state letter of a process in the sandbox, or "" if it has ended.

    pid: its id in the sandbox, whose /proc process 1 has mounted for the gate as well.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def _was_stopped(name: str) -> MachineCannot:
    return MachineCannot(
        "go on with the sandbox",
        f"{name}, its process {_WATCHED[name]}, has been stopped for {_PATIENCE} s (SIGSTOP, or a debugger)",
        "do not stop that process; if a command inside the lab stopped it, run without that command",
    )


def _no_process(error: OSError) -> MachineCannot:
    why = (error.strerror or str(error)).lower()
    return MachineCannot("start a sandbox", limit_reached(error) or why, "raise that limit, or free what uses it up")


def _be_init(order: _Order, report_fd: int, gate_alive: int, sockets: Sequence[str]) -> None:
    """Runs process 1: prepares the mounts, starts the worker and waits for it. Never returns."""
    status = EXIT_CRASHED
    try:
        syscalls.die_with_parent()
        if polling.wait([gate_alive], seconds=0):
            return  # the gate was killed before PR_SET_PDEATHSIG took effect
        os.close(gate_alive)
        syscalls.name_process("lab-init")
        owners, given_input = prepare_mounts(order.writable, order.keep, sockets)
        near, far = socket.socketpair()
        worker = os.fork()
        if worker == 0:
            near.close()
            if given_input is not None:
                os.close(given_input)
            _be_worker(order, report_fd, far)
        far.close()
        with near:
            if near.recv(1):  # the worker is in its user namespace; no byte if it failed and ended
                owners.map_into(worker)
                near.send(b".")
        os.close(report_fd)
        status = _wait_for(worker, lambda: _reap(worker))
        if given_input is not None:  # what comes after, in a shell script, reads on from there
            os.lseek(given_input, os.lseek(0, 0, os.SEEK_CUR), os.SEEK_SET)
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
    """Reaps all ended children, including orphans that process 1 has inherited; returns `child`'s status.

    None if `child` has not ended. EXIT_CRASHED if there are no children.
    """
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
    """Runs the function in namespaces in which the mounts made by process 1 are locked. Never returns."""
    status = EXIT_CRASHED
    try:
        syscalls.name_process("lab-worker")
        with init:
            enter_inner_namespaces()
            init.send(b".")
            if not init.recv(1):
                return  # process 1 reports why
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
        status = lost.report()
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
    """Makes every Ctrl-C a KeyboardInterrupt in the block, for an interactive prompt such as Mininet's CLI."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def foreground_program() -> Iterator[None]:
    """Leaves Ctrl-C to the program that has the terminal during the block.

    SIGINT gets a handler that does nothing rather than SIG_IGN, because a program started here would inherit SIG_IGN.
    """
    before = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _report(fd: int, problem: MachineCannot) -> None:
    with suppress(OSError):
        os.write(fd, json.dumps((problem.what, problem.why, problem.mend)).encode())
