"""Mininet's command line for a country: its commands, adapted to work here, and further ones for the country.

No error ends it: the exception of a command is printed in a line, and the next command is read.
"""

from __future__ import annotations

import logging
import os
import select
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from mininet.cli import CLI
from mininet.log import OUTPUT, StreamHandlerNoNewline, error, lg, output
from mininet.util import quietRun

from shutdownlab.config.document import did_you_mean
from shutdownlab.config.problems import BadInput
from shutdownlab.control.processes import ControlError
from shutdownlab.country.mininet_commands import MininetCommands
from shutdownlab.country.session import Session
from shutdownlab.country.shared_session import DistantSession
from shutdownlab.library import Shutdown
from shutdownlab.model import lookup
from shutdownlab.protocol.session import Measure
from shutdownlab.system.sandbox import Stopped
from shutdownlab.system.screen import LOOK_S, ScreenProgram
from shutdownlab.system.streams import OutputLost

_KEYS_S = 10.0
"""How long a program may wait for keys, or draw on the whole screen, where no terminal is."""


class _ToItsStream(StreamHandlerNoNewline):  # type: ignore[misc]
    """Writes commands' results to standard output and errors to standard error; Mininet uses one stream for both."""

    def emit(self, record: logging.LogRecord) -> None:
        """Raises `OutputLost` if it cannot be written, as `print` does."""
        stream = sys.stdout if record.levelno == OUTPUT else sys.stderr
        stream.write(self.format(record))
        stream.flush()


