"""Arguments and options that several commands share, and what is checked of them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal

import typer

from shutdownlab.cli.program import bad_option
from shutdownlab.config.document import did_you_mean, one_of, quoted
from shutdownlab.model.scenario import Scenario

ScenarioName = Annotated[
    str, typer.Argument(metavar="SCENARIO", help="A scenario it ships (see `list`), or the path of a YAML file.")
]
AnyName = Annotated[
    str, typer.Argument(metavar="NAME", help="A topology or scenario it ships, or the path of a YAML file.")
]
Choices = Annotated[
    list[str] | None,
    typer.Option("--choose", metavar="ACCOUNT=OPTION", help="Where accounts conflict: which to follow. Repeatable."),
]
DatapathWish = Annotated[
    Literal["auto", "kernel", "userspace"],
    typer.Option(
        "--datapath",
        metavar="auto|kernel|userspace",
        help="Open vSwitch's: the kernel's where it can be had, or one of them.",
    ),
]
AtPhase = Annotated[str | None, typer.Option("--at", metavar="PHASE", help="With the policies of this phase applied.")]


def known(option: str, kind: str, name: str, names: Collection[str]) -> None:
    if name not in names:
        bad_option(option, f"unknown {kind} {quoted(name)}", one_of(names), did_you_mean(name, names))


def chosen(scenario: Scenario, given: list[str] | None) -> dict[str, str]:
    choices = scenario.default_choices()
    for text in given or []:
        account, _, option = text.partition("=")
        if account not in scenario.accounts:
            accounts = list(scenario.accounts)
            bad_option(
                "--choose", f"unknown account {quoted(account)}", one_of(accounts), did_you_mean(account, accounts)
            )
        options = scenario.accounts[account].options
        if option not in options:
            says = "; ".join(f"{name}: {choice.says}" for name, choice in options.items())
            bad_option("--choose", f"unknown option {quoted(option)} of {account}", one_of(options), says)
        choices[account] = option
    return choices


def known_phase(option: str, scenario: Scenario, name: str) -> None:
    phases = [phase.phase for phase in scenario.timeline]
    if name not in phases:
        bad_option(option, f"unknown phase {quoted(name)}", f"one of {', '.join(phases)}", did_you_mean(name, phases))


def read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        bad_option(str(path), (error.strerror or str(error)).lower(), "a policy file that can be read")
