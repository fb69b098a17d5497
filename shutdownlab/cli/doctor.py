"""`shutdownlab doctor`."""

from __future__ import annotations

import typer
from rich.console import Console

from shutdownlab.cli.program import EXIT_MACHINE_CANNOT


def doctor() -> None:
    from shutdownlab.country.doctor import findings
    from shutdownlab.reporting.doctor import report

    ok = report(findings(), Console(highlight=False))
    raise typer.Exit(0 if ok else EXIT_MACHINE_CANNOT)
