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
        "Continue a run that was interrupted, killed or broke off, from its last complete phase.",
    ),
    Entry(
        "report",
        "report:report",
        "Print the table that a run ended with, or another report of it, or write its page.",
    ),
    Entry(
        "cost",
        "cost:cost",
        "Estimate what a shutdown cost, by three methods with their uncertainty, beside published figures.",
    ),
    Entry("plot", "plot:plot", "Draw a run as a figure for a paper: at column width, with embedded fonts."),
    Entry(
        "export",
        "export:export",
        "Export a run for other tools: as typed tables with documented columns, or in the formats of the field.",
    ),
    Entry("check", "check:check", "Check files without running anything; lists all problems at once."),
    Entry(
        "verify",
        "verify:verify",
        "Work out what a run would find, without packets: in seconds, unprivileged, on any system. Exits as `run`.",
    ),
    Entry(
        "explain",
        "explain:explain",
        "Explain why a probe comes out as it does: hop by hop, which rule decided, and what would let it through.",
    ),
    Entry(
        "diff",
        "diff:diff",
        "Show what changed between two versions of a scenario, or two runs, for whom and why. "
        "Exits with 1 if anything did.",
    ),
    Entry(
        "detect",
        "detect:detect",
        "Show which mechanism is visible in which outside signal: when, how late, how strongly; and false alarms.",
    ),
    Entry(
        "compare",
        "compare:compare",
        "Compare a published series with the emulated one: correlation, lag, and error per phase.",
    ),
    Entry(
        "matrix",
        "matrix:matrix",
        "Use circumvention tools in every phase, from every operator: which work, at what cost. Exits as `run` does.",
    ),
    Entry("list", "listing:list_", "List the scenarios and countries that ship, and where they are."),
    Entry(
        "show",
        "show:show",
        "Print a shipped file as a starting point for your own (`shutdownlab show first-shutdown > my.yaml`).",
    ),
    Entry(
        "new",
        "new:new",
        "Write a commented file to start your own from; it passes `check`. "
        "Asks for a country's operators if none are given.",
    ),
    Entry(
        "lab",
        "lab:lab",
        "Open the emulated country with Mininet's own command line (`help` there lists its commands).",
    ),
    Entry(
        "attach",
        "attach:attach",
        "Open another terminal in a `lab`, or in a run that was kept open, of the same user.",
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
        "Serve a page for the browser: a running country to steer, a run in progress, or a finished run to replay.",
    ),
    Entry(
        "doctor",
        "doctor:doctor",
        "Show what this machine offers, what will be used instead of what it lacks, and how to fix it.",
    ),
    Entry("inspect", "inspect:inspect", "Show what a DPI box would make of a capture: one line per flow."),
    Entry(
        "judge",
        "judge:judge",
        "Recompute OONI's verdicts from the raw observations of measurements, "
        "and show where the file says otherwise.",
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
        text = "\n\n".join(filter(None, (entry.summary, carried_out_by.__doc__)))
        alone = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
        alone.command(name=entry.name, cls=entry.kind, help=text)(carried_out_by)
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
