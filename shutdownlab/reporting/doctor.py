"""Prints what `shutdownlab doctor` found."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from shutdownlab.country.doctor import Finding
from shutdownlab.reporting.literal import literal

_MARKS = {"ok": "[green]ok[/green]", "instead": "[yellow]instead[/yellow]", "missing": "[red]missing[/red]"}

_MEND = {"ok": "to have it", "instead": "to have it", "missing": "how to fix it"}


def report(findings: Iterable[Finding], console: Console) -> bool:
    """Prints a line per finding, then a conclusion; returns False if something required is missing."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    seen = list(findings)
    for finding in seen:
        mend = f"\n[dim]{_MEND[finding.verdict]}: {literal(finding.mend)}[/dim]" if finding.mend else ""
        table.add_row(_MARKS[finding.verdict], finding.what, f"{literal(finding.found)}{mend}")
    console.print(table)
    missing = [finding.what for finding in seen if finding.verdict == "missing"]
    if missing:
        console.print(f"[red]This machine lacks {literal(', '.join(missing))}.[/red]", soft_wrap=True)
        return False
    console.print("[green]Everything that is needed is here.[/green]", soft_wrap=True)
    return True
