"""Arguments and options that several commands share, and what is checked of them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal

import typer

from shutdownlab.cli.program import bad_option
from shutdownlab.config.beside import NotReadable, read_file
from shutdownlab.model import lookup
from shutdownlab.model.scenario import Scenario

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
Trust = Annotated[bool, typer.Option("--trust", help="Start the programs that it brings along, inside the sandbox.")]
AtPhase = Annotated[str | None, typer.Option("--at", metavar="PHASE", help="Apply the policies of this phase.")]


def known(option: str, kind: str, name: str, names: Collection[str]) -> None:
    lookup.known(kind, name, names, option)


def as_mapping(choices: list[str] | None) -> dict[str, str]:
    """`--choose ACCOUNT=OPTION`, any number of them, as accounts and what was chosen."""
    return {account: option for account, _, option in (text.partition("=") for text in choices or ())}


def share_of(text: str | None) -> float | None:
    """`--sample 5%` or `--sample 0.05` as a number from 0 to 1."""
    if text is None:
        return None
    figure, percent = text.removesuffix("%"), text.endswith("%")
    try:
        share = float(figure) / (100 if percent else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        bad_option("--sample", text, "a share such as 5% or 0.05")
    return share


def chosen(scenario: Scenario, given: list[str] | None) -> dict[str, str]:
    return lookup.choices_of(scenario, as_mapping(given), "--choose")


def known_phase(option: str, scenario: Scenario, name: str) -> None:
    lookup.phase_named(scenario, name, option)


def read_bytes(path: Path) -> bytes:
    try:
        return read_file(path)
    except NotReadable as why:
        bad_option(str(path), f"a file {why}", "a file that can be read")
