"""`shutdownlab attach`: another terminal for a running country."""

from __future__ import annotations

from typing import Annotated

import typer

from shutdownlab.cli.program import EXIT_BAD_INPUT, EXIT_MACHINE_CANNOT, errors, user_errors
from shutdownlab.reporting.literal import literal


def attach(
    node: Annotated[
        str | None,
        typer.Argument(metavar="NODE", help="Open a shell on this node; without it, the command line of `lab`."),
    ] = None,
    command: Annotated[
        list[str] | None, typer.Argument(metavar="COMMAND...", help="Run this command instead of a shell; after `--`.")
    ] = None,
    lab: Annotated[
        str | None,
        typer.Option(
            "--lab", metavar="PID|NAME", help="Which lab, if several run: its process ID, or the name of what it plays."
        ),
    ] = None,
) -> None:
    """Both terminals share the same country. For example: shutdownlab attach kcell-almaty -- tcpdump -i eth0"""
    from shutdownlab.country.attach import NotAttached
    from shutdownlab.country.attach import attach as let_in
    from shutdownlab.country.attach_socket import UnsafePlace, lab_named

    with user_errors():
        try:
            found = lab_named(lab, "--lab")
            status = let_in(found, node, command or ())
        except (NotAttached, UnsafePlace) as why:
            errors().print("[red]Not attached:[/red]")
            for line in str(why).splitlines():
                errors().print(f"    {line}", markup=False)
            mistaken = isinstance(why, NotAttached) and why.mistaken
            raise typer.Exit(EXIT_BAD_INPUT if mistaken else EXIT_MACHINE_CANNOT) from None
    if status is None:
        errors().print(f"The lab {literal(str(found))} has ended.")
        raise typer.Exit(EXIT_MACHINE_CANNOT)
    raise typer.Exit(status)
