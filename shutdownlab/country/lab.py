"""A lab: an emulated country that a program controls. This is the program's end; the country runs in a sandbox."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Final

from shutdownlab.country.lab_connection import LabConnection, LabEnded, LabError
from shutdownlab.country.lab_measuring import FirstTry, Measuring, measured
from shutdownlab.country.lab_node import LabMeasurement, LabNode
from shutdownlab.country.lab_plan import LabPlan, Lookable, lab_plan
from shutdownlab.country.lab_program import Program, Server
from shutdownlab.model import lookup
from shutdownlab.model.probe import Family
from shutdownlab.protocol.session import AskBoxes, AskRoutes, Measure, PutInForce, StartProgram

if TYPE_CHECKING:
    from shutdownlab.network.datapath import Wish

_ANSWER_S: Final = 60.0
_ORDER_S: Final = 3600.0
"""The lab itself gives up an order that makes no progress; until then it is waited for, however large it is."""
_MEASURE_S: Final = 900.0
"""A probe is tried up to four times, and waits for other probes and for a slow machine."""
_TAIL: Final = 4000
_BY_HAND: Final = "by hand"


class Lab:
    """An emulated country, running until `close` or the end of its `with` block. Made by `shutdownlab.lab`.

    Nodes are named as in the drawing (`shutdownlab check NAME --graph FILE.svg`): `retn-servers`; vantage points also
    by their id: `kcell/almaty`, `kcell/almaty/government`. An unknown name raises `BadInput`, which suggests what was
    meant. Every method that needs the country raises `LabEnded`, with the reason, once it has ended.

    plan: what was brought up. datapath: Open vSwitch's, `kernel` or `userspace`, and why. Thread-safe.
    """

    def __init__(self, plan: LabPlan, offered: int = -1) -> None:
        """See `lab`. offered: file descriptor of a socket at which other terminals may attach."""
        self.plan = plan
        self._at, self._active = plan.at, plan.active_in(plan.at)
        self._broken = self._broken_in(plan.at)
        self._orders = threading.RLock()
        self._connection = LabConnection(plan, offered)
        self.datapath = f"{self._connection.opened.datapath}: {self._connection.opened.why}"

    # --- what is there ---

    @cached_property
    def nodes(self) -> Mapping[str, LabNode]:
        """Every node, by its name in the drawing."""
        return {name: LabNode(self, node) for name, node in self.plan.loaded.network.nodes.items()}

    @cached_property
    def vantages(self) -> Mapping[str, LabNode]:
        """Every vantage point, by its id: `kcell/almaty/ordinary`."""
        network = self.plan.loaded.network
        return {str(v.id): self.nodes[network.subscriber(v.id).name] for v in network.vantages}

    def node(self, name: str) -> LabNode:
        """Returns a node by its name in the drawing; a vantage point also by its id."""
        return self.nodes[lookup.node_named(self.plan.loaded.network, name, "node").name]

    @property
    def phases(self) -> tuple[str, ...]:
        """The scenario's phases, in order; empty for a topology."""
        return tuple(phase.phase for phase in self.plan.scenario.timeline) if self.plan.scenario else ()

    @property
    def policies(self) -> tuple[str, ...]:
        """The names of the scenario's policies."""
        return tuple(self.plan.policies)

    @property
    def at(self) -> str | None:
        """The phase that the country was last brought to; None at first, without `at`."""
        return self._at

    @property
    def active(self) -> tuple[str, ...]:
        """The policies in force, in the order in which they were started."""
        return self._active

    @property
    def faults(self) -> tuple[str, ...]:
        """What has failed so far: servers, controllers and DPI boxes that ended, and errors that they reported."""
        return tuple(self._connection.faults)

    @property
    def door(self) -> socket.socket | None:
        """The socket at which other terminals' sessions are to be answered, if they may attach; else None."""
        return self._connection.door

    # --- programs ---

    def exec(
        self,
        node: str,
        argv: Sequence[str | Path],
        *,
        input: str | bytes | None = None,  # noqa: A002 - subprocess.run's name
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        check: bool = False,
        text: bool = True,
    ) -> subprocess.CompletedProcess[Any]:
        """Runs a program on a node to its end and returns its output: `stdout` and `stderr`, as text (UTF-8) or bytes.

        input: its standard input, empty by default. timeout: seconds, after which it is killed with all its children.
        env: added to its environment, which makes curl, OpenSSL, Python, … trust the lab's certificates. cwd: its
        working directory, by default this process's. Raises subprocess.TimeoutExpired; with `check`,
        subprocess.CalledProcessError; and FileNotFoundError or PermissionError if the program does not exist or is not
        executable.
        """
        stdin = subprocess.PIPE if input is not None else subprocess.DEVNULL
        pipe = subprocess.PIPE
        program = self.popen(node, argv, stdin=stdin, stdout=pipe, stderr=pipe, env=env, cwd=cwd, text=text)
        try:
            out, err = program.communicate(input, timeout)
        except BaseException as error:
            program.kill()
            for file in (program.stdin, program.stdout, program.stderr):
                if file is not None:
                    file.close()
            if isinstance(error, subprocess.TimeoutExpired) and text:
                out, err = (each and each.decode(errors="replace") for each in (error.output, error.stderr))
                raise subprocess.TimeoutExpired(error.cmd, error.timeout, out, err) from None
            raise
        assert program.returncode is not None
        if self.closed:
            raise self._connection.ended()
        done = subprocess.CompletedProcess(program.args, program.returncode, out, err)
        if check:
            done.check_returncode()
        return done

    def popen(
        self,
        node: str,
        argv: Sequence[str | Path],
        *,
        stdin: int | IO[Any] | None = None,
        stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        text: bool = False,
    ) -> Program:
        """Starts a program on a node and returns at once, with the interface of `subprocess.Popen`.

        stdin, stdout, stderr: PIPE, DEVNULL, STDOUT or an open file; None: empty input, and this process's own outputs.
        The program runs in a session of its own, detached from the terminal. For env, cwd and exceptions see `exec`.
        """
        number = self._connection.number()
        program = Program(self.node(node).name, _argv(argv), partial(self._connection.signal, number))
        request = StartProgram(number, program.node, tuple(program.args), str(cwd or Path.cwd()), dict(env or {}))
        self._connection.start(request, program, (stdin, stdout, stderr), text, _ANSWER_S)
        return program

    def serve(
        self,
        node: str,
        program: Sequence[str | Path] | Path,
        *,
        ports: Sequence[str] = (),
        timeout: float = 10.0,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
    ) -> Server:
        """Starts a server on a node; returns once it listens.

        program: an argv, or the path of a directory, whose files are then served over HTTP at the node's own IPv4
        address. ports: those on which it must listen, such as `tcp/8080` or `udp/53`; for a directory just one, by
        default `tcp/80`. timeout: seconds until it must listen. Raises `LabError` if it ends or does not listen in
        time; ValueError without ports. It runs until `stop`, the end of a `with` block, or the lab's end; `output` is
        what it has written.

            with lab.serve("transit-one-servers", ["socat", "TCP-LISTEN:7,fork", "PIPE"], ports=["tcp/7"]) as echo:
                lab.exec("northnet/coast", ["nc", str(lab.node(echo.node).addresses[0]), "7"], input="anybody?")
        """
        place = self.node(node)
        if isinstance(program, Path):
            ports = ports or ("tcp/80",)
            port, address = str(lookup.port(ports[0], "ports").first), str(place.addresses[0])
            directory = str(program.absolute())
            argv = [sys.executable, "-P", "-m", "http.server", port, "--bind", address, "--directory", directory]
        else:
            argv = _argv(program)
        if not ports:
            raise ValueError("say which ports the server listens on, such as ports=['tcp/8080']")
        wanted = tuple(str(lookup.port(each, "ports")) for each in ports)
        number = self._connection.number()
        server = Server(place.name, argv, partial(self._connection.signal, number))
        server.ports = wanted
        log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the server
        server.log_to(log)
        where, variables = str(cwd or Path.cwd()), dict(env or {})
        request = StartProgram(number, place.name, tuple(argv), where, variables, wanted, timeout)
        try:
            self._connection.start(request, server, (None, log, subprocess.STDOUT), False, _ANSWER_S + timeout)
        except LabEnded:
            raise
        except LabError as error:
            output = server.output.strip()[-_TAIL:]
            raise LabError(f"{server.node}: {error}" + (f"\n{output}" if output else "")) from None
        return server

    # --- policies ---

    def phase(self, name: str) -> None:
        """Brings the country to a phase of the scenario; returns once every switch and DPI box has confirmed it.

        Exactly that phase's policies are then in force, the country's clocks show its time, and resolvers' caches are
        empty. Raises `LabError` if the order was not confirmed.
        """
        lookup.known("phase", name, self.phases, "phase")
        with self._orders:
            self._put_in_force(name, self.plan.active_in(name), moved=True)
            self._at, self._broken = name, self._broken_in(name)

    def start(self, *policies: str) -> None:
        """Starts policies of the scenario; returns once all have confirmed. Policies in force stay in force.

        Raises `LabError` if the order was not confirmed.
        """
        self._known(policies)
        with self._orders:
            self._put_in_force(self._at, tuple(dict.fromkeys((*self._active, *policies))))

    def stop(self, *policies: str) -> None:
        """Stops policies; returns once all have confirmed. Ignores policies that are not in force.

        Raises `LabError` if the order was not confirmed.
        """
        self._known(policies)
        with self._orders:
            self._put_in_force(self._at, tuple(name for name in self._active if name not in policies))

    @property
    def broken(self) -> tuple[str, ...]:
        """The scenario's faults that are present: those of its phase, and those thrown by hand."""
        return self._broken

    def throw(self, *faults: str) -> None:
        """Adds these faults of the scenario to those present; returns once routers and servers have adapted.

        Raises `LabError` if that cannot be done.
        """
        with self._orders:
            self.put_in_force(self._active, (*self._broken, *faults), self._at)

    def mend(self, *faults: str) -> None:
        """Repairs these faults. Raises `LabError` if only another country can undo them, such as dead switches."""
        self._known_faults(faults)
        with self._orders:
            self.put_in_force(self._active, [name for name in self._broken if name not in faults], self._at)

    def put_in_force(self, policies: Sequence[str], faults: Sequence[str] = (), at: str | None = None) -> None:
        """Puts exactly these policies in force and causes exactly these faults; at: the phase whose time it is.

        Returns once all have confirmed. Raises `LabError` if the order was not confirmed.
        """
        self._known(policies)
        self._known_faults(faults)
        if at is not None:
            lookup.known("phase", at, self.phases, "phase")
        with self._orders:
            wanted = tuple(dict.fromkeys(faults))
            changed = None if wanted == self._broken and at == self._at else wanted
            self._put_in_force(
                at, tuple(dict.fromkeys(policies)), moved=at is not None and at != self._at, faults=changed
            )
            self._at, self._broken = at, wanted

    def _known(self, policies: Sequence[str]) -> None:
        for name in policies:
            lookup.known("policy", name, self.policies, "policy")

    def _known_faults(self, faults: Sequence[str]) -> None:
        known = self.plan.scenario.faults if self.plan.scenario else {}
        for name in faults:
            lookup.known("fault", name, known, "fault")

    def _broken_in(self, phase: str | None) -> tuple[str, ...]:
        scenario = self.plan.scenario
        return (
            ()
            if scenario is None or phase is None
            else tuple(scenario.broken(scenario.phase(phase), self.plan.choices, {}))
        )

    def _put_in_force(
        self, phase: str | None, policies: tuple[str, ...], moved: bool = False, faults: tuple[str, ...] | None = None
    ) -> None:
        if moved or policies != self._active or faults is not None:
            number = self._connection.number()
            self._connection.ask(PutInForce(number, phase or _BY_HAND, policies, moved, faults), _ORDER_S)
            self._active = policies

    def routes(self) -> Mapping[str, frozenset[str]]:
        """Returns the prefixes of the country's operators to which each transit router abroad has a BGP route."""
        tables = self._connection.ask(AskRoutes(self._connection.number()), _ANSWER_S).tables
        return {name: frozenset(prefixes) for name, prefixes in tables.items()}

    def boxes(self, recent: int = 0) -> Mapping[str, Mapping[str, Any]]:
        """Returns the counters of each DPI box, by its name; leaves out boxes that do not answer.

        They are `packets`, `decisions`, …, and, under `engine`, counts by rule, verdict and protocol since its rules
        last changed. recent: how many of its latest decisions by rule to add, at most a hundred, under `recent`, each
        with its `number`.
        """
        asked = AskBoxes(self._connection.number(), recent)
        counters: Mapping[str, Mapping[str, Any]] = self._connection.ask(asked, _ANSWER_S).counters
        return counters

    # --- measuring ---

    def probe(self, vantage: str, target: str, family: str | None = None) -> LabMeasurement:
        """Measures a target from a vantage point.

        target: a probe of the scenario by its name, an app of the catalogue, a site (a host name or a URL),
        `ADDRESS:PORT`, or an address (a ping). family: `ipv4` or `ipv6`; by default the target's first. A timeout is
        believed only if further tries with longer timeouts confirm it. Several threads may measure at once.
        """
        asked = self._measure(vantage, target, family)
        return measured(self._connection.ask(asked, _MEASURE_S))

    def measure(
        self,
        asked: Sequence[tuple[str, str, str]],
        hopeless: Collection[int] = (),
        tried: FirstTry = lambda *_: None,
    ) -> Measuring:
        """Measures many targets at once: vantage point, target and address family of each, as for `probe`.

            for place, found in lab.measure([("kcell/almaty", "whatsapp", "ipv4"), …]):  # as they become certain

        hopeless: indices of those that will probably fail; they start first, so that others can work while they wait.
        tried: called in another thread with the index, outcome and failure of each whose first try failed, which is no
        verdict yet. `abandon()` of the returned object gives up the rest, from any thread.
        """
        requests = tuple(self._measure(*each, hopeless=place in hopeless) for place, each in enumerate(asked))
        return Measuring(self._connection, requests, tried)

    def _measure(self, vantage: str, target: str, family: str | None, *, hopeless: bool = False) -> Measure:
        network = self.plan.loaded.network
        place = lookup.vantage_point(network.topology, vantage, "vantage")
        _, probe = lookup.target_named(network, self.plan.probes, target, "target")
        families = tuple(Family) if family else probe.families
        wanted = lookup.family_of(network, place, probe, family, families, "family").value
        return Measure(self._connection.number(), str(place.id), target, wanted, hopeless)

    # --- the end ---

    def close(self) -> None:
        """Ends the country and everything in it, within seconds. Further calls do nothing."""
        self._connection.close()

    @property
    def closed(self) -> bool:
        """Whether the country has ended."""
        return self._connection.why_ended is not None

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"at {self._at}" if self._at else "no phase"
        return f"<Lab {self.plan.title}: {len(self.nodes)} nodes, {state}>"