class Prompt(MininetCommands):
    """The command line of a session."""

    identchars = f"{CLI.identchars}-."
    doc_header = "Commands of Mininet and of the country (type help COMMAND):"
    helpStr = (  # noqa: N815 - Mininet's name
        "A line that begins with a node's name is a command on that node: NODE COMMAND\n"
        "Names of nodes among its words stand for their addresses: NODE ping OTHER-NODE\n"
        "A program that draws on the whole screen: noecho NODE COMMAND\n"
        "A terminal of its own: shutdownlab attach NODE, outside the lab\n"
    )

    def __init__(self, session: Session | DistantSession, **options: Any) -> None:
        """Reads commands until there are no more; `options` are those of `mininet.cli.CLI`."""
        self._sources: list[Path] = []
        with suppress(ImportError):
            import readline

            readline.set_completer_delims(readline.get_completer_delims().replace("-", "").replace("/", ""))
        handler = _ToItsStream()
        handler.setFormatter(logging.Formatter("%(message)s"))
        lg.handlers = [handler]
        super().__init__(session, **options)

    def run(self) -> None:
        """Reads commands to the end. Ctrl-C stops a command; a signal to the lab itself (SIGTERM) ends it."""
        while True:
            try:
                for node in self.mn.values():
                    while node.waiting:
                        node.sendInt()
                        node.waitOutput()
                if self.isatty():
                    quietRun("stty echo sane intr ^C")
                self.cmdloop()
                return
            except Stopped:
                raise
            except KeyboardInterrupt:
                output("\nInterrupt\n")

    # --- input ---

    def onecmd(self, line: str) -> bool:
        """Carries out a line; prints an exception and counts it as a failure."""
        try:
            return bool(super().onecmd(line))
        except BadInput as mistake:
            for text in mistake.lines():
                self._fail(text)
        except ControlError as broken:
            self._fail(str(broken))
        except (KeyboardInterrupt, OutputLost):
            raise
        except SystemExit:  # of `py exit()`
            self._fail(f"{line.split()[0]}: `exit` ends the lab; a Python program's own end does not")
        except Exception as bug:  # a Mininet command with unexpected arguments
            self._fail(f"{line.split()[0]}: {type(bug).__name__}: {bug}")
        finally:
            sys.stdout.flush()  # output written directly must precede what a node prints next
        return False

    def default(self, line: str) -> None:
        first, arguments, _ = self.parseline(line)
        if not line:
            self._fail("usage: noecho NODE COMMAND")
        elif first not in self.mn:
            near = did_you_mean(first or "", [*self._commands(), *self.mn])
            where = near or "`help` lists them, `nodes` where any program can be run"
            self._fail(f"unknown command {first or line!r}; {where}")
        elif not arguments:
            self._fail(f"which command is to be run at {first}? For example: {first} ip address")
        else:
            command = " ".join(self._address_of(word) for word in arguments.split(" "))
            node, line = self.mn[first], f"eval {shlex.quote(command)}"
            if self.isatty():
                node.sendCmd(line)
                self.waitForNode(node)
            else:
                shell = node.shell  # opens the terminal
                screen = ScreenProgram(node.master, shell.pid)
                node.sendCmd(f"{line} </dev/null")  # the contents of standard input are the next commands
                self._wait_without_keys(node, command, screen)

    def do_help(self, line: str) -> None:
        """List the commands, or tell what one does.
        Usage: help [COMMAND]"""
        if line in self.mn:
            output(f"{line} is a node. A command on it: {line} ip address\n")
        elif line and line not in self._commands():
            near = did_you_mean(line, self._commands()) or "`help` lists the commands"
            self._fail(f"no help on {line!r}, which is no command here; {near}")
        else:
            super().do_help(line)

    def _commands(self) -> list[str]:
        return [name.removeprefix("do_") for name in self.get_names() if name.startswith("do_")]

    def waitForNode(self, node: Any) -> None:  # noqa: N802 - Mininet's name
        """Prints a node's command's output until it ends; meanwhile forwards what is typed to it."""
        waiting, keys = select.poll(), self.stdin.fileno()
        waiting.register(node.stdout, select.POLLIN)
        waiting.register(node.shell_end, select.POLLIN)
        waiting.register(keys, select.POLLIN)
        quietRun("stty -icanon min 1")
        while node.waiting:
            try:
                ready = [fd for fd, _ in waiting.poll()]
                if keys in ready:
                    typed = os.read(keys, 1024)
                    os.write(node.master, typed)
                    if not typed:
                        waiting.unregister(keys)
                if ready != [keys]:
                    output(node.monitor(0, findPid=False))
            except Stopped:
                raise
            except KeyboardInterrupt:
                node.sendInt()

    def _wait_without_keys(self, node: Any, command: str, screen: ScreenProgram) -> None:
        """Prints a command's output until it ends, or has waited too long for keys that nobody can press."""
        waiting = select.poll()
        waiting.register(node.stdout, select.POLLIN)
        waiting.register(node.shell_end, select.POLLIN)
        shell = node.shell
        while node.waiting:
            try:
                if waiting.poll(LOOK_S * 1000):
                    output(node.monitor(0, findPid=False))
                if node.waiting and screen.waits(_KEYS_S) and screen.stop():
                    self._fail(
                        f"{command}: stopped after {_KEYS_S:g} s: it draws on the whole screen or waits for keys, and "
                        "commands from a file have no keyboard; use a program that prints and ends (cat, not less; "
                        f"top -b -n 1), or a terminal: shutdownlab attach {node.name}"
                    )
            except Stopped:
                raise
            except KeyboardInterrupt:
                node.sendInt()
        if shell.poll() is None:
            screen.restore()

    def completenames(self, text: str, *ignored: Any) -> list[str]:
        """Completes commands and nodes."""
        return [*super().completenames(text, *ignored), *(name for name in self.mn if name.startswith(text))]

    def completedefault(self, text: str, *_ignored: Any) -> list[str]:
        plan = self.session.plan
        vantages = [vantage.id for vantage in plan.loaded.network.vantages]
        names = [*self.mn, *plan.policies, *plan.probes, *self._phases(), *vantages]
        return [name for name in names if name.startswith(text)]

    def do_source(self, line: str) -> None:
        """Carry out the commands of a file, up to an `exit`.
        Usage: source FILE"""
        if not line:
            self._fail("usage: source FILE")
            return
        path = Path(line).resolve()
        if path in self._sources:
            self._fail(f"{line} is being carried out already: a file cannot source itself")
            return
        try:
            lines = path.read_text().splitlines()
        except UnicodeDecodeError:
            self._fail(f"{line} is not text in UTF-8; expected a file of commands, one per line")
            return
        except OSError as why:
            self._fail(f"{line}: {why.strerror}")
            return
        self._sources.append(path)
        try:
            for each in lines:
                if not each.lstrip().startswith("#") and self.onecmd(each):
                    break
        finally:
            self._sources.pop()

    # --- the country ---

    def do_phase(self, line: str) -> None:
        """Bring the country to a phase of the scenario: its policies and its time.
        Usage: phase [NAME]    (without NAME: list the phases)"""
        scenario = self.session.plan.scenario
        if scenario is None:
            self._fail("a topology has no phases; `shutdownlab lab SCENARIO` has")
        elif not line:
            for phase in scenario.timeline:
                here = "*" if phase.phase == self.session.phase else " "
                output(f"{here} {phase.phase:<24} {phase.at:%Y-%m-%d %H:%M}  {phase.title}\n")
        else:
            name = lookup.phase_named(scenario, line, "phase").phase
            self.session.put_in_force(name, self.session.plan.active_in(name))
            self._tell_policies()

    def do_policies(self, _line: str) -> None:
        """List the scenario's policies; a * marks those in force."""
        for name, policy in self.session.plan.policies.items():
            output(f"{'*' if name in self.session.active else ' '} {name:<24} {policy.title}\n")

    def do_start(self, line: str) -> None:
        """Put policies of the scenario in force, in addition to the present ones.
        Usage: start POLICY..."""
        named = self._policies(line, "start")
        if named:
            self._put_in_force(list(dict.fromkeys((*self.session.active, *named))))

    def do_stop(self, line: str) -> None:
        """Take policies out of force.
        Usage: stop POLICY..."""
        named = self._policies(line, "stop")
        if named:
            self._put_in_force([name for name in self.session.active if name not in named])

    def do_probe(self, line: str) -> None:
        """Measure as a subscriber: a probe of the scenario, an app, a site or ADDRESS:PORT.
        Usage: probe OPERATOR/REGION[/GROUP] TARGET [ipv4|ipv6]"""
        words = line.split()
        if len(words) not in {2, 3} or words[2:] not in ([], ["ipv4"], ["ipv6"]):
            self._fail("usage: probe OPERATOR/REGION[/GROUP] TARGET [ipv4|ipv6]")
            return
        for answer in self.session.measure([Measure(1, words[0], words[1], words[2] if len(words) == 3 else "ipv4")]):
            failure = f" ({answer.failure})" if answer.failure else ""
            figure = f", {answer.value:g} {answer.unit}" if answer.value is not None else ""
            output(f"{answer.outcome}{failure}{figure}, in {answer.runtime:.2f} s\n")
        self._tell_complaints()

    def do_why(self, line: str) -> None:
        """Explain an outcome in the present phase: the path through the model, hop by hop.
        Usage: why OPERATOR/REGION[/GROUP] TARGET [ipv4|ipv6]"""
        from shutdownlab.config.wording import on_one_line
        from shutdownlab.verifier.explain import explain
        from shutdownlab.verifier.explained import explanation_lines

        words, plan, phase = line.split(), self.session.plan, self.session.phase
        if len(words) not in {2, 3}:
            self._fail("usage: why OPERATOR/REGION[/GROUP] TARGET [ipv4|ipv6]")
        elif not isinstance(plan.loaded, Shutdown):
            self._fail("a topology has no phases to explain; `shutdownlab lab SCENARIO` has")
        elif phase is None:
            self._fail("no phase is in force; `phase NAME` goes to one")
        elif set(self.session.active) != set(plan.active_in(phase)):
            self._fail(f"the policies in force are not those of {phase}; `phase {phase}` applies them")
        else:
            vantage, target, family = words[0], words[1], words[2] if len(words) == 3 else None
            found = explain(plan.loaded, at=phase, vantage=vantage, target=target, family=family, choose=plan.choices)
            output("".join(f"{on_one_line(text)}\n" for text in explanation_lines(found)))

    def _policies(self, line: str, command: str) -> list[str]:
        if not line:
            self._fail(f"usage: {command} POLICY...; `policies` lists them")
        return [lookup.known("policy", name, self.session.plan.policies, command) for name in line.split()]

    def _put_in_force(self, policies: list[str]) -> None:
        self.session.put_in_force(self.session.phase or "", policies, moved=False)
        self._tell_policies()

    def _tell_policies(self) -> None:
        output(f"in force: {', '.join(self.session.active) or 'no policy'}\n")
        self._tell_complaints()

    def _tell_complaints(self) -> None:
        for complaint in self.session.faults():
            error(f"*** {complaint}\n")

    def _phases(self) -> list[str]:
        scenario = self.session.plan.scenario
        return [phase.phase for phase in scenario.timeline] if scenario else []
