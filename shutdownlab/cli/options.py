"""Arguments and options that several commands share, and their checks."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from shutdownlab.cli.program import bad_option
from shutdownlab.config.beside import NotReadable, read_file
from shutdownlab.config.document import quoted

if TYPE_CHECKING:
    from shutdownlab.model.scenario import Scenario

STANDARD_INPUT = Path("/dev/stdin")
"""What `-` stands for where a command reads one file."""
ScenarioName = Annotated[
    str, typer.Argument(metavar="SCENARIO", help="A shipped scenario (see `list`), or the path of a YAML file.")
]
OneScenario = Annotated[
    str | None, typer.Argument(metavar="SCENARIO", help="A shipped scenario (see `list`), or the path of a YAML file.")
]
Everything = Annotated[bool, typer.Option("--all", help="All scenarios that ship, a line each.")]
AnyName = Annotated[
    str, typer.Argument(metavar="NAME", help="A shipped scenario or country (see `list`), or the path of a YAML file.")
]
Choices = Annotated[
    list[str] | None,
    typer.Option(
        "--choose", metavar="ACCOUNT=OPTION", help="Where sources disagree: which version to follow; repeatable."
    ),
]
DatapathWish = Annotated[
    Literal["auto", "kernel", "userspace"],
    typer.Option(
        "--datapath",
        metavar="auto|kernel|userspace",
        help="Open vSwitch's datapath. auto: the kernel's if this machine offers it.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Set another value in the scenario: policies.blackout.throttle=1mbit; repeatable.",
    ),
]


def _share(text: str) -> float:
    """Parses `5%` or `0.05`; the callee checks that it is from 0 to 1."""
    figure, percent = text.removesuffix("%"), text.endswith("%")
    try:
        return float(figure) / (100 if percent else 1)
    except ValueError:
        raise typer.BadParameter(f"found {text}; expected a share: 5% or 0.05") from None


Sample = Annotated[
    float | None,
    typer.Option(
        "--sample",
        metavar="SHARE",
        parser=_share,
        help="Where phases repeat what was measured, measure it in this share of them (5%, 0.05); hold the rest.",
        show_default="all",
    ),
]
NewRun = Annotated[
    Path | None,
    typer.Option(
        "--out", readable=False, metavar="DIR", help="A new directory for the results.", show_default="runs/NAME-TIME"
    ),
]
Trust = Annotated[
    bool, typer.Option("--trust", help="Start the programs that the scenario brings along, inside the sandbox.")
]
AtPhase = Annotated[str | None, typer.Option("--at", metavar="PHASE", help="Apply the policies of this phase.")]


def known(option: str, kind: str, name: str, names: Collection[str]) -> None:
    from shutdownlab.model import lookup

    lookup.known(kind, name, names, option)


def as_mapping(choices: list[str] | None) -> dict[str, str]:
    """Parses any number of `--choose ACCOUNT=OPTION`; returns options by account."""
    return {account: option for account, _, option in (text.partition("=") for text in choices or ())}


def as_settings(given: list[str] | None) -> dict[str, str]:
    """Parses any number of `--set PATH=VALUE`; returns values by path."""
    return as_pairs(given, "--set", "PATH=VALUE", "such as --set policies.blackout.throttle=1mbit")


def as_pairs(given: list[str] | None, option: str, form: str, hint: str) -> dict[str, str]:
    """Parses any number of options of the form NAME=VALUE; returns values by name."""
    found: dict[str, str] = {}
    for text in given or ():
        name, sign, value = text.partition("=")
        if not sign or not name:
            bad_option(option, quoted(text), form, hint)
        if name in found:
            bad_option(option, f"{quoted(name)} twice", f"each {form.partition('=')[0].lower()} once")
        found[name] = value
    return found


def chosen(scenario: Scenario, given: list[str] | None) -> dict[str, str]:
    from shutdownlab.model import lookup

    return lookup.choices_of(scenario, as_mapping(given), "--choose")


def read_bytes(path: Path) -> bytes:
    try:
        return read_file(path)
    except NotReadable as why:
        bad_option(str(path), why.found, "a file that can be read")