def _argv(argv: Sequence[str | Path]) -> list[str]:
    if isinstance(argv, str | bytes):
        raise TypeError("an argv is a list of words; for a line of shell: ['sh', '-c', line]")
    words = [os.fspath(word) for word in argv]
    if not words:
        raise ValueError("an argv has at least the program")
    return words


def lab(
    name: Lookable,
    at: str | None = None,
    choose: Mapping[str, str] | None = None,
    datapath: Wish = "auto",
    *,
    trust: bool = False,
) -> Lab:
    """Starts a country in a sandbox of its own and returns it as a `Lab`; use it in a `with` block, or close it.

        with sl.lab("first-shutdown", at="blackout") as lab:
            lab.exec("southcell/coast", ["curl", "-m", "5", "https://kaspi.kz/"]).returncode     # 28: timed out
            lab.probe("southcell/coast", "bridge-179").outcome                                  # ok

    name: a scenario or a topology, by name, by path, as a mapping, or from `load`. at: the phase whose policies are in
    force first; None: no policy is. choose: which version to follow where sources disagree. datapath: Open vSwitch's
    (`auto`, `kernel`, `userspace`). trust: start the programs (servers, controllers) that a scenario or topology brings
    along, in the sandbox; without it, one that brings any is refused. Takes some seconds. Works in any thread and for
    any user; a program may run several at once. Inside, the machine's files are read-only except for the working
    directory; /tmp, /run, /var/tmp and /var/log are the lab's own: empty at first, except for what is installed there
    and on the PATH, and deleted at its end.

    Raises `BadInput` if the arguments or files are wrong, `MachineCannot` if this machine cannot run it, and `LabError`
    if the country did not start.
    """
    return Lab(lab_plan(name, at, choose or {}, datapath, trust=trust))


__all__ = ["Lab", "LabEnded", "LabError", "LabMeasurement", "LabNode", "Program", "Server", "lab"]
