"""A lab: an emulated country that a program has at hand. The program's end; the country itself is in a sandbox."""

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
"""An order is given up by the lab itself, once nobody gets on with it; until then it is waited for, be it a big one."""
_MEASURE_S: Final = 900.0
"""A probe is tried four times, and waits for others and for a slow machine."""
_TAIL: Final = 4000
_BY_HAND: Final = "by hand"


class Lab:
    """An emulated country, up and running, until `close` or the end of its `with` block. `shutdownlab.lab` makes one.

    Nodes are named as in the drawing (`shutdownlab check NAME --graph FILE.svg`): `retn-servers`; vantage points also
    by their id: `kcell/almaty`, `kcell/almaty/government`. A name that is not there raises `BadInput`, which says what
    was meant. Whatever asks the country raises `LabEnded`, with what ended it, when it is no more.

    plan: what was brought up. datapath: Open vSwitch's, `kernel` or `userspace`, and why. Any thread may call.
    """

    def __init__(self, plan: LabPlan, offered: int = -1) -> None:
        """See `lab`. offered: the descriptor of a socket at which other terminals are let in."""
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
        """A node by its name in the drawing, a vantage point also by its id."""
        return self.nodes[lookup.node_named(self.plan.loaded.network, name, "node").name]

    @property
    def phases(self) -> tuple[str, ...]:
        """The scenario's phases, in order; none of a topology."""
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
        """What has broken since it is up: servers, controllers and DPI boxes that ended, what they complained of."""
        return tuple(self._connection.faults)

    @property
    def door(self) -> socket.socket | None:
        """Where other terminals' sessions are to be answered, if they are let in."""
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
        """Run a program on a node to its end, and return what it wrote: `stdout` and `stderr`, text (UTF-8) or bytes.

        input: for its standard input, which is empty otherwise. timeout: seconds; then it is killed, with all that it
        has started. env: added to its environment, which has the lab's certificates for curl, OpenSSL, Python, … to
        trust. cwd: its working directory, the lab's by default. Raises subprocess.TimeoutExpired, with `check`
        subprocess.CalledProcessError, and FileNotFoundError or PermissionError where there is no such program.
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
        """Start a program on a node and return at once: the interface of `subprocess.Popen`.

        stdin, stdout, stderr: PIPE, DEVNULL, STDOUT, an open file; None: nothing to read, and this process's own
        outputs. The program is in a session of its own, away from the terminal. env, cwd, what is raised: see `exec`.
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
        """Start a server on a node; returns once it listens.

        program: an argv, or the path of a directory: its files are then served over HTTP, at the node's own IPv4
        address. ports: those it must listen on, `tcp/8080` or `udp/53`; of a directory the one, `tcp/80` by default.
        timeout: seconds until it must. Raises `LabError` when it ends or does not listen by then; ValueError without
        ports. Stop it by `stop`, a `with` block, or the lab's end; `output` is what it has written.

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
            said = server.output.strip()[-_TAIL:]
            raise LabError(f"{server.node}: {error}" + (f"\n{said}" if said else "")) from None
        return server

    # --- policies ---

    def phase(self, name: str) -> None:
        """Bring the country to a phase of the scenario; returns when every switch and DPI box has confirmed it.

        Exactly that phase's policies are in force then, the clocks of the country show its time, and resolvers have
        forgotten what they knew. Raises `LabError` when the order was not confirmed.
        """
        lookup.known("phase", name, self.phases, "phase")
        with self._orders:
            self._put_in_force(name, self.plan.active_in(name), moved=True)
            self._at, self._broken = name, self._broken_in(name)

    def start(self, *policies: str) -> None:
        """Start policies of the scenario; returns when all have confirmed it. Those in force already stay so."""
        self._known(policies)
        with self._orders:
            self._put_in_force(self._at, tuple(dict.fromkeys((*self._active, *policies))))

    def stop(self, *policies: str) -> None:
        """Stop policies; returns when all have confirmed it. Those that are not in force stay so."""
        self._known(policies)
        with self._orders:
            self._put_in_force(self._at, tuple(name for name in self._active if name not in policies))

    @property
    def broken(self) -> tuple[str, ...]:
        """The faults of the scenario that are there: those of its phase, or thrown by hand."""
        return self._broken

    def throw(self, *faults: str) -> None:
        """Break what these faults of the scenario break; returns when everybody knows it. The others stay."""
        with self._orders:
            self.put_in_force(self._active, (*self._broken, *faults), self._at)

    def mend(self, *faults: str) -> None:
        """Have these faults mended. Raises `LabError` where that takes another country: of dead switches."""
        self._known_faults(faults)
        with self._orders:
            self.put_in_force(self._active, [name for name in self._broken if name not in faults], self._at)

    def put_in_force(self, policies: Sequence[str], faults: Sequence[str] = (), at: str | None = None) -> None:
        """Have exactly these policies in force, and these faults there; at: the phase whose time it is.

        Returns when all have confirmed it. Raises `LabError` when the order was not confirmed.
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
        """By transit router abroad, the prefixes of the country's operators that it has a route to, by BGP."""
        tables = self._connection.ask(AskRoutes(self._connection.number()), _ANSWER_S).tables
        return {name: frozenset(prefixes) for name, prefixes in tables.items()}

    def boxes(self, recent: int = 0) -> Mapping[str, Mapping[str, Any]]:
        """What each DPI box has counted, by its name: `packets`, `decisions`, …, and under `engine`, since its rules
        were last changed, by rule, verdict and protocol. A box that does not answer is left out. recent: so many of its
        latest decisions by rule, a hundred at most, are under that name, each with its `number`."""
        asked = AskBoxes(self._connection.number(), recent)
        counters: Mapping[str, Mapping[str, Any]] = self._connection.ask(asked, _ANSWER_S).counters
        return counters

    # --- measuring ---

    def probe(self, vantage: str, target: str, family: str | None = None) -> LabMeasurement:
        """Measure a target from a vantage point.

        target: a probe of the scenario by its name, an app of the catalogue, a site (a host name or a URL),
        `ADDRESS:PORT`, or an address (a ping). family: `ipv4` or `ipv6`; by default the first that the target has. A
        timeout is believed only when later, more patient tries confirm it. Several threads may measure at once.
        """
        asked = self._measure(vantage, target, family)
        return measured(self._connection.ask(asked, _MEASURE_S))

    def measure(
        self,
        asked: Sequence[tuple[str, str, str]],
        hopeless: Collection[int] = (),
        tried: FirstTry = lambda *_: None,
    ) -> Measuring:
        """Measure many at once: vantage point, target and address family of each, as for `probe`.

            for place, found in lab.measure([("kcell/almaty", "whatsapp", "ipv4"), …]):  # as they come out certain

        hopeless: places of those that will likely fail; they are tried first, for the others can work while they wait.
        tried: called, in another thread, with the place, outcome and failure of each whose first try has failed, which
        is no verdict yet. `abandon()` of what is returned gives up the rest, from any thread.
        """
        requests = tuple(self._measure(*each, hopeless=place in hopeless) for place, each in enumerate(asked))
        return Measuring(self._connection, requests, tried)

    def _measure(self, vantage: str, target: str, family: str | None, *, hopeless: bool = False) -> Measure:
        network = self.plan.loaded.network
        place = lookup.vantage_point(network.topology, vantage, "vantage")
        _, probe = lookup.target_named(network, self.plan.probes, target, "target")
        lookup.known("family", family or probe.families[0], [f.value for f in Family], "family")
        wanted = str(family or probe.families[0].value)
        return Measure(self._connection.number(), str(place.id), target, wanted, hopeless)

    # --- the end ---

    def close(self) -> None:
        """End the country and all that runs in it, within seconds, whatever it does. Once is enough."""
        self._connection.close()

    @property
    def closed(self) -> bool:
        """Whether the country is no more."""
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
    """Bring a country up in a sandbox of its own, and return it as a `Lab`; use it in a `with` block, or close it.

        with sl.lab("first-shutdown", at="blackout") as lab:
            lab.exec("southcell/coast", ["curl", "-m", "5", "https://kaspi.kz/"]).returncode     # 28: timed out
            lab.probe("southcell/coast", "bridge-179").outcome                                  # ok

    name: a scenario or a topology, by name, by path, as a mapping, or from `load`. at: the phase whose policies are in
    force first; without one none is. choose: where sources disagree, which version to follow. datapath: Open vSwitch's
    (`auto`, `kernel`, `userspace`). trust: start the programs that it brings along (servers, controllers), in the
    sandbox; without it a scenario or topology that brings any is refused. Takes some seconds. Works in any thread and
    for any user; several at once in one program. The machine's files are read-only inside, but for the working
    directory, and /tmp, /run, /var/tmp and /var/log, which are the lab's own: empty at first, but for what is installed
    there and on the PATH, and gone at its end.

    Raises `BadInput` for what is wrong with the arguments or the files, `MachineCannot` where this machine cannot, and
    `LabError` when the country did not come up.
    """
    return Lab(lab_plan(name, at, dict(choose or {}), datapath, trust=trust))


__all__ = ["Lab", "LabEnded", "LabError", "LabMeasurement", "LabNode", "Program", "Server", "lab"]
