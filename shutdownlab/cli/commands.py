"""The commands by name, with their summaries for `--help`; a command's module is imported when it is used.

So `shutdownlab --help` imports no command, and a command imports only what it needs itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperCommand

from shutdownlab.reporting.help import CommandWithin, PlainCommand, PlainGroup


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: its implementation, as `module:function` of this package, and what it does, in a sentence or two.

    The command's own `--help` also prints the function's docstring.
    """

    name: str
    place: str
    summary: str
    kind: type[PlainCommand] = PlainCommand


COMMANDS: Final = (
    Entry(
        "run",
        "run:run",
        "Run a scenario: build the country, play the timeline, measure every phase, check what was expected.",
    ),
    Entry(
        "resume",
        "resume:resume",
        "Go on with a run that was interrupted, killed or broke off, from its last whole phase.",
    ),
    Entry(
        "report",
        "report:report",
        "Tell what there is to read about a run: print the table it ended with, or another report, or write a page.",
    ),
    Entry(
        "cost",
        "cost:cost",
        "Work out what a shutdown cost: by three methods, each from what to what, beside what others found.",
    ),
    Entry("plot", "plot:plot", "Draw a run as a figure for a paper, as wide as a column, its letters embedded."),
    Entry(
        "export",
        "export:export",
        "Write a run for other tools: typed tables with documented columns, or the formats of the field.",
    ),
    Entry("check", "check:check", "Check files without running anything; lists all problems at once."),
    Entry(
        "verify",
        "verify:verify",
        "Say what a run would find, without one: in seconds, without rights, on any system. Ends as `run` does.",
    ),
    Entry(
        "explain",
        "explain:explain",
        "Say why a probe comes out as it does: hop by hop, who decided by which rule, and what would let it through.",
    ),
    Entry(
        "diff",
        "diff:diff",
        "Say for whom what has changed between two versions of a scenario, or two runs, and why. "
        "Ends with 1 if anything.",
    ),
    Entry(
        "detect",
        "detect:detect",
        "Which mechanism shows in which signal that outsiders watch: when, how late, how strongly; and false alarms.",
    ),
    Entry(
        "compare",
        "compare:compare",
        "Lay a published series over the emulated one: correlation, lag, and error per phase.",
    ),
    Entry(
        "matrix",
        "matrix:matrix",
        "Use circumvention tools in every phase, from every operator: which work, at what cost. Ends as `run` does.",
    ),
    Entry("list", "listing:list_", "List the scenarios and countries that ship with it, and where they are."),
    Entry(
        "show",
        "show:show",
        "Print a shipped file, to start your own from (`shutdownlab show first-shutdown > my.yaml`).",
    ),
    Entry(
        "new",
        "new:new",
        "Write a file to start your own from, with comments; it passes `check`. "
        "Asks for a country's operators if need be.",
    ),
    Entry(
        "lab",
        "lab:lab",
        "The emulated country with Mininet's own command line (`help` there lists its commands).",
    ),
    Entry(
        "attach",
        "attach:attach",
        "Another terminal at a `lab`, or at a run that was kept, of the same user.",
        CommandWithin,
    ),
    Entry(
        "exec",
        "lab:exec_",
        "Run any command on a subscriber's machine: with its network, its resolver and the lab's certificates.",
        CommandWithin,
    ),
    Entry(
        "web",
        "web:web",
        "A page in the browser: a running country to steer, a run as it goes on, or one that is over to look back at.",
    ),
    Entry(
        "doctor",
        "doctor:doctor",
        "What this machine offers, what will be used instead of what it lacks, and how to fix it.",
    ),
    Entry("inspect", "inspect:inspect", "What a DPI box would make of a capture: one line per flow."),
    Entry(
        "judge",
        "judge:judge",
        "OONI's verdicts, worked out anew from the raw observations of measurements, "
        "and where the file says otherwise.",
    ),
    Entry(
        "profiles", "profiles:profiles", "How DPI boxes parse and react, as published measurements of real ones say."
    ),
    Entry(
        "apps", "apps:apps", "The app catalogue: names, addresses and protocols of apps, and what answers there."
    ),
    Entry("schema", "schema:schema", "Print the JSON Schema of a kind of file, for editors and for programs."),
)  # fmt: skip


class Deferred(TyperCommand):
    """A command whose module is imported when it is used."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry.name, help=entry.summary)
        self._entry = entry

    @cached_property
    def command(self) -> Any:
        """The real command, with its arguments and options."""
        entry = self._entry
        module, function = entry.place.split(":")
        carried_out_by = getattr(import_module(f"shutdownlab.cli.{module}"), function)
        told = "\n\n".join(filter(None, (entry.summary, carried_out_by.__doc__)))
        alone = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
        alone.command(name=entry.name, cls=entry.kind, help=told)(carried_out_by)
        return typer.main.get_command(alone)

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Returns the real command's context, so that this is what is invoked."""
        return self.command.make_context(*args, **kwargs)


class Commands(PlainGroup):
    """The `shutdownlab` program: the group of all commands."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for entry in COMMANDS:
            self.add_command(Deferred(entry))
